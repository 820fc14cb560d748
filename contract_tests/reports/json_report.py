"""The report as one JSON document, as schemas/report.schema.json has it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from roomhook.contract_tests.reports.grouping import grouped
from roomhook.contract_tests.verdicts import CaseJudged, Finding, RunFinished, RunStarted, Verdict
from roomhook.simulator.callbacks import curl, masked

__all__ = ["as_document", "render"]

_LONGEST_BODY = 4096


def render(started: RunStarted, finished: RunFinished) -> str:
    """The document, indented, with a final line feed."""
    return json.dumps(as_document(started, finished), indent=2, ensure_ascii=False) + "\n"


def as_document(started: RunStarted, finished: RunFinished) -> dict[str, Any]:
    """The document as plain values; times in ms or s as their names say."""
    settings, summary = started.settings, finished.summary
    return {
        "roomhook": version("roomhook"),
        "kind": "check",
        "target": settings.target,
        "sdkappid": settings.sdkappid,
        "started": datetime.fromtimestamp(started.started, UTC).isoformat(timespec="milliseconds"),
        "duration_s": round(finished.duration_s, 3),
        "seed": settings.seed,
        "strict": settings.strict,
        "refusal": settings.refusal,
        "deadline_ms": settings.deadline_ms,
        "verdict": str(summary.outcome),
        "exit_code": summary.outcome.exit_code,
        "delivery": {"sent": summary.sent, "delivered": summary.delivered, "acknowledged": summary.acknowledged},
        "compliance": {"judged": summary.judged_answers, "compliant": summary.compliant},
        "totals": {str(verdict): finished.count(verdict) for verdict in Verdict},
        "requirements": [_requirement(case) for case in finished.cases],
        "findings": _findings(finished),
    }


def _requirement(case: CaseJudged) -> dict[str, Any]:
    requirement = case.requirement
    entry = {
        "id": requirement.id,
        "level": str(requirement.level),
        "text": requirement.text,
        "source": ", ".join(requirement.source),
        "verdict": str(case.verdict),
        "duration_ms": round(case.duration_ms, 1),
    }
    return {**entry, "reason": case.reason} if case.reason else entry


def _findings(finished: RunFinished) -> list[dict[str, Any]]:
    kin: dict[str, tuple[str, ...]] = {}
    for group in grouped(finished.cases):
        ids = (group.finding.requirement.id, *group.also)
        for one in ids:
            kin.setdefault(one, tuple(other for other in ids if other != one))
    return [
        _finding(finding, case.verdict, kin.get(finding.requirement.id, ()))
        for case in finished.cases
        for finding in case.findings
    ]


def _finding(finding: Finding, verdict: Verdict, also: tuple[str, ...]) -> dict[str, Any]:
    requirement, exchange = finding.requirement, finding.exchange
    sent, answer = None, exchange.answer if exchange else None
    if exchange is not None:
        callback = masked(exchange.callback)
        sent = {
            "curl": curl(exchange.callback),
            "method": callback.method,
            "url": callback.url,
            "headers": [list(pair) for pair in callback.headers],
            "body": _text(callback.body) if callback.body is not None else None,
        }
    return {
        "id": requirement.id,
        "level": str(requirement.level),
        "verdict": str(verdict),
        "requirement": requirement.text,
        "source": ", ".join(requirement.source),
        "message": finding.message,
        "cause": finding.cause,
        "sent": sent,
        "expected": finding.expected,
        "actual": {
            "outcome": str(exchange.outcome) if exchange else None,
            "text": finding.actual,
            "status": answer.status if answer else None,
            "path": finding.path,
            "body": _text(answer.body) if answer else None,
            "elapsed_ms": round(exchange.elapsed_ms, 1) if exchange else None,
        },
        "fix": finding.fix,
        "count": finding.count,
        "also": list(also),
    }


def _text(body: bytes) -> str:
    shown = body[:_LONGEST_BODY].decode(errors="backslashreplace")
    return f"{shown}… ({len(body)} bytes)" if len(body) > _LONGEST_BODY else shown
