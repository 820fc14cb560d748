"""The report of one run as data, as schemas/report.schema.json has it: what every other report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from typing import Final

import msgspec

from roomhook.contract_tests.model.register import Level, Requirement, RequirementSource, load_sources
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import (
    CaseJudged,
    Finding,
    RunFinished,
    RunOutcome,
    RunStarted,
    Summary,
    Verdict,
)
from roomhook.contract_tests.reports.reproduction import for_any_port, repeating
from roomhook.simulator.protocol.callback_request import masked, masked_url
from roomhook.simulator.protocol.curl import curl, fits_in_a_line

__all__ = [
    "Actual",
    "Compliance",
    "DeliveryCounts",
    "FindingRecord",
    "RequirementResult",
    "RunReport",
    "SentRequest",
    "found",
    "judged",
    "report_of",
    "shortened",
    "sources_of",
]

_LONGEST_BODY: Final = 4096
"""Characters of an answer's body that a report keeps, and of a request's that a page shows."""

_SHOWN_BODY: Final = 400
"""Characters of a request's body that are shown where no curl line is."""

_WEIGHT: Final = (Verdict.FAIL, Verdict.WARN, Verdict.KNOWN, Verdict.INFO)

_Kin = Mapping[int, tuple[str, ...]]
"""By a finding's identity, the requirements that came out the same way for the same cause."""


class DeliveryCounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first axis: how many valid callbacks the Room backend would count as delivered, and the rest by outcome.

    ``first_late_ms`` is how long the first callback took, if that was too long; it is not judged and not among them.
    """

    sent: int
    delivered: int
    acknowledged: int
    undelivered: dict[str, int]
    first_late_ms: float | None = None


class Compliance(msgspec.Struct, frozen=True, kw_only=True):
    """The second axis: of the answers to valid callbacks, how many are compliant response packets."""

    judged: int
    compliant: int


class RequirementResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One requirement and how it came out; ``reason`` only for what was not judged or is known."""

    id: str
    level: Level
    text: str
    source: str
    verdict: Verdict
    duration_ms: float
    reason: str = ""

    @property
    def group(self) -> str:
        """The part of the id before the first dot."""
        return self.id.partition(".")[0]


class SentRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The request behind a finding, its secrets masked and its body whole.

    ``curl`` is empty if no single curl line repeats the finding; ``series`` says why.
    """

    curl: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: str | None
    series: str = ""

    @property
    def shown(self) -> str:
        """The curl line; where there is none, the request and what else was sent."""
        if self.curl:
            return self.curl
        body = " ".join((self.body or "").split())
        packet = f" {body[:_SHOWN_BODY]}{'…' if len(body) > _SHOWN_BODY else ''}" if body else ""
        return f"{self.method} {self.url}{packet} ({self.series}: no curl line repeats that)"


class Actual(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; all but ``text`` is empty if the finding rests on no single request."""

    outcome: str | None
    text: str
    status: int | None
    path: str
    headers: tuple[tuple[str, str], ...] | None
    body: str | None
    elapsed_ms: float | None


class FindingRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finding on one requirement.

    ``also`` names the others that came out the same way for the same cause; ``again`` is the command that repeats it.
    """

    id: str
    level: Level
    verdict: Verdict
    requirement: str
    source: str
    message: str
    cause: str | None
    sent: SentRequest | None
    expected: str
    actual: Actual
    fix: str
    count: int
    also: tuple[str, ...]
    again: str = ""


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a report of one run says; times in s or ms as their names say."""

    roomhook: str
    kind: str
    target: str
    sdkappid: int
    started: str
    duration_s: float
    seed: int
    strict: bool
    refusal: str
    deadline_ms: float
    verdict: RunOutcome
    exit_code: int
    detail: str
    delivery: DeliveryCounts
    compliance: Compliance
    totals: dict[str, int]
    requirements: tuple[RequirementResult, ...]
    findings: tuple[FindingRecord, ...]

    @property
    def conforms(self) -> bool:
        """Whether the target conforms: nothing that fails the run, and something was judged."""
        return self.verdict is RunOutcome.CONFORMS

    @property
    def causes(self) -> tuple[FindingRecord, ...]:
        """The findings less those that repeat another one's cause: one cause is not told forty times."""
        seen: set[object] = set()
        leaders: list[FindingRecord] = []
        for one in self.findings:
            key = (one.verdict, frozenset({one.id, *one.also}), one.expected, one.actual.text, one.actual.status)
            if key not in seen:
                leaders.append(one)
            seen.add(key)
        return tuple(leaders)

    def count(self, verdict: Verdict, level: Level | None = None) -> int:
        """How many requirements came out as *verdict*, of one level or of all."""
        return sum(one.verdict is verdict and level in {None, one.level} for one in self.requirements)

    def groups(self) -> dict[str, tuple[RequirementResult, ...]]:
        """The requirements by group, in the order of the run."""
        names = dict.fromkeys(one.group for one in self.requirements)
        return {name: tuple(one for one in self.requirements if one.group == name) for name in names}


