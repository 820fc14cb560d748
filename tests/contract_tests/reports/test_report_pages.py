"""The pages in a real browser: the verdict in view, nothing loaded, no complaint, usable by keyboard and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chromium import Page, browser
from made_comparisons import backends, over_time
from made_runs import document, failing, unreachable
from msgspec.structs import replace

from roomhook.contract_tests.reports.html import comparison_page as html_matrix
from roomhook.contract_tests.reports.html import run_page as html_report
from roomhook.contract_tests.reports.run_report import RunReport

pytestmark = pytest.mark.long


def unbreakable() -> RunReport:
    """A report whose texts hold nowhere to break a line."""
    report = document(failing())
    word = "word" * 60
    findings = tuple(
        replace(one, requirement=word, message=word, expected=word, fix=word, actual=replace(one.actual, text=word))
        for one in report.findings
    )
    requirements = tuple(replace(one, id=f"{one.id}{word}", text=word, reason=word) for one in report.requirements)
    return replace(report, target=f"http://127.0.0.1/{word}", findings=findings, requirements=requirements)


PAGES: dict[str, Callable[[], str]] = {
    "failing": lambda: html_report.render(document(failing())),
    "unreachable": lambda: html_report.render(document(unreachable())),
    "unbreakable": lambda: html_report.render(unbreakable()),
    "backends": lambda: html_matrix.render(backends()),
    "over-time": lambda: html_matrix.render(over_time()),
}


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, render in PAGES.items():
        (tmp_path / f"{name}.html").write_text(render(), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing_complains_of_nothing_and_fits(
    tab: Page, folder: Path, name: str, width: int, dark: bool
) -> None:
    tab.complaints.clear()
    tab.requests.clear()
    path = folder / f"{name}.html"
    tab.open(path, width=width, dark=dark)
    assert tab.complaints == []
    assert tab.requests == [path.as_uri()]
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    box = tab.evaluate("(({top, bottom}) => [top, bottom])(document.querySelector('h1').getBoundingClientRect())")
    assert 0 < box[0] < box[1] < 300
    assert tab.evaluate("getComputedStyle(document.querySelector('.verdict')).borderLeftWidth") == "8px"


def test_the_page_is_dark_where_people_like_it_dark(tab: Page, folder: Path) -> None:
    shades: list[str] = []
    for dark in (False, True):
        tab.open(folder / "failing.html", dark=dark)
        shades.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert shades == ["rgb(245, 246, 248)", "rgb(16, 20, 26)"]


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(tab: Page, folder: Path, dark: bool) -> None:
    """WCAG AA: a contrast of 4.5 for every piece of text that is in view."""
    tab.open(folder / "failing.html", dark=dark)
    faint = tab.evaluate(
        """(() => {
          const shade = text => text.match(/[\\d.]+/g).map(Number);
          const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
          const light = rgb => [.2126, .7152, .0722].reduce((sum, part, i) => sum + part * linear(rgb[i] / 255), 0);
          const ground = one => { while (one) { const c = shade(getComputedStyle(one).backgroundColor);
            if (c.length < 4 || c[3] > 0) return c; one = one.parentElement; } return [255, 255, 255]; };
          const found = [];
          for (const one of document.querySelectorAll('body *')) {
            const own = [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim());
            if (!own || !one.getClientRects().length || one.matches('script, style, .skip')) continue;
            const [a, b] = [light(shade(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x);
            if ((a + .05) / (b + .05) < 4.5) found.push(one.className + ': ' + one.textContent.slice(0, 40));
          }
          return found;
        })()"""
    )
    assert faint == []


def test_requirements_can_be_filtered_by_verdict_and_by_words(tab: Page, folder: Path) -> None:
    tab.open(folder / "failing.html")
    shown = "[...document.querySelectorAll('.requirement')].filter(one => one.checkVisibility()).map(one => one.id)"
    everything = tab.evaluate(shown)
    assert len(everything) == 11
    tab.evaluate("document.querySelector('.filters button').click()")
    assert tab.evaluate(shown) == ["ack.error-code", "type.kicked", "type.expired"]
    assert tab.evaluate("document.querySelector('.filters button').getAttribute('aria-pressed')") == "true"
    tab.evaluate("document.querySelector('input').value = 'kicked'")
    tab.evaluate("document.querySelector('input').dispatchEvent(new Event('input'))")
    assert tab.evaluate(shown) == ["type.kicked"]
    assert tab.evaluate("document.querySelector('[role=status]').textContent") == "1 shown"


def test_a_cell_of_the_overview_opens_its_requirement(tab: Page, folder: Path) -> None:
    tab.open(folder / "failing.html")
    tab.evaluate("document.querySelector('.overview a[href=\"#bad.scalar\"]').click()")
    assert tab.evaluate("new Promise(done => setTimeout(() => done(document.getElementById('bad.scalar').open), 50))")


def test_the_curl_line_is_copied_as_it_stands(tab: Page, folder: Path) -> None:
    tab.open(folder / "failing.html")
    tab.evaluate("window.copied = ''; navigator.clipboard.writeText = async text => { window.copied = text; }; 0")
    tab.evaluate("document.querySelector('.copy button').click()")
    curl = document(failing()).findings[0].sent
    assert curl is not None
    assert tab.evaluate("new Promise(done => setTimeout(() => done(window.copied), 50))") == curl.curl
    assert tab.evaluate("document.querySelector('.copy button').textContent") == "Copied"


def test_the_first_tab_stop_leads_to_the_findings(tab: Page, folder: Path) -> None:
    tab.open(folder / "failing.html")
    tab.press("Tab", 9)
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the findings"
    tab.press("Enter", 13)
    assert tab.evaluate("document.activeElement.id") == "findings"


def test_everything_is_there_without_a_script(tab: Page, folder: Path) -> None:
    tab.open(folder / "failing.html", script=False)
    tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert tab.evaluate("document.querySelectorAll('button').length") == 0
    assert tab.evaluate("document.querySelectorAll('.finding').length") == 6
    assert tab.evaluate("document.querySelector('.requirement').open") is False
