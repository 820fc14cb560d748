"""Ends ``roomhook serve`` at random moments by signals, and compares its rooms and callbacks with what it took.

    python benchmarks/reliability_serve.py --kills 200

Members enter rooms by batches; every answered enter has to be in the state of the next run, and its callback has to
arrive. What arrives twice was on its way when the server was ended.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from reliability import WAYS, Receiver, end, repeat

ROOMS = 8
ACCOUNT = re.compile(rb'"MemberList_Account":\["(u\d+)"\]')


async def call(port: int, method: str, path: str, packet: object = None) -> Any:
    """The JSON that the server answers; raises ``OSError`` if it is gone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b"" if packet is None else json.dumps(packet).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    if not answer:
        raise ConnectionResetError
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def started(folder: Path, url: str) -> tuple[asyncio.subprocess.Process, int]:
    """A server that keeps its state in *folder*, and its port."""
    words = ["serve", "--quiet", "--listen", "127.0.0.1:0", "--state", str(folder / "state.db"), "--callback", url]
    words += ["--max-members", "1000000", "--commands", "Room.CallbackAfterMemberEnter", "--grace", "0.2"]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "roomhook", *words, stdout=-1, stderr=-3)
    assert process.stdout is not None
    return process, int((await process.stdout.readline()).rpartition(b":")[2])


async def enter(port: int, batch: int, taken: set[str], asked: set[str]) -> None:
    """Let members enter, a batch a call, until the server is gone; note who was *asked* for and who was *taken*."""
    for number in range(ROOMS):
        await call(port, "POST", "/sim/create-room", {"room": f"r{number}", "owner": "owner"})
    while True:
        names = [f"u{len(asked) + number}" for number in range(batch)]
        asked.update(names)
        actions = [{"do": "enter", "room": f"r{int(name[1:]) % ROOMS}", "account": name} for name in names]
        answer = await call(port, "POST", "/sim/batch", {"actions": actions})
        if len(answer.get("results", ())) == batch:
            taken.update(names)


async def kill(folder: Path, moment_s: float, way: str, batch: int) -> tuple[Counter[str], list[str]]:
    """One server, ended *way* after *moment_s*, and the next one on its state; what went wrong."""
    bodies: Counter[bytes] = Counter()
    receiver = await asyncio.get_running_loop().create_server(lambda: Receiver(bodies), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
    process, port = await started(folder, url)
    taken: set[str] = set()
    asked: set[str] = set()
    entering = asyncio.ensure_future(enter(port, batch, taken, asked))
    await asyncio.sleep(moment_s)
    await end(process.pid, way, moment_s / 10)
    code = await process.wait()
    await asyncio.wait([entering], timeout=5)
    entering.cancel()
    troubles = [] if code in {0, 130, -9} else [f"{way}: exit code {code}"]
    before = sum(bodies.values())
    process, port = await started(folder, url)
    until = time.monotonic() + 60
    while (await call(port, "POST", "/sim/wait", {"timeout_seconds": 10}))["waiting"] and time.monotonic() < until:
        pass
    rooms = (await call(port, "GET", "/sim/rooms"))["rooms"]
    process.terminate()
    if await process.wait() != 0:
        troubles.append(f"the next run ended with {process.returncode}")
    receiver.close()
    arrived = Counter(found[1].decode() for body in bodies.elements() if (found := ACCOUNT.search(body)))
    members = {name for room in rooms for name in room["members"]} - {"owner"}
    if taken - members or members - asked:
        troubles.append(f"{way}: {len(taken - members)} members are lost, {len(members - asked)} never asked for")
    if set(arrived) != members:
        troubles.append(f"{way}: callbacks of {len(members - set(arrived))} members are lost")
    twice = sum(arrived.values()) - len(arrived)
    if twice and way in {"INT", "TERM"}:
        troubles.append(f"{way}: {twice} arrived twice")
    connection = sqlite3.connect(folder / "state.db")
    if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
        troubles.append("the state is damaged")
    connection.close()
    counts = Counter({"kills": 1, way: 1, "taken": len(taken), "members": len(members), "arrived": len(arrived)})
    counts += Counter({"arrived twice": twice, "sent by the next run": sum(bodies.values()) - before})
    return counts, troubles


def kill_serve(folder: Path, draws: random.Random) -> Coroutine[Any, Any, tuple[Counter[str], list[str]]]:
    """One kill, its way and its batches drawn."""
    way, batch = draws.choice(list(WAYS)), draws.choice([1, 10, 100])
    return kill(folder, draws.uniform(0, 1.0), way, batch)


if __name__ == "__main__":
    repeat("serve", kill_serve, __doc__)
