"""How long a user waits for ``roomhook --help`` and for ``roomhook check`` of a healthy local target, quick or slow.

    python benchmarks/check.py [ROUNDS]              # about a minute and a half with 5
    python benchmarks/check.py --slow [ROUNDS]       # targets that take 150 ms for each answer too; several minutes

Needs nothing but an environment with roomhook. The commands run in turn, so that a drifting machine drifts for all
of them; printed are medians in seconds, and each as a multiple of starting the same Python. Of a slow target that
answers one request at a time, its own time is printed beside: the answers that it gave, 150 ms each.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from roomhook.contract_tests.app_backends.reference.connection_info import WireProtocol
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.app_backends.site import CALLBACK, BackendRouter
from roomhook.simulator.http_server.asgi_server import AsgiServer, in_thread, listening_socket
from roomhook.simulator.util.defaults import SDKAPPID

ROOMHOOK = (sys.executable, "-m", "roomhook")
ANSWER_S = 0.15


class SlowSite:
    """Our App backends behind a wait of 150 ms for each request: side by side, or one after the other."""

    def __init__(self, *, alone: bool) -> None:
        self._site = BackendRouter(str(SDKAPPID), None)
        self._turn: AbstractAsyncContextManager[None] = asyncio.Lock() if alone else nullcontext()
        self.answers = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then answer."""
        async with self._turn:
            self.answers += 1
            await asyncio.sleep(ANSWER_S)
            await self._site(scope, receive, send)


@dataclass
class Timed:
    """A command, how long it took each time in s, and the slow site that it asks, if it does."""

    command: tuple[str, ...]
    site: SlowSite | None = None
    taken: list[float] = field(default_factory=list)
    own: float = 0.0


@contextmanager
def slow(site: SlowSite) -> Iterator[str]:
    """The origin at which *site* answers."""
    server = AsgiServer(site, listening_socket("127.0.0.1", 0), protocol=WireProtocol, lifespan="off", quiet=True)
    with in_thread(server, "slow-site", "the slow App backend did not start"):
        yield f"http://127.0.0.1:{server.port}"


def run(timed: Timed) -> float:
    """How long the command takes, in s."""
    before, started = timed.site.answers if timed.site else 0, time.perf_counter()
    subprocess.run(timed.command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken = time.perf_counter() - started
    if timed.site:
        timed.own = (timed.site.answers - before) * ANSWER_S
    return taken


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    parser.add_argument("--slow", action="store_true", help="targets that take 150 ms for each answer too")
    given = parser.parse_args()
    with ExitStack() as stack:
        server = stack.enter_context(BackendServer())
        rows = {
            "python -c pass": Timed((sys.executable, "-c", "pass")),
            "roomhook --help": Timed((*ROOMHOOK, "--help")),
            "roomhook check": Timed((*ROOMHOOK, "check", server.url())),
            "roomhook check --probe": Timed((*ROOMHOOK, "check", server.url(), "--probe", server.probe())),
        }
        for alone in (False, True) if given.slow else ():
            site = SlowSite(alone=alone)
            url = stack.enter_context(slow(site)) + CALLBACK
            name = f"150 ms an answer, {'one at a time' if alone else 'side by side'}"
            rows[name] = Timed((*ROOMHOOK, "check", url), site)
            if not alone:
                rows[f"{name}, --probe"] = Timed((*ROOMHOOK, "check", url, "--probe", f"{url}/rooms/{{RoomId}}"), site)
        for number in range(given.rounds + 1):
            for timed in rows.values():
                taken = run(timed)
                if number:  # the first round warms the caches
                    timed.taken.append(taken)
    python = statistics.median(rows["python -c pass"].taken)
    print(f"{'command':<42} {'median':>9} {'slowest':>9} {'× python':>9}   ({given.rounds} rounds)")
    for name, timed in rows.items():
        median = statistics.median(timed.taken)
        own = f"   {median / timed.own:.2f} × its own time" if "one at a time" in name else ""
        print(f"{name:<42} {median:>7.2f} s {max(timed.taken):>7.2f} s {median / python:>9.1f}{own}")


if __name__ == "__main__":
    main()
