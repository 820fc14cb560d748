"""Fills the disks of senders, listeners, servers and load tests at random moments, and compares totals.

    sudo python benchmarks/reliability_disks.py --times 50 [--only serve]

The disk is a tmpfs, so root has to run it. A full disk ends a sender with one line, and --resume goes on; a listener
answers nothing that it can't record; a server refuses calls until it can store them; a load test says that it has no
report.
"""
# ruff: noqa: ASYNC110 (nothing else runs on these loops)

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reliability import EVENTS, Receiver, compared, roomhook, summary
from reliability_load import MARK, left
from reliability_serve import ACCOUNT, call, started

from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.sending.dispatcher import Dispatcher, SendPlan
from roomhook.simulator.traffic.generator import FIXED_START_MS, TrafficRequest, events
from roomhook.simulator.traffic.scenario import from_document
from roomhook.simulator.transport.delivery import numbered
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.transport.target import Target

SIZE_MB = 24


class Disk:
    """A small disk, mounted at *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no byte."""
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Give all of it back."""
        self._filler.unlink()


@contextmanager
def disk() -> Iterator[Disk]:
    """A mounted disk, gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", name], check=True)
        try:
            yield Disk(Path(name))
        finally:
            subprocess.run(["umount", "-l", name], check=True)


async def fill_sender(full: Disk, moment_s: float) -> tuple[Counter[str], list[str]]:
    """A sender with a journal whose disk is full after *moment_s*; then there is room and it goes on."""
    bodies: Counter[bytes] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: Receiver(bodies), "127.0.0.1", 0)
    journal = full.folder / "run.db"
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    words = ["traffic", url, "--events", str(EVENTS), "--seed", "7", "--rate", "max", "--journal", str(journal)]
    sender = await asyncio.create_subprocess_exec(*roomhook(*words), stdout=-3, stderr=-1)
    while not list(full.folder.glob("run.db-log-*")) and sender.returncode is None:
        await asyncio.sleep(0.005)
    await asyncio.sleep(moment_s)
    full.fill()
    _, said = await sender.communicate()
    counts = Counter({"times": 1, "ended by it": int(sender.returncode == 2)})
    troubles = _plain(sender.returncode, {0, 2}, said)
    full.free()
    resume = roomhook("traffic", "--resume", "--journal", str(journal))
    again = await asyncio.create_subprocess_exec(*resume, stdout=-3, stderr=-1)
    _, said = await again.communicate()
    troubles += _plain(again.returncode, {0}, said)
    server.close()
    counts["arrived twice"] = sum(bodies.values()) - EVENTS
    return counts, troubles + compared(journal, bodies)


async def fill_listener(full: Disk, moment_s: float) -> tuple[Counter[str], list[str]]:
    """A listener whose disk is full after *moment_s*: what it has answered is on record."""
    journal = full.folder / "arrived.db"
    words = ["listen", "--listen", "127.0.0.1:0", "--quiet", "--journal", str(journal)]
    listener = await asyncio.create_subprocess_exec(*roomhook(*words), stdout=-1, stderr=-1)
    assert listener.stdout is not None
    target = Target(CallbackUrl.parse((await listener.stdout.readline()).decode().strip()), 1400000001)
    scenario = from_document({"phase": [{"profile": "steady", "members": 500, "duration": "3650d"}]}, "reliability")
    async with Sender(target, connections=16) as sender:
        stream = events(TrafficRequest(scenario=scenario, seed=7, start_ms=FIXED_START_MS))
        run = Dispatcher(sender, numbered(stream), SendPlan(), random.Random(1))
        going = asyncio.ensure_future(run.go())
        await asyncio.sleep(moment_s)
        full.fill()
        await asyncio.sleep(0.2)
        with suppress(ProcessLookupError):
            listener.send_signal(signal.SIGTERM)
        run.stop()
        answered = (await going).delivered
    _, said = await listener.communicate()
    troubles = _plain(listener.returncode, {0, 2, 130}, said)
    full.free()
    recorded = summary(journal)["received"]
    if not answered <= recorded <= answered + 16:
        troubles.append(f"{answered} answered, {recorded} on record")
    return Counter({"times": 1, "answered": answered, "recorded": recorded}), troubles


