"""SDKAppIDs that are not the target's own."""

from __future__ import annotations

__all__ = ["other_region"]


def other_region(own: str) -> str:
    """An id as another region's console hands them out: 14… in China, 20… elsewhere; never *own*."""
    prefix = "2000" if own[:2] != "20" else "1400"
    return prefix + "".join(str((int(digit) + 5) % 10) for digit in own[-6:].rjust(6, "7"))
