"""Ends senders, indexers and listeners at random moments by signals, and compares what each side has on record.

    python benchmarks/reliability.py --kills 200 [--only listener]

A run is ended by SIGKILL, SIGINT, SIGTERM or two signals, as the seed has it; an indexer always by SIGKILL. Then the
run is resumed, or the journal read. In the end every event has exactly one final outcome, what the sender calls
delivered has arrived, what arrived twice was in doubt before, and what a listener answered is on record.
"""
# ruff: noqa: ASYNC110, ASYNC220, ASYNC240, SLF001 (nothing else runs on these loops; segments are made small)

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from roomhook.simulator.journal import log
from roomhook.simulator.journal.reader import reading
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.sending.dispatcher import Dispatcher, SendPlan
from roomhook.simulator.traffic.generator import FIXED_START_MS, TrafficRequest, events
from roomhook.simulator.traffic.scenario import from_document
from roomhook.simulator.transport.delivery import numbered
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.transport.target import Target

EVENTS = 4000
SEGMENT_BYTES = 64 * 1024
"""Small, so that the indexer works during these short runs and segments come and go."""

SENDER = f"""
import sys
from roomhook.simulator.journal import log
log._SEGMENT_BYTES = {SEGMENT_BYTES}
from roomhook.cli.main import main
sys.exit(main())
"""


WAYS: dict[str, tuple[signal.Signals, ...]] = {
    "KILL": (signal.SIGKILL,),
    "INT": (signal.SIGINT,),
    "TERM": (signal.SIGTERM,),
    "twice": (signal.SIGINT, signal.SIGTERM),
}
"""How a process is ended; the second of two signals follows within 100 ms."""


async def end(pid: int, way: str, pause_s: float) -> None:
    """Send the signals of *way* to *pid*, *pause_s* between two of them."""
    for number, each in enumerate(WAYS[way]):
        await asyncio.sleep(pause_s if number else 0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, each)


class Receiver(asyncio.Protocol):
    """Answers every request with OK and remembers its body."""

    bodies: Counter[bytes]
    ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'

    def __init__(self, bodies: Counter[bytes]) -> None:
        self.bodies = bodies
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer whole requests."""
        self._data += data
        while True:
            head, blank, rest = self._data.partition(b"\r\n\r\n")
            if not blank:
                return
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(rest) < size:
                return
            self.bodies[rest[:size]] += 1
            self._data = rest[size:]
            self._transport.write(self.ANSWER)


def roomhook(*arguments: str) -> list[str]:
    """The command line, with small segments."""
    return [sys.executable, "-c", SENDER, *arguments]


def summary(journal: Path) -> dict[str, Any]:
    """What the journal says, all of its log in its tables."""
    with reading(journal) as reader:
        return reader.summary()


async def kill_sender(folder: Path, moment_s: float, way: str, *, indexer: bool) -> tuple[Counter[str], list[str]]:
    """Start a sender, end it (or the indexer beside it) after *moment_s*, go on until all is sent; what went wrong."""
    bodies: Counter[bytes] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(bodies), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    journal = folder / "run.db"
    arguments = ["traffic", f"http://127.0.0.1:{port}/", "--events", str(EVENTS), "--seed", "7", "--rate", "max"]
    order = roomhook(*arguments, "--journal", str(journal), "--start", "2026-01-02T18:00:00Z")
    errors = (folder.parent / f"{folder.name}.stderr").open("w+b")  # beside: nothing but the journal may be left there
    sender = await asyncio.create_subprocess_exec(*order, stdout=-3, stderr=errors)
    while not list(folder.glob("run.db-log-*")):
        await asyncio.sleep(0.005)
    await asyncio.sleep(moment_s)
    counts: Counter[str] = Counter(kills=1)
    if indexer:
        counts["indexers killed"] = _kill_children(sender.pid)
    elif sender.returncode is None:
        await end(sender.pid, way, moment_s / 10)
        counts["while sending"] = counts[way] = 1
    code = await sender.wait()
    troubles: list[str] = []
    if code not in {0, 130, -9}:
        errors.seek(0)
        troubles.append(f"{way}: exit code {code}: {errors.read().decode(errors='replace')[-300:]}")
    errors.close()
    Path(errors.name).unlink()
    if not indexer:
        died = summary(journal)
        if died["scheduled"] != died["delivered"] + died["failed"] + died["unsent"] or died["in_doubt"] > 64:
            troubles.append(f"does not reconcile: {died}")
        if died["in_doubt"] and way in {"INT", "TERM"}:
            troubles.append(f"{way} left {died['in_doubt']} in doubt")
        counts["in doubt"] += died["in_doubt"]
        arrived = len(bodies)
        if not died["delivered"] <= arrived <= died["delivered"] + died["in_doubt"]:
            troubles.append(f"{arrived} arrived, {died['delivered']} delivered + {died['in_doubt']} in doubt")
        resume = roomhook("traffic", "--resume", "--journal", str(journal))
        again = await asyncio.create_subprocess_exec(*resume, stdout=-3, stderr=-1)
        _, said = await again.communicate()
        if again.returncode != 0:
            troubles.append(f"--resume ended with {again.returncode}: {said.decode()}")
    server.close()
    counts["arrived twice"] += sum(bodies.values()) - EVENTS
    return counts, troubles + compared(journal, bodies)


def compared(journal: Path, bodies: Counter[bytes]) -> list[str]:
    """What is wrong in the end, when all that was scheduled is delivered."""
    troubles: list[str] = []
    found = summary(journal)
    if (found["scheduled"], found["delivered"], len(bodies)) != (EVENTS, EVENTS, EVENTS):
        troubles.append(f"{found['scheduled']} scheduled, {found['delivered']} delivered, {len(bodies)} arrived")
    if sum(bodies.values()) - EVENTS > found["in_doubt"]:
        troubles.append(f"{sum(bodies.values()) - EVENTS} arrived twice, {found['in_doubt']} were in doubt")
    if left := [one.name for one in journal.parent.iterdir() if one != journal]:
        troubles.append(f"left behind: {left}")
    connection = sqlite3.connect(journal)
    if connection.execute("PRAGMA integrity_check").fetchone() != ("ok",):
        troubles.append("the database is damaged")
    connection.close()
    return troubles


def _kill_children(pid: int) -> int:
    """Kill the processes that *pid* has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(one) for one in children.read_text().split()] if children.exists() else []
    for one in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    return len(found)


