"""The report as JUnit XML for Jenkins and GitLab: a failure is a failure, and a SHOULD is one only with --strict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from roomhook.contract_tests.model.verdicts import RunOutcome, Verdict
from roomhook.contract_tests.reports.labels import DONE, LABELS
from roomhook.contract_tests.reports.run_report import FindingRecord, RequirementResult, RunReport

__all__ = ["render"]

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_SKIPPED: Final = (Verdict.NOT_JUDGED, Verdict.KNOWN)

_NO_VERDICT: Final = {
    RunOutcome.UNREACHABLE: ("unreachable", "the target is reachable"),
    RunOutcome.NOTHING_RAN: ("nothing-ran", "something could be judged"),
    RunOutcome.SETUP_FAILED: ("setup-failed", "the set-up of the run works"),
    RunOutcome.INTERRUPTED: ("interrupted", "the run came to its end"),
}
"""Outcomes that are no verdict, and in which the pipeline still has to see red: type and name of the error."""


def render(report: RunReport) -> str:
    """One ``testsuites`` element with a suite a group of requirements; times in s.

    A test case is named by its requirement alone, so that pipelines can follow it from run to run.
    """
    root = ET.Element("testsuites", name="roomhook check", time=f"{report.duration_s:.3f}")
    for name, members in report.groups().items():
        _suite(root, report, name, members)
    if report.verdict in _NO_VERDICT:
        _error(root, report)
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, report: RunReport, group: str, members: Sequence[RequirementResult]) -> None:
    suite = _empty_suite(root, report, group, tests=len(members))
    suite.set("failures", str(sum(one.verdict is Verdict.FAIL for one in members)))
    suite.set("skipped", str(sum(one.verdict in _SKIPPED for one in members)))
    suite.set("time", f"{sum(one.duration_ms for one in members) / 1000:.3f}")
    for one in members:
        _case(suite, one, [finding for finding in report.findings if finding.id == one.id])


def _empty_suite(root: ET.Element, report: RunReport, name: str, *, tests: int) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=f"roomhook.{name}", timestamp=report.started, tests=str(tests))
    for total in ("failures", "errors", "skipped", "time"):
        suite.set(total, "0")
    properties = ET.SubElement(suite, "properties")
    for key, value in (("target", report.target), ("sdkappid", report.sdkappid), ("seed", report.seed)):
        ET.SubElement(properties, "property", name=key, value=_clean(str(value)))
    return suite


def _case(suite: ET.Element, one: RequirementResult, findings: Sequence[FindingRecord]) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        classname=f"roomhook.{one.group}",
        name=f"{one.id} ({one.level})",
        time=f"{one.duration_ms / 1000:.3f}",
    )
    text = _clean("\n\n".join(map(_described, findings)))
    if one.verdict is Verdict.FAIL:
        first = findings[0]
        message = _clean(f"{first.message}: expected {first.expected}, actual {first.actual.text}")
        ET.SubElement(element, "failure", type=one.id, message=message).text = text
    elif one.verdict in _SKIPPED:
        element = ET.SubElement(element, "skipped", message=_clean(f"{DONE[one.verdict]}: {one.reason}"))
        element.text = text or None
    elif text:
        ET.SubElement(element, "system-out").text = f"{LABELS[one.verdict]}\n{text}"


def _described(finding: FindingRecord) -> str:
    at = f" at {finding.actual.path}" if finding.actual.path else ""
    lines = {
        "seen": finding.message,
        "expected": finding.expected,
        "actual": finding.actual.text + at,
        "sent": finding.sent.shown if finding.sent else "",
        "again": finding.again,
        "fix": finding.fix,
        "source": finding.source,
    }
    return "\n".join([finding.requirement, *(f"{name}: {text}" for name, text in lines.items() if text)])


def _error(root: ET.Element, report: RunReport) -> None:
    kind, name = _NO_VERDICT[report.verdict]
    suite = _empty_suite(root, report, "target", tests=1)
    suite.set("errors", "1")
    case = ET.SubElement(suite, "testcase", classname="roomhook.target", name=name, time="0.000")
    ET.SubElement(case, "error", type=kind, message=_clean(report.detail)).text = _clean(report.target)


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
