"""Load shapes under locust for real: when callbacks leave, by the moments that the fast lane writes down."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from counting_target import counting_target
from locust_runs import free_port, locust, roomhook

from roomhook.contract_tests.app_backends.server import BackendServer

pytestmark = pytest.mark.long

_FULL = 400
_RUNS = {
    "spike": ("-t", "8s"),
    "outage": ("-t", "5s", "--processes", "2"),
    "soak": ("-t", "5s"),
}


class Sent:
    """What one shape has sent: callbacks/s in each quarter of a second, from the first callback to the last."""

    def __init__(self, folder: Path, code: int, text: str) -> None:
        self.code, self.text = code, text
        tables = (path.read_text().splitlines() for path in folder.glob("sent*"))
        moments = [int(row["intended_us"]) for table in tables for row in csv.DictReader(table)]
        assert moments, text
        counts = Counter((moment - min(moments)) // 250_000 for moment in moments)
        self.rates = [4 * counts[slot] for slot in range(max(counts) + 1)]
        self.seconds = len(self.rates) / 4

    def stretches(self, least: float, most: float = 2 * _FULL) -> list[float]:
        """How long (s) each stretch was in which the rate was at least *least* and at most *most*."""
        runs = [(within, len(list(slots))) for within, slots in groupby(self.rates, lambda one: least <= one <= most)]
        return [slots / 4 for within, slots in runs if within]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sent]]:
    """All shapes at once, each against a target of its own."""

    folders = {shape: tmp_path_factory.mktemp(shape) for shape in _RUNS}

    def run(shape: str) -> Sent:
        folder, port = folders[shape], str(free_port())
        with counting_target() as target:
            code, verdict, text = locust(
                target.url, folder, "FastUser", "--shape", shape, "-u", "20", "--callback-rate", str(_FULL / 20),
                *("--fail-if", "noncompliant>0", "--attempts", "sent", *_RUNS[shape]),
                *("--master-bind-port", port, "--master-port", port),
            )  # fmt: skip
            assert verdict.get("requests") == target.answers, text
        return Sent(folder, code, text)

    with ThreadPoolExecutor(len(_RUNS)) as pool:
        yield dict(zip(_RUNS, pool.map(run, _RUNS), strict=True))


@pytest.mark.alone
@pytest.mark.parametrize("shape", _RUNS)
def test_a_shape_ends_by_itself_with_the_verdict(sent: dict[str, Sent], shape: str) -> None:
    assert sent[shape].code == 0, sent[shape].text


@pytest.mark.alone
def test_a_spike_comes_with_each_quarter_of_the_time(sent: dict[str, Sent]) -> None:
    high = sent["spike"].stretches(_FULL / 2)
    assert len(high) == 4
    assert all(0.5 <= one <= 1.5 for one in high), high
    assert sum(sent["spike"].stretches(1, _FULL / 4)) >= 2.5


@pytest.mark.alone
def test_an_outage_is_silent_and_then_sweeps_at_the_full_rate(sent: dict[str, Sent]) -> None:
    outage = sent["outage"]
    before, *_ = outage.stretches(_FULL / 5, _FULL / 2)
    silence = max(outage.stretches(0, _FULL / 20))  # the last quarter may have begun just before the end
    assert 1.5 <= before <= 3
    assert 0.5 <= silence <= 1.75
    sweep = outage.rates.index(max(outage.rates))
    assert sweep >= 4 * (before + silence) - 1
    assert max(outage.rates) >= _FULL * 0.8
    assert outage.rates[-3] < _FULL * 0.7


@pytest.mark.alone
def test_a_soak_is_level_from_soon_after_its_start(sent: dict[str, Sent]) -> None:
    level = sent["soak"].stretches(_FULL * 0.7, _FULL * 1.3)
    assert sum(level) >= 1.5


@pytest.mark.exhaustive
def test_a_limit_of_ones_own_leaves_the_other_thresholds_of_the_command_in_force(tmp_path: Path) -> None:
    quick = ("--shape", "soak", "--rate", "50/s", "--duration", "2s")
    with BackendServer() as server:
        done = roomhook(server.url("ack.error-code"), tmp_path, *quick, "--fail-if", "p99>5s", "--format", "json")
    assert done.returncode == 1, done.stderr
    verdicts = {one["fails_if"]: one["verdict"] for one in json.loads(done.stdout)["thresholds"]}
    assert verdicts == {"p99>5s": "passed", "noncompliant>0": "failed", "delivered<99%": "passed"}


@pytest.mark.exhaustive
def test_a_target_that_cannot_keep_up_is_no_success_and_ends_a_staircase(tmp_path: Path) -> None:
    runs = {
        "ramp": ("--rate", "200/s", "--duration", "2s"),
        "staircase": ("--rate", "400/s", "--duration", "20s"),
    }

    def run(shape: str) -> tuple[int, dict[str, Any], int]:
        (tmp_path / shape).mkdir()
        with counting_target() as target:
            target.delay_s = 0.05
            slow = ("--shape", shape, *runs[shape], "--connections", "3", "--format", "json")
            done = roomhook(target.url, tmp_path / shape, *slow)
            return done.returncode, json.loads(done.stdout), target.answers

    with ThreadPoolExecutor(2) as pool:
        ramp, staircase = pool.map(run, runs)
    for code, found, answers in (ramp, staircase):
        assert (code, found["requests"]) == (1, answers)
    verdicts = {one["fails_if"]: one["verdict"] for one in ramp[1]["thresholds"]}
    assert verdicts == {"noncompliant>0": "passed", "delivered<99%": "failed"}
    notes = " | ".join(staircase[1]["notes"])
    said = re.search(r"step (\d+) at \d+/s failed lateness>500ms; last good rate: (\d+)/s", notes)
    assert said is not None, notes
    assert 2 <= int(said[1]) <= 4, notes
    assert 30 <= int(said[2]) <= 65, notes


def test_a_time_too_short_for_a_shape_is_refused(tmp_path: Path) -> None:
    with counting_target() as target:
        done = roomhook(target.url, tmp_path, "--shape", "spike", "--duration", "7s")
    assert done.returncode == 2
    assert "give it 8s or more" in done.stderr
    assert target.answers == 0