async def fill_serve(full: Disk, moment_s: float) -> tuple[Counter[str], list[str]]:
    """A server whose disk is full after *moment_s*, and free again soon: what it has taken happens, no more."""
    bodies: Counter[bytes] = Counter()
    receiver = await asyncio.get_running_loop().create_server(lambda: Receiver(bodies), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
    process, port = await started(full.folder, url)
    await call(port, "POST", "/sim/create-room", {"room": "r", "owner": "owner"})
    taken: set[str] = set()
    refused: set[str] = set()
    begun = time.monotonic()
    filled = freed = False
    number = 0
    while (now := time.monotonic() - begun) < moment_s + 1.0:
        if now > moment_s and not filled:
            full.fill()
            filled = True
        if now > moment_s + 0.5 and not freed:
            full.free()
            freed = True
        number += 1
        answer = await call(port, "POST", "/sim/enter", {"room": "r", "account": f"u{number}"})
        if "result" in answer:
            taken.add(f"u{number}")
        elif answer["ErrorCode"] == 100001:
            refused.add(f"u{number}")
        else:
            return Counter(times=1), [f"answered {answer}"]
    process.terminate()
    troubles = [f"exit code {process.returncode}"] if await process.wait() else []
    process, port = await started(full.folder, url)
    while (await call(port, "POST", "/sim/wait", {"timeout_seconds": 10}))["waiting"]:
        pass
    rooms = (await call(port, "GET", "/sim/rooms"))["rooms"]
    process.terminate()
    await process.wait()
    receiver.close()
    members = set(rooms[0]["members"]) - {"owner"}
    arrived = {found[1].decode() for body in bodies if (found := ACCOUNT.search(body))}
    if members != taken:
        troubles.append(f"{len(taken - members)} members are lost, {len(members - taken)} are there though refused")
    if arrived != taken:
        troubles.append(f"{len(taken - arrived)} callbacks are lost, {len(arrived - taken)} came though refused")
    twice = sum(bodies.values()) - len(arrived)
    return Counter({"times": 1, "taken": len(taken), "refused": len(refused), "arrived twice": twice}), troubles


async def fill_load(full: Disk, moment_s: float) -> tuple[Counter[str], list[str]]:
    """A load test whose reports find no room."""
    bodies: Counter[bytes] = Counter()
    receiver = await asyncio.get_running_loop().create_server(lambda: Receiver(bodies), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
    words = ["load", url, "--duration", "2s", "--rate", "300/s", "--report-dir", str(full.folder / "reports")]
    mark = full.folder.name
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "roomhook", *words, stdout=-1, stderr=-1, env={**os.environ, MARK: mark}
    )
    while not bodies and process.returncode is None:
        await asyncio.sleep(0.01)
    await asyncio.sleep(moment_s)
    full.fill()
    out, said = await process.communicate()
    receiver.close()
    full.free()
    troubles = _plain(process.returncode, {2}, said + out)
    troubles += [f"process {one} is left" for one in left(mark)]
    return Counter({"times": 1, "arrived": sum(bodies.values())}), troubles


def _plain(code: int | None, expected: set[int], said: bytes) -> list[str]:
    """What is wrong with how a command ended."""
    text = said.decode(errors="replace")
    if code not in expected or "Traceback" in text or "our own error" in text:
        return [f"exit code {code}: {text[-400:]}"]
    return [] if code == 0 or text.strip() else ["it ended without a word"]


def main() -> None:
    """Fill and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {"sender": fill_sender, "listener": fill_listener, "serve": fill_serve, "load": fill_load}
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", choices=list(kinds))
    given = parser.parse_args()
    moments = random.Random(given.seed)
    failed = False
    for kind in [given.only] if given.only else kinds:
        total: Counter[str] = Counter()
        troubles: list[str] = []
        begun = time.monotonic()
        for _ in range(given.times):
            with disk() as full:
                counts, wrong = run_loop(kinds[kind](full, moments.uniform(0, 1.0)))
            total.update(counts)
            troubles += wrong
        print(f"{kind}: {json.dumps(total)}, {len(troubles)} wrong, {time.monotonic() - begun:.0f} s", flush=True)
        print("".join(f"  {one}\n" for one in troubles[:10]), end="", flush=True)
        failed = failed or bool(troubles)
    sys.exit(failed)


if __name__ == "__main__":
    main()
