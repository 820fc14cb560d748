"""Hides offers to upgrade the protocol (``Upgrade: h2c`` of curl and the JDK), which lose the body in httptools."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["UpgradeFilter"]

_OFFER: Final = re.compile(rb"\r\nUpgrade:", re.IGNORECASE)
_START: Final = b"\r\nupgrade:"
_RENAMED: Final = b"\r\nIgnored:"


class UpgradeFilter:
    """Renames the header Upgrade in the bytes of a connection; every other byte is kept."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes, *, in_head: bool) -> bytes:
        """The bytes to parse now; *in_head* says whether *data* begins inside the head of a request.

        Holds back at most 9 bytes that may be the start of the header's name.
        """
        if not in_head or (not self._held and b"\r\n\r\n" in data and _START not in data.lower()):
            return data
        data = self._held + data
        self._held = b""
        head, blank, body = data.partition(b"\r\n\r\n")
        head = _OFFER.sub(_RENAMED, head)
        if blank:
            return head + blank + body
        for length in range(len(_START) - 1, 0, -1):
            if head[-length:].lower() == _START[:length]:
                self._held = head[-length:]
                return head[:-length]
        return head
