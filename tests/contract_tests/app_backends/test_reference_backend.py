"""The reference App backend: rooms survive disorder, refusals change nothing; and ``roomhook backend`` around it."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
from backend_process import running_backend
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from roomhook.cli.main import main
from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, ReferenceBackend
from roomhook.contract_tests.app_backends.reference.room_members import RoomMembers
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_url import sign
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND
from roomhook.simulator.util.defaults import SDKAPPID

OK = {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}
NOW = 1_670_574_414


def packet(command: str = LEAVE_COMMAND, **fields: Any) -> dict[str, Any]:
    return {
        "CallbackCommand": command,
        "Operator_Account": "alice",
        "RoomId": "rid-123",
        "MemberCount": 2,
        "Type": "Enter" if command == ENTER_COMMAND else "Leave",
        "MemberList_Account": ["alice"],
        "Reason": "xxxx",
        "EventTime": NOW * 1000,
        **fields,
    }


def params(command: str = LEAVE_COMMAND, **changes: str) -> dict[str, str]:
    return {"SdkAppid": str(SDKAPPID), "CallbackCommand": command, "contenttype": "json", **changes}


@pytest.fixture(scope="module")
def server() -> Iterator[BackendServer]:
    with BackendServer() as running:
        yield running


def post(server: BackendServer, body: object, **changes: str) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    command = str(body["CallbackCommand"]) if isinstance(body, dict) else LEAVE_COMMAND
    return requests.post(server.url(), params=params(command, **changes), data=data, timeout=10)


def members(server: BackendServer, room: str) -> Any:
    return requests.get(server.probe().replace("{RoomId}", quote(room, safe="")), timeout=10).json()


# Rooms


def test_enter_brings_in_and_leave_takes_out(server: BackendServer) -> None:
    room = "daily/stand-up 会议 ?#"
    assert members(server, room) == []

    entered = post(server, packet(ENTER_COMMAND, RoomId=room, MemberList_Account=["alice", "bob", "carol"]))
    assert entered.json() == OK
    assert members(server, room) == ["alice", "bob", "carol"]

    left = post(server, packet(RoomId=room, MemberList_Account=["alice", "carol"], Type="Kicked"))
    assert left.json() == OK
    assert left.headers["Content-Type"] == "application/json"
    assert members(server, room) == ["bob"]


@pytest.mark.parametrize(
    ("changes", "query"),
    [
        ({}, {"SdkAppid": "1400000002"}),
        ({}, {"SdkAppid": ""}),
        ({}, {"CallbackCommand": ENTER_COMMAND}),
        ({"MemberList_Account": "bob"}, {}),
        ({"EventTime": 2**63}, {}),
        ({"EventTime": "1670574414123"}, {}),
        ({"MemberCount": None}, {}),
    ],
)
def test_refused_callback_says_why_and_changes_nothing(
    server: BackendServer, changes: dict[str, Any], query: dict[str, str]
) -> None:
    post(server, packet(ENTER_COMMAND, RoomId="refusals", MemberList_Account=["bob"]))

    answer = post(server, packet(**{"RoomId": "refusals", "MemberList_Account": ["bob"], **changes}), **query)

    assert answer.status_code == 200
    assert answer.json()["ActionStatus"] == "FAIL"
    assert answer.json()["ErrorCode"] != 0
    assert answer.json()["ErrorInfo"]
    assert members(server, "refusals") == ["bob"]


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"null", b"[]", b"42", b'{"a":NaN}', b'"\xff"', b"[" * 10_000 + b"]" * 10_000, b"{", b"{}"]
)
def test_what_is_no_packet_is_refused_without_a_crash(server: BackendServer, body: bytes) -> None:
    answer = post(server, body)

    assert answer.status_code == 200
    assert answer.json()["ActionStatus"] == "FAIL"


def test_what_may_be_added_one_day_is_acknowledged(server: BackendServer) -> None:
    absent = packet(RoomId="drift")
    del absent["Reason"]
    for body in (packet(Type="Displaced"), packet(Extra={"a": [1]}), absent, packet("Room.CallbackAfterCreateRoom")):
        assert post(server, body, Region="eu").json() == OK


def test_callbacks_come_by_post_only(server: BackendServer) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert requests.request(method, server.url(), params=params(), timeout=10).status_code == 405


def test_paths_without_a_backend_are_not_found(server: BackendServer) -> None:
    for path in ("/", "/broken/ack.nothing", "/referenced"):
        assert requests.post(f"{server.origin}{path}", data=b"{}", timeout=10).status_code == 404


def test_each_backend_keeps_rooms_of_its_own(server: BackendServer) -> None:
    post(server, packet(ENTER_COMMAND, RoomId="mine"))

    assert members(server, "mine") == ["alice"]
    assert requests.get(server.probe("type.kicked").replace("{RoomId}", "mine"), timeout=10).json() == []


def test_clients_that_hang_up_leave_others_served(server: BackendServer) -> None:
    port = int(server.origin.rpartition(":")[2])
    head = f"POST /reference?{urlencode(params())} HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\n".encode()
    for part in (head + b'{"Call', head[:20], b""):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(part)

    assert post(server, packet()).json() == OK


# Order


def test_leave_that_arrives_late_does_not_evict_who_came_back() -> None:
    presence = RoomMembers()
    presence.enter("room", ["alice"], 1000)
    presence.enter("room", ["alice"], 3000)
    presence.leave("room", ["alice"], 2000)

    assert presence.members("room") == ["alice"]
    presence.close()


def test_leave_wins_over_an_enter_of_the_same_millisecond() -> None:
    for order in itertools.permutations(("enter", "leave")):
        presence = RoomMembers()
        for event in order:
            getattr(presence, event)("room", ["alice"], 1000)
        assert presence.members("room") == []
        presence.close()


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(0, 5)), max_size=8),
    st.randoms(use_true_random=False),
)
def test_events_end_in_the_same_state_in_any_order_and_number(events: list[tuple[bool, str, int]], rng: Any) -> None:
    disordered = [*events, *events]
    rng.shuffle(disordered)
    ends = []
    for sequence in (sorted(events, key=lambda one: (one[2], not one[0])), disordered):
        presence = RoomMembers()
        for entered, account, event_time in sequence:
            (presence.enter if entered else presence.leave)("room", [account], event_time)
        ends.append(presence.members("room"))
        presence.close()

    assert ends[0] == ends[1]


# Signatures


def answer_to(*parameters: tuple[str, str], token: str = "xxxxyyyy", clock: float = NOW) -> dict[str, Any]:
    backend = ReferenceBackend(str(SDKAPPID), token, clock=lambda: clock)
    given = (*params().items(), *parameters)
    callback = IncomingCallback(urlencode(given), given, Headers(), json.dumps(packet()).encode())
    try:
        answer: dict[str, Any] = json.loads(bytes(asyncio.run(backend.handle(callback)).body))
    finally:
        backend.close()
    return answer


def test_documented_vector_is_taken() -> None:
    vector = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"

    assert answer_to(("Sign", vector), ("RequestTime", "1669872112"), clock=1669872112) == OK
    assert answer_to(("Sign", vector.upper()), ("RequestTime", "1669872112"), clock=1669872112) == OK


@pytest.mark.parametrize("offset", [-60, 0, 60])
def test_request_time_may_be_a_minute_off(offset: int) -> None:
    assert answer_to(("Sign", sign("xxxxyyyy", NOW + offset)), ("RequestTime", str(NOW + offset))) == OK


@pytest.mark.parametrize(
    "parameters",
    [
        (),
        (("Sign", sign("xxxxyyyy", NOW)),),
        (("RequestTime", str(NOW)),),
        (("Sign", ""), ("RequestTime", str(NOW))),
        (("Sign", "é"), ("RequestTime", str(NOW))),
        (("Sign", sign("other", NOW)), ("RequestTime", str(NOW))),
        (("Sign", sign("xxxxyyyy", NOW)), ("RequestTime", str(NOW + 1))),
        (("Sign", sign("xxxxyyyy", NOW + 61)), ("RequestTime", str(NOW + 61))),
        (("Sign", sign("xxxxyyyy", NOW - 61)), ("RequestTime", str(NOW - 61))),
        (("Sign", sign("xxxxyyyy", "NaN")), ("RequestTime", "NaN")),
        (("Sign", sign("xxxxyyyy", NOW)), ("Sign", sign("xxxxyyyy", NOW)), ("RequestTime", str(NOW))),
    ],
)
def test_every_other_signature_is_refused(parameters: tuple[tuple[str, str], ...]) -> None:
    assert answer_to(*parameters)["ErrorCode"] == 2


# The server and its command


def test_server_starts_and_stops_within_a_second() -> None:
    started = time.monotonic()
    with BackendServer() as running:
        assert requests.get(running.probe().replace("{RoomId}", "x"), timeout=10).json() == []
    assert time.monotonic() - started < 3

    with pytest.raises(requests.ConnectionError):
        requests.get(running.url(), timeout=1)


def test_server_listens_on_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 on loopback")
    with BackendServer("::1") as running:
        assert running.url().startswith("http://[::1]:")
        assert post(running, packet()).json() == OK


def test_port_in_use_is_one_line_with_the_remedy(server: BackendServer) -> None:
    port = int(server.origin.rpartition(":")[2])

    with pytest.raises(
        ConfigurationError, match=rf"can't listen on 127.0.0.1:{port} \(Address already in use\): .*port 0"
    ):
        BackendServer(port=port).__enter__()


def hints_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    return "".join(itertools.takewhile(lambda line: line != "Ctrl-C stops it\n", process.stderr))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_prints_the_url_first_and_stops_cleanly(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "roomhook", "backend", "--listen", "127.0.0.1:0"]
    command += ["--broken", "app-id.near", "--sdkappid", "1400000007"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),  # noqa: PLW1509 (no threads yet): as a shell does for a job in the background
    ) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        hints = hints_of(process)
        query = params(SdkAppid="14000000071")
        answer = requests.post(url, params=query, json=packet(), timeout=10)
        process.send_signal(number)
        rest, complaints = process.communicate(timeout=10)

    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", url)
    assert answer.json() == OK
    assert process.returncode == 0
    assert rest == complaints == ""
    assert hints.startswith(f"broken in app-id.near: {BROKEN['app-id.near'].defect}\n")
    assert f"{url}/rooms/{{RoomId}}" in hints
    assert f"roomhook check {url} --sdkappid 1400000007\n" in hints


def test_command_answers_what_had_begun_when_a_signal_came() -> None:
    head = f"POST /callback?{urlencode(params())} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    body = json.dumps(packet()).encode()
    with running_backend() as running:
        port = int(running.url.rpartition(":")[2].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:40])
            time.sleep(0.1)
            running.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            connection.sendall(body[40:])
            answer = connection.makefile().read()
        assert running.process.wait(timeout=10) == 0

    assert json.loads(answer[answer.index("{") :]) == OK


def test_command_takes_the_token_from_the_environment() -> None:
    with running_backend(token="xxxxyyyy") as running:
        answer = requests.post(running.url, params=params(), json=packet(), timeout=10).json()

    assert answer["ErrorInfo"] == "Sign and RequestTime are each needed once"


@pytest.mark.long
def test_command_says_what_a_defect_needs_to_show() -> None:
    said = {}
    for requirement in ("sign.stale", "effect.kicked"):
        command = [sys.executable, "-m", "roomhook", "backend", "--listen", "127.0.0.1:0", "--broken", requirement]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            said[requirement] = hints_of(process)
            process.terminate()

    assert "the defect shows only with a token: set ROOMHOOK_TOKEN" in said["sign.stale"]
    assert re.search(r"roomhook check \S+ --sdkappid 1400000001 --probe '\S+/rooms/{RoomId}'\n", said["effect.kicked"])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--broken", "app-id.nea"],
            (
                "roomhook: --broken app-id.nea: there is no such backend; "
                "did you mean app-id.near, app-id.wrong or app-id.empty?"
            ),
        ),
        (["--broken", "zzz"], "roomhook: --broken zzz: there is no such backend; 'roomhook backend --list' lists them"),
        (["--listen", "8000"], "roomhook: --listen '8000' is no HOST:PORT; give one like 127.0.0.1:8000, or [::1]:0"),
        (
            ["--listen", "127.0.0.1:99999"],
            "roomhook: --listen '127.0.0.1:99999' is no HOST:PORT; give one like 127.0.0.1:8000, or [::1]:0",
        ),
    ],
)
def test_bad_option_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], options: list[str], line: str) -> None:
    assert main(["backend", *options]) == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_list_names_every_broken_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backend", "--list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(BROKEN)
