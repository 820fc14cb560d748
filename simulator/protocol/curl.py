"""The curl line that repeats a callback."""

from __future__ import annotations

import re
import shlex
import string
from typing import Final

from roomhook.simulator.protocol.callback_request import CallbackRequest, masked

__all__ = ["curl", "fits_in_a_line"]

_LONGEST_BODY: Final = 4096
"""Largest body in a curl line (bytes): a longer one would hide the finding."""
_EXPECTED: Final = 1024
"""Size (bytes) above which some versions of curl send Expect: 100-continue."""
_RUN: Final = re.compile(rb"([ -~])\1{255,}")
"""A long run of one character, which a curl line generates instead of showing."""


def fits_in_a_line(body: bytes) -> bool:
    """Whether a curl line can hold *body*; long runs of one character do not count."""
    return len(_RUN.sub(b"", body)) <= _LONGEST_BODY


def curl(callback: CallbackRequest, *, body_file: str | None = None) -> str:
    """A shell line that sends *callback* again, for any POSIX shell; the body comes from *body_file* if there is one.

    The token is read from ``$ROOMHOOK_TOKEN``; secret headers and URL parameters are masked.
    """
    words = ["curl", "-sS", "-i"]
    shown = masked(callback)
    if callback.method != "POST" or callback.body is None:
        words += ["-X", callback.method]
    for name, value in shown.headers:
        words += ["-H", shlex.quote(f"{name}: {value}")]
    if callback.body is not None and not any(name.lower() == "content-type" for name, _ in callback.headers):
        words += ["-H", "'Content-Type:'"]  # without this, curl would label the body a form
    words.append(_signed_anew(shown.url) if callback.signed else shlex.quote(shown.url))
    before = "T=$(date +%s); " if callback.signed else ""
    if callback.body is None:
        return before + " ".join(words)
    if body_file is not None:
        words += ["--data-binary", shlex.quote(f"@{body_file}")]
    elif not fits_in_a_line(callback.body):
        words += ["--data-binary", f"@body.bin  # {len(callback.body)} bytes, as the report's JSON has them"]
    elif (text := _as_text(callback.body)) is not None:
        words += ["--data-raw", shlex.quote(text)]
    else:
        before += f"{_written(callback.body)} | "
        words += ["-H", "'Expect:'"] if len(callback.body) > _EXPECTED else []
        words += ["--data-binary", "@-"]
    return before + " ".join(words)


def _signed_anew(url: str) -> str:
    """*url* as a shell word in which the shell computes a new Sign and RequestTime."""
    marked = re.sub(r"(?<=[?&])(Sign|RequestTime)=[^&]*", _fresh, url)
    marked = marked.replace("'", "'\\''").replace("\0(", "'\"$(").replace("\0)", ")\"'").replace("\0t", "'\"$T\"'")
    return f"'{marked}'".removesuffix("''")


def _fresh(match: re.Match[str]) -> str:
    if match[1] == "RequestTime":
        return "RequestTime=\0t"
    return 'Sign=\0(printf %s "$ROOMHOOK_TOKEN$T" | sha256sum | cut -c1-64\0)'


def _as_text(body: bytes) -> str | None:
    """*body* as text for a shell word and a terminal, or None if that is impossible."""
    if _RUN.search(body):
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text) else text


def _written(body: bytes) -> str:
    """Shell commands that write *body*, with a separate command for each long run of one character."""
    commands, end = [], 0
    for run in _RUN.finditer(body):
        commands += [f"printf {_octal(body[end : run.start()])}"] if run.start() > end else []
        commands.append(f"printf '%0{len(run[0])}d' 0 | tr 0 '\\{run[1][0]:03o}'")
        end = run.end()
    commands += [f"printf {_octal(body[end:])}"] if end < len(body) or not body else []
    return commands[0] if len(commands) == 1 else f"{{ {'; '.join(commands)}; }}"


def _octal(body: bytes) -> str:
    """*body* as a format for printf, the only way to write any byte in every shell."""
    plain = (string.ascii_letters + ' !#$&()*+,-./:;<=>?@[]^_`{|}~"').encode()
    return "'" + "".join(chr(one) if one in plain else f"\\{one:03o}" for one in body) + "'"
