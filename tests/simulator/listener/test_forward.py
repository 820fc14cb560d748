"""``listen --forward``: what arrives goes on byte by byte, and the App backend's answer comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from listener_process import running_listener
from recording_target import Target, recording_target

from roomhook.cli.main import main
from roomhook.simulator.journal.reader import Filters, reading
from roomhook.simulator.listener.connection import ArrivedRequest
from roomhook.simulator.listener.forward import Forwarder
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.transport.sender import run_loop

QUERY = (
    "SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave&contenttype=json"
    "&ClientIP=1.2.3.4&OptPlatform=iOS"
)
BODY = b'{ "CallbackCommand": "Room.CallbackAfterMemberLeave",\n "odd" : 1.0 }'


@pytest.fixture
def target() -> Iterator[Target]:
    with recording_target() as found:
        yield found


def test_requests_and_answers_pass_unchanged_and_are_recorded(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "arrived.db"
    with running_listener("--forward", target.url, "--journal", str(path), "--count", "3") as listener:
        with requests.Session() as session:
            for status in (200, 500, 503):
                target.status = status
                headers = {"X-Odd": "a  b", "Content-Type": "application/json"}
                answer = session.post(f"{listener.url}some/path?{QUERY}", data=BODY, headers=headers)
                assert answer.status_code == status
                assert "ActionStatus" in answer.json()
        listener.process.communicate(timeout=10)
    assert [one.body for one in target.received] == [BODY] * 3
    assert [one.target for one in target.received] == [f"/callback?{QUERY}"] * 3
    with reading(path) as reader:
        assert len(list(reader.rows(Filters()))) == 3


def test_an_app_backend_that_is_not_there_is_502_with_the_reason(tmp_path: Path) -> None:
    with running_listener("--forward", "http://127.0.0.1:9/cb") as listener:
        answer = requests.post(f"{listener.url}?{QUERY}", data=BODY, timeout=10)
    assert answer.status_code == 502
    assert json.loads(answer.content)["ActionStatus"] == "FAIL"
    assert "127.0.0.1:9" in answer.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "arrived", "sent"),
    [
        ("http://127.0.0.1:1/cb", b"/x?a=1&a=2%20", b"/cb?a=1&a=2%20"),
        ("http://127.0.0.1:1/cb?k=v", b"/x?a=1", b"/cb?k=v&a=1"),
        ("http://127.0.0.1:1", b"/x/y?a=1", b"/x/y?a=1"),
        ("http://127.0.0.1:1/", b"/x", b"/x"),
    ],
)
def test_the_path_is_that_of_the_url_and_the_query_that_which_arrived(url: str, arrived: bytes, sent: bytes) -> None:
    async def request() -> bytes:
        forwarder = Forwarder(CallbackUrl.parse(url))
        head = b"POST %b HTTP/1.1\r\nHost: public.example\r\nConnection: close\r\nX-A: 1\r\nx-b:2\r\n\r\n" % arrived
        raw = forwarder.request(ArrivedRequest(b"POST", arrived, head, b"{}", last=False))
        await forwarder.close()
        return raw

    raw = run_loop(request())
    assert raw == b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:1\r\nX-A: 1\r\nx-b:2\r\nContent-Length: 2\r\n\r\n{}" % sent


def test_pipelined_requests_are_answered_in_their_order(target: Target) -> None:
    async def answers(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(5):
            writer.write(b"POST /?n=%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" % number)
        received = b""
        while received.count(b"ActionStatus") < 5:
            received += await asyncio.wait_for(reader.read(65536), 10)
        writer.close()
        return received

    with running_listener("--forward", target.url) as listener:
        assert run_loop(answers(CallbackUrl.parse(listener.url).port)).count(b"HTTP/1") == 5


def test_another_machine_has_to_be_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", "--listen", "127.0.0.1:0", "--forward", "http://192.0.2.1/"]) == 2
    assert "--allow-host 192.0.2.1" in capsys.readouterr().err
