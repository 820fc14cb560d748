"""UserSig of the public TLSSigAPIv2 scheme: creation and verification."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import zlib
from typing import Annotated, Any, Final

import msgspec

__all__ = ["make_usersig", "why_not_genuine"]

_LONGEST: Final = 16 * 1024
"""Most characters of a UserSig, and most bytes when unpacked; real ones have a few hundred."""

_ALPHABET: Final = re.compile(r"[A-Za-z0-9*-]+_{0,2}", re.ASCII)
"""Base64 with * for +, - for / and _ for =."""

_CLOCK_SKEW_S: Final = 60


def make_usersig(sdkappid: int, identifier: str, secret_key: str, *, now_s: int, expire_s: int = 86_400) -> str:
    """A UserSig of *identifier*, valid for *expire_s* from *now_s* (s since the epoch)."""
    claims = {
        "TLS.ver": "2.0",
        "TLS.identifier": identifier,
        "TLS.sdkappid": sdkappid,
        "TLS.expire": expire_s,
        "TLS.time": now_s,
    }
    claims["TLS.sig"] = _digest(claims, secret_key)
    packed = base64.b64encode(zlib.compress(json.dumps(claims).encode())).decode()
    return packed.translate(str.maketrans("+/=", "*-_"))


def why_not_genuine(usersig: str, *, sdkappid: int, identifier: str, secret_key: str, now_s: float) -> str | None:
    """Why *usersig* is not a valid UserSig of *identifier* at *now_s* (s since the epoch); None if it is one."""
    try:
        claims = _unpacked(usersig)
    except (ValueError, zlib.error, RecursionError):
        return "it can't be unpacked"
    if not hmac.compare_digest(_digest(claims, secret_key).encode(), claims["TLS.sig"].encode()):
        return "it was not made with this app's secret key"
    if str(claims["TLS.sdkappid"]) != str(sdkappid):
        return f"it is for SDKAppID {claims['TLS.sdkappid']}"
    if claims["TLS.identifier"] != identifier:
        return f"it is for {claims['TLS.identifier'][:40]!r}"
    if now_s < claims["TLS.time"] - _CLOCK_SKEW_S:
        return f"its time is {claims['TLS.time'] - now_s:.0f} s in the future"
    if now_s >= claims["TLS.time"] + claims["TLS.expire"]:
        return "it has expired"
    return None


def _unpacked(usersig: str) -> dict[str, Any]:
    """The claims; raises ``ValueError``, among others, for a text that the scheme cannot produce."""
    if len(usersig) > _LONGEST or not _ALPHABET.fullmatch(usersig):
        raise ValueError("not the scheme's base64")
    packed = base64.b64decode(usersig.translate(str.maketrans("*-_", "+/=")), validate=True)
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(packed, _LONGEST)
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("cut short, or followed by other bytes")
    claims: dict[str, Any] = msgspec.to_builtins(msgspec.json.decode(text, type=_Claims))
    return claims


class _Claims(msgspec.Struct, kw_only=True):
    """The claims of a UserSig with the types that the scheme gives them."""

    version: Annotated[str, msgspec.Meta(min_length=1)] = msgspec.field(name="TLS.ver")
    identifier: str = msgspec.field(name="TLS.identifier")
    sdkappid: int | str = msgspec.field(name="TLS.sdkappid")
    expire: int = msgspec.field(name="TLS.expire")
    time: int = msgspec.field(name="TLS.time")
    sig: str = msgspec.field(name="TLS.sig")
    userbuf: str | msgspec.UnsetType = msgspec.field(name="TLS.userbuf", default=msgspec.UNSET)


def _digest(claims: dict[str, Any], secret_key: str) -> str:
    signed = "".join(f"TLS.{name}:{claims[f'TLS.{name}']}\n" for name in ("identifier", "sdkappid", "time", "expire"))
    if "TLS.userbuf" in claims:
        signed += f"TLS.userbuf:{claims['TLS.userbuf']}\n"
    digest = hmac.new(secret_key.encode(), signed.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