def report_of(started: RunStarted, finished: RunFinished, *, version: str | None = None) -> RunReport:
    """The report of the run between two events; *version* is Roomhook's, by default the one installed."""
    settings, summary = started.settings, finished.summary
    target = masked_url(settings.target)
    return RunReport(
        roomhook=version or version_of("roomhook"),
        kind="check",
        target=target,
        sdkappid=settings.sdkappid,
        started=datetime.fromtimestamp(started.started, UTC).isoformat(timespec="milliseconds"),
        duration_s=round(finished.duration_s, 3),
        seed=settings.seed,
        strict=settings.strict,
        refusal=settings.refusal,
        deadline_ms=float(settings.deadline_ms),
        verdict=summary.outcome,
        exit_code=summary.outcome.exit_code,
        detail=summary.detail.replace(settings.target, target),
        delivery=_delivery(summary),
        compliance=Compliance(judged=summary.judged_answers, compliant=summary.compliant),
        totals={verdict.value: finished.count(verdict) for verdict in Verdict},
        requirements=tuple(judged(case) for case in finished.cases),
        findings=tuple(_findings(finished.cases, settings)),
    )


def found(
    finding: Finding, verdict: Verdict, also: tuple[str, ...] = (), *, settings: Settings | None = None
) -> FindingRecord:
    """One *finding* as data; *settings* are those of the run, without which nothing tells how to repeat it."""
    requirement, exchange = finding.requirement, finding.exchange
    answer = exchange.answer if exchange else None
    return FindingRecord(
        id=requirement.id,
        level=requirement.level,
        verdict=verdict,
        requirement=requirement.text,
        source=", ".join(requirement.source),
        message=finding.message,
        cause=finding.cause,
        sent=_sent(finding, settings),
        expected=finding.expected,
        actual=Actual(
            outcome=exchange.outcome.value if exchange else None,
            text=finding.actual,
            status=answer.status if answer else None,
            path=finding.path,
            headers=answer.headers if answer else None,
            body=shortened(answer.body.decode(errors="backslashreplace")) if answer else None,
            elapsed_ms=round(exchange.elapsed_ms, 1) if exchange else None,
        ),
        fix=finding.fix,
        count=finding.count,
        also=also,
        again=repeating(settings, (requirement.id, *finding.sent_by)) if settings else "",
    )


def sources_of(keys: str) -> tuple[RequirementSource, ...]:
    """What the *keys* in a ``source`` stand for; one that this version does not know stands for itself."""
    known = load_sources()
    return tuple(known.get(key) or RequirementSource(key, "") for key in keys.split(", ") if key)


def shortened(body: str) -> str:
    """*body*, cut where it would drown what it belongs to."""
    return f"{body[:_LONGEST_BODY]}… ({len(body)} characters)" if len(body) > _LONGEST_BODY else body


def _delivery(summary: Summary) -> DeliveryCounts:
    return DeliveryCounts(
        sent=summary.sent,
        delivered=summary.delivered,
        acknowledged=summary.acknowledged,
        undelivered=dict(sorted(summary.undelivered.items())),
        first_late_ms=None if summary.first_late_ms is None else round(summary.first_late_ms, 1),
    )


def judged(case: CaseJudged) -> RequirementResult:
    """One requirement's turn as data."""
    requirement: Requirement = case.requirement
    return RequirementResult(
        id=requirement.id,
        level=requirement.level,
        text=requirement.text,
        source=", ".join(requirement.source),
        verdict=case.verdict,
        duration_ms=round(case.duration_ms, 1),
        reason=case.reason,
    )


def _findings(cases: Iterable[CaseJudged], settings: Settings) -> Iterator[FindingRecord]:
    """The gravest first, otherwise in the register's order."""
    by_weight = sorted((case for case in cases if case.findings), key=lambda case: _WEIGHT.index(case.verdict))
    kin = _kin(by_weight)
    for case in by_weight:
        for finding in case.findings:
            also = tuple(one for one in kin[id(finding)] if one != finding.requirement.id)
            yield found(finding, case.verdict, also, settings=settings)


def _kin(cases: Iterable[CaseJudged]) -> _Kin:
    families: dict[object, dict[str, None]] = {}
    member: dict[int, dict[str, None]] = {}
    for case in cases:
        for finding in case.findings:
            key = (case.verdict, finding.cause or finding.requirement.group, finding.kinship)
            family = member[id(finding)] = families.setdefault(key, {})
            family[finding.requirement.id] = None
    return {number: tuple(family) for number, family in member.items()}


def _sent(finding: Finding, settings: Settings | None) -> SentRequest | None:
    if finding.exchange is None:
        return None
    callback = finding.exchange.callback
    own = {name.lower() for name, _ in callback.headers}
    gateway = tuple((name, value) for name, value in (settings.headers if settings else ()) if name.lower() not in own)
    callback = replace(callback, headers=(*gateway, *callback.headers))
    shown = masked(callback)
    series = finding.series or finding.requirement.series
    if callback.body is not None and not fits_in_a_line(callback.body):
        series = series or f"a body of {len(callback.body)} bytes"
    line = "" if series else curl(callback)
    return SentRequest(
        curl=for_any_port(settings, line) if settings else line,
        method=shown.method,
        url=shown.url,
        headers=shown.headers,
        body=shown.body.decode(errors="backslashreplace") if shown.body is not None else None,
        series=series,
    )
