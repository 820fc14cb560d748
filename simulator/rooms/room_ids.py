"""Makes the RoomIds of simulated rooms: letters, digits and ``-`` within the documented limits (protocol.md 4, IDs)."""

from __future__ import annotations

from typing import Final

__all__ = ["ROOM_PREFIXES", "room_id"]

ROOM_PREFIXES: Final = ("rid-", "room-", "live-", "meeting-", "class-", "standup-", "")
"""Beginnings of room ids, before a unique number: none ends in a digit."""


def room_id(prefix: int, unique: int | str) -> str:
    """The RoomId with prefix number *prefix*, modulo the number of prefixes, in front of *unique*."""
    return f"{ROOM_PREFIXES[prefix % len(ROOM_PREFIXES)]}{unique}"
