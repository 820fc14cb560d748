"""The mock Room backend under pressure: full disks, endless heads and bodies, and clients that offer HTTP/2."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from recording_target import recording_target

from roomhook.contract_tests.api.room_backend import RoomBackend
from roomhook.errors import ConfigurationError
from roomhook.simulator.room_backend.api.client_actions import act, decoded
from roomhook.simulator.room_backend.runtime.clock import VirtualClock
from roomhook.simulator.room_backend.runtime.service import Service, parse_apps
from roomhook.simulator.room_backend.runtime.store import AttemptRow, Store
from roomhook.simulator.room_backend.state.error_codes import BackendError, Code
from roomhook.simulator.room_backend.state.options import BackendOptions

APP = 1400000001
NOW_MS = 1_700_000_000_000


class Disk:
    """A service whose disk can be filled."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.said: list[str] = []
        self.store.warn = self.said.append
        self.service = Service(parse_apps([APP], [], []), BackendOptions(), self.store, VirtualClock(NOW_MS))

    def fill(self) -> None:
        connection = self.store._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    def clear(self) -> None:
        self.store._connection.execute("PRAGMA max_page_count = 1000000")

    def sim(self, action: str, **fields: Any) -> int:
        planned = decoded(action, fields, APP)
        try:
            self.service.act(lambda state, now: act(state, planned, now))
        except BackendError as error:
            return int(error.code)
        return 0

    def until_full(self, room: str) -> int:
        """Let members enter until the disk is full; returns how many are in the room then."""
        for number in range(10_000):
            if self.sim("enter", room=room, account=f"u{number}", name_card="x" * 80):
                return number
        raise AssertionError("the disk is never full")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    found = Disk(tmp_path / "state.db")
    yield found
    found.store.close()


def test_on_a_full_disk_a_call_fails_with_the_documented_code_and_changes_nothing(disk: Disk) -> None:
    assert disk.sim("create-room", room="r1", owner="ann", max_members=10_000) == 0
    disk.fill()
    number = disk.until_full("r1")
    assert disk.sim("enter", room="r1", account="late", name_card="x" * 80) == Code.INTERNAL
    room = disk.service.state.rooms.by_app[APP]["r1"].room
    assert list(room.members) == [f"u{one}" for one in range(number)]
    assert len(disk.said) == 1
    assert "100001" in disk.said[0]
    disk.clear()
    assert disk.sim("leave", room="r1", account="u0") == 0
    assert disk.sim("create-room", room="r2", owner="ann") == 0
    assert disk.said[1:] == ["the state can be written again; nothing was lost"]


def test_a_clock_whose_events_can_not_be_stored_stays_where_it_was(disk: Disk) -> None:
    assert disk.sim("create-room", room="r1", owner="ann", max_members=10_000) == 0
    assert disk.sim("enter", room="r1", account="ann") == 0
    assert disk.sim("lose-heartbeat", room="r1", account="ann") == 0
    disk.store._connection.execute("PRAGMA query_only = 1")
    with pytest.raises(BackendError) as refused:
        asyncio.run(disk.service.advance(200_000, wait=False, timeout_s=1))
    assert refused.value.code == Code.INTERNAL
    assert disk.service.clock.now_ms() == NOW_MS
    disk.store._connection.execute("PRAGMA query_only = 0")
    asyncio.run(disk.service.advance(200_000, wait=False, timeout_s=1))
    assert list(disk.service.state.rooms.by_app[APP]["r1"].room.members) == []


def test_outcomes_that_can_not_be_stored_are_kept_until_they_can(disk: Disk) -> None:
    async def main() -> None:
        writer = disk.service.deliveries.writer
        disk.store._connection.execute("PRAGMA query_only = 1")
        for number in range(300):
            writer.add(AttemptRow(number, 1, "first", 0, 0, 0, "delivered", 200, "", "delivered"))
        assert not writer.flush()
        assert len(writer) == 300
        disk.store._connection.execute("PRAGMA query_only = 0")
        assert writer.flush()
        assert len(writer) == 0

    asyncio.run(main())
    assert disk.store.outcomes(299) == ["delivered"]


def test_a_state_is_locked_whatever_name_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to("state.db")
    store = Store(tmp_path / "state.db")
    with pytest.raises(ConfigurationError, match="in use by another"):
        Store(tmp_path / "link.db")
    (tmp_path / "hard.db").hardlink_to(tmp_path / "state.db")
    with pytest.raises(ConfigurationError, match="has several names"):
        Store(tmp_path / "hard.db")
    store.close()
    (tmp_path / "state.db").unlink()
    Store(tmp_path / "hard.db").close()