async def kill_listener(folder: Path, moment_s: float, way: str) -> tuple[Counter[str], list[str]]:
    """Start a listener, send to it and end it after *moment_s*; what it has answered and not on record."""
    journal = folder / "arrived.db"
    order = roomhook("listen", "--listen", "127.0.0.1:0", "--quiet", "--journal", str(journal))
    with subprocess.Popen(order, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as listener:
        assert listener.stdout is not None
        target = Target(CallbackUrl.parse(listener.stdout.readline().strip()), 1400000001)
        scenario = from_document({"phase": [{"profile": "steady", "members": 500, "duration": "3650d"}]}, "reliability")
        async with Sender(target, connections=16) as sender:
            stream = events(TrafficRequest(scenario=scenario, seed=7, start_ms=FIXED_START_MS))
            run = Dispatcher(sender, numbered(stream), SendPlan(), random.Random(1))
            going = asyncio.ensure_future(run.go())
            await asyncio.sleep(moment_s)
            await end(listener.pid, way, moment_s / 10)
            run.stop()
            answered = (await going).delivered
        code = await asyncio.to_thread(listener.wait)
    found = summary(journal)
    troubles = [] if code in {0, 130, -9} else [f"{way}: exit code {code}"]
    if not answered <= found["received"] <= answered + 16:
        troubles.append(f"{answered} answered, {found['received']} on record")
    return Counter({"kills": 1, way: 1, "answered": answered, "recorded": found["received"]}), troubles


Kill = Callable[[Path, random.Random], Coroutine[Any, Any, tuple[Counter[str], list[str]]]]
"""Starts and kills once in a folder, with draws from a seed; gives what was counted and what was wrong."""


def repeat(what: str, kill_once: Kill, doc: str | None) -> None:
    """Kill and compare as often as the command line says, and print what was counted."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    draws = random.Random(given.seed)
    total: Counter[str] = Counter()
    troubles: list[str] = []
    begun = time.monotonic()
    for _ in range(given.kills):
        with tempfile.TemporaryDirectory() as name:
            counts, wrong = run_loop(kill_once(Path(name), draws))
        total.update(counts)
        troubles += wrong
    print(f"{what}: {json.dumps(total)}, {len(troubles)} wrong, {time.monotonic() - begun:.0f} s", flush=True)
    print("".join(f"  {one}\n" for one in troubles[:10]), end="", flush=True)
    sys.exit(bool(troubles))


def main() -> None:
    """Kill and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=["sender", "indexer", "listener"])
    given = parser.parse_args()
    log._SEGMENT_BYTES = SEGMENT_BYTES
    moments = random.Random(given.seed)
    failed = False
    for kind in [given.only] if given.only else ["sender", "indexer", "listener"]:
        total: Counter[str] = Counter()
        troubles: list[str] = []
        begun = time.monotonic()
        for _ in range(given.kills):
            with tempfile.TemporaryDirectory() as name:
                moment_s, way = moments.uniform(0, 1.0), moments.choice(list(WAYS))
                if kind == "listener":
                    counts, wrong = run_loop(kill_listener(Path(name), moment_s, way))
                else:
                    counts, wrong = run_loop(kill_sender(Path(name), moment_s, way, indexer=kind == "indexer"))
            total.update(counts)
            troubles += wrong
        took = time.monotonic() - begun
        print(f"{kind}: {json.dumps(total)}, {len(troubles)} wrong, {took:.0f} s", flush=True)
        print("".join(f"  {one}\n" for one in troubles[:10]), end="", flush=True)
        failed = failed or bool(troubles)
    sys.exit(failed)


if __name__ == "__main__":
    main()
