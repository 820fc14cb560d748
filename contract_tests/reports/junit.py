"""The report as JUnit XML: failures are failures, and a SHOULD is one only with --strict."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from roomhook.contract_tests.verdicts import CaseJudged, Finding, Outcome, RunFinished, RunStarted, Verdict
from roomhook.simulator.callbacks import curl

__all__ = ["render"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(started: RunStarted, finished: RunFinished) -> str:
    """One ``testsuites`` element with a suite a group of requirements, as Jenkins and GitLab read it; times in s."""
    root = ET.Element("testsuites", name="roomhook check", **_totals(finished.cases))
    root.set("time", f"{finished.duration_s:.3f}")
    groups: dict[str, list[CaseJudged]] = {}
    for case in finished.cases:
        groups.setdefault(case.requirement.group, []).append(case)
    stamp = datetime.fromtimestamp(started.started, UTC).isoformat(timespec="seconds")
    for name, cases in groups.items():
        suite = ET.SubElement(root, "testsuite", name=f"roomhook.{name}", timestamp=stamp, **_totals(tuple(cases)))
        suite.set("time", f"{sum(case.duration_ms for case in cases) / 1000:.3f}")
        _properties(suite, started)
        for case in cases:
            _case(suite, case)
    if finished.summary.outcome is Outcome.UNREACHABLE:
        _unreachable(root, finished)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _totals(cases: tuple[CaseJudged, ...]) -> dict[str, str]:
    failed = sum(case.verdict is Verdict.FAIL for case in cases)
    skipped = sum(case.verdict is Verdict.NOT_JUDGED for case in cases)
    return {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "skipped": str(skipped)}


def _properties(suite: ET.Element, started: RunStarted) -> None:
    settings = started.settings
    properties = ET.SubElement(suite, "properties")
    for name, value in (("target", settings.target), ("sdkappid", settings.sdkappid), ("seed", settings.seed)):
        ET.SubElement(properties, "property", name=name, value=_clean(str(value)))


def _case(suite: ET.Element, case: CaseJudged) -> None:
    requirement = case.requirement
    element = ET.SubElement(
        suite,
        "testcase",
        classname=f"roomhook.{requirement.group}",
        name=f"{requirement.id} ({requirement.level})",
        time=f"{case.duration_ms / 1000:.3f}",
    )
    text = _clean("\n\n".join(_described(finding) for finding in case.findings))
    if case.verdict is Verdict.FAIL:
        first = case.findings[0]
        message = _clean(f"{first.message}: expected {first.expected}, actual {first.actual}")
        ET.SubElement(element, "failure", type=requirement.id, message=message).text = text
    elif case.verdict is Verdict.NOT_JUDGED:
        ET.SubElement(element, "skipped", message=_clean(f"not judged: {case.reason}"))
    elif text:
        ET.SubElement(element, "system-out").text = f"{case.verdict.upper()}\n{text}"


def _described(finding: Finding) -> str:
    lines = [finding.requirement.text, f"seen: {finding.message}", f"expected: {finding.expected}"]
    lines.append(f"actual: {finding.actual}{f' at {finding.path}' if finding.path else ''}")
    if finding.exchange is not None:
        lines.append(f"sent: {curl(finding.exchange.callback)}")
    lines += [f"fix: {finding.fix}", f"source: {', '.join(finding.requirement.source)}"]
    return "\n".join(lines)


def _unreachable(root: ET.Element, finished: RunFinished) -> None:
    """A target that is down has no verdicts: the pipeline still has to see red."""
    suite = ET.SubElement(root, "testsuite", name="roomhook.target", tests="1", failures="0", errors="1", skipped="0")
    case = ET.SubElement(suite, "testcase", classname="roomhook.target", name="the target is reachable")
    ET.SubElement(case, "error", type="unreachable", message=_clean(finished.summary.detail))
    root.set("tests", "1")
    root.set("errors", "1")


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
