"""Locust's own clients judge answers as the fast lane does, and no request that has left is missing in the totals."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import gevent
import pytest
from counting_target import counting_target
from gevent.event import Event
from locust_runs import locust
from scripted_server import OK_ANSWER, OK_BODY, Peer, scripted

from roomhook.loadtests.session.graceful_requests import GracefulRequests

pytestmark = pytest.mark.long

ENGINES = ("fast", "gevent", "requests")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"32\r\n" + OK_BODY + b"\r\n"
LONGER = HEAD + b"Content-Length: 66\r\n\r\n"
ZIPPED = gzip.compress(OK_BODY)
DRIP_S = 0.2

ANSWERS: dict[str, tuple[str, str, list[bytes | str]]] = {
    "whole": ("delivered", "", [OK_ANSWER]),
    "head and body apart": ("delivered", "", [OK_ANSWER[:-50], OK_BODY]),
    "ended by its connection": ("delivered", "", [HEAD + b"\r\n", OK_BODY, "close"]),
    "in chunks": ("delivered", "", [CHUNKED + CHUNK, b"0\r\n\r\n"]),
    "zipped unasked": (
        "not-json",
        "ack.json",
        [HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED],
    ),
    "zipped by its own account": ("delivered", "", [OK_ANSWER.replace(b"OK\r\n", b"OK\r\nContent-Encoding: gzip\r\n")]),
    "no content": ("http-status", "ack.status", [b"HTTP/1.1 204 No Content\r\n\r\n"]),
    "no text": ("http-status", "ack.status", [b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n\xff\xfe"]),
    "too short": ("incomplete", "ack.complete", [LONGER + OK_BODY, "close"]),
    "too short, apart": ("incomplete", "ack.complete", [LONGER, OK_BODY, "close"]),
    "no last chunk": ("incomplete", "ack.complete", [CHUNKED + CHUNK, "close"]),
    "half a chunk": ("incomplete", "ack.complete", [CHUNKED, CHUNK[:30], "close"]),
    "reset in its body": ("incomplete", "ack.complete", [LONGER + OK_BODY, "reset"]),
    "dripping head": ("timeout", "ack.deadline", [b"%c" % one for one in OK_ANSWER]),
    "dripping body": ("timeout", "ack.deadline", [OK_ANSWER[:-40], *(b"%c" % one for one in OK_BODY[-40:])]),
}
"""By name: the outcome, the requirement that is not met, and what is done, in pieces."""

SHRINKING = """
from locust import LoadTestShape
from roomhook.loadtests.locustfile import *

class Shrinking(LoadTestShape):
    def tick(self):
        return (20, 20) if self.get_run_time() < 1.5 else (1, 20) if self.get_run_time() < 2.5 else None
"""

ENDLESS = """
import gevent
from locust import User, task
import roomhook.loadtests.hooks
from roomhook.loadtests.session.session import session_of

class Endless(User):
    @task
    def wait(self):
        session_of(self.environment).graceful_requests.carry(lambda: gevent.sleep(60))
