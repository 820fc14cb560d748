"""The sending report and the section in locust's report, in a real browser: nothing loaded, nothing too wide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Page, browser

from roomhook.loadtests.results.html_section import insert_section
from roomhook.loadtests.results.stats import LoadStats
from roomhook.loadtests.results.summary import LoadSummary
from roomhook.loadtests.results.thresholds import check_thresholds, parse_threshold
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.sending.report import html
from roomhook.simulator.sending.session import SendJob
from roomhook.simulator.sending.stats import SampleExchange, SendStats, StatsInterval
from roomhook.simulator.util.histogram import Histogram

pytestmark = pytest.mark.long

LONG = "word" * 60
LOCUST = """\
<!DOCTYPE html>
<html><head><meta name="viewport" content="width=device-width"><title>Locust</title></head>
<body><p>locust's own</p></body></html>
"""


def sending_report() -> str:
    times = Histogram()
    times.record_all(range(100, 2_000_000, 999))
    sample = SampleExchange(
        12.5, "delivered", ("ack.json",), f"POST /{LONG} HTTP/1.1\r\n\r\n{LONG}".encode(), LONG.encode(), LONG
    )
    stats = SendStats(
        scheduled=9, delivered=5, failed=4, acknowledged=5, outcomes=Counter({LONG: 4}), breaches=Counter({LONG: 4}),
        check_outs=Counter({"Leave": 9}), latency=times, service=times, lateness=times, recovery=times,
        seconds=[StatsInterval(1.0, 5, 4, 4, 1.0, 2.0)], failures=[sample],
    )  # fmt: skip
    return html(stats, SendJob(url=CallbackUrl.parse(f"http://127.0.0.1/{LONG}"), sdkappid=1400000001), [LONG])


def load_report() -> str:
    stats = LoadStats(unsent=3)
    for number in range(40):
        stats.record(
            f"{LONG}{number % 2}",
            1000 * number,
            10**15 + 10**6 * (number // 10),
            DeliveryOutcome.TIMEOUT,
            (LONG,),
            status=0,
            size=0,
        )
    thresholds = check_thresholds([parse_threshold("p99>5ms"), parse_threshold("requests<1")], stats)
    facts = {"target": f"http://127.0.0.1/{LONG}", "profile": "steady", "shape": "ramp", "seed": 1}
    asked = {10**9 + second: 12.0 for second in range(4)}
    return insert_section(
        LOCUST, LoadSummary(stats, thresholds, 1, asked=asked, lost=(LONG,), notes=(LONG,), facts=facts)
    )


PAGES = {"sending": sending_report, "load": load_report}


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_long_words_loads_nothing_and_fits(
    tab: Page, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    path = tmp_path / f"{name}.html"
    path.write_text(PAGES[name](), encoding="utf-8")
    tab.complaints.clear()
    tab.requests.clear()
    tab.open(path, width=width, dark=dark)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.requests == [path.as_uri()]
    assert [one for one in tab.complaints if "favicon" not in one] == []
    root = "(document.querySelector('#roomhook')?.shadowRoot ?? document)"
    paper = tab.evaluate(f"getComputedStyle({root}.querySelector('.page')).backgroundColor")
    assert paper == ("rgb(16, 20, 26)" if dark else "rgb(245, 246, 248)")
    assert tab.evaluate(f"{root}.querySelector('h1').getBoundingClientRect().bottom") < 300


def test_the_section_and_locust_leave_each_others_style_alone(tab: Page, tmp_path: Path) -> None:
    path = tmp_path / "load.html"
    path.write_text(
        load_report().replace("<title>", "<style>h1 { color: rgb(1, 2, 3) }</style><title>"), encoding="utf-8"
    )
    tab.open(path)
    inside = "document.querySelector('#roomhook').shadowRoot"
    assert tab.evaluate(f"getComputedStyle({inside}.querySelector('h1')).color") == "rgb(179, 38, 30)"
    assert tab.evaluate("getComputedStyle(document.querySelector('body > p')).marginTop") == "16px"


def test_locusts_part_follows_the_system_into_the_dark() -> None:
    page = LOCUST.replace("<p>", '<script>window.theme = "light"</script><p>')
    assert 'window.theme = ""' in insert_section(page, LoadSummary(LoadStats(), (), 0))
