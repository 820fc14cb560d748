"""How many room events a second ``roomhook serve`` takes and delivers, its memory, and what ``kill -9`` costs.

    python benchmarks/serve.py [--events 100000] [--batch 100] [--kill]

A sink in a process of its own counts the callbacks; this process calls ``/sim/batch`` (one event an action).
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import requests

from roomhook.simulator.room_backend.client import MockRoomBackend
from roomhook.simulator.transport.sender import run_loop

ENTER = "Room.CallbackAfterMemberEnter"
LEAVE = "Room.CallbackAfterMemberLeave"
ROOMS = 64
ANSWER = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
NAMED = re.compile(rb'"MemberList_Account":\["u(\d+)"\]')


class _Sink(asyncio.Protocol):
    """Answers every request; requests come one at a time on each connection, as the Room backend sends them."""

    def __init__(self, seen: dict[bytes, int]) -> None:
        self.seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        head, blank, body = self.waiting.partition(b"\r\n\r\n")
        if blank and len(body) >= int(head.rpartition(b"Content-Length: ")[2].split(b"\r\n")[0]):
            found = NAMED.search(body)
            key = found[1] if found else b""
            self.seen[key] = self.seen.get(key, 0) + 1
            self.waiting = b""
            self.transport.write(RESPONSE)  # type: ignore[attr-defined]


def sink(pipe: Connection) -> None:
    """Listen; tell the port, then, whenever given a number, what has come and which accounts below it have not."""
    seen: dict[bytes, int] = {}

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Sink(seen), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        while True:
            accepted = await loop.run_in_executor(None, pipe.recv)
            missing = sum(str(number).encode() not in seen for number in range(accepted))
            pipe.send((sum(seen.values()), len(seen), missing))

    run_loop(main())


@contextmanager
def served(state: Path) -> Iterator[tuple[subprocess.Popen[str], MockRoomBackend]]:
    """``roomhook serve`` with its state there."""
    command = [sys.executable, "-m", "roomhook", "serve", "--quiet", "--listen", "127.0.0.1:0", "--state", str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        backend = MockRoomBackend(process.stdout.readline().strip(), wait=False)
        try:
            yield process, backend
        finally:
            backend.close()
            process.terminate()


def memory_mb(process: subprocess.Popen[str]) -> float:
    """Resident memory of *process*."""
    text = Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def actions(first: int, count: int) -> list[dict[str, object]]:
    """*count* events: everybody enters and leaves again."""
    made: list[dict[str, object]] = []
    for number in range(first, first + count // 2):
        who = {"room": f"r{number % ROOMS}", "account": f"u{number}"}
        made += [{"do": "enter", **who}, {"do": "leave", **who}]
    return made


def throughput(events: int, batch: int, url: str, count: Connection) -> None:
    """Send *events* as fast as they are taken and wait for the last callback."""
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "state.db") as (process, backend):
        backend.set_callback(url, [ENTER, LEAVE])
        for number in range(ROOMS):
            backend.room(f"r{number}")
        began, sent = time.perf_counter(), 0
        while sent < events:
            backend.batch(actions(sent // 2, batch))
            sent += batch
            if sent % max(batch, events // 10 // batch * batch) == 0:
                elapsed = time.perf_counter() - began
                print(f"{sent:>9} events taken, {sent / elapsed:7.0f}/s, {memory_mb(process):6.1f} MB", flush=True)
        while not backend.settle(60):
            pass
        elapsed = time.perf_counter() - began
        count.send(0)
        arrived, _, _ = count.recv()
        print(f"{arrived:>9} callbacks delivered of {sent}, {arrived / elapsed:7.0f}/s over all, {elapsed:.1f} s")


def killed(url: str, batch: int, count: Connection) -> None:
    """Kill the server in the middle, start it again, and count what is missing."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.db"
        accepted = 0
        with served(state) as (process, backend):
            backend.set_callback(url, [ENTER])
            for number in range(ROOMS):
                backend.room(f"r{number}", max_members=1_000_000)
            until = time.perf_counter() + 3
            try:
                while True:
                    who = [
                        {"do": "enter", "room": f"r{n % ROOMS}", "account": f"u{n}"}
                        for n in range(accepted, accepted + batch)
                    ]
                    backend.batch(who)
                    accepted += batch
                    if time.perf_counter() > until:
                        process.kill()
            except requests.RequestException:
                pass
        with served(state) as (_, backend):
            while not backend.settle(60):
                pass
        count.send(accepted)
        arrived, different, missing = count.recv()
    twice = arrived - different
    print(f"kill -9 after {accepted} accepted events: {missing} lost, {twice} sent twice")


def main() -> None:
    """Both measurements, as asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--kill", action="store_true", help="kill -9 in the middle instead of measuring")
    asked = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    counting = multiprocessing.Process(target=sink, args=(theirs,), daemon=True)
    counting.start()
    url = f"http://127.0.0.1:{ours.recv()}/callback"
    if asked.kill:
        killed(url, asked.batch, ours)
    else:
        throughput(asked.events, asked.batch, url, ours)
    counting.terminate()


if __name__ == "__main__":
    main()
