"""Broken App backends that fail on values which only generated packets hold."""

from __future__ import annotations

import struct

from roomhook.contract_tests.app_backends.broken.registry import breaks
from roomhook.contract_tests.app_backends.reference.backend import MemberEvent, ReferenceBackend

__all__: list[str] = []


@breaks("fuzz.valid")
class _ThirtyOneBits(ReferenceBackend):
    """Keeps MemberCount in a signed integer of 32 bits."""

    def leave(self, event: MemberEvent) -> None:
        self.packed = struct.pack("<i", max(event.member_count, 0))
        super().leave(event)


@breaks("fuzz.near-miss")
class _NeverBelowZero(ReferenceBackend):
    """Crashes on a MemberCount below zero."""

    def leave(self, event: MemberEvent) -> None:
        if event.member_count < 0:
            raise ValueError("a negative number of people")
        super().leave(event)
