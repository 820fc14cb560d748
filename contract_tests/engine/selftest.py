"""The suite held against itself: every broken App backend must be blamed for its own defect and for nothing else."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import chain
from typing import Final

from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.register import load_register
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, Verdict
from roomhook.simulator.util.defaults import DEADLINE_MS

__all__ = ["REFERENCE", "BackendResult", "selftest"]

REFERENCE: Final = "reference"
"""The name of the backend that nothing is wrong with."""

_TOKEN: Final = "selftest-token"  # noqa: S105 (known to both ends, which are ours)
_GENERATED: Final = 200
"""Packets that show a defect which only generated ones can show."""
_SUITES_PER_CORE: Final = 4
"""Suites at once on a core: they spend much of their time waiting on purpose."""

_COSTLY: Final = (
    (("http.burst", "effect.burst"), ("http.", "effect.burst")),
    (
        ("effect.accounts-apart*", "effect.rooms-apart*"),
        ("effect.accounts", "effect.rooms", "effect.punctuation", "id."),
    ),
    (("effect.*",), ("effect.", "duplicate.", "time.", "type.", "fuzz.")),
    (("effect.late-enter", "effect.same-*", "effect.combined"), ("effect.", "duplicate.", "time.")),
    (
        ("bad.*",),
        ("bad.", "ack.", "http.", "command.", "packet.", "type.", "members.", "count.", "id.", "time.", "fuzz."),
    ),
)
"""Most of a run's work, and who is asked: the backends whose defects are near, by the start of their ids."""

_TIMED: Final = re.compile(r"ack\..*|.*\.deadline")
"""Backends whose defect shows by the deadline."""
_PATIENT_MS: Final = 5000
"""The deadline of all others: on a busy machine, a right answer may be late."""

_ALWAYS_NOTED: Final = frozenset({"url.https"})
"""Noted on every target that is reached by http, as ours are."""


@dataclass(frozen=True)
class BackendResult:
    """What the suite said of one backend: requirement ids, expected and found, and how its run came out."""

    backend: str
    defect: str
    expected: frozenset[str]
    found: frozenset[str]
    outcome: RunOutcome
    strict_outcome: RunOutcome
    duration_s: float

    @property
    def missed(self) -> frozenset[str]:
        """Defects that the suite did not see."""
        return self.expected - self.found

    @property
    def blamed(self) -> frozenset[str]:
        """What the suite blamed and should not have."""
        return self.found - self.expected

    @property
    def right(self) -> bool:
        """Whether the findings are exactly the declared ones, and the outcomes follow from their levels."""
        register = load_register()
        levels = {register[one].level for one in self.expected}
        default = RunOutcome.VIOLATES if "MUST" in levels else RunOutcome.CONFORMS
        strict = RunOutcome.VIOLATES if levels & {"MUST", "SHOULD"} else RunOutcome.CONFORMS
        return self.found == self.expected and (self.outcome, self.strict_outcome) == (default, strict)


def selftest(
    names: Sequence[str] = (), *, seed: int = 0, processes: int | None = None, thorough: bool = False
) -> Generator[BackendResult]:
    """The results for the backends *names* (default: the reference and all broken ones), as they come.

    *thorough* asks every backend even what is costly and far from its defect; it takes three times as long.
    All backends live in one server process; suites run in *processes* of their own, one at a time in each.
    """
    wanted = tuple(names) or (REFERENCE, *BROKEN)
    count = min(processes or multiprocessing.cpu_count() * _SUITES_PER_CORE, len(wanted))
    context = multiprocessing.get_context("spawn")  # a fork would inherit the server's thread half-way
    with BackendServer(token=_TOKEN) as server, ProcessPoolExecutor(count, mp_context=context) as pool:
        waiting: list[Future[BackendResult]] = [
            pool.submit(_judge, name, server.origin, seed, thorough) for name in wanted
        ]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _judge(name: str, origin: str, seed: int, thorough: bool) -> BackendResult:
    path = "/reference" if name == REFERENCE else f"/broken/{name}"
    spared = [] if thorough or name == REFERENCE else [ids for ids, asked in _COSTLY if not name.startswith(asked)]
    settings = Settings(
        f"{origin}{path}",
        token=_TOKEN,
        seed=seed,
        probe=f"{origin}{path}/rooms/{{RoomId}}",
        settle_s=0.3,
        deadline_ms=DEADLINE_MS if _TIMED.fullmatch(name) else _PATIENT_MS,
        exclude=tuple(chain.from_iterable(spared)),
        fuzz=_GENERATED if name in BROKEN and BROKEN[name].needs_fuzz else 0,
    )
    finished = list(run_suite(settings))[-1]
    assert isinstance(finished, RunFinished)
    expected = frozenset() if name == REFERENCE else BROKEN[name].declares
    found = {case.requirement.id for case in finished.cases if case.findings} - (_ALWAYS_NOTED - expected)
    outcome = finished.summary.outcome
    strict = RunOutcome.VIOLATES if finished.with_verdict(Verdict.WARN) else outcome
    defect = "none" if name == REFERENCE else BROKEN[name].defect
    return BackendResult(name, defect, expected, frozenset(found), outcome, strict, finished.duration_s)
