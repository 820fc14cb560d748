"""Every requirement has a backend that breaks it, and the suite names exactly what each of them breaks.

One server process holds all backends; the suite runs against them in processes of its own, for which this module must
have the machine for itself.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

import pytest
from backend_process import BackendProcess, running_backend

from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.register import Level, load_register
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, Verdict

pytestmark = pytest.mark.alone

TOKEN: Final = "a-token-of-ours"
SEEDS: Final = (1, 2026, 424242)
STRICT: Final = SEEDS[1]
RUNS: Final = [(broken, SEEDS[number % 3]) for number, broken in enumerate(BROKEN)]
"""The whole suite against each backend, under the three seeds in turn."""
MORE_RUNS: Final = [(broken, SEEDS[(number + 1) % 3]) for number, broken in enumerate(BROKEN) if number % 4 == 0]
"""What every fourth backend declares, once more under the seed that is next."""

NO_DEFECT_OF_A_BACKEND: Final = {"url.https"}
"""It tells how the target is reached: every target of ours over http shows it."""

OWN_SERVERS: Final = {one for one in load_register() if one.startswith("tls.")}
"""What takes a server with a bad certificate; tests/contract_tests/transport/test_tls.py has them."""


SHOWN_BY: Final = {"ack.margin": ("members.twenty",)}
"""What is seen in passing only, and by which other case."""

COSTLY: Final = ("http.burst", "effect.burst")
"""A third of a run's work; only backends that mishandle connections are asked for it."""


@dataclass(frozen=True)
class Job:
    """One run of the suite against one backend: of the requirements *only*, or of all but *exclude*."""

    target: str
    seed: int
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    fuzz: int = 0


@dataclass(frozen=True)
class Result:
    """What a run has found, by requirement id, and how it came out."""

    found: frozenset[str]
    outcome: RunOutcome
    not_judged: dict[str, str]


def run(job: Job) -> Result:
    settings = Settings(
        target=job.target,
        token=TOKEN,
        probe=f"{job.target}/rooms/{{RoomId}}",
        settle_s=0.5,
        seed=job.seed,
        strict=job.seed == STRICT,
        only=job.only,
        exclude=job.exclude,
        fuzz=job.fuzz,
    )
    last = list(run_suite(settings))[-1]
    assert isinstance(last, RunFinished)
    return Result(
        frozenset(case.requirement.id for case in last.cases if case.findings) - NO_DEFECT_OF_A_BACKEND,
        last.summary.outcome,
        {case.requirement.id: case.reason for case in last.with_verdict(Verdict.NOT_JUDGED)},
    )


@pytest.fixture(scope="module")
def backend() -> Iterator[BackendProcess]:
    with running_backend(token=TOKEN) as running:
        yield running


@pytest.fixture(scope="module")
def verdicts(request: pytest.FixtureRequest, backend: BackendProcess) -> Iterator[dict[Job, Future[Result]]]:
    """Every run that the selected tests wait for, in their order; most of a run is waiting."""
    chosen = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    jobs = [
        job_for(backend, params["broken"], params["seed"]) for params in chosen if {"broken", "seed"} <= params.keys()
    ]
    pool = ProcessPoolExecutor(3 * (os.cpu_count() or 1), mp_context=multiprocessing.get_context("spawn"))
    try:
        yield {job: pool.submit(run, job) for job in jobs}
    finally:
        pool.shutdown(cancel_futures=True)


def job_for(backend: BackendProcess, broken: str | None, seed: int) -> Job:
    if broken is None:
        return Job(backend.target(), seed)
    fuzz = 200 if BROKEN[broken].needs_fuzz else 0
    if (broken, seed) in RUNS:
        return Job(
            backend.target(broken),
            seed,
            exclude=() if broken.startswith("http.") or broken in COSTLY else COSTLY,
            fuzz=fuzz,
        )
    only = (*sorted(BROKEN[broken].declares), *SHOWN_BY.get(broken, ()))
    return Job(backend.target(broken), seed, only=only, fuzz=fuzz)


def test_every_requirement_has_its_broken_backend() -> None:
    assert set(BROKEN) == set(load_register()) - OWN_SERVERS - NO_DEFECT_OF_A_BACKEND


def test_each_declares_itself_and_says_in_one_sentence_what_is_wrong() -> None:
    for requirement, broken in BROKEN.items():
        assert requirement == broken.id
        assert requirement in broken.declares
        assert broken.declares <= set(load_register())
        assert broken.defect.endswith(".")
        assert "\n" not in broken.defect


def test_more_than_one_id_is_declared_only_for_what_the_baseline_itself_shows() -> None:
    assert {one for one, broken in BROKEN.items() if len(broken.declares) > 1} == {"ack.family"}


@pytest.mark.parametrize("broken", [None], ids=["reference"])
@pytest.mark.parametrize("seed", SEEDS)
def test_reference_is_clean(
    verdicts: dict[Job, Future[Result]], backend: BackendProcess, broken: None, seed: int
) -> None:
    result = verdicts[job_for(backend, broken, seed)].result()

    assert result == Result(frozenset(), RunOutcome.CONFORMS, dict.fromkeys(OWN_SERVERS, "the target is not https"))


@pytest.mark.parametrize(("broken", "seed"), [*RUNS, *MORE_RUNS])
def test_suite_names_exactly_what_a_backend_breaks(
    verdicts: dict[Job, Future[Result]], backend: BackendProcess, broken: str, seed: int
) -> None:
    result = verdicts[job_for(backend, broken, seed)].result()

    levels = {load_register()[one].level for one in BROKEN[broken].declares}
    fails = Level.MUST in levels or (Level.SHOULD in levels and seed == STRICT)
    assert set(result.found) == BROKEN[broken].declares
    assert result.outcome is (RunOutcome.VIOLATES if fails else RunOutcome.CONFORMS)
