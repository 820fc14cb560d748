"""UserSig as the public TLSSigAPIv2 scheme has it: made, and verified, with the standard library alone."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import zlib
from typing import Any, Final

__all__ = ["make_usersig", "why_not_genuine"]

_LONGEST: Final = 16 * 1024
"""Characters of a UserSig, and bytes of what it unpacks to; real ones have some hundred."""


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
    """Why *usersig* is no UserSig of *identifier* that is valid at *now_s* (s since the epoch); None if it is one."""
    try:
        claims = _unpacked(usersig)
        signed = _digest(claims, secret_key)
        issued, lifetime = int(claims["TLS.time"]), int(claims["TLS.expire"])
    except (ValueError, KeyError, TypeError, zlib.error, RecursionError):
        return "it can't be unpacked"
    if not hmac.compare_digest(signed.encode(), str(claims.get("TLS.sig", "")).encode()):
        return "it was not made with this app's secret key"
    if str(claims["TLS.sdkappid"]) != str(sdkappid):
        return f"it is for SDKAppID {claims['TLS.sdkappid']}"
    if claims["TLS.identifier"] != identifier:
        return f"it is for {claims['TLS.identifier']!r}"
    if now_s >= issued + lifetime:
        return "it has expired"
    return None


def _unpacked(usersig: str) -> dict[str, Any]:
    if len(usersig) > _LONGEST:
        raise ValueError("too long")
    try:
        packed = base64.b64decode(usersig.translate(str.maketrans("*-_", "+/=")), validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    unpacking = zlib.decompressobj()
    claims = json.loads(unpacking.decompress(packed, _LONGEST))
    if not unpacking.eof:
        raise ValueError("cut short")
    if not isinstance(claims, dict):
        raise TypeError("not an object")
    return claims


def _digest(claims: dict[str, Any], secret_key: str) -> str:
    signed = "".join(f"TLS.{name}:{claims[f'TLS.{name}']}\n" for name in ("identifier", "sdkappid", "time", "expire"))
    if "TLS.userbuf" in claims:
        signed += f"TLS.userbuf:{claims['TLS.userbuf']}\n"
    digest = hmac.new(secret_key.encode(), signed.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
