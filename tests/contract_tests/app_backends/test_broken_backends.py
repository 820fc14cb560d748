"""Every requirement has a backend that breaks it, and the suite names exactly what each of them breaks."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any, Final

import pytest

from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
from roomhook.contract_tests.engine.selftest import REFERENCE, BackendResult, selftest
from roomhook.contract_tests.model.register import Level, load_register
from roomhook.contract_tests.model.verdicts import RunOutcome

pytestmark = pytest.mark.long

SEEDS: Final = (
    pytest.param(2026),
    pytest.param(1, marks=pytest.mark.exhaustive),
    pytest.param(424242, marks=pytest.mark.exhaustive),
)

THOROUGH: Final = 1
"""The seed under which every backend is asked all there is; the others spare what is costly and far from its defect."""

NO_DEFECT_OF_A_BACKEND: Final = {"url.https"}
"""It tells how the target is reached: every target of ours over http shows it."""

OWN_SERVERS: Final = {one for one in load_register() if one.startswith("tls.")}
"""What takes a server with a bad certificate; tests/contract_tests/transport/test_tls.py has them."""


class Selftests:
    """The results of ``selftest`` under each seed, of the backends that the selected tests ask for."""

    def __init__(self) -> None:
        self.wanted: dict[int, list[str]] = {}
        self._running: dict[int, Generator[BackendResult]] = {}
        self._done: dict[tuple[str, int], BackendResult] = {}

    def result(self, backend: str, seed: int) -> BackendResult:
        """Of *backend* under *seed*, as soon as it is there."""
        if seed not in self._running:
            processes = 2 * (os.cpu_count() or 1)
            self._running[seed] = selftest(self.wanted[seed], seed=seed, processes=processes, thorough=seed == THOROUGH)
        while (backend, seed) not in self._done:
            result = next(self._running[seed])
            self._done[result.backend, seed] = result
        return self._done[backend, seed]

    def close(self) -> None:
        """Stop what nobody waits for any more."""
        for each in self._running.values():
            each.close()


@pytest.fixture(scope="module")
def selftests(request: pytest.FixtureRequest) -> Iterator[Selftests]:
    found = Selftests()
    for item in request.session.items:
        if item.path == request.path and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            parameters: dict[str, Any] = item.callspec.params
            found.wanted.setdefault(parameters["seed"], []).append(parameters.get("broken", REFERENCE))
    yield found
    found.close()


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


@pytest.mark.parametrize("seed", SEEDS)
def test_the_suite_finds_nothing_wrong_with_the_reference(selftests: Selftests, seed: int) -> None:
    result = selftests.result(REFERENCE, seed)
    assert result.found == frozenset()
    assert result.outcome is result.strict_outcome is RunOutcome.CONFORMS


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_suite_names_exactly_what_a_backend_breaks(selftests: Selftests, broken: str, seed: int) -> None:
    result = selftests.result(broken, seed)
    levels = {load_register()[one].level for one in BROKEN[broken].declares}
    assert result.found == BROKEN[broken].declares
    assert (result.outcome is RunOutcome.VIOLATES) == (Level.MUST in levels)
    assert (result.strict_outcome is RunOutcome.VIOLATES) == (not levels <= {Level.INFO})
