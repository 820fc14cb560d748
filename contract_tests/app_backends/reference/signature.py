"""Verifies the Sign of a callback: one function of the standard library, to be copied into any Python App backend."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from urllib.parse import parse_qs

__all__ = ["verify_sign"]


def verify_sign(query: str, token: str, *, clock: Callable[[], float] = time.time, window_s: int = 60) -> None:
    """Raise ``ValueError``, which tells why, unless the sender of the callback knows *token* and signed it just now.

    *query* is the raw query of the callback URL, *clock* tells the time in s since the epoch, and RequestTime may be
    *window_s* off either way (protocol.md 1.5). Sign covers nothing but RequestTime: https guards the rest.
    """
    if not token:
        raise ValueError("no token is configured, and with an empty one anybody could sign")
    given = parse_qs(query, keep_blank_values=True)
    signs, times = given.get("Sign", []), given.get("RequestTime", [])
    if len(signs) != 1 or len(times) != 1:
        raise ValueError("Sign and RequestTime are each needed once")
    if not re.fullmatch("[0-9]{1,12}", times[0]):  # before anything counts with it: NaN would be in time for ever
        raise ValueError("RequestTime is not a number of seconds")
    if abs(clock() - int(times[0])) > window_s:
        raise ValueError(f"RequestTime is more than {window_s} s off")
    right = hashlib.sha256(f"{token}{times[0]}".encode()).hexdigest()
    if not hmac.compare_digest(signs[0].lower().encode(errors="replace"), right.encode()):  # on text, it is ASCII only
        raise ValueError("Sign does not match")
