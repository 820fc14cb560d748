"""One callback as an HTTP request, and the curl line that repeats it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Final

__all__ = ["JSON_CONTENT", "Callback", "curl"]

JSON_CONTENT: Final = (("Content-Type", "application/json"),)

_SECRET = re.compile(r"(?i)authorization|cookie|token|secret|password|api-?key")
_LONGEST_BODY: Final = 4096
"""Bytes of a body that a curl line still shows; a longer one would drown the finding that it belongs to."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A request as it is sent: ``url`` and ``body`` travel byte by byte.

    ``signed`` says that the URL's Sign and RequestTime are genuine, so that a repeating line may compute fresh ones.
    """

    url: str
    body: bytes | None
    headers: tuple[tuple[str, str], ...] = JSON_CONTENT
    method: str = "POST"
    signed: bool = False


def curl(callback: Callback) -> str:
    """A shell line that sends *callback* again; the token is read from ``$ROOMHOOK_TOKEN``, secret headers are masked."""
    words = ["curl", "-sS", "-i"]
    if callback.method != "POST" or callback.body is None:
        words += ["-X", callback.method]
    for name, value in callback.headers:
        words += ["-H", shlex.quote(f"{name}: {'***' if _SECRET.search(name) else value}")]
    if callback.body is not None:
        if not any(name.lower() == "content-type" for name, _ in callback.headers):
            words += ["-H", "'Content-Type:'"]  # without this, curl would label the body a form
        words += ["--data-binary", _shell_bytes(callback.body)]
    if not callback.signed:
        return " ".join([*words, shlex.quote(callback.url)])
    url = re.sub(r"(?<=[?&])(Sign|RequestTime)=[^&]*", _fresh, callback.url)
    quoted = "'" + url.replace("'", "'\\''").replace("\0(", "'\"$(").replace("\0)", ")\"'").replace("\0t", "'\"$T\"'") + "'"
    return " ".join(["T=$(date +%s);", *words, quoted.removesuffix("''")])


def _fresh(match: re.Match[str]) -> str:
    if match[1] == "RequestTime":
        return "RequestTime=\0t"
    return "Sign=\0(printf %s \"$ROOMHOOK_TOKEN$T\" | sha256sum | cut -c1-64\0)"


def _shell_bytes(body: bytes) -> str:
    """*body* as one shell word; bytes that no word can hold as they are go into bash's ``$'…'``."""
    if len(body) > _LONGEST_BODY:
        return f"@body.bin  # {len(body)} bytes, as the report's JSON has them;"
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if body and text and text.isprintable():
        return shlex.quote(text)
    escaped = "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"\\'" else f"\\x{byte:02x}" for byte in body)
    return f"$'{escaped}'" if body else "''"
