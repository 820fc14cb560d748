"""What an attacker's page does to the console in a real browser: nothing, from any origin and by any name."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
import requests
from console_browser import APP, ConsoleRun, console_running, new_page, started_browser
from recording_target import OK

pytestmark = [pytest.mark.long, pytest.mark.exhaustive]

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CALLS = ("/sim/create-room", "/sim/reset", "/v4/room_engine_http_srv/create_room", "/console/do/create-room")
MADE_BY_AN_ATTACKER = "img, svg, iframe, object, script:not([src]), [onerror], [onload], [onfocus]"
BODIES = {
    "no type": 'new Blob([\'{"room":"forged","owner":"eve"}\'])',
    "text": '\'{"room":"forged","owner":"eve"}\'',
    "form": "new URLSearchParams({room: 'forged', owner: 'eve'})",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser whose name server calls this machine evil.example, as an attacker's would."""
    yield from started_browser("--host-resolver-rules=MAP evil.example 127.0.0.1")


@pytest.fixture
def run() -> Iterator[ConsoleRun]:
    with console_running() as found:
        yield found


@contextmanager
def attackers_page() -> Iterator[str]:
    """The URL of an empty page on another port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<p>hi\n")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def rooms(run: ConsoleRun) -> list[str]:
    return list(run.service.state.rooms.by_app[APP])


def open_page(browser: Browser, url: str) -> Page:
    page = browser.new_context().new_page()
    page.goto(url)
    return page


def test_a_page_of_another_origin_changes_nothing(browser: Browser, run: ConsoleRun) -> None:
    run.backend.room("mine")
    with attackers_page() as evil:
        for origin in (evil, evil.replace("127.0.0.1", "evil.example")):
            page = open_page(browser, origin)
            for path in CALLS:
                for body in BODIES.values():
                    page.evaluate(
                        f"fetch('{run.url}{path}', {{method: 'POST', mode: 'no-cors', credentials: 'include',"
                        f" body: {body}}}).catch(() => 0)"
                    )
            page.context.close()
    assert rooms(run) == ["mine"]


def test_a_form_of_another_origin_is_refused_when_its_button_is_pressed(browser: Browser, run: ConsoleRun) -> None:
    with attackers_page() as evil:
        for path in CALLS:
            page = open_page(browser, evil)
            page.set_content(
                f'<form method="post" action="{run.url}{path}"><input name="room" value="forged">'
                '<input name="owner" value="eve"><button>win</button></form>'
            )
            with page.expect_navigation() as answer:
                page.get_by_role("button").click()
            assert answer.value.status == 403
            page.context.close()
    assert rooms(run) == []


def test_a_page_of_another_origin_reads_and_frames_nothing(browser: Browser, run: ConsoleRun) -> None:
    run.backend.room("mine")
    with attackers_page() as evil:
        page = open_page(browser, evil)
        for path in ("/console", "/console/rooms", "/console/events", "/sim/rooms", "/openapi.json"):
            read = f"fetch('{run.url}{path}').then((one) => one.text()).catch(() => 'refused')"
            assert page.evaluate(read) == "refused"
        page.set_content(f'<iframe src="{run.url}/console"></iframe>')
        page.wait_for_timeout(500)
        shown = [frame.url for frame in page.frames if frame != page.main_frame]
        assert all("/console" not in url for url in shown), shown
        page.context.close()


def test_a_name_that_was_rebound_to_this_machine_is_refused(browser: Browser, run: ConsoleRun) -> None:
    rebound = run.url.replace("127.0.0.1", "evil.example")
    page = browser.new_context().new_page()
    for path in ("/console", "/console/callbacks", "/sim/rooms", "/openapi.json"):
        answer = page.goto(f"{rebound}{path}")
        assert answer is not None
        assert answer.status == 403
        assert "--allow-host" in answer.text()
    create = "fetch('/sim/create-room', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '%s'})"
    status = page.evaluate((create % '{"room":"forged","owner":"eve"}') + ".then((one) => one.status)")
    assert status == 403
    page.context.close()
    assert rooms(run) == []


HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=document.title='owned'>",
    "' onfocus='document.title=`owned`' x='",
    '"><svg onload=document.title=1>',
    "{{ 7*7 }}{% raw %}",
    "javascript:alert(1)",
    "</textarea><script>alert(1)",
    "\u202e\u2066evil\u2069",
    "a\u2028b\u0000c",
)


def test_hostile_values_are_text_in_every_part_of_every_page(browser: Browser, run: ConsoleRun) -> None:
    for value in HOSTILE:
        name = value[:32].replace("\0", "")
        room = run.backend.room(name, owner=name, seats=2)
        room.enter(name)
        room.lose_heartbeat(name)
        room.recover(name)
        room.take_seat(name)
        run.target.answer = value.encode() * 20
        room.leave(name, reason=(value.replace("\0", "") * 60)[:900])
        run.target.answer = OK
    fields = ("q", "room", "command", "method", "outcome")
    filters = [f"/callbacks?{urlencode(dict.fromkeys(fields, value))}" for value in HOSTILE]
    sent = [f"/callbacks/{number}" for number in range(1, 5 * len(HOSTILE) + 1, 2)]
    with new_page(browser, f"{run.url}/console") as page:
        for path in ("", "/callbacks", *sent, "/settings", "/run", *filters):
            page.goto(f"{run.url}/console{path}")
            assert "owned" not in page.title(), path
            assert page.locator(MADE_BY_AN_ATTACKER).count() == 0, path


def test_no_page_shows_a_secret(run: ConsoleRun) -> None:
    secret = f"{run.target.url}?token=s3cr3t-one&api_key=s3cr3t-two"
    run.backend.set_callback(secret)
    run.backend.room("r1").enter("ann")
    with requests.Session() as session:
        for path in ("", "/callbacks", "/callbacks/1", "/callbacks/2", "/callbacks/rows", "/settings", "/run"):
            text = session.get(f"{run.url}/console{path}").text
            assert "s3cr3t" not in text, path
            assert "a-secret-token" not in text
        shown = session.get(f"{run.url}/console/callbacks/2").text
    assert "token=***" in shown
    assert "Sign=***" in shown
    assert "$ROOMHOOK_TOKEN" in shown
