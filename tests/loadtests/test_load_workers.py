"""Locust with several workers for real: who plays which rooms, and totals that are exact whatever becomes of them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from counting_target import CountingTarget, counting_target
from locust_runs import free_port, running, wait_for

pytestmark = [pytest.mark.long, pytest.mark.exhaustive]

_ADDED = re.compile(r"\d+-\d+$")


@pytest.fixture
def target() -> Iterator[CountingTarget]:
    with counting_target() as found:
        yield found


class TestWorkersThatComeAndGo:
    def test_a_worker_that_is_killed_ends_the_run_as_an_error(self, target: CountingTarget, tmp_path: Path) -> None:
        port = free_port()
        verdict = tmp_path / "verdict.json"
        master = ("--master", "--master-bind-port", str(port), "--headless", "--expect-workers", "2", "-t", "60s")
        users = ("-u", "20", "-r", "20", "--callback-rate", "10", "--verdict-json", str(verdict))
        worker = ("--worker", "--master-port", str(port), "FastUser")
        with ExitStack() as stack:
            leader = stack.enter_context(running(target.url, tmp_path, *master, *users, "FastUser"))
            first, _ = (stack.enter_context(running(target.url, tmp_path, *worker, name=f"w{n}")) for n in (1, 2))
            wait_for(lambda: target.answers > 300)
            first.kill()
            assert leader.wait(30) == 4
        found = json.loads(verdict.read_text())
        assert found["exit_code"] == 4
        assert len(found["lost"]) == 1
        assert "is gone; totals hold what it has reported" in found["lost"][0]
        assert 0 < found["requests"] <= target.answers
        assert found["requests"] == sum(one["answered"] for one in found["seconds"])

    def test_workers_that_come_later_have_rooms_that_nobody_else_has(
        self, target: CountingTarget, tmp_path: Path
    ) -> None:
        def own() -> int:
            return sum(count for room, count in target.rooms.items() if not _ADDED.search(room))

        port = free_port()
        verdict = tmp_path / "verdict.json"
        master = ("--master", "--master-bind-port", str(port), "--headless", "--expect-workers", "1", "-t", "60s")
        users = ("-u", "20", "-r", "20", "--callback-rate", "10", "--rooms", "10", "--verdict-json", str(verdict))
        worker = ("--worker", "--master-port", str(port), "FastUser")
        with ExitStack() as stack:

            def start(name: str, *options: str) -> subprocess.Popen[bytes]:
                return stack.enter_context(running(target.url, tmp_path, *options, name=name))

            leader = start("master", *master, *users, "--fail-if", "noncompliant>0", "FastUser")
            first = start("first", *worker)
            wait_for(lambda: own() > 20)
            start("second", *worker)
            wait_for(lambda: target.answers - own() > 20)
            first.send_signal(signal.SIGTERM)
            first.wait(20)
            left = own()
            start("third", *worker)
            wait_for(lambda: own() > left + 20)
            leader.send_signal(signal.SIGINT)
            assert leader.wait(30) == 0, (tmp_path / "master").read_text()
        found = json.loads(verdict.read_text())
        assert found["requests"] == target.answers
        assert "has new rooms" in found["notes"][0]
        assert "has the rooms of a worker that left" in found["notes"][1]

    def test_a_worker_for_whom_no_room_is_left_is_sent_away(self, target: CountingTarget, tmp_path: Path) -> None:
        port = free_port()
        verdict = tmp_path / "verdict.json"
        (tmp_path / "rooms.txt").write_text("alpha\nbeta\n")
        master = ("--master", "--master-bind-port", str(port), "--headless", "--expect-workers", "1", "-t", "60s")
        users = ("-u", "4", "-r", "4", "--callback-rate", "10", "--rooms", "rooms.txt", "--verdict-json", str(verdict))
        worker = ("--worker", "--master-port", str(port))
        with ExitStack() as stack:
            leader = stack.enter_context(running(target.url, tmp_path, *master, *users, "LeaveCallbackUser"))
            stack.enter_context(running(target.url, tmp_path, *worker, "LeaveCallbackUser", name="first"))
            wait_for(lambda: target.answers > 20)
            second = stack.enter_context(running(target.url, tmp_path, *worker, "LeaveCallbackUser", name="second"))
            assert second.wait(20) == 2
            leader.send_signal(signal.SIGINT)
            leader.wait(30)
        assert "roomhook: all rooms of --rooms or --people have workers" in (tmp_path / "second").read_text()
        assert "was refused" in json.loads(verdict.read_text())["notes"][0]
        assert set(target.rooms) == {"alpha", "beta"}
