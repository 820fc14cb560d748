"""The report as SARIF 2.1.0: each requirement a rule, each finding a result that points at the clause it violates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

from roomhook.contract_tests.model.register import Level, load_register
from roomhook.contract_tests.model.requirements_page import requirements_page
from roomhook.contract_tests.model.verdicts import Verdict
from roomhook.contract_tests.reports.labels import NO_VERDICT
from roomhook.contract_tests.reports.run_report import FindingRecord, RequirementResult, RunReport, sources_of

__all__ = ["render"]

_LEVELS: Final = {Verdict.FAIL: "error", Verdict.KNOWN: "error", Verdict.WARN: "warning", Verdict.INFO: "note"}
_DEFAULTS: Final = {Level.MUST: "error", Level.SHOULD: "warning", Level.INFO: "note"}

_PAGE: Final = "docs/requirements.md"
"""Where the clauses are: a relative path, since GitHub's code scanning refuses locations that are web addresses."""


def render(report: RunReport) -> str:
    """The log, indented, with a final line feed."""
    document = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [_run(report)],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _run(report: RunReport) -> dict[str, Any]:
    places = {one.id: (number, one.reason) for number, one in enumerate(report.requirements)}
    return {
        "tool": {
            "driver": {
                "name": "Roomhook",
                "semanticVersion": report.roomhook,
                "rules": [_rule(one) for one in report.requirements],
            }
        },
        "invocations": [_invocation(report)],
        "results": [_result(one, *places[one.id]) for one in report.findings],
        "columnKind": "unicodeCodePoints",
        "properties": {"target": report.target, "sdkappid": report.sdkappid, "seed": report.seed},
    }


def _rule(one: RequirementResult) -> dict[str, Any]:
    known = load_register().get(one.id)
    links = [(source, link) for source in sources_of(one.source) for link in source.addresses if "://" in link]
    rule: dict[str, Any] = {
        "id": one.id,
        "shortDescription": {"text": one.text},
        "defaultConfiguration": {"level": _DEFAULTS[one.level]},
        "properties": {"tags": [one.level, one.group]},
    }
    if known is not None:
        where = ", ".join(f"[{source.key}]({link})" for source, link in links) or one.source
        advice = f"**Check**: {known.case}\n\n**Fix**: {known.fix}\n\n**Written in**: {where}"
        rule["fullDescription"] = {"text": known.why}
        rule["help"] = {"text": f"{known.case}\n{known.fix}", "markdown": advice}
    if links:
        rule["helpUri"] = links[0][1]
    return rule


def _invocation(report: RunReport) -> dict[str, Any]:
    """A run without a verdict says why: no results would otherwise look like no problems."""
    ran = report.verdict not in NO_VERDICT
    invocation: dict[str, Any] = {
        "executionSuccessful": ran,
        "startTimeUtc": report.started.replace("+00:00", "Z"),
        "exitCode": report.exit_code,
    }
    if report.detail:
        notice = {"level": "note" if ran else "error", "message": {"text": report.detail}}
        invocation["toolExecutionNotifications"] = [notice]
    return invocation


def _result(finding: FindingRecord, rule: int, reason: str) -> dict[str, Any]:
    actual = finding.actual
    at = f" at {actual.path}" if actual.path else ""
    text = f"{finding.message}: expected {finding.expected}, actual {actual.text}{at}. Fix: {finding.fix}"
    result: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": rule,
        "level": _LEVELS[finding.verdict],
        "message": {"text": text},
        "locations": [{"physicalLocation": _clause(finding.id)}],
        "occurrenceCount": finding.count,
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(finding)},
    }
    if finding.verdict is Verdict.KNOWN:
        result["suppressions"] = [{"kind": "external", "justification": reason}]
    if finding.sent is not None:
        sent = finding.sent
        result["webRequest"] = {
            "protocol": "HTTP",
            "version": "1.1",
            "target": sent.url,
            "method": sent.method,
            "headers": _mapping(sent.headers),
            **_body(sent.body),
        }
        if sent.curl:
            result["properties"] = {"curl": sent.curl}
    if actual.status is not None:
        result["webResponse"] = {
            "protocol": "HTTP",
            "statusCode": actual.status,
            "headers": _mapping(actual.headers or ()),
            **_body(actual.body),
        }
    return result


def _clause(requirement: str) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": _PAGE},
        "region": {"startLine": _headings().get(requirement, 1)},
    }


@cache
def _headings() -> Mapping[str, int]:
    """The line of each requirement's heading in the page, counted from 1."""
    lines = requirements_page().splitlines()
    return {line.removeprefix("### "): number for number, line in enumerate(lines, 1) if line.startswith("### ")}


def _fingerprint(finding: FindingRecord) -> str:
    """The same for the same finding in the next run, whose room, accounts and time are others."""
    path = urlsplit(finding.sent.url).path if finding.sent else ""
    parts = (finding.id, path, finding.expected, str(finding.actual.status), finding.actual.path)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _mapping(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """SARIF has an object here; of a header that came twice it keeps both values."""
    merged: dict[str, str] = {}
    for name, value in headers:
        merged[name] = f"{merged[name]}, {value}" if name in merged else value
    return merged


def _body(body: str | None) -> dict[str, Any]:
    return {} if body is None else {"body": {"text": body}}
