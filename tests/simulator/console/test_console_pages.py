"""The console of serve in a browser: rooms, callbacks, live arrival, keyboard, small screens, hostile names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from console_browser import APP, ConsoleRun, console_running, new_page, started_browser

from roomhook.contract_tests.app_backends.server import BackendServer

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = ['<img src=x onerror="alert(1)">', '"><script>alert(1)</script>', "\u202eevil", 'a&b\' x="y"', "房间 <b>"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from started_browser()


@pytest.fixture
def run() -> Iterator[ConsoleRun]:
    with console_running() as found:
        yield found


def test_the_first_page_says_that_a_callback_url_is_missing(browser: Browser) -> None:
    with console_running(callback=False) as run, new_page(browser, run.url) as page:
        assert page.url == f"{run.url}/console"
        page.get_by_text("No callback URL yet").wait_for()
        page.get_by_text("roomhook serve --callback URL").wait_for()


def test_every_button_of_the_rooms_page_does_what_it_says(browser: Browser, run: ConsoleRun) -> None:
    with new_page(browser, f"{run.url}/console") as page:
        page.get_by_label("RoomId", exact=True).fill("r1")
        page.get_by_label("Seats").fill("2")
        page.get_by_role("button", name="Create").click()
        page.get_by_text("create-room: done").wait_for()
        assert "/sim/create-room" in page.locator("#done-curl").inner_text()
        for account in ("ann", "bob", "cem", "dan"):
            page.get_by_label("Account that enters r1").fill(account)
            page.get_by_label("Account that enters r1").press("Enter")
            page.get_by_role("button", name=f"Leave: {account}", exact=True).wait_for()
        room = run.service.state.rooms.by_app[1400000001]["r1"].room
        page.get_by_role("button", name="Take seat: ann").click()
        page.get_by_role("button", name="Leave seat: ann").click()
        page.get_by_role("button", name="Take seat: ann").wait_for()
        page.get_by_role("button", name="Lose heartbeat: bob").click()
        page.get_by_role("button", name="Recover: bob").click()
        page.get_by_role("button", name="Lose heartbeat: bob").click()
        page.get_by_role("button", name="Recover: bob").wait_for()
        page.get_by_role("button", name="+10 s").click()
        page.get_by_text("advanced by 10 s").wait_for()
        assert list(room.members) == ["ann", "bob", "cem", "dan"]
        page.get_by_role("button", name="To the next expiry").click()
        page.get_by_role("button", name="Leave: bob").wait_for(state="detached")
        page.get_by_label("Select cem").check()
        page.get_by_label("Select dan").check()
        page.get_by_role("button", name="Kick selected").click()
        page.get_by_text("kick: done").wait_for()
        assert list(room.members) == ["ann"]
        page.get_by_role("button", name="Leave: ann").wait_for()
        page.get_by_role("button", name="Leave: ann").click()
        page.get_by_text("Nobody is in the room.").wait_for()
        page.get_by_role("button", name="Destroy r1").click()
        page.get_by_text("No rooms yet").wait_for()


def test_a_button_that_is_pressed_while_the_rooms_change_gets_its_click(browser: Browser, run: ConsoleRun) -> None:
    room = run.backend.room("r1", owner="ann")
    room.enter("ann")
    with new_page(browser, f"{run.url}/console") as page:
        page.locator("#live.on").wait_for()
        page.get_by_role("button", name="Leave: ann").hover()
        page.mouse.down()
        with page.expect_response(lambda answer: answer.url.endswith("/console/rooms")):
            room.enter("bob")
        page.mouse.up()
        page.get_by_text("leave: done").wait_for()
        page.get_by_role("button", name="Leave: bob").wait_for()
    assert list(room.members) == ["bob"]


def test_a_row_that_is_pressed_while_callbacks_arrive_opens(browser: Browser, run: ConsoleRun) -> None:
    room = run.backend.room("r1", owner="ann")
    room.enter("ann")
    with new_page(browser, f"{run.url}/console/callbacks") as page:
        page.locator("#live.on").wait_for()
        page.locator("a.row").first.hover()
        before = page.locator("#count").text_content()
        page.mouse.down()
        room.enter("bob")
        page.wait_for_timeout(600)  # the page hears of it after a quarter of a second at most
        assert page.locator("#count").text_content() == before
        page.mouse.up()
        page.locator("#detail .callback").wait_for()
        page.wait_for_function("before => document.getElementById('count').textContent !== before", arg=before)


def test_a_button_that_is_held_by_the_keyboard_while_the_rooms_change_gets_its_click(
    browser: Browser, run: ConsoleRun
) -> None:
    room = run.backend.room("r1", owner="ann")
    room.enter("ann")
    with new_page(browser, f"{run.url}/console") as page:
        page.locator("#live.on").wait_for()
        page.get_by_role("button", name="Leave: ann").focus()
        page.keyboard.down(" ")
        with page.expect_response(lambda answer: answer.url.endswith("/console/rooms")):
            room.enter("bob")
        page.keyboard.up(" ")
        page.get_by_text("leave: done").wait_for()


def test_a_context_menu_does_not_keep_the_rooms_as_they_were(browser: Browser, run: ConsoleRun) -> None:
    room = run.backend.room("r1", owner="ann")
    room.enter("ann")
    with new_page(browser, f"{run.url}/console") as page:
        page.locator("#live.on").wait_for()
        page.get_by_role("button", name="Leave: ann").hover()
        page.mouse.down(button="right")
        room.enter("bob")
        page.get_by_role("button", name="Leave: bob").wait_for()


def test_traffic_starts_and_stops(browser: Browser, run: ConsoleRun) -> None:
    with new_page(browser, f"{run.url}/console") as page:
        page.get_by_label("Actions/s").fill("200")
        page.get_by_role("button", name="Start").click()
        page.get_by_text("steady: 200 actions/s in 5 rooms").wait_for()
        page.get_by_role("heading", name="console-1").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_text("traffic stopped", exact=True).wait_for()
        page.get_by_label("Actions/s").fill("5000")
        page.evaluate("document.querySelectorAll('input').forEach((one) => one.removeAttribute('max'))")
        page.get_by_role("button", name="Start").click()
        page.get_by_text("choose a profile").wait_for()


def test_the_virtual_clock_runs_by_itself_until_it_is_stopped(browser: Browser, run: ConsoleRun) -> None:
    room = run.backend.room("r1", owner="ann")
    room.enter("ann")
    room.lose_heartbeat("ann")
    with new_page(browser, f"{run.url}/console") as page:
        page.get_by_text("stands still").wait_for()
        page.get_by_text("silent 0 s").wait_for()
        page.get_by_role("button", name="Run at 60×").click()
        page.get_by_text("runs at 60×").wait_for()
        page.get_by_text("Nobody is in the room.").wait_for()
        page.get_by_role("button", name="Stand still").click()
        page.get_by_text("stands still").first.wait_for()
        now = run.service.clock.now_ms()
        page.wait_for_timeout(300)
        assert run.service.clock.now_ms() == now


def test_callbacks_arrive_live_open_and_are_sent_again(browser: Browser, run: ConsoleRun) -> None:
    with new_page(browser, f"{run.url}/console/callbacks") as page:
        page.get_by_text("No callbacks yet").wait_for()
        run.backend.room("r1", owner="ann").enter("ann")
        page.locator("a.row", has_text="MemberEnter").click()
        page.get_by_text("The answer meets every requirement.").wait_for()
        assert "ActionStatus" in page.locator("#detail").inner_text()
        assert "a-secret-token" not in page.content()
        page.get_by_role("button", name="Resend").click()
        page.get_by_text("Sent again as number 3.").wait_for()
        page.get_by_text("Edit and resend").click()
        page.get_by_label("Packet", exact=True).fill(json.dumps({"RoomId": "edited", "MemberCount": 7}))
        run.target.status = 500
        page.get_by_role("button", name="Send this packet").click()
        page.get_by_text("Sent again as number 4.").wait_for()
        page.get_by_text("ack.status").first.wait_for()
        assert json.loads(run.target.received[-1].body) == {"RoomId": "edited", "MemberCount": 7}
        assert "curl" in (page.locator("#curl").text_content() or "")
        assert "def test_callback_4" in (page.locator("#pytest").text_content() or "")
        page.locator("a.close").click()
        assert page.locator("#detail").inner_text() == ""


def test_filters_stand_in_the_url_and_pause_keeps_the_list_still(browser: Browser, run: ConsoleRun) -> None:
    for number in range(3):
        run.backend.room(f"r{number}").enter("ann", "bob")
    with new_page(browser, f"{run.url}/console/callbacks") as page:
        page.get_by_text("9 callbacks").wait_for()
        page.get_by_label("RoomId").fill("r1")
        page.get_by_text("3 callbacks").wait_for()
        page.get_by_label("Check-out method").select_option("Enter")
        page.get_by_text("2 callbacks").wait_for()
        assert "room=r1" in page.url
        assert "method=Enter" in page.url
        page.reload()
        page.get_by_text("2 callbacks").wait_for()
        page.get_by_label("Any text").fill("bob")
        page.get_by_text("1 callback", exact=True).wait_for()
        page.goto(f"{run.url}/console/callbacks?outcome=delivered")
        page.get_by_text("9 callbacks").wait_for()
        page.get_by_role("button", name="Pause").click()
        run.backend.room("r9")
        page.get_by_role("button", name="1 new").wait_for()
        page.get_by_text("9 callbacks").wait_for()
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("10 callbacks").wait_for()


@pytest.mark.exhaustive
def test_10000_rows_are_windowed_and_do_not_jump_while_one_reads(browser: Browser, run: ConsoleRun) -> None:
    run.backend.wait = False
    room = run.backend.room("big", max_members=20_000)
    for start in range(0, 10_000, 1000):
        run.backend.batch([{"do": "enter", "room": "big", "account": f"u{start + one}"} for one in range(1000)])
    with new_page(browser, f"{run.url}/console/callbacks") as page:
        page.get_by_text("10,000 callbacks").wait_for()
        page.evaluate("document.querySelector('#list').scrollTop = 160000")
        page.locator('a.row[data-id="4998"]').wait_for()
        assert page.locator("a.row").count() <= 200
        before = page.evaluate(_TOP_ROW)
        room.enter("late")
        page.get_by_role("button", name="1 new").wait_for()
        assert page.evaluate(_TOP_ROW) == before


_TOP_ROW = """(() => { const list = document.querySelector('#list').getBoundingClientRect();
  return document.elementFromPoint(list.left + 50, list.top + 60).closest('a.row').dataset.id; })()"""


@pytest.mark.exhaustive
def test_every_control_is_reached_by_tab_and_shows_its_focus(browser: Browser, run: ConsoleRun) -> None:
    run.backend.room("r1", seats=2).enter("ann")
    with new_page(browser, f"{run.url}/console") as page:
        reached: set[str] = set()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        for _ in range(60):
            page.keyboard.press("Tab")
            focus = page.evaluate(_FOCUS)
            assert focus["outline"] >= 2, focus
            reached.add(focus["name"])
            if focus["name"] == "Leave: ann":
                page.keyboard.press("Enter")
                page.get_by_text("leave: done").wait_for()
        for name in ("Callbacks", "Destroy r1", "Lose heartbeat: ann", "Take seat: ann", "Create", "+2 min", "Start"):
            assert name in reached
        assert "ann" not in run.service.state.rooms.by_app[APP]["r1"].room.members


_FOCUS = """(() => { const one = document.activeElement, style = getComputedStyle(one);
  return { name: one.getAttribute("aria-label") ?? one.textContent.trim(),
           outline: one === document.body ? 9 : parseFloat(style.outlineWidth) }; })()"""


def test_the_keyboard_is_enough(browser: Browser, run: ConsoleRun) -> None:
    run.backend.room("r1").enter("ann")
    with new_page(browser, f"{run.url}/console") as page:
        page.keyboard.press("2")
        page.wait_for_url("**/console/callbacks")
        page.get_by_text("2 callbacks").wait_for()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.locator("#detail .callback").wait_for()
        page.keyboard.press("j")
        page.locator('#detail .callback[data-id="1"]').wait_for()
        page.keyboard.press("k")
        page.locator('#detail .callback[data-id="2"]').wait_for()
        page.keyboard.press("r")
        page.get_by_text("Sent again as number 3.").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        page.keyboard.type("nothing like this")
        page.get_by_text("0 callbacks").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.get_by_role("dialog").wait_for()
        assert page.evaluate("document.querySelector('dialog').matches(':modal')")


def test_what_comes_from_outside_is_shown_and_not_run(browser: Browser, run: ConsoleRun) -> None:
    for name in HOSTILE:
        room = run.backend.room(name, owner=name)
        room.enter(name)
        room.leave(name, reason=f"{name} {'x' * 900}")
    with new_page(browser, f"{run.url}/console") as page:
        for name in HOSTILE:
            page.get_by_role("heading", name=name).wait_for()
        page.goto(f"{run.url}/console/callbacks")
        for row in page.locator("a.row").all():
            row.click()
            page.locator("#detail .callback").wait_for()
        assert page.locator("img").count() == 0
        assert page.locator("script:not([src])").count() == 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["/console", "/console/callbacks", "/console/callbacks/2", "/console/settings", "/console/run"]
)
def test_pages_fit_a_phone_in_both_colour_schemes(browser: Browser, run: ConsoleRun, path: str, scheme: str) -> None:
    room = run.backend.room("a-rather-long-room-id-of-48-bytes-0123456789-abc", seats=3)
    room.enter("a-rather-long-account-of-32-byte")
    options = {"viewport": {"width": 380, "height": 700}, "color_scheme": scheme}
    with new_page(browser, f"{run.url}{path}", **options) as page:
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 380
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor").startswith("rgb(1")
        assert dark == (scheme == "dark")


def test_it_reads_without_javascript(browser: Browser, run: ConsoleRun) -> None:
    run.backend.room("r1").enter("ann")
    with new_page(browser, f"{run.url}/console/callbacks", java_script_enabled=False) as page:
        page.get_by_role("link", name="MemberEnter").click()
        page.get_by_text("The answer meets every requirement.").wait_for()
        page.get_by_role("link", name="Rooms").click()
        page.get_by_role("button", name="Leave: ann").click()
        page.get_by_text("leave: done").wait_for()


def test_settings_are_saved_and_a_test_callback_shows_its_verdict(browser: Browser) -> None:
    with console_running(callback=False) as run, new_page(browser, f"{run.url}/console/settings") as page:
        page.get_by_text("No callback URL yet").wait_for()
        page.get_by_label("URL").fill("http://192.0.2.1/")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("--allow-host 192.0.2.1").wait_for()
        page.get_by_label("URL").fill(run.target.url)
        page.get_by_label("Room.CallbackAfterMemberEnter").uncheck()
        page.get_by_role("button", name="Save").click()
        page.get_by_text("set_callback: done").wait_for()
        assert "/v4/room_config/set_callback" in page.locator("#done-curl").inner_text()
        config = run.service.state.rooms.get_callback(APP)
        assert config.url == run.target.url
        assert "Room.CallbackAfterMemberEnter" not in config.commands
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Delivered and compliant (HTTP 200)").wait_for()
        assert "Sign=" in run.target.received[-1].target
        run.target.status = 500
        page.get_by_label("Kind").select_option("kicked")
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Not delivered: http-status (HTTP 500)").wait_for()
        page.get_by_text("ack.status").wait_for()
        page.get_by_label("New token").fill("another")
        page.get_by_role("button", name="Set", exact=True).click()
        page.get_by_text("callbacks are signed").first.wait_for()
        page.get_by_role("button", name="Remove").click()
        page.get_by_text("callbacks are not signed").first.wait_for()
        assert run.service.apps[APP].token is None
        page.get_by_label("Retry profile").select_option("trtc")
        page.get_by_role("button", name="Apply").last.click()
        page.get_by_text("retry profile trtc").wait_for()
        page.locator(".errata summary", has_text="retry-contents").click()
        page.get_by_text("How often, when and why a callback is sent again").wait_for()
        page.locator(".fixed .errata summary", has_text="member-count-when").click()
        page.get_by_text("Whether MemberCount is counted before or after the leave").wait_for()
        page.get_by_label("Drop").fill("1")
        page.get_by_label("Callbacks (empty: all)").fill("2")
        page.get_by_role("button", name="Apply").first.click()
        page.get_by_text("faults are injected").wait_for()
        assert run.service.deliveries.faults(APP).drop == 1
        page.get_by_label("Delay from").fill("9")
        page.get_by_role("button", name="Apply").first.click()
        page.get_by_text("must not be above").wait_for()


def test_a_contract_run_shows_its_verdicts_its_report_and_what_changed(browser: Browser, run: ConsoleRun) -> None:
    with BackendServer() as server, new_page(browser, f"{run.url}/console/run") as page:
        page.get_by_label("Callback URL").fill("http://192.0.2.1/")
        page.get_by_role("button", name="Start").click()
        page.get_by_text("--allow-host 192.0.2.1").wait_for()
        page.get_by_label("Callback URL").fill(server.url("ack.ok"))
        page.get_by_label("Only").fill("ack.*")
        page.get_by_role("button", name="Start").click()
        page.get_by_role("link", name="Open the report").wait_for(timeout=60_000)
        page.locator(".badge", has_text="ack.ok").wait_for()
        with page.expect_popup() as popup:
            page.get_by_role("link", name="Open the report").click()
        popup.value.get_by_text("ack.ok").first.wait_for()
        page.get_by_label("Callback URL").fill(server.url())
        page.get_by_role("button", name="Start").click()
        page.get_by_text("Runs of this session").wait_for()
        page.locator("p.verdict-line.pass").wait_for(timeout=60_000)
        page.locator(".figures tr", has_text="Fixed:").locator("code", has_text="ack.ok").wait_for()
        assert page.locator(".figures tbody tr").count() == 2


def test_callbacks_from_before_the_first_look_are_there_with_their_answers(browser: Browser, run: ConsoleRun) -> None:
    run.backend.room("early").enter("ann")
    assert run.service.deliveries.waiting == 0
    with new_page(browser, f"{run.url}/console/callbacks") as page:
        page.locator("a.row", has_text="MemberEnter").click()
        page.get_by_text('"ActionStatus":"OK"').wait_for()
