"""Default values, each declared once."""

from __future__ import annotations

from typing import Final

__all__ = ["DEADLINE_MS", "LARGEST_ANSWER", "SDKAPPID"]

DEADLINE_MS: Final = 2000.0
"""The Room backend waits this long for an answer (OV-CHAT; protocol.md 1.4)."""

LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes of an answer that are read; a response packet has about 50, and a thousand connections share the memory."""

SDKAPPID: Final = 1400000001
"""The SDKAppID where both ends are ours."""
