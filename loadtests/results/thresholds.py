"""Thresholds that decide: ``p99>500ms``, ``noncompliant>0``, ``delivered<99.9%``, ``rate<1000/s``.

A threshold is METRIC, one of ``>`` ``>=`` ``<`` ``<=``, and a limit; the run fails if it holds. Metrics:

- ``p50`` … ``p99.99``, ``mean``, ``max``: latency; the limit has ``ms`` or ``s``.
- ``lateness``: how long after they were due half of all callbacks left or later (0 in a closed loop); ``ms`` or ``s``.
- ``requests``: how many have their outcome; ``noncompliant`` and any requirement id such as ``ack.deadline``: how many,
  or with ``%`` which share of them; ``delivered``, ``unsent``: how many, or which share of all that were due.
- ``rate``: requests a second, from the first that ended to the last; the limit has ``/s``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from roomhook.errors import ConfigurationError
from roomhook.loadtests.results.stats import LoadStats
from roomhook.simulator.protocol.response_check import ACK_MUST

__all__ = ["Threshold", "ThresholdResult", "check_thresholds", "parse_threshold", "rate_of"]

_FORM: Final = re.compile(
    r"\s*(?P<metric>[a-z][a-z0-9.\-]*)\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>ms|s|%|/s)?\s*"
)
_PERCENTILE: Final = re.compile(r"p([0-9]{1,2}(?:\.[0-9]+)?)")
_SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_COUNTS: Final = ("requests", "noncompliant", "delivered", "unsent", *ACK_MUST)
_UNITS: Final = {"time": ("ms", "s"), "rate": ("/s",), "count": ("", "%")}
_EXAMPLE: Final = {"time": "p99>500ms", "rate": "rate<1000/s", "count": "noncompliant>0 or delivered<99.9%"}


@dataclass(frozen=True, slots=True)
class Threshold:
    """One threshold: the run fails if *metric* *sign* *limit* holds; ``unit`` is ms, %, /s or empty."""

    text: str
    metric: str
    sign: str
    limit: float
    unit: str


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """A threshold and the measured ``value``; None if there was nothing to measure, which also fails."""

    threshold: Threshold
    value: float | None
    broken: bool

    @property
    def shown(self) -> str:
        """The value with its unit."""
        if self.value is None:
            return "nothing was answered"
        unit = self.threshold.unit
        digits = 3 if unit in {"ms", "%"} else 1 if unit == "/s" else 0
        text = f"{self.value:,.{digits}f}"
        return f"{text.rstrip('0').rstrip('.') if digits == 3 else text}{' ms' if unit == 'ms' else unit}"


def parse_threshold(text: str) -> Threshold:
    """The threshold in *text*; raises ``ConfigurationError`` if it is invalid."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise _refused(text, "write it as 'p99>500ms', 'noncompliant>0' or 'rate<1000/s'")
    metric, limit, unit = match["metric"], float(match["limit"]), match["unit"] or ""
    kind = _kind(metric)
    if kind is None:
        known = ", ".join(("p50, p99, p99.9 …", "mean", "max", "lateness", "rate", *_COUNTS))
        raise _refused(text, f"there is no metric {metric!r}; there are {known}")
    if unit not in _UNITS[kind] or (metric == "requests" and unit):
        raise _refused(text, f"{metric} takes a limit as in '{_EXAMPLE[kind]}'")
    if unit == "%" and limit > 100:
        raise _refused(text, "no share is above 100%")
    if unit == "s":
        limit, unit = limit * 1000, "ms"
    return Threshold(text.strip(), metric, match["sign"], limit, unit)


def check_thresholds(thresholds: Iterable[Threshold], figures: LoadStats) -> tuple[ThresholdResult, ...]:
    """The result of each of *thresholds* for *figures*."""
    return tuple(_judged(one, figures) for one in thresholds)


def rate_of(figures: LoadStats) -> float:
    """Requests a second, from the first that ended to the last; those of less than a second count as of one."""
    seconds = (figures.last_us - figures.first_us) / 1e6
    return (figures.requests - 1) / seconds if seconds > 1 else float(figures.requests)


def _judged(threshold: Threshold, figures: LoadStats) -> ThresholdResult:
    value = _value(threshold, figures)
    broken = value is None or _SIGNS[threshold.sign](value, threshold.limit)
    return ThresholdResult(threshold, value, broken)


def _value(threshold: Threshold, figures: LoadStats) -> float | None:
    metric, total = threshold.metric, figures.requests
    if _kind(metric) == "time":
        latency = figures.latency
        if not latency.total:
            return None
        if metric == "lateness":
            return figures.lateness.percentile_ms(50)
        percentile = _PERCENTILE.fullmatch(metric)
        if percentile:
            return latency.percentile_ms(float(percentile[1]))
        return latency.mean_ms if metric == "mean" else latency.longest_us / 1000
    if metric == "rate":
        return rate_of(figures)
    counts = {
        "requests": total,
        "noncompliant": figures.noncompliant,
        "delivered": figures.delivered,
        "unsent": figures.unsent,
    }
    count = counts.get(metric, figures.requirements[metric])
    whole = total + figures.unsent if metric in {"delivered", "unsent"} else total
    if threshold.unit == "%":
        return 100 * count / whole if whole else None
    return count


def _kind(metric: str) -> str | None:
    percentile = _PERCENTILE.fullmatch(metric)
    if metric in {"mean", "max", "lateness"} or (percentile and float(percentile[1]) > 0):
        return "time"
    if metric == "rate":
        return "rate"
    return "count" if metric in _COUNTS else None


def _refused(text: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"--fail-if {text!r} is not a threshold: {why}")