def test_a_state_with_damaged_content_is_one_clear_line(tmp_path: Path) -> None:
    Store(tmp_path / "state.db").close()
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.execute(f"INSERT INTO state VALUES ({APP}, 'r1', 'room', '', 'nonsense')")
    connection.commit()
    connection.close()
    with pytest.raises(ConfigurationError, match="choose another --state"):
        Service(parse_apps([APP], [], []), BackendOptions(), Store(tmp_path / "state.db"), VirtualClock(NOW_MS))


# ── over HTTP ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def backend() -> Iterator[RoomBackend]:
    with RoomBackend(start_ms=NOW_MS) as running:
        yield running


def spoken(backend: RoomBackend, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """What the server answers to *parts*, sent one after another, until it closes the connection."""
    url = urlsplit(backend.url)
    received = b""
    with socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=10) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause_s)
            while data := connection.recv(65536):
                received += data
        except (ConnectionResetError, BrokenPipeError):
            pass
    return received


HEAD = b"POST /sim/wait HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"a: b\r\n" * 200_000,
        b"A: " + b"b" * 1_000_000 + b"\r\n",
    ],
)
def test_a_head_without_end_is_refused_by_431(backend: RoomBackend, head: bytes) -> None:
    assert b" 200 " not in spoken(backend, HEAD + head)
    assert spoken(backend, HEAD + head[:66_000]).startswith(b"HTTP/1.1 431 ")
    assert backend.settle()


def test_a_head_that_ends_beyond_the_limit_is_refused_by_431(backend: RoomBackend) -> None:
    body = b"\r\nContent-Length: 2\r\n\r\n{}"
    assert spoken(backend, HEAD + b"A: " + b"b" * 66_000 + body).startswith(b"HTTP/1.1 431 ")
    assert b"settled" in spoken(backend, HEAD + b"A: " + b"b" * 60_000 + body)


def test_a_request_line_without_end_is_refused_by_431(backend: RoomBackend) -> None:
    assert b" 431 " in spoken(backend, b"POST /sim/" + b"x" * 70_000)


def test_trailers_without_end_close_the_connection(backend: RoomBackend) -> None:
    began = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    assert b"settled" not in spoken(backend, began, *[b"t: x\r\n" * 10_000] * 40)
    assert b"settled" in spoken(backend, began + b"t: x\r\n\r\n")


def test_a_body_that_is_too_large_is_refused_by_413(backend: RoomBackend) -> None:
    assert b" 413 " in spoken(backend, HEAD + b"Content-Length: 99999999999\r\n\r\n")
    with requests.Session() as session:
        chunks = (b" " * 65536 for _ in range(300))
        answer = session.post(f"{backend.url}/sim/wait", data=chunks, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["ErrorCode"]) == (413, Code.BAD_PARAMETER)


@pytest.mark.parametrize("cut", [10, 40, 60, 75, 85, 100, 120, 10_000])
def test_an_offer_of_http2_is_ignored_and_the_body_read_however_the_head_is_cut(backend: RoomBackend, cut: int) -> None:
    backend.room("h2c", max_members=1000)
    body = json.dumps({"room": "h2c", "account": f"u{cut}"}).encode()
    head = (
        b"POST /sim/enter HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: 127.0.0.1\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    raw = head + body
    url = urlsplit(backend.url)
    with socket.create_connection((str(url.hostname), int(url.port or 0)), timeout=10) as connection:
        connection.sendall(raw[:cut])
        time.sleep(0.02)
        connection.sendall(raw[cut:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert f"u{cut}" in backend.room("h2c").members


def test_the_connections_to_an_old_callback_url_are_closed() -> None:
    with ExitStack() as stack:
        targets = [stack.enter_context(recording_target()) for _ in range(4)]
        backend = stack.enter_context(RoomBackend(start_ms=NOW_MS))
        for number, target in enumerate(targets):
            backend.set_callback(target.url)
            backend.room("r1").enter(f"u{number}")
            assert backend.settle()
            assert open_queues(backend) == 1
        assert {one["state"] for one in backend.callbacks()} == {"delivered"}


def open_queues(backend: RoomBackend) -> int:
    until = time.monotonic() + 5
    while len(backend.service.deliveries._queues) > 1 and time.monotonic() < until:
        time.sleep(0.01)
    return len(backend.service.deliveries._queues)


def test_wait_answers_with_the_counts_after_the_wait() -> None:
    with recording_target() as target, RoomBackend(start_ms=NOW_MS) as backend:
        backend.set_callback(target.url)
        target.delay_s = 0.2
        assert backend.sim("create-room", room="slow", owner="ann", wait=False)["waiting"] == 1
        answer = backend._post("sim/wait", {})
        assert (answer["settled"], answer["waiting"]) == (True, 0)