"""


@dataclass(frozen=True)
class Run:
    """One locust that has ended, and how often its target has given each answer."""

    code: int
    verdict: dict[str, Any]
    text: str
    answers: Counter[str]


@contextmanager
def answering(names: list[str]) -> Iterator[tuple[str, Counter[str]]]:
    """A target that gives the answers of these names in turn, one a callback; its URL and what it has given so far."""
    given: Counter[str] = Counter()
    turns = count()

    async def script(peer: Peer) -> None:
        while True:
            await peer.read()
            name = names[next(turns) % len(names)]
            given[name] += 1
            for piece in ANSWERS[name][2] if name in ANSWERS else []:
                if piece == "close":
                    return
                if isinstance(piece, str):
                    await asyncio.sleep(0.05)  # else what was written before would be lost
                    peer.reset()
                    return
                await peer.write(piece)
                await asyncio.sleep(DRIP_S if len(piece) == 1 else 0.02)
            if name == "nothing":
                await peer.hang()

    address: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with scripted(script) as (url, _):
            address.append(url)
            ready.set()
            await stop.wait()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield address[0], given
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def run(folder: Path, names: list[str], locustfile: str, *options: str) -> Run:
    if locustfile:
        (folder / "locustfile.py").write_text(locustfile)
        options = ("-f", str(folder / "locustfile.py"), *options)
    with answering(names) as (url, given):
        return Run(*locust(url, folder, "--fail-if", "noncompliant>0", *options), given)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """All runs, two at a time: each waits for its deadlines most of the time."""
    usual = ("-u", "16", "-r", "16", "-t", "5s", "--callback-rate", "8", "--deadline", "1.5")
    fallen = ("-u", "20", "-r", "20", "--callback-rate", "10", "--deadline", "1.5")
    endless = ("-u", "3", "-r", "3", "-t", "1s", "--deadline", "0.1")
    everything = [*ANSWERS]
    wanted: dict[str, tuple[list[str], str, tuple[str, ...]]] = {
        **{f"usual {one}": (everything, "", ("--engine", one, *usual)) for one in ENGINES},
        **{f"fallen {one}": (["nothing"], SHRINKING, ("--engine", one, *fallen)) for one in ("gevent", "requests")},
        "endless": (["nothing"], ENDLESS, endless),
    }
    with ThreadPoolExecutor(2) as pool:
        under_way = {
            name: pool.submit(run, tmp_path_factory.mktemp("run"), names, locustfile, *options)
            for name, (names, locustfile, options) in wanted.items()
        }
        return {name: one.result() for name, one in under_way.items()}


@pytest.mark.exhaustive
class TestAnAnswer:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_is_judged_alike_by_every_engine_and_each_request_counted_once(
        self, runs: dict[str, Run], engine: str
    ) -> None:
        found = runs[f"usual {engine}"]
        assert found.code == 1, found.text
        outcomes: Counter[str] = Counter()
        broken: Counter[str] = Counter()
        for name, times in found.answers.items():
            outcome, requirement, _ = ANSWERS[name]
            outcomes[outcome] += times
            broken[requirement] += times
        assert min(found.answers.values()) >= 2, found.answers
        assert found.answers.keys() == ANSWERS.keys()
        assert found.verdict["outcomes"] == outcomes
        assert {"": outcomes["delivered"], **found.verdict["requirements"]} == broken
        assert found.verdict["requests"] == found.answers.total()

    @pytest.mark.parametrize("engine", ["gevent", "requests"])
    def test_that_never_comes_is_counted_although_locust_has_killed_its_user(
        self, runs: dict[str, Run], engine: str
    ) -> None:
        found = runs[f"fallen {engine}"]
        assert found.code == 1, found.text
        assert found.verdict["outcomes"] == {"timeout": found.answers["nothing"]}
        assert found.verdict["requests"] >= 20


@pytest.mark.exhaustive
def test_requests_that_never_end_are_missed_aloud(runs: dict[str, Run]) -> None:
    found = runs["endless"]
    assert found.code == 4
    assert found.verdict["lost"] == ["3 requests that had left came to no outcome; totals lack them"]


class TestCarriers:
    def test_raise_what_a_request_raises_and_go_on(self) -> None:
        def fail() -> None:
            raise EOFError

        carriers = GracefulRequests()
        for _ in range(2):
            with pytest.raises(EOFError):
                carriers.carry(fail)
        assert carriers.under_way == 0

    def test_end_what_somebody_has_begun_who_is_killed_meanwhile(self) -> None:
        carriers = GracefulRequests()
        ended: list[int] = []

        answered = Event()

        def request() -> None:
            answered.wait()
            ended.append(1)

        users = [gevent.spawn(carriers.carry, request) for _ in range(3)]
        gevent.sleep(0.005)
        gevent.killall(users)
        assert (carriers.under_way, ended) == (3, [])
        answered.set()
        carriers.carry(request)
        assert (carriers.under_way, ended) == (0, [1] * 4)


@pytest.mark.exhaustive
def test_users_who_start_at_once_send_one_after_the_other(tmp_path: Path) -> None:
    with counting_target() as target:
        code, found, text = locust(target.url, tmp_path, "--engine", "gevent", "-u", "40", "-r", "40", "-t", "5s")
        moments = target.moments
    assert (code, found["requests"]) == (0, len(moments)), text
    # Each user sends one a second: in a tenth of a second a tenth of them, or all of them if they send at once. A busy
    # machine may hold some of them up, and let them go together; so the most even stretch counts.
    stretches = [[one - start for one in moments if 0 <= one - start < 0.9] for start in moments]
    full = [Counter(int(one * 10) for one in stretch) for stretch in stretches if len(stretch) >= 20]
    assert min(max(tenths.values()) / tenths.total() for tenths in full) < 0.6
