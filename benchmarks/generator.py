"""How fast the rooms live: packets a second on one core, and what a million people take: memory, and time a packet.

Run it with nothing else on the machine: ``python benchmarks/generator.py``. It needs Roomhook alone, and a minute.
The worlds are measured in turn in one process, so that whatever else the machine does hits both alike.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import statistics
import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.traffic.generator import FIXED_START_MS, TrafficRequest, world
from roomhook.simulator.traffic.scenario import from_document
from roomhook.simulator.traffic.world import World

SETTLED_AFTER_MS = 360_000
"""Rooms are full after a minute of their own time; by now heartbeats expire and people return as at any later time."""


def steady(members: int, *, with_enter: bool = False) -> tuple[World, Iterator[CallbackEvent]]:
    """Rooms with *members* people in all, ten in each on average, in which nobody has to come before anybody can go."""
    phase = {"profile": "steady", "members": members, "duration": "3650d", "rooms": members // 10}
    rooms = world(
        TrafficRequest(scenario=from_document({"phase": [phase]}, "benchmark"), seed=7, with_enter=with_enter)
    )
    stream = rooms.events()
    for event in stream:
        if event.time_ms >= FIXED_START_MS + SETTLED_AFTER_MS:
            break
    return rooms, stream


def microseconds(stream: Iterator[CallbackEvent], packets: int) -> float:
    """CPU time in µs that each of the next *packets* takes."""
    begun = time.process_time()
    deque(islice(stream, packets), maxlen=0)
    return (time.process_time() - begun) / packets * 1e6


def memory_mib() -> float:
    """The most memory that this process has had, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 * 1024 if sys.platform == "darwin" else 1024)


def main() -> int:
    """Measure, print, and return 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="how often each world is measured in turn")
    parser.add_argument("--packets", type=int, default=10_000, help="packets a round")
    parser.add_argument("--many", type=int, default=1_000_000, help="people in the large world")
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    gc.set_threshold(100_000, 50, 1000)
    large, large_stream = steady(given.many)
    alive, memory = large.alive, memory_mib()
    streams = {
        "1,000 people": steady(1000)[1],
        "1,000 people, with enters": steady(1000, with_enter=True)[1],
        f"{given.many:,} people": large_stream,
    }
    costs: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(given.rounds):
        for name, stream in streams.items():
            costs[name].append(microseconds(stream, given.packets))
    medians = {name: statistics.median(each) for name, each in costs.items()}
    for name, median in medians.items():
        best = min(costs[name])
        print(f"{name:28}{1e6 / median:>10,.0f} packets/s{median:>8.2f} µs a packet (best round {best:.2f} µs)")
    small, _, many = medians.values()
    memory = max(memory, memory_mib())
    print(
        f"{alive:,} people alive at once in {memory:.0f} MiB; a packet costs {many / small:.2f} x as much as at 1,000"
    )
    kept = 1e6 / small >= 200_000 and memory <= 500 and many <= 2 * small
    print("promised: 200,000 packets/s, 500 MiB, 2 x:", "kept" if kept else "NOT kept")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
