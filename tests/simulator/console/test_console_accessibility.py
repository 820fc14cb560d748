"""What axe-core finds on the pages of the console: nothing, in both colour schemes and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from console_browser import ConsoleRun, console_running, new_page, started_browser

from roomhook.contract_tests.app_backends.server import BackendServer

pytestmark = [pytest.mark.long, pytest.mark.exhaustive]

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from started_browser()


@pytest.fixture(scope="module")
def run() -> Iterator[ConsoleRun]:
    with console_running() as found:
        room = found.backend.room("r1", owner="ann", seats=3)
        room.enter("ann")
        room.enter("bob")
        room.lose_heartbeat("bob")
        found.target.status = 500
        room.enter("cem")
        found.target.status = 200
        yield found


def violations(page: Page) -> list[str]:
    """The rules that the page breaks, each with the first element that does."""
    axe: Any = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    return [f"{one['impact']} {one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (380, "light")])
@pytest.mark.parametrize("path", ["", "/callbacks", "/callbacks/3", "/settings", "/run"])
def test_axe_finds_nothing_on_a_page(browser: Browser, run: ConsoleRun, path: str, width: int, scheme: str) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with new_page(browser, f"{run.url}/console{path}", **options) as page:
        page.locator("#live.on").wait_for()
        for summary in page.locator("main summary").all():
            if summary.evaluate("one => !one.parentElement.open"):
                summary.click()
        assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_opens(browser: Browser, run: ConsoleRun, scheme: str) -> None:
    with new_page(browser, f"{run.url}/console/callbacks", color_scheme=scheme) as page:
        page.locator("a.row", has_text="http-status").click()
        page.get_by_text("ack.status").first.wait_for()
        assert violations(page) == []
        page.keyboard.press("?")
        page.get_by_role("dialog").wait_for()
        assert violations(page) == []
        page.keyboard.press("Escape")
        page.goto(f"{run.url}/console")
        page.get_by_role("button", name="Take seat: ann").click()
        page.get_by_text("take-seat: done").wait_for()
        assert violations(page) == []
        page.get_by_role("button", name="Leave seat: ann").click()
        page.get_by_text("leave-seat: done").wait_for()


def test_axe_finds_nothing_in_the_verdicts_of_a_contract_run(browser: Browser, run: ConsoleRun) -> None:
    with BackendServer() as server, new_page(browser, f"{run.url}/console/run") as page:
        for broken in ("ack.ok", None):
            page.get_by_label("Callback URL").fill(server.url(broken))
            page.get_by_label("Only").fill("ack.*")
            page.get_by_role("button", name="Start").click()
            page.get_by_text("judged").first.wait_for()
            page.get_by_role("link", name="Open the report").wait_for(timeout=60_000)
        assert violations(page) == []


def test_axe_finds_nothing_where_one_signs_in(browser: Browser) -> None:
    with console_running(auth="open sesame", callback=False) as run, new_page(browser, f"{run.url}/console") as page:
        page.get_by_label("Token").wait_for()
        assert violations(page) == []
