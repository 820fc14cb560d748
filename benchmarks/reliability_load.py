"""Ends load tests, or the processes that send for them, at random moments, and compares their totals with the target's.

    python benchmarks/reliability_load.py --kills 200

A run that SIGINT or SIGTERM ends has every callback that arrived in its report. One whose sender was killed says so and
does not pass; what it had not told yet is at most what was sent within a second. No process is left in any case.
"""
# ruff: noqa: ASYNC110 (nothing else runs on these loops)

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from reliability import WAYS, Receiver, end, repeat

RATE = 300
MARK = "RELIABILITY_RUN"
PATIENCE_S = 15


def left(mark: str) -> Iterator[int]:
    """The processes that were started with this *mark* in their environment."""
    for one in Path("/proc").iterdir():
        with suppress(OSError):
            if one.name.isdigit() and f"{MARK}={mark}".encode() in (one / "environ").read_bytes().split(b"\0"):
                yield int(one.name)


def sender_of(mark: str) -> int | None:
    """A process of the run with this *mark* that sends."""
    for pid in left(mark):
        with suppress(OSError):
            if b"fast_sender" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


async def kill(folder: Path, moment_s: float, way: str) -> tuple[Counter[str], list[str]]:
    """One load test, ended *way* so long after its first callback; what went wrong."""
    bodies: Counter[bytes] = Counter()
    receiver = await asyncio.get_running_loop().create_server(lambda: Receiver(bodies), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
    words = ["load", url, "--duration", "30s", "--rate", f"{RATE}/s", "--report-dir", str(folder)]
    mark = folder.name
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "roomhook", *words, stdout=-3, stderr=-1, env={**os.environ, MARK: mark}
    )
    while not bodies and process.returncode is None:
        await asyncio.sleep(0.01)
    await asyncio.sleep(moment_s)
    if way == "sender":
        victim = sender_of(mark)
        await end(victim or process.pid, "KILL", 0)
    else:
        await end(process.pid, way, moment_s / 10)
    _, said = await process.communicate()
    until = time.monotonic() + PATIENCE_S
    while (remaining := list(left(mark))) and time.monotonic() < until:
        await asyncio.sleep(0.1)
    troubles = [f"{way}: processes {remaining} are left"] if remaining else []
    receiver.close()
    arrived, report = sum(bodies.values()), folder / "load.json"
    counts = Counter({"kills": 1, way: 1, "arrived": arrived})
    counted = json.loads(report.read_text())["requests"] if report.exists() else None
    expected = {"KILL": {-9}, "sender": {4}}.get(way, {130})
    if process.returncode not in expected:
        troubles.append(f"{way}: exit code {process.returncode}: {said.decode()[-300:]}")
    if way in {"INT", "TERM"} and counted != arrived:
        troubles.append(f"{way}: {counted} counted, {arrived} arrived")
    if way == "sender":
        if counted is None or not arrived - RATE <= counted <= arrived:
            troubles.append(f"{way}: {counted} counted, {arrived} arrived")
        counts["not told by killed senders"] = arrived - (counted or 0)
    counts["counted"] = counted or 0
    return counts, troubles


def kill_load(folder: Path, draws: random.Random) -> Coroutine[Any, Any, tuple[Counter[str], list[str]]]:
    """One kill, its way drawn."""
    way = draws.choice([*WAYS, "sender", "sender"])
    return kill(folder, draws.uniform(0, 1.5), way)


if __name__ == "__main__":
    repeat("load", kill_load, __doc__)
