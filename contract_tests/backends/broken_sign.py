"""Broken App backends that verify Sign and RequestTime wrongly; each needs a token."""

from __future__ import annotations

import hashlib
import hmac

from roomhook.contract_tests.backends.reference import SIGN_WINDOW_S, Callback, ReferenceBackend, Refusal
from roomhook.contract_tests.backends.registry import breaks
from roomhook.simulator.callback_url import sign

__all__: list[str] = []


@breaks("sign.valid")
class _Backwards(ReferenceBackend):
    """Hashes RequestTime before the token, where a callback is signed at all."""

    def check_sign(self, callback: Callback, token: str) -> None:
        if callback.values("Sign"):
            super().check_sign(callback, token)

    def is_signed(self, signature: str, token: str, request_time: str) -> bool:
        expected = hashlib.sha256(f"{request_time}{token}".encode()).hexdigest()
        return hmac.compare_digest(signature.encode(), expected.encode())


@breaks("sign.missing")
class _Optional(ReferenceBackend):
    """Checks Sign only where it is there."""

    def check_sign(self, callback: Callback, token: str) -> None:
        if callback.values("Sign"):
            super().check_sign(callback, token)


@breaks("sign.wrong")
class _HalfCompared(ReferenceBackend):
    """Keeps 32 digits of a Sign and compares those."""

    def is_signed(self, signature: str, token: str, request_time: str) -> bool:
        return signature[:32].lower() == sign(token, request_time)[:32]


@breaks("sign.other-token")
class _NoTokenYet(ReferenceBackend):
    """Also takes what was signed before a token was set, with an empty one."""

    def is_signed(self, signature: str, token: str, request_time: str) -> bool:
        return any(super(_NoTokenYet, self).is_signed(signature, one, request_time) for one in (token, ""))


@breaks("sign.time-swapped")
class _OwnClock(ReferenceBackend):
    """Looks for the second of the last minute that gives the Sign, and leaves RequestTime out of it."""

    def is_signed(self, signature: str, token: str, request_time: str) -> bool:  # noqa: ARG002 (the defect)
        now = int(self.clock())
        recent = range(now - SIGN_WINDOW_S, now + SIGN_WINDOW_S)
        return any(super(_OwnClock, self).is_signed(signature, token, str(second)) for second in recent)


@breaks("sign.stale")
class _NeverStale(ReferenceBackend):
    """Takes a RequestTime however old."""

    def check_request_time(self, text: str) -> None:
        if not (text.isdecimal() and int(text) <= self.clock()):
            super().check_request_time(text)


@breaks("sign.ahead")
class _NeverAhead(ReferenceBackend):
    """Takes a RequestTime however far ahead."""

    def check_request_time(self, text: str) -> None:
        if not (text.isdecimal() and len(text) == len(str(int(self.clock()))) and int(text) >= self.clock()):
            super().check_request_time(text)


@breaks("sign.not-a-number")
class _NotANumber(ReferenceBackend):
    """Reads RequestTime as a float, and NaN is never more than a minute off."""

    def check_request_time(self, text: str) -> None:
        try:
            distance = abs(self.clock() - float(text))
        except ValueError:
            raise Refusal(2, "RequestTime is not a number of seconds") from None
        if distance > SIGN_WINDOW_S:
            raise Refusal(2, "RequestTime is more than a minute off")


@breaks("sign.empty")
class _EmptyIsUnsigned(ReferenceBackend):
    """Has nothing to compare when Sign is empty, and lets it pass."""

    def is_signed(self, signature: str, token: str, request_time: str) -> bool:
        return not signature or super().is_signed(signature, token, request_time)


@breaks("sign.duplicate")
class _LastSign(ReferenceBackend):
    """Reads the last of two Signs and ignores the first."""

    def check_sign(self, callback: Callback, token: str) -> None:
        last = dict(callback.parameters)
        if len(callback.values("Sign")) == 2 and self.is_signed(last["Sign"], token, last.get("RequestTime", "")):
            return
        super().check_sign(callback, token)


@breaks("sign.upper")
class _LowerHex(ReferenceBackend):
    """Compares Sign as text, so that upper-case hex is refused."""

    def is_signed(self, signature: str, token: str, request_time: str) -> bool:
        return hmac.compare_digest(signature.encode(), sign(token, request_time).encode())
