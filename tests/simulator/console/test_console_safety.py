"""The console refuses what does not come from its own pages, and shows no secret."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from console_browser import ConsoleRun, console_running

PAGES = ("/console", "/console/callbacks", "/console/settings", "/console/run")


@pytest.fixture(scope="module")
def run() -> Iterator[ConsoleRun]:
    with console_running() as found:
        found.backend.room("r1").enter("ann")
        yield found


def form_token(run: ConsoleRun, session: requests.Session) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', session.get(f"{run.url}/console").text)
    assert found
    return found[1]


def test_a_form_needs_our_token_and_our_origin(run: ConsoleRun) -> None:
    with requests.Session() as session:
        token = form_token(run, session)
        url = f"{run.url}/console/do/create-room"
        form = {"room": "forged", "owner": "x"}
        assert session.post(url, data=form).status_code == 403
        assert session.post(url, data={**form, "form_token": "wrong"}).status_code == 403
        foreign = {"Origin": "http://evil.example"}
        assert session.post(url, data={**form, "form_token": token}, headers=foreign).status_code == 403
        rebound = {"Host": "evil.example"}
        assert session.get(f"{run.url}/console", headers=rebound).status_code == 403
        assert "forged" not in run.service.state.rooms.by_app[1400000001]
        own = {"Origin": run.url}
        assert session.post(url, data={**form, "form_token": token}, headers=own).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(run: ConsoleRun, path: str) -> None:
    with requests.Session() as session:
        answer = session.get(f"{run.url}{path}")
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|https?://(?!127\.0\.0\.1)", answer.text)
    assert "a-secret-token" not in answer.text


def test_with_a_token_browsers_are_asked_for_it_once() -> None:
    with console_running(auth="open sesame", callback=False) as run, requests.Session() as session:
        answer = session.get(f"{run.url}/console")
        assert answer.url == f"{run.url}/console/login"
        assert session.post(answer.url, data={"token": "wrong"}).status_code == 401
        assert "Create a room" in session.post(answer.url, data={"token": "open sesame"}).text
        assert session.get(f"{run.url}/console/callbacks").status_code == 200
        cookie = next(iter(session.cookies))
        assert cookie.has_nonstandard_attr("HttpOnly")


def test_a_page_is_there_within_200_ms(run: ConsoleRun) -> None:
    with requests.Session() as session:
        for path in PAGES:
            session.get(f"{run.url}{path}")
            times = []
            for _ in range(5):
                began = time.monotonic()
                session.get(f"{run.url}{path}")
                times.append(time.monotonic() - began)
            assert min(times) < 0.2


def test_what_is_not_there_says_so(run: ConsoleRun) -> None:
    with requests.Session() as session:
        for path in (
            "/console/callbacks/999999",
            "/console/static/../site.py",
            "/console/static/site.py",
            "/console/x",
        ):
            assert session.get(f"{run.url}{path}").status_code == 404


def test_a_secret_in_the_callback_url_is_masked_and_kept_when_the_page_is_saved() -> None:
    with console_running(callback=False) as run, requests.Session() as session:
        secret = f"{run.target.url}?token=hidden-one"
        run.backend.set_callback(secret, ["Room.CallbackAfterMemberLeave"])
        page = session.get(f"{run.url}/console/settings").text
        assert "hidden-one" not in page
        shown = f"{run.target.url}?token=***"
        assert shown in page
        form = {"url": shown, "commands": "Room.CallbackAfterMemberEnter", "form_token": form_token(run, session)}
        answer = session.post(f"{run.url}/console/settings/callback", data=form)
        assert "hidden-one" not in answer.text
        config = run.service.state.rooms.get_callback(1400000001)
        assert (config.url, config.commands) == (secret, ("Room.CallbackAfterMemberEnter",))


def test_the_copied_pytest_case_is_python_that_sends_the_same_packet() -> None:
    with console_running() as run, requests.Session() as session:
        room = run.backend.room("r\u202e\"'<房>", owner="ann")
        room.enter("ann")
        room.leave("ann", reason="\u2028 'q' \\ {x}")
        page = session.get(f"{run.url}/console/callbacks/3").text
        found = re.search(r'id="pytest">(.*?)</pre>', page, re.DOTALL)
        assert found
        case = html.unescape(found[1]).replace("http://127.0.0.1:8000/callback", run.target.url)
        assert all(one.isprintable() or one == "\n" for one in case)
        sent = run.target.received[-1]
        names: dict[str, Any] = {}
        exec(case, names)
        names["test_callback_3_is_acknowledged"]()
        again = run.target.received[-1]
        assert again is not sent
        assert again.body == sent.body
        assert again.target == sent.target.partition("&Sign=")[0]
