"""What a sender with a journal holds in memory, and beside it on the disk, over many callbacks.

    python benchmarks/memory.py                # 10,000,000 callbacks: about 4 minutes and 4 GB in the temporary folder
    python benchmarks/memory.py 1000000

Needs what benchmarks/sender.py needs.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import psutil
from sender import CONNECTIONS, nginx

from roomhook.simulator.journal.index import bring_up_to_date
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.sending.session import ProgressSnapshot, SendJob, carry_out, seldom_collecting
from roomhook.simulator.traffic.generator import TrafficRequest, TrafficSource
from roomhook.simulator.traffic.scenario import from_document
from roomhook.simulator.transport.sender import run_loop


def memory(url: str, callbacks: int) -> None:
    """Print what a sender with a journal and its indexer hold, ten times over so many *callbacks*."""
    scenario = from_document({"phase": [{"profile": "steady", "members": 1_000, "duration": "3650d"}]}, "benchmark")
    source = TrafficSource(TrafficRequest(scenario=scenario, seed=7, with_enter=True, limit=callbacks))
    milestones = [callbacks * part // 10 for part in range(1, 11)]
    here = psutil.Process()

    def watch(snapshot: ProgressSnapshot) -> None:
        if snapshot.tally.attempts >= milestones[0]:
            milestones.pop(0)
            beside = sum(one.memory_info().rss for one in here.children()) / 2**20
            log = sum(one.stat().st_size for one in journal.parent.glob("*-log-*")) / 2**20
            held = f"sender {here.memory_info().rss / 2**20:.1f} MiB, indexer {beside:.1f} MiB, log {log:,.0f} MiB"
            print(f"after {snapshot.tally.attempts:,} callbacks: {held}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "run.db"
        order = SendJob(url=CallbackUrl.parse(url), sdkappid=1400000001, connections=CONNECTIONS, journal=journal)
        with seldom_collecting():
            tally = run_loop(carry_out(order, source, watch)).tally
        assert tally.acknowledged == callbacks, tally.outcome_counts()
        print(f"at the end: sender {here.memory_info().rss / 2**20:.1f} MiB")
        begun = time.perf_counter()
        bring_up_to_date(journal)
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        took = time.perf_counter() - begun
        print(f"tables complete after {took:.1f} s more, {journal.stat().st_size / callbacks:.0f} bytes a callback;")
        print(f"the most that this process ever held: {most:.1f} MiB")


def main() -> None:
    """Measure and print."""
    cores = sorted(os.sched_getaffinity(0))
    callbacks = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    with tempfile.TemporaryDirectory() as name, nginx(Path(name), cores[-1], https=False) as url:
        os.sched_setaffinity(0, {cores[0]})
        memory(url, callbacks)


if __name__ == "__main__":
    main()
