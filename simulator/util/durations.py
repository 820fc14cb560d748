"""Durations as people write them: ``90s``, ``1h30m``, ``250ms``; a bare number is seconds."""

from __future__ import annotations

import re
from typing import Final

from roomhook.errors import ConfigurationError

__all__ = ["format_duration", "parse_duration"]

_LONGEST_DAYS: Final = 36_500
_UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)(ms|s|m|h|d)")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")


def parse_duration(text: str | float) -> int:
    """*text* in ms; raises ``ConfigurationError`` for what is no duration, or beyond a hundred years."""
    written = f"{text}".strip().lower()
    if _NUMBER.fullmatch(written):
        written += "s"
    parts = _PART.findall(written)
    if not parts or "".join(number + unit for number, unit in parts) != written:
        raise ConfigurationError(f"{text!r} is not a duration; write it as 90s, 10m or 1h30m")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if total > _LONGEST_DAYS * _UNITS["d"]:
        raise ConfigurationError(f"{written:.20} is longer than a hundred years; write it as 90s, 10m or 1h30m")
    return round(total)


def format_duration(duration_ms: float) -> str:
    """A duration (ms) as people write it, in its two largest units: ``1h30m``, ``24m``, ``1.5s``."""
    if duration_ms < _UNITS["m"]:
        return f"{round(duration_ms / 1000, 1):g}s"
    rest, parts = round(duration_ms / 1000), []
    for name in ("d", "h", "m", "s"):
        number, rest = divmod(rest, _UNITS[name] // 1000)
        parts.append(f"{number}{name}" if number else "")
    first = next(index for index, part in enumerate(parts) if part)
    return "".join(parts[first : first + 2])
