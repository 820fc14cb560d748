"""Verifies the Sign of a callback: one function, of the standard library alone, to copy into a Python App backend."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from urllib.parse import parse_qs

__all__ = ["verify_sign"]


def verify_sign(query: str, token: str, *, clock: Callable[[], float] = time.time, window_s: int = 60) -> None:
    """Raise ``ValueError`` with the reason unless the sender of the callback knows *token* and signed it just now.

    *query* is the raw query of the callback URL, *clock* returns the time in s since the epoch, and RequestTime may
    differ from it by *window_s* (s) either way (protocol.md 1.5). Sign covers only RequestTime: use https for the rest.
    """
    if not token:
        raise ValueError("no token is configured, and with an empty one anybody could sign")
    given = parse_qs(query, keep_blank_values=True)
    signs, times = given.get("Sign", []), given.get("RequestTime", [])
    if len(signs) != 1 or len(times) != 1:
        raise ValueError("Sign and RequestTime are each needed once")
    if not re.fullmatch("[0-9]{1,12}", times[0]):  # before any arithmetic: NaN would always be in time
        raise ValueError("RequestTime is not a number of seconds")
    if abs(clock() - int(times[0])) > window_s:
        raise ValueError(f"RequestTime is more than {window_s} s off")
    right = hashlib.sha256(f"{token}{times[0]}".encode()).hexdigest()
    if not hmac.compare_digest(signs[0].lower().encode(errors="replace"), right.encode()):  # bytes: text must be ASCII
        raise ValueError("Sign does not match")
