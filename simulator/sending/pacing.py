"""When callbacks leave: at a fixed rate, at random, or at their own times; and the syntax of rates."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Final

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.util.limits import MOST_A_SECOND

__all__ = ["Pacing", "constant_rate", "own_times", "parse_rate", "parse_speed", "poisson_rate"]

_SECONDS: Final = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
}


class Pacing:
    """Open-loop pace: ``offset_ns(event)``, called once per event in order, is the time since the start of the run.

    ``name`` names it in every report.
    """

    def __init__(self, name: str, offset_ns: Callable[[CallbackEvent], int]) -> None:
        self.name = name
        self.offset_ns = offset_ns


def constant_rate(rate: float) -> Pacing:
    """*rate* events a second, evenly spaced."""
    count = -1

    def offset_ns(_: CallbackEvent) -> int:
        nonlocal count
        count += 1
        return int(count * 1e9 / rate)

    return Pacing(f"open loop, {rate:g}/s, constant", offset_ns)


def poisson_rate(rate: float, random: Random) -> Pacing:
    """*rate* events a second on average, with exponential gaps (Poisson arrivals)."""
    passed = 0.0

    def offset_ns(_: CallbackEvent) -> int:
        nonlocal passed
        passed += random.expovariate(rate)
        return int(passed * 1e9)

    return Pacing(f"open loop, {rate:g}/s on average, Poisson", offset_ns)


def own_times(speed: float, told: float | None = None) -> Pacing:
    """Each event at its own time after the first, *speed* times as fast; a late one leaves at once.

    *told* is what the speed is called, where the events have been compressed before.
    """
    first_ms: int | None = None

    def offset_ns(event: CallbackEvent) -> int:
        nonlocal first_ms
        if first_ms is None:
            first_ms = event.time_ms
        return max(0, int((event.time_ms - first_ms) * 1e6 / speed))

    return Pacing(f"open loop, the events' own times at {told or speed:g}x", offset_ns)


def parse_rate(text: str) -> float | None:
    """Events a second in ``2000/s``, ``90/min`` or ``2000``; None for ``max``; raises ``ConfigurationError``."""
    if text == "max":
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(?:/([a-z]+))?", text)
    seconds = _SECONDS.get(match[2] or "s") if match else None
    if match is None or seconds is None or not float(match[1]):
        raise ConfigurationError(f"--rate {text!r} is no rate; write it as 2000/s, 90/min or max")
    if float(match[1]) / seconds > MOST_A_SECOND:
        raise ConfigurationError(f"--rate {text:.20} is more than {MOST_A_SECOND:,}/s; for as many as can be, say max")
    return float(match[1]) / seconds


def parse_speed(text: str) -> float | None:
    """The factor in ``60x``, ``0.5x`` or ``60``; None for ``max``; raises ``ConfigurationError``."""
    if text == "max":
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)x?", text)
    if match is None or not float(match[1]):
        raise ConfigurationError(f"--speed {text!r} is no speed; write it as 60x, 0.5x or max")
    return float(match[1])
