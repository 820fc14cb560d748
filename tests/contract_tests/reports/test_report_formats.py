"""What each format of a report has to get right: JUnit, GitHub, Markdown, HTML and SARIF."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import msgspec
import pytest
from made_runs import (
    CODE,
    Run,
    document,
    failing,
    found,
    interrupted,
    nothing_ran,
    passing,
    unreachable,
)
from report_runs import RUNS

from roomhook.contract_tests.model.register import load_register
from roomhook.contract_tests.model.requirements_page import requirements_page
from roomhook.contract_tests.model.verdicts import CaseJudged, RunFinished, Verdict
from roomhook.contract_tests.reports import github, junit, markdown, sarif, text
from roomhook.contract_tests.reports.html import run_page as html_report


def many(cases: tuple[CaseJudged, ...], run: Run) -> Run:
    started, finished = run
    return started, replace(finished, cases=cases)


# ── JUnit ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def parsed(run: Run) -> ET.Element:
    return ET.fromstring(junit.render(document(run)))


def totals(root: ET.Element) -> tuple[str | None, ...]:
    return tuple(root.get(name) for name in ("tests", "failures", "errors"))


def test_a_should_is_a_failure_only_when_strict_and_never_an_error() -> None:
    assert totals(parsed(failing())) == ("11", "3", "0")
    assert totals(parsed(failing(strict=True))) == ("11", "5", "0")
    warned = parsed(failing()).find(".//testcase[@name='bad.scalar (SHOULD)']")
    assert warned is not None
    assert [child.tag for child in warned] == ["system-out"]


def test_what_was_not_judged_is_skipped_with_its_reason() -> None:
    skipped = parsed(passing()).findall(".//skipped")
    assert {one.get("message") for one in skipped} == {"not judged: no token given (ROOMHOOK_TOKEN)"}
    assert len(skipped) == 2


@pytest.mark.parametrize("run", [unreachable, nothing_ran, interrupted])
def test_a_run_without_a_verdict_is_an_error_and_never_green(run: Callable[[], Run]) -> None:
    root = parsed(run())
    assert root.get("errors") == "1"
    assert root.find(".//testcase[@classname='roomhook.target']/error") is not None


@pytest.mark.parametrize("run", RUNS.values())
def test_junit_is_what_jenkins_accepts(run: Callable[[], Run]) -> None:
    """The attributes and elements of the XSD (junit-10) that the xUnit plugin of Jenkins holds a report to."""
    root = parsed(run())
    assert set(root.attrib) <= {"name", "time", "tests", "failures", "errors"}
    for suite in root:
        assert {"name", "tests", "failures", "errors"} <= set(suite.attrib)
        assert set(suite.attrib) <= {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}
        assert {child.tag for child in suite} <= {"properties", "testcase"}
        assert suite.get("tests") == str(len(suite.findall("testcase")))
        for case in suite.findall("testcase"):
            assert set(case.attrib) == {"name", "classname", "time"}
            assert {child.tag for child in case} <= {"failure", "error", "skipped", "system-out"}
            assert all(set(child.attrib) <= {"type", "message"} for child in case)
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(names) == len(set(names))  # GitLab drops the second of two


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    odd = replace(failing()[1].cases[1].findings[0], actual="\x00\x0b\ufffe")
    run = many((found(CODE, Verdict.FAIL, odd),), failing())
    assert "actual: \N{REPLACEMENT CHARACTER}" in junit.render(document(run))


# ── GitHub ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_github_shows_ten_errors_so_the_tenth_says_how_many_more_there_are() -> None:
    finding = failing()[1].cases[1].findings[0]
    names = [f"ack.n{number}" for number in range(14)]
    cases = tuple(
        found(named, Verdict.FAIL, replace(finding, requirement=named, actual=named.id))
        for named in (replace(CODE, id=name) for name in names)
    )
    lines = list(github.commands(document(many(cases, failing()))))
    assert len(lines) == 10
    assert lines[-1] == (
        "::error title=Roomhook%3A 5 more::The step summary has them all: ack.n9, ack.n10, ack.n11, ack.n12, ack.n13"
    )


def test_a_command_can_not_be_forged_by_what_the_target_says() -> None:
    finding = replace(failing()[1].cases[1].findings[0], actual="100%\r\n::error::gotcha")
    (line,) = github.commands(document(many((found(CODE, Verdict.FAIL, finding),), failing())))
    assert "\n" not in line
    assert "100%25%0D%0A::error::gotcha" in line


def test_a_terminal_is_not_steered_by_what_the_target_says() -> None:
    finding = replace(failing()[1].cases[1].findings[0], actual="\x1b[31mred\x00")
    shown = text.render(document(many((found(CODE, Verdict.FAIL, finding),), failing())))
    assert r"\x1b[31mred\x00" in shown
    assert "\x1b" not in shown
    assert "\x00" not in shown


def test_markdown_keeps_what_the_target_says_inside_its_fence() -> None:
    finding = replace(failing()[1].cases[1].findings[0], actual="```\n</details><img src=x>")
    shown = markdown.render(document(many((found(CODE, Verdict.FAIL, finding),), failing())))
    fence = re.search(r"(?m)^(`{4,})text\n(?s:.*?)\n\1$", shown)
    assert fence is not None
    assert "<img" in fence[0]
    assert "<img" not in shown.replace(fence[0], "")


# ── HTML ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Page(HTMLParser):
    """What a page is made of: its elements with their attributes, and whether they nest."""

    VOID = frozenset({"meta", "link", "br", "wbr", "rect"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", RUNS)
def test_the_page_loads_nothing_and_its_links_lead_somewhere(name: str) -> None:
    page = _Page(html_report.render(document(RUNS[name]())))
    assert page.open == []
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "iframe", "object", "embed", "audio", "video", "base", "form"}
    assert not [attributes for _, attributes in page.elements if {"src", "style", "onclick"} & set(attributes)]
    assert {attributes["href"] for tag, attributes in page.elements if tag == "link"} == {"data:,"}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inner = {
        str(attributes["href"])[1:]
        for tag, attributes in page.elements
        if tag == "a" and str(attributes["href"])[0] == "#"
    }
    assert inner - {"findings"} <= set(ids)


def test_what_the_target_says_is_text_on_the_page() -> None:
    page = html_report.render(document(failing()))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page


def test_the_value_at_fault_is_marked_in_the_answer() -> None:
    page = html_report.render(document(failing()))
    assert "<mark>&#34;ErrorCode&#34;: &#34;0&#34;</mark>" in page


# ── SARIF ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sarif_points_at_the_clause_that_is_violated() -> None:
    (run,) = json.loads(sarif.render(document(failing())))["runs"]
    rules = run["tool"]["driver"]["rules"]
    results = {one["ruleId"]: one for one in run["results"]}
    assert {one["level"] for one in results.values()} == {"error", "warning", "note"}
    for one in results.values():
        assert rules[one["ruleIndex"]]["id"] == one["ruleId"]
    place = results["ack.error-code"]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "docs/requirements.md"}
    lines = requirements_page().splitlines()
    assert lines[place["region"]["startLine"] - 1] == "### ack.error-code"
    assert next(one for one in rules if one["id"] == "ack.error-code")["helpUri"].startswith("https://")
    assert results["ack.error-code"]["webResponse"]["statusCode"] == 200
    assert results["reason.long"]["suppressions"][0]["justification"].startswith("the column is widened")


def test_sarif_says_that_a_run_without_a_verdict_was_none() -> None:
    (run,) = json.loads(sarif.render(document(unreachable())))["runs"]
    (invocation,) = run["invocations"]
    assert (run["results"], invocation["executionSuccessful"], invocation["exitCode"]) == ([], False, 3)
    assert "refused the connection" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_a_finding_keeps_its_fingerprint_from_run_to_run() -> None:
    def prints(run: Run) -> list[str]:
        results = json.loads(sarif.render(document(run)))["runs"][0]["results"]
        return [one["partialFingerprints"]["primaryLocationLineHash"] for one in results]

    started, finished = failing()
    assert prints(failing()) == prints((replace(started, started=started.started + 86400), finished))
    assert len(set(prints(failing()))) == len(prints(failing()))


def test_every_requirement_makes_a_rule() -> None:
    started, _ = failing()
    cases = tuple(CaseJudged(one, Verdict.PASS) for one in load_register().values())
    finished = RunFinished(failing()[1].summary, cases, 1.0)
    (run,) = json.loads(sarif.render(document((started, finished))))["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [one["id"] for one in rules] == list(load_register())
    assert all(one["fullDescription"]["text"] and one["help"]["markdown"] for one in rules)
    assert msgspec.to_builtins(started.planned) == len(failing()[1].cases)
