"""Findings that share a cause, brought together, so that one cause is not printed forty times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from roomhook.contract_tests.verdicts import CaseJudged, Finding, Verdict

__all__ = ["Group", "grouped"]


@dataclass(frozen=True)
class Group:
    """A finding and the ids of the requirements that came out the same way for the same cause."""

    finding: Finding
    verdict: Verdict
    also: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How often it was seen for the first requirement."""
        return self.finding.count


def grouped(cases: Iterable[CaseJudged]) -> tuple[Group, ...]:
    """The findings of *cases*, kin brought together: FAIL first, then WARN, then INFO, in the register's order."""
    groups: dict[object, Group] = {}
    for case in cases:
        for finding in case.findings:
            area = finding.cause or finding.requirement.group
            key = (case.verdict, area, finding.kinship)
            before = groups.get(key)
            if before is None:
                groups[key] = Group(finding, case.verdict)
            elif finding.requirement.id not in (before.finding.requirement.id, *before.also):
                groups[key] = Group(before.finding, case.verdict, (*before.also, finding.requirement.id))
    weight = (Verdict.FAIL, Verdict.WARN, Verdict.INFO)
    return tuple(sorted(groups.values(), key=lambda group: weight.index(group.verdict)))
