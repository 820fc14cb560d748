"""Locust for real, in processes of its own: importing it here would monkey-patch the whole test run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from chromium import Page, browser
from counting_target import CountingTarget, counting_target
from locust_runs import ENVIRONMENT, ROOT, free_port, get, locust, roomhook, running, sender_of, wait_for

from roomhook.contract_tests.app_backends.server import BackendServer

pytestmark = pytest.mark.long

_RUNS = {
    "fast": (
        *("--engine", "fast", "-u", "20", "-r", "20", "-t", "2s", "--callback-rate", "25"),
        *("--fail-if", "noncompliant>0", "--html", "report.html", "--csv", "run"),
    ),
    "closed": (
        *("FastUser", "-u", "8", "-r", "8", "-t", "1s", "--callback-rate", "0"),
        *("--fail-if", "p99>5s", "--fail-if", "rate<1000000/s"),
    ),
    "two fast": (
        *("--engine", "fast", "--processes", "2", "--master-bind-port", "{port}", "--master-port", "{port}"),
        *("-u", "20", "-r", "20", "-t", "5s", "--callback-rate", "20", "--rooms", "10", "--fail-if", "noncompliant>0"),
    ),
    "two gevent": (
        *("--processes", "2", "--master-bind-port", "{port}", "--master-port", "{port}"),
        *("-u", "6", "-r", "6", "-t", "2s", "--callback-rate", "20", "--fail-if", "requests>=0"),
    ),
}
_BROKEN = {
    f"broken {engine}": (
        *("--engine", engine, "-u", "4", "-r", "4", "-t", "1s", "--callback-rate", "10"),
        *("--fail-if", "noncompliant>0", "--fail-if", "delivered<99%"),
    )
    for engine in ("fast", "gevent", "requests")
}


_ONLY_EXHAUSTIVE = ("two gevent", "broken gevent", "broken requests")
"""Runs of what other tests start, too."""


@dataclass(frozen=True)
class Run:
    """One locust that has ended: its exit code, verdict, output and folder, and what its target has counted."""

    code: int
    verdict: dict[str, Any]
    text: str
    folder: Path
    target: CountingTarget


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """All runs that need nothing but their end, a few at a time: locust mostly waits."""
    spared = () if request.config.getoption("--exhaustive") else _ONLY_EXHAUSTIVE
    healthy, faulty = ([name for name in each if name not in spared] for each in (_RUNS, _BROKEN))
    folders = {name: tmp_path_factory.mktemp(name.replace(" ", "-")) for name in (*healthy, *faulty)}

    def good(name: str) -> Run:
        with counting_target() as target:
            options = [one.format(port=ports[name]) for one in _RUNS[name]]
            return Run(*locust(target.url, folders[name], *options), folders[name], target)

    def broken(name: str) -> Run:
        url = server.url("ack.error-code")
        return Run(*locust(url, folders[name], *_BROKEN[name]), folders[name], CountingTarget(url))

    ports = {name: free_port() for name in healthy}
    with BackendServer() as server, ThreadPoolExecutor(3) as pool:
        first, second = pool.map(good, healthy), pool.map(broken, faulty)
        return dict(zip((*healthy, *faulty), (*first, *second), strict=True))


@pytest.fixture
def target() -> Iterator[CountingTarget]:
    with counting_target() as found:
        yield found


class TestRunsOfOneProcess:
    def test_the_fast_lane_counts_what_the_target_counts(self, runs: dict[str, Run]) -> None:
        run = runs["fast"]
        assert run.code == 0, run.text
        assert run.verdict["requests"] == run.verdict["delivered"] == run.target.answers > 0
        assert run.verdict["seed"] == 5
        assert re.search(rf"Aggregated +{run.target.answers} +0\(0.00%\)", run.text)
        assert f",Aggregated,{run.target.answers},0," in (run.folder / "run_stats.csv").read_text()
        assert 'id="roomhook"' in (run.folder / "report.html").read_text()
        assert set(run.verdict["check_outs"]) <= {"Leave", "Kicked", "Expired"}

    def test_the_closed_loop_keeps_a_connection_a_user_busy(self, runs: dict[str, Run]) -> None:
        run = runs["closed"]
        assert run.code == 1, run.text
        assert [one["verdict"] for one in run.verdict["thresholds"]] == ["passed", "failed"]
        assert run.verdict["requests"] == run.target.answers > 0

    @pytest.mark.parametrize(
        "engine",
        ["fast", *(pytest.param(engine, marks=pytest.mark.exhaustive) for engine in ("gevent", "requests"))],
    )
    def test_an_answer_that_breaks_the_contract_is_named(self, runs: dict[str, Run], engine: str) -> None:
        run = runs[f"broken {engine}"]
        assert run.code == 1, run.text
        assert [one["verdict"] for one in run.verdict["thresholds"]] == ["failed", "passed"]
        assert run.verdict["requirements"] == {"ack.error-code": run.verdict["requests"]}
        assert run.verdict["outcomes"] == {"delivered": run.verdict["requests"]}
        assert re.search(r"ack\.error-code: delivered, but its response packet is not compliant", run.text)


class TestASender:
    @pytest.mark.exhaustive
    def test_that_is_killed_ends_the_run_as_an_error(self, target: CountingTarget, tmp_path: Path) -> None:
        with running(
            target.url, tmp_path, "--headless", "--engine", "fast", "-u", "5", "-r", "5", "-t", "60s"
        ) as process:
            wait_for(lambda: target.answers > 20)
            os.kill(sender_of(process.pid), signal.SIGKILL)
            assert process.wait(20) == 4
        assert "the sender ended by signal 9; totals hold what it has reported" in (tmp_path / "log").read_text()


class TestRunsOfSeveralProcesses:
    def test_two_workers_share_one_world_and_their_totals_are_exact(self, runs: dict[str, Run]) -> None:
        run = runs["two fast"]
        assert run.code == 0, run.text
        assert run.verdict["requests"] == run.target.answers > 0
        assert {int(room[-5:]) % 10 for room in run.target.rooms} == set(range(10)), "each room is somebody's"
        assert re.search(rf"Aggregated +{run.target.answers} ", run.text)

    @pytest.mark.exhaustive
    def test_gevent_users_finish_what_they_have_begun(self, runs: dict[str, Run]) -> None:
        run = runs["two gevent"]
        assert run.code == 1, run.text
        assert run.verdict["requests"] == run.target.answers


class TestTheWebUi:
    @pytest.mark.exhaustive
    def test_starts_shows_live_numbers_stops_and_exits_with_the_verdict(
        self, target: CountingTarget, tmp_path: Path
    ) -> None:
        port = free_port()
        verdict = tmp_path / "verdict.json"
        with running(
            target.url, tmp_path, "--engine", "fast", "--web-host", "127.0.0.1", "--web-port", str(port),
            *("-u", "10", "-r", "10", "--callback-rate", "20", "--seed", "7"),
            *("--fail-if", "requests>0", "--verdict-json", str(verdict)),
        ) as process:  # fmt: skip
            site = f"http://127.0.0.1:{port}"
            wait_for(lambda: get(site))

            def state() -> str:
                return str(json.loads(get(f"{site}/stats/requests"))["state"])

            with browser() as page:
                page.call("Page.navigate", url=site)
                wait_for(lambda: page.evaluate("document.querySelector('button[type=submit]') !== null"))
                assert page.evaluate("document.body.innerText.includes('Callback Profile')")
                press(page, "button[type=submit]", lambda: state() != "ready")
                wait_for(lambda: page.evaluate("/POST\\s+Leave\\s+[1-9]/.test(document.body.innerText)"))
                press(page, "button", lambda: state() == "stopped", "^stop$")
            report = get(f"{site}/stats/report?download=1")
            answers = target.answers
            assert 'id="roomhook"' in report
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 1
        found = json.loads(verdict.read_text())
        assert found["requests"] == answers == target.answers > 0
        assert (found["exit_code"], found["seed"]) == (1, 7)


class TestTheCommand:
    @pytest.mark.exhaustive
    def test_a_staircase_ends_at_the_first_broken_step_and_says_the_last_good_rate(
        self, target: CountingTarget, tmp_path: Path
    ) -> None:
        done = roomhook(
            target.url, tmp_path, "--shape", "staircase", "--rate", "200/s", "--duration", "20s",
            *("--fail-if", "requests>50", "--format", "json"),
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        found = json.loads(done.stdout)
        said = re.search(r"step 2 at \d+/s failed requests>50; last good rate: (\d+)/s", found["notes"][0])
        assert said is not None, found["notes"]
        assert 15 <= int(said[1]) <= 25
        assert found["requests"] == target.answers

    def test_writes_its_reports_and_ends_with_where_they_are(self, target: CountingTarget, tmp_path: Path) -> None:
        done = roomhook(target.url, tmp_path, "--duration", "2s", "--rate", "100/s", "--with-enter", "--seed", "4")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"Report: {tmp_path / 'out' / 'load.html'}"
        assert {one.name for one in (tmp_path / "out").iterdir()} >= {"load.html", "load.json", "load.xml"}
        found = json.loads((tmp_path / "out" / "load.json").read_text())
        assert found["requests"] == target.answers
        assert found["shape"] == "ramp"
        assert "seed 4" in done.stderr

    @pytest.mark.exhaustive
    def test_is_not_changed_by_anybodys_own_locust_settings(
        self, target: CountingTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".locust.conf").write_text("sdkappid = 1400000099\nusers = 1\n")
        monkeypatch.setitem(ENVIRONMENT, "HOME", str(tmp_path))
        done = roomhook(target.url, tmp_path, "--duration", "1s", "--rate", "20/s", "--seed", "4", "--format", "json")
        found = json.loads(done.stdout)
        assert (found["sdkappid"], found["seed"]) == (1400000001, 4), done.stderr


class TestARunThatIsNone:
    def test_plain_locust_refuses_another_machine_that_is_not_named(self, tmp_path: Path) -> None:
        code, verdict, text = locust("http://192.0.2.1/callback", tmp_path, "-t", "1s")
        assert (code, verdict) == (2, {})
        assert "roomhook: 192.0.2.1 is not this machine; add --allow-host 192.0.2.1" in text

    def test_a_bad_threshold_is_refused_before_the_run(self, target: CountingTarget, tmp_path: Path) -> None:
        code, verdict, text = locust(target.url, tmp_path, "-t", "1s", "--fail-if", "p99>500")
        assert (code, verdict, target.answers) == (2, {}, 0)
        assert "roomhook: --fail-if 'p99>500' is not a threshold: p99 takes a limit as in 'p99>500ms'" in text

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (("--fail-if", "p99>5"), "is not a threshold"),
            (("--rate", "fast"), "is no rate"),
            (("--rate", "max", "--users", "3", "--connections", "4"), "each user is one connection"),
            (("--duration", "100ms"), "use 1s or more"),
            (("--duration", "1500ms"), "e.g. 2s"),
            (("--fail-if", "rate<1000/s"), "use a higher --rate"),
            (("--rooms", "1", "--processes", "2"), "use --rooms 2 or more"),
            (("--processes", "300"), "at most 256"),
            (("--rooms", "nowhere.txt"), "can't be read"),
            (("--shape", "soak", "--rooms", "0"), "is out of range"),
        ],
    )
    def test_a_mistake_is_one_line(
        self, target: CountingTarget, tmp_path: Path, options: tuple[str, ...], complaint: str
    ) -> None:
        done = roomhook(target.url, tmp_path, *options)
        assert done.returncode == 2
        assert complaint in done.stderr.splitlines()[-1]
        assert target.answers == 0

    @pytest.mark.parametrize(
        ("options", "remedy"),
        [((), "--allow-host 192.0.2.1"), (("--allow-host", "192.0.2.1", "--rate", "1001/s"), "add --yes")],
    )
    def test_another_machine_has_to_be_named(self, tmp_path: Path, options: tuple[str, ...], remedy: str) -> None:
        done = roomhook("http://192.0.2.1/callback", tmp_path, *options)
        assert done.returncode == 2
        assert remedy in done.stderr

    def test_nobody_there_is_code_3(self, tmp_path: Path) -> None:
        assert roomhook(f"http://127.0.0.1:{free_port()}/", tmp_path).returncode == 3


def press(page: Page, selector: str, until: Callable[[], bool], text: str = "") -> None:
    """Click the button with this *text*, again if the page did not listen yet, until something has come of it."""
    click = (
        f"[...document.querySelectorAll('{selector}')].find(one => RegExp('{text}', 'i').test(one.innerText))?.click()"
    )
    end = time.monotonic() + 25
    while not until():
        assert time.monotonic() < end, page.evaluate("document.body.innerText")
        page.evaluate(click)
        time.sleep(0.5)


def test_only_load_tests_import_gevent() -> None:
    modules = [
        ".".join(("roomhook", *path.relative_to(root).with_suffix("").parts))
        for folder, root in (
            ("schemas", ROOT),
            ("simulator", ROOT),
            ("contract_tests", ROOT),
            ("cli", ROOT / "src/roomhook"),
        )
        for path in (root / folder).rglob("*.py")
        if path.stem not in {"__main__", "conftest"} and not path.stem.startswith("test_")
    ]
    assert len(modules) > 150
    code = f"import importlib, sys; [importlib.import_module(one) for one in {modules!r}]"
    code += "; sys.exit('gevent' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT)
