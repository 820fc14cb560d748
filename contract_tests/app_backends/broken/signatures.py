"""Broken App backends that verify Sign and RequestTime wrongly; each needs a token."""

from __future__ import annotations

import math
from dataclasses import replace
from urllib.parse import urlencode

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, ReferenceBackend, RefusedCallback
from roomhook.simulator.protocol.callback_url import sign

__all__: list[str] = []


def _taken_for(callback: IncomingCallback, **parameters: str) -> IncomingCallback:
    """*callback* as a backend sees it that mistakes its *parameters*; each of the others once, the last one."""
    seen = {**dict(callback.parameters), **parameters}
    return replace(callback, query=urlencode(seen), parameters=tuple(seen.items()))


def _pair(callback: IncomingCallback) -> tuple[str, str]:
    """Sign and RequestTime, or an empty text for one that is not there exactly once."""
    signs, times = callback.values("Sign"), callback.values("RequestTime")
    return signs[0] if len(signs) == 1 else "", times[0] if len(times) == 1 else ""


@breaks("sign.valid")
class _Backwards(ReferenceBackend):
    """Hashes RequestTime before the token, where a callback is signed at all."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        signature, request_time = _pair(callback)
        if callback.values("Sign") and signature != sign(request_time, token):
            raise RefusedCallback(2, "Sign does not match")


@breaks("sign.missing")
class _Optional(ReferenceBackend):
    """Checks Sign only where it is there."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        if callback.values("Sign"):
            super().check_sign(callback, token)


@breaks("sign.wrong")
class _HalfCompared(ReferenceBackend):
    """Keeps 32 digits of a Sign and compares those."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        signature, request_time = _pair(callback)
        right = sign(token, request_time)
        half_right = signature[:32].lower() == right[:32]
        super().check_sign(_taken_for(callback, Sign=right) if half_right else callback, token)


@breaks("sign.other-token")
class _NoTokenYet(ReferenceBackend):
    """Also takes what was signed before a token was set, with an empty one."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        signature, request_time = _pair(callback)
        unset = signature == sign("", request_time)
        super().check_sign(_taken_for(callback, Sign=sign(token, request_time)) if unset else callback, token)


@breaks("sign.time-swapped")
class _OwnClock(ReferenceBackend):
    """Looks for the second of the last minute that gives the Sign, and leaves RequestTime out of it."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        signature, request_time = _pair(callback)
        now = int(self.clock())
        recent = any(sign(token, second) == signature.lower() for second in range(now - 60, now + 60))
        super().check_sign(_taken_for(callback, Sign=sign(token, request_time)) if recent else callback, token)


@breaks("sign.stale")
class _NeverStale(ReferenceBackend):
    """Takes a RequestTime however old."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        signature, request_time = _pair(callback)
        old = request_time.isdecimal() and int(request_time) <= self.clock()
        if not (old and signature.lower() == sign(token, request_time)):
            super().check_sign(callback, token)


@breaks("sign.ahead")
class _NeverAhead(ReferenceBackend):
    """Takes a RequestTime however far ahead."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        signature, request_time = _pair(callback)
        ahead = len(request_time) == 10 and request_time.isdecimal() and int(request_time) >= self.clock()
        if not (ahead and signature.lower() == sign(token, request_time)):
            super().check_sign(callback, token)


@breaks("sign.not-a-number")
class _NotANumber(ReferenceBackend):
    """Reads RequestTime as a float, and NaN is never more than a minute off."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        signature, request_time = _pair(callback)
        try:
            endless = math.isnan(float(request_time))
        except ValueError:
            endless = False
        if not (endless and signature.lower() == sign(token, request_time)):
            super().check_sign(callback, token)


@breaks("sign.empty")
class _EmptyIsUnsigned(ReferenceBackend):
    """Has nothing to compare when Sign is empty, and lets it pass."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        empty = callback.values("Sign") == [""]
        right = sign(token, _pair(callback)[1])
        super().check_sign(_taken_for(callback, Sign=right) if empty else callback, token)


@breaks("sign.duplicate")
class _LastSign(ReferenceBackend):
    """Reads the last of two Signs and ignores the first."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        super().check_sign(_taken_for(callback), token)


@breaks("sign.upper")
class _LowerHex(ReferenceBackend):
    """Compares Sign as text, so that upper-case hex is refused."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        super().check_sign(callback, token)
        if not _pair(callback)[0].islower():
            raise RefusedCallback(2, "Sign does not match")
