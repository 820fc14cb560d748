"""The geometry of bar charts, which the macros of charts.html draw: times on a logarithmic axis, counts over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Bar", "BarChart", "Label", "histogram", "timeline"]

_HEIGHT: Final = 180
_TOP: Final = 20
_MOST_COLUMNS: Final = 200
_BARS_A_DECADE: Final = 20
_SHORTEST_MS: Final = 0.01


@dataclass(frozen=True)
class Bar:
    """A rectangle: ``x`` and ``width`` in percent of the chart's width, ``y`` and ``height`` in pixels."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    label: str


@dataclass(frozen=True)
class Label:
    """A text at ``x`` percent of the width, its ``anchor`` "start", "middle" or "end"."""

    x: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class BarChart:
    """What ``bar_chart`` of charts.html draws; without bars it shows only the caption."""

    title: str
    caption: str
    bars: Sequence[Bar] = ()
    ticks: Sequence[Label] = ()
    marks: Sequence[Label] = ()
    line: Sequence[tuple[float, float]] = field(default=())
    height: int = _HEIGHT


def _seconds(at_s: float) -> str:
    return f"{at_s:g} s"


def histogram(title: str, buckets: Sequence[tuple[float, int]], marks: Sequence[tuple[str, float]]) -> BarChart:
    """How many took how long: *buckets* of (ms, count) as bars on a logarithmic axis, *marks* (name, ms) as lines."""
    if not buckets:
        return BarChart(title, "Nothing was answered.")
    low, high = (_slot(ms) for ms in (buckets[0][0], buckets[-1][0]))
    counts = [0] * (high - low + 1)
    for ms, count in buckets:
        counts[_slot(ms) - low] += count
    width = 100 / len(counts)
    bars: list[Bar] = []
    for place, count in enumerate(counts):
        if count:
            start, end = (10 ** ((low + place + more) / _BARS_A_DECADE) for more in (0, 1))
            height = _scaled(count, max(counts))
            label = f"{count:,} took {start:.3g} to {end:.3g} ms"
            bars.append(Bar(place * width, _HEIGHT - height, width * 0.9, height, "pass", label))
    decades = range(math.ceil(low / _BARS_A_DECADE), high // _BARS_A_DECADE + 1)
    ticks = [((one * _BARS_A_DECADE - low) * width, f"{10.0**one:g} ms") for one in decades]
    lines = [((math.log10(max(ms, _SHORTEST_MS)) * _BARS_A_DECADE - low) * width, name) for name, ms in marks]
    caption = f"Logarithmic axis; highest bar {max(counts):,} of {sum(counts):,}."
    return BarChart(title, caption, bars, [_label(*one) for one in ticks], _marks(lines))


def timeline(
    title: str,
    rows: Sequence[tuple[float, Mapping[str, tuple[str, float]]]],
    line: Sequence[float | None] = (),
    *,
    moment: Callable[[float], str] = _seconds,
) -> BarChart:
    """What happened when: *rows* of (s since the start, {name: (tone, count)}) as stacked bars, *line* over them.

    A row counts what happened since the row before. ``tone`` is a class of the style sheet, such as "pass"; *moment*
    writes a time (s since the start).
    """
    if not rows:
        return BarChart(title, "Nothing was answered.")
    size = math.ceil(len(rows) / _MOST_COLUMNS)
    columns = [rows[start : start + size] for start in range(0, len(rows), size)]
    points = [_total(line[start : start + size]) for start in range(0, len(line), size)]
    sums = [
        (one[-1][0], {name: (tone, sum(row[name][1] for _, row in one)) for name, (tone, _) in one[0][1].items()})
        for one in columns
    ]
    top = max([sum(count for _, count in counts.values()) for _, counts in sums] + [one or 0 for one in points]) or 1
    width = 100 / len(sums)
    bars: list[Bar] = []
    for place, (at_s, counts) in enumerate(sums):
        y = float(_HEIGHT)
        label = f"until {moment(at_s)}: " + ", ".join(f"{count:,.0f} {name}" for name, (_, count) in counts.items())
        for tone, count in counts.values():
            if count:
                height = _scaled(count, top)
                y -= height
                bars.append(Bar(place * width, y, width * 0.9, height, tone, label))
    ticks = [Label(0, moment(0), "start"), Label(100, moment(rows[-1][0]), "end")]
    drawn = [
        ((place + 0.5) * width, _HEIGHT - value / top * (_HEIGHT - _TOP))
        for place, value in enumerate(points)
        if value is not None
    ]
    return BarChart(title, f"Top of the chart: {top:,.0f} a bar.", bars, ticks, (), drawn)


def _slot(ms: float) -> int:
    return math.floor(math.log10(max(ms, _SHORTEST_MS)) * _BARS_A_DECADE)


def _scaled(count: float, top: float) -> float:
    return max(1.0, count / top * (_HEIGHT - _TOP))


def _total(values: Sequence[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) if known else None


def _marks(lines: Sequence[tuple[float, str]]) -> list[Label]:
    """Texts beside their lines, the first on the left, so that close lines keep their texts apart."""
    return [
        Label(x, text, "end" if x > 92 or (not place and x > 8) else "start") for place, (x, text) in enumerate(lines)
    ]


def _label(x: float, text: str) -> Label:
    return Label(x, text, "start" if x < 4 else "end" if x > 96 else "middle")
