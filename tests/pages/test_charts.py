from __future__ import annotations

import pytest

from roomhook.pages.charts import BarChart, histogram, timeline


def inside(chart: BarChart) -> bool:
    """Whether every bar lies in the chart and above its ground line."""
    return all(
        0 <= bar.x < bar.x + bar.width <= 100.001 and bar.y >= 0 and bar.y + bar.height <= chart.height + 1.001
        for bar in chart.bars
    )


@pytest.mark.parametrize(
    "buckets", [[(0.0, 1)], [(0.001, 5), (0.002, 1)], [(1.0, 3), (9.9, 1), (10.0, 2)], [(0.5, 1), (70_000.0, 9)]]
)
def test_a_histogram_keeps_every_time_inside_the_chart(buckets: list[tuple[float, int]]) -> None:
    chart = histogram("times", buckets, [("p50", buckets[0][0]), ("max", buckets[-1][0])])
    assert inside(chart)
    assert f"of {sum(count for _, count in buckets):,}" in chart.caption
    assert all(0 <= one.x <= 100 for one in (*chart.ticks, *chart.marks))


def test_the_highest_bar_of_a_histogram_holds_the_most() -> None:
    chart = histogram("times", [(1.0, 3), (100.0, 7)], [])
    assert max(chart.bars, key=lambda bar: bar.height).label == "7 took 100 to 112 ms"
    assert chart.ticks[0].text == "1 ms"


def test_a_timeline_stacks_what_happened_in_a_second() -> None:
    chart = timeline(
        "outcomes", [(1, {"good": ("pass", 3), "bad": ("fail", 1)}), (2, {"good": ("pass", 2), "bad": ("fail", 0)})]
    )
    good, bad, later = chart.bars
    assert bad.y + bad.height == good.y
    assert good.label == "until 1 s: 3 good, 1 bad"
    assert later.height == good.height * 2 / 3
    assert inside(chart)


def test_a_long_run_is_drawn_in_at_most_200_columns_and_loses_no_count() -> None:
    rows = [(float(second), {"good": ("pass", 1.0)}) for second in range(1, 3601)]
    chart = timeline("outcomes", rows, [2.0] * 3600)
    assert len(chart.bars) == 200
    assert chart.bars[0].label == "until 18 s: 18 good"
    assert chart.caption == "Top of the chart: 36 a bar."
    assert len(chart.line) == 200


def test_nothing_makes_a_chart_without_bars_that_says_so() -> None:
    assert (histogram("times", [], []).bars, timeline("outcomes", []).caption) == ((), "Nothing was answered.")
