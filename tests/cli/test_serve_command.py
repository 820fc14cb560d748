"""``roomhook serve`` as a process: it prints its URL, ends cleanly, and loses nothing when it is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from recording_target import Target, recording_target

from roomhook.cli.main import main
from roomhook.errors import ConfigurationError
from roomhook.simulator.room_backend.client import MockRoomBackend, RestError
from roomhook.simulator.room_backend.runtime.service import parse_apps
from roomhook.simulator.room_backend.runtime.store import Store
from roomhook.simulator.room_backend.state.options import AppSettings

pytestmark = pytest.mark.long

ENTER = "Room.CallbackAfterMemberEnter"


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], MockRoomBackend]]:
    """The command in *folder*, with a client of it; it gets SIGTERM at the end unless it has gone."""
    command = [sys.executable, "-m", "roomhook", "serve", "--listen", "127.0.0.1:0", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOMHOOK")}
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.stderr.read() if process.stderr else ""
        client = MockRoomBackend(url)
        try:
            yield process, client
        finally:
            client.close()
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(20)


@pytest.fixture
def target() -> Iterator[Target]:
    with recording_target() as found:
        yield found


def entered(target: Target) -> list[str]:
    return [json.loads(one.body)["MemberList_Account"][0] for one in target.received]


def test_it_prints_its_url_says_what_it_accepts_and_goes_on_where_it_stopped(tmp_path: Path, target: Target) -> None:
    with serving(tmp_path, "--clock", "virtual", "--clock-start", "1700000000000") as (process, backend):
        backend.set_callback(target.url)
        room = backend.room("r1", seats=3)
        room.enter("ann", "bob")
        room.take_seat("bob")
        room.lose_heartbeat("ann")
        backend.advance(60)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert "any usersig is accepted" in process.stderr.read()
    target.received.clear()
    with serving(tmp_path, "--clock", "virtual") as (_, backend):
        with requests.Session() as session:
            (told,) = session.get(f"{backend.url}/sim/rooms").json()["rooms"]
        assert (told["members"], told["silent"], told["seats"]) == (["ann", "bob"], ["ann"], {"0": "bob"})
        backend.advance(50)
        assert json.loads(target.received[0].body)["Type"] == "Expired"
        assert json.loads(target.received[0].body)["EventTime"] <= 1700000110000


def test_kill_9_in_the_middle_loses_no_accepted_event(tmp_path: Path, target: Target) -> None:
    accepted: list[str] = []
    with serving(tmp_path) as (process, backend):
        backend.set_callback(target.url, [ENTER])
        backend.wait = False
        rooms = [backend.room(f"r{number}", max_members=10_000) for number in range(8)]
        target.delay_s = 0.002
        killer = threading.Timer(0.2, process.kill)
        number = 0
        while process.poll() is None and number < 50_000:
            if number == 100:
                killer.start()
            try:
                rooms[number % 8].enter(f"u{number}")
            except requests.RequestException:
                break
            accepted.append(f"u{number}")
            number += 1
        killer.join()
    assert len(accepted) >= 100
    with serving(tmp_path) as (_, backend):
        assert backend.settle()
        assert set(accepted) <= set(entered(target))
        assert len(entered(target)) - len(set(entered(target))) <= 16 + 256, "only what was not written down yet"
        listed = [account for number in range(8) for account in backend.room(f"r{number}").members]
        assert set(accepted) <= set(listed)


def test_what_could_not_be_sent_is_kept_for_the_next_run(tmp_path: Path, target: Target) -> None:
    with serving(tmp_path, "--retry", "trtc", "--grace", "0.2") as (process, backend):
        backend.set_callback(target.url, [ENTER])
        target.status = 500
        backend.room("r1").enter("ann")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert "1 callbacks are unsent" in process.stderr.read()
    target.status = 200
    target.received.clear()
    with serving(tmp_path, "--retry", "trtc") as (_, backend):
        backend.settle()
        assert entered(target) == ["ann"]


def test_heartbeats_expire_by_the_real_clock_too(tmp_path: Path, target: Target) -> None:
    with serving(tmp_path, "--memory", "--heartbeat", "0.2-0.3") as (_, backend):
        backend.set_callback(target.url)
        room = backend.room("r1")
        room.enter("ann")
        room.lose_heartbeat("ann")
        until = time.monotonic() + 10
        while len(target.received) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        assert json.loads(target.received[-1].body)["Type"] == "Expired"
        assert list(tmp_path.iterdir()) == []


def test_it_says_each_call_and_callback_unless_it_is_quiet(tmp_path: Path, target: Target) -> None:
    for options in ((), ("--quiet",)):
        chosen = ("--callback", target.url, "--commands", ENTER, "--memory", *options)
        with serving(tmp_path, *chosen) as (process, backend):
            backend.room("r1").enter("ann")
            with pytest.raises(RestError):
                backend.rest("room_engine_http_srv/destroy_room", {"RoomId": "r2"})
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stderr is not None
            assert process.stdout is not None
            said, rest = process.stderr.read(), process.stdout.read()
        wanted = ("call      /sim/enter r1 ann: ok", "callback  MemberEnter r1 ann (Enter): delivered 200", "100004")
        assert [text in said for text in wanted] == [not options] * 3, said
        assert rest == "", "stdout holds the URL and nothing else"
    assert entered(target) == ["ann", "ann"]


def test_it_warns_once_when_a_room_changes_and_callbacks_go_nowhere(tmp_path: Path) -> None:
    with serving(tmp_path, "--memory") as (process, backend):
        backend.room("r1").enter("ann", "bob")
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.stderr is not None
        assert process.stderr.read().count("no callback URL for SDKAppID 1400000001") == 1


def test_it_serves_on_when_nobody_reads_its_lines(tmp_path: Path) -> None:
    with serving(tmp_path, "--memory") as (process, backend):
        assert process.stderr is not None
        process.stderr.close()
        for number in range(50):
            backend.room(f"r{number}").enter("ann")
        assert len(backend.room("r49").members) == 1


def test_an_unknown_call_names_similar_ones_and_the_method_to_use(tmp_path: Path) -> None:
    with serving(tmp_path, "--memory") as (_, backend), requests.Session() as session:
        for path, status, said in (("entr", 404, "/sim/enter"), ("xyz", 404, "openapi"), ("clock", 405, "use GET")):
            answer = session.post(f"{backend.url}/sim/{path}", json={})
            assert answer.status_code == status
            assert said in answer.json()["ErrorInfo"]


def test_two_may_not_share_a_state(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    with pytest.raises(ConfigurationError, match="in use by another"):
        Store(tmp_path / "state.db")
    store.close()
    Store(tmp_path / "state.db").close()


def test_a_foreign_file_is_no_state(tmp_path: Path) -> None:
    for content in (b"hello, this is no database at all", b""):
        (tmp_path / "x.db").write_bytes(content)
        if content:
            with pytest.raises(ConfigurationError, match="choose another --state"):
                Store(tmp_path / "x.db")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--heartbeat", "fast"], "is not a range of seconds"),
        (["--heartbeat", "110-90"], "is not a range of seconds"),
        (["--clock-start", "1"], "--clock virtual"),
        (["--listen", "nowhere"], "HOST:PORT"),
        (["--sdkappid", "1", "--sdkappid", "1"], "twice"),
        (["--sdkappid", "1", "--sdkappid", "2", "--secret-key", "abc"], "1=VALUE"),
        (["--token", ""], "--token is empty"),
        (["--listen", "0.0.0.0:0"], "--auth TOKEN"),
        (["--callback", "http://192.0.2.1/"], "--allow-host 192.0.2.1"),
        (["--callback", "nonsense"], "callback: "),
        (["--callback", "http://127.0.0.1:9/", "--commands", "Room.Nothing"], "'Room.Nothing' is not a room callback"),
        (["--commands", "Room.CallbackAfterMemberLeave"], "--commands needs --callback"),
        (["--rest-ip", "here"], "is not an IP address"),
        (["--state", "x" * 300], "--state"),
        (["--state", "."], "choose another --state"),
    ],
)
def test_a_wrong_option_is_one_line(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve", *([] if "--state" in options else ["--memory"]), *options]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err


def test_keys_and_tokens_are_told_apart_by_app() -> None:
    assert parse_apps([1, 2], ["1=a=b", "2=c"], ["2=t"]) == [
        AppSettings(sdkappid=1, secret_key="a=b"),
        AppSettings(sdkappid=2, secret_key="c", token="t"),
    ]
    assert parse_apps([1], ["k=v"], ["1=t"]) == [AppSettings(sdkappid=1, secret_key="k=v", token="t")]


def test_every_option_about_something_undocumented_names_its_erratum(capsys: pytest.CaptureFixture[str]) -> None:

    main(["serve", "--help"])
    named = set(re.findall(r"Erratum\s+([a-z-]+(?:\s(?=[a-z-]+\.))?)", capsys.readouterr().out))
    assert len(named) >= 9
