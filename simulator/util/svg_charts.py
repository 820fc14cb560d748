"""Charts as SVG text: bars over a logarithmic axis of times, and stacked counts over the seconds of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

__all__ = ["counts_over_time", "histogram", "shares"]

_WIDTH: Final = 880
_HEIGHT: Final = 180
_LEFT: Final = 56
_BOTTOM: Final = 24
_MOST_COLUMNS: Final = 200
_BARS_A_DECADE: Final = 20


def histogram(buckets: Sequence[tuple[float, int]], marks: Sequence[tuple[str, float]]) -> str:
    """How many took how long: *buckets* of (ms, count) as bars over a logarithmic axis, *marks* (name, ms) as lines."""
    if not buckets:
        return "<p>No attempt has ended.</p>"
    low = math.floor(math.log10(max(buckets[0][0], 0.01)) * _BARS_A_DECADE)
    high = math.floor(math.log10(max(buckets[-1][0], 0.01)) * _BARS_A_DECADE)
    bars = [0] * (high - low + 1)
    for ms, count in buckets:
        bars[math.floor(math.log10(max(ms, 0.01)) * _BARS_A_DECADE) - low] += count
    width = (_WIDTH - _LEFT) / len(bars)
    most = max(bars)
    parts: list[str] = []
    for place, count in enumerate(bars):
        if count:
            height = max(1.0, count / most * (_HEIGHT - 20))
            start, end = (10 ** ((low + place + more) / _BARS_A_DECADE) for more in (0, 1))
            said = f"{count:,} took {start:.3g} to {end:.3g} ms"
            parts.append(
                _bar((_LEFT + place * width, _HEIGHT - height), (max(width - 1, 1), height), "delivered", said)
            )
    for decade in range(math.ceil(low / _BARS_A_DECADE), high // _BARS_A_DECADE + 1):
        x = _LEFT + (decade * _BARS_A_DECADE - low) * width
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT + 16}" class="axis">{10**decade:g} ms</text>')
    for name, ms in marks:
        x = _LEFT + (math.log10(max(ms, 0.01)) * _BARS_A_DECADE - low + 0.5) * width
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="12" y2="{_HEIGHT}" class="mark"/>')
        parts.append(f'<text x="{x:.1f}" y="10" class="axis middle">{escape(name)}</text>')
    parts.append(f'<text x="{_LEFT - 6}" y="30" class="axis end">{most:,}</text>')
    return _svg("How long attempts took", parts)


def counts_over_time(rows: Sequence[tuple[float, int, int, int]]) -> str:
    """What happened when: *rows* of (s since the start, delivered, of these imperfect, failed) as stacked bars."""
    if not rows:
        return "<p>Nothing has happened.</p>"
    size = math.ceil(len(rows) / _MOST_COLUMNS)
    columns = [rows[start : start + size] for start in range(0, len(rows), size)]
    sums = [(one[-1][0], *(sum(row[place] for row in one) for place in (1, 2, 3))) for one in columns]
    most = max(1, *(delivered + failed for _, delivered, _, failed in sums))
    width = (_WIDTH - _LEFT) / len(sums)
    parts: list[str] = []
    for place, (at_s, delivered, imperfect, failed) in enumerate(sums):
        y = float(_HEIGHT)
        said = f"until {at_s:g} s: {delivered:,} delivered, {imperfect:,} of them imperfect, {failed:,} failed"
        for kind, count in (("delivered", delivered - imperfect), ("imperfect", imperfect), ("failed", failed)):
            height = count / most * (_HEIGHT - 20)
            if count:
                y -= max(height, 1.0)
                parts.append(_bar((_LEFT + place * width, y), (max(width - 0.5, 0.5), max(height, 1.0)), kind, said))
    parts += [
        f'<text x="{_LEFT - 6}" y="30" class="axis end">{most:,}</text>',
        f'<text x="{_LEFT}" y="{_HEIGHT + 16}" class="axis">0 s</text>',
        f'<text x="{_WIDTH}" y="{_HEIGHT + 16}" class="axis end">{rows[-1][0]:g} s</text>',
    ]
    return _svg("Outcomes over time", parts)


def shares(counts: Sequence[tuple[str, int]]) -> str:
    """Parts of a whole as a list of bars."""
    total = sum(count for _, count in counts)
    rows = [
        f'<li><span class="name">{escape(name)}</span>'
        f'<span class="track"><span style="width:{count / total:.2%}"></span></span>'
        f"<span>{count:,} ({count / total:.1%})</span></li>"
        for name, count in counts
    ]
    return f'<ul class="shares">{"".join(rows)}</ul>' if total else "<p>None.</p>"


def _bar(corner: tuple[float, float], size: tuple[float, float], kind: str, said: str) -> str:
    place = f'x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{size[0]:.1f}" height="{size[1]:.1f}"'
    return f'<rect {place} class="{kind}"><title>{escape(said)}</title></rect>'


def _svg(title: str, parts: Sequence[str]) -> str:
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT + _BOTTOM}"'
    ground = f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{_HEIGHT}" y2="{_HEIGHT}" class="ground"/>'
    return f'<svg {box} role="img" aria-label="{escape(title)}">{ground}{"".join(parts)}</svg>'
