"""What a run says: findings, verdicts and the stream of events that every report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from typing import Final

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.known_failures import KnownFailure
from roomhook.contract_tests.model.register import Level, Requirement
from roomhook.contract_tests.model.settings import Settings
from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = [
    "CaseJudged",
    "Finding",
    "RunEvent",
    "RunFinished",
    "RunOutcome",
    "RunStarted",
    "Summary",
    "Verdict",
    "apply_known_failures",
    "group_findings",
]


class Verdict(StrEnum):
    """How one requirement came out."""

    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"  # decides the exit code
    WARN = "warn"  # a SHOULD, without --strict
    KNOWN = "known"  # a failure that --known expects
    INFO = "info"
    NOT_JUDGED = "not-judged"


class RunOutcome(StrEnum):
    """How the whole run came out."""

    CONFORMS = "conforms"
    VIOLATES = "violates"
    UNREACHABLE = "unreachable"
    NOTHING_RAN = "nothing-ran"
    SETUP_FAILED = "setup-failed"  # the probe or the command that adds members does not work
    INTERRUPTED = "interrupted"  # stopped before its end: no verdict, whatever was found so far

    @property
    def exit_code(self) -> int:
        """What the command line ends with."""
        return _EXIT_CODES[self]


_EXIT_CODES: Final = {
    RunOutcome.CONFORMS: 0,
    RunOutcome.VIOLATES: 1,
    RunOutcome.NOTHING_RAN: 2,
    RunOutcome.SETUP_FAILED: 2,
    RunOutcome.UNREACHABLE: 3,
    RunOutcome.INTERRUPTED: 130,
}


@dataclass(frozen=True)
class Finding:
    """One departure from a requirement, with what reproduces it.

    ``cause`` is the ``ack.*`` requirement behind a callback that was not acknowledged, or None; ``path`` is a JSON path
    into the answer; ``count`` is how often the same was seen; ``sent_by`` are other requirements whose cases sent what
    is at fault; ``series`` is what else was sent in this case, if the request alone does not repeat it.
    """

    requirement: Requirement
    message: str
    expected: str
    actual: str
    exchange: Exchange | None = None
    path: str = ""
    cause: str | None = None
    hint: str = ""
    aside: str = ""
    count: int = 1
    sent_by: tuple[str, ...] = ()
    series: str = ""

    @property
    def fix(self) -> str:
        """What to do: the hint for this very case first, then the register's advice, and the unlikely last."""
        return " ".join(part for part in (self.hint, self.requirement.fix, self.aside) if part)

    @property
    def kinship(self) -> tuple[str | None, str, str, int | None]:
        """What findings of one cause share."""
        status = self.exchange.status if self.exchange else None
        return (self.cause, self.expected, self.actual, status)


def group_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each cause, counting what was seen more than once."""
    found: dict[object, Finding] = {}
    for finding in findings:
        before = found.get(finding.kinship)
        found[finding.kinship] = replace(before, count=before.count + 1) if before else finding
    return tuple(found.values())


@dataclass(frozen=True)
class RunStarted:
    """The first event."""

    settings: Settings
    started: float
    planned: int


@dataclass(frozen=True)
class CaseJudged:
    """One requirement has its verdict; ``reason`` is why it was not judged, or why its failure is known."""

    requirement: Requirement
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    duration_ms: float = 0.0


@dataclass
class Summary:
    """The totals of a run; ``sent`` and what follows count valid callbacks only.

    ``first_late_ms`` is how long the first callback took, if that was too long: a cold start, which is not judged.
    """

    outcome: RunOutcome = RunOutcome.CONFORMS
    sent: int = 0
    delivered: int = 0
    acknowledged: int = 0
    compliant: int = 0
    judged_answers: int = 0
    undelivered: dict[str, int] = field(default_factory=dict)
    detail: str = ""
    first_late_ms: float | None = None

    def count_valid(self, exchange: Exchange) -> None:
        """Count a valid callback."""
        judgement = exchange.judgement
        self.sent += 1
        self.delivered += judgement.outcome is DeliveryOutcome.DELIVERED
        self.acknowledged += judgement.acknowledged
        if judgement.outcome is not DeliveryOutcome.DELIVERED:
            outcome = str(judgement.outcome)
            self.undelivered[outcome] = self.undelivered.get(outcome, 0) + 1
        if exchange.answer is not None:
            self.judged_answers += 1
            self.compliant += all(one.requirement in {"ack.ok", "ack.deadline"} for one in judgement.breaches)


@dataclass(frozen=True)
class RunFinished:
    """The last event."""

    summary: Summary
    cases: tuple[CaseJudged, ...]
    duration_s: float

    def with_verdict(self, verdict: Verdict) -> tuple[CaseJudged, ...]:
        """The cases that came out as *verdict*, in the register's order."""
        return tuple(case for case in self.cases if case.verdict is verdict)

    def count(self, verdict: Verdict, level: Level | None = None) -> int:
        """How many cases came out as *verdict*, of one level or of all."""
        return sum(level in {None, case.requirement.level} for case in self.with_verdict(verdict))


RunEvent = RunStarted | CaseJudged | RunFinished


def apply_known_failures(judged: CaseJudged, known: Sequence[KnownFailure], today: date) -> CaseJudged:
    """*judged* in the light of the *known* failures: tolerated, or failed for an entry that must go.

    What was not judged stays so: neither a failure nor a pass has been seen.
    """
    entry = next((one for one in known if one.id == judged.requirement.id), None)
    if entry is None or judged.verdict is Verdict.NOT_JUDGED:
        return judged
    if judged.findings and today <= entry.until:
        reason = f"{entry.reason} (known until {entry.until}, {entry.place})"
        return replace(judged, verdict=Verdict.KNOWN, reason=reason)
    passes = not judged.findings
    advice = f'Delete the entry [[known]] id = "{entry.id}" that begins in line {entry.line} of {entry.file}'
    finding = Finding(
        replace(judged.requirement, fix=f"{advice}." if passes else f"{advice}, or agree on a later date."),
        "a known failure passes" if passes else "a known failure has expired",
        f"a failure, as {entry.place} says" if passes else f"no failure after {entry.until}, as {entry.place} says",
        "a pass" if passes else f"a failure on {today}",
    )
    return replace(judged, verdict=Verdict.FAIL, findings=(finding, *judged.findings))
