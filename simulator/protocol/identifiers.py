"""The limits of ids: lengths of RoomId and account, range of SDKAppID, and files that list ids."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from roomhook.errors import ConfigurationError
from roomhook.simulator.util.defaults import SDKAPPID
from roomhook.simulator.util.limits import read_bounded

__all__ = ["LONGEST_ACCOUNT", "LONGEST_ROOM_ID", "check_sdkappid", "read_ids"]

LONGEST_ROOM_ID: Final = 48
"""Bytes (protocol.md 4, IDs)."""

LONGEST_ACCOUNT: Final = 32
"""Bytes (protocol.md 4, IDs)."""

_LARGEST_SDKAPPID: Final = 10**18 - 1
"""Most digits of an SDKAppID; every sample has 10."""


def check_sdkappid(number: int) -> int:
    """Return *number*; raises ``ConfigurationError`` if it cannot be an SDKAppID."""
    if not 0 < number <= _LARGEST_SDKAPPID:
        raise ConfigurationError(f"--sdkappid {number} is not an SDKAppID; give yours, as in --sdkappid {SDKAPPID}")
    return number


def read_ids(path: Path, option: str, longest: int) -> tuple[str, ...]:
    """The ids in the file at *path*, one per line, without blank lines and surrounding white space.

    Raises ``ConfigurationError`` that names *option* for a file that cannot be read or holds no id, and for an id that
    stands twice or has more than *longest* bytes.
    """
    try:
        lines = read_bounded(path).decode("utf-8-sig").splitlines()  # editors on Windows write a byte order mark
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{option} {path} can't be read: {reason}") from None
    found: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        one = line.strip()
        if not one:
            continue
        if len(one.encode()) > longest:
            raise ConfigurationError(f"{option} {path}, line {number}: an id has at most {longest} bytes")
        if one in found:
            raise ConfigurationError(f"{option} {path}, line {number}: {one!r} is already in line {found[one]}")
        found[one] = number
    if not found:
        raise ConfigurationError(f"{option} {path} has no ids; write one per line")
    return tuple(found)
