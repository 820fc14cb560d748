"""Every report of a run, whole: for people in a terminal and on a page, and for pipelines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from made_runs import (
    CODE,
    SECRETS,
    STATUS,
    Run,
    document,
    ended_early,
    events,
    failing,
    found,
    interrupted,
    nothing_ran,
    passing,
    unreachable,
)

from roomhook.contract_tests.model.register import load_register
from roomhook.contract_tests.model.requirements_page import requirements_page
from roomhook.contract_tests.model.verdicts import CaseJudged, RunFinished, Verdict
from roomhook.contract_tests.reports import github, json_report, junit, markdown, sarif, text
from roomhook.contract_tests.reports.html import page as html_page
from roomhook.contract_tests.reports.html import run_page as html_report
from roomhook.contract_tests.reports.ndjson import EventLines
from roomhook.contract_tests.reports.run_report import RunReport
from roomhook.schemas import loader

Golden = Callable[[str, str], None]

RUNS = {
    "failing": failing,
    "passing": passing,
    "unreachable": unreachable,
    "nothing-ran": nothing_ran,
    "ended-early": ended_early,
    "interrupted": interrupted,
}

RENDERERS: dict[str, Callable[[RunReport], str]] = {
    "text": text.render,
    "json": json_report.render,
    "junit": junit.render,
    "markdown": markdown.render,
    "html": html_report.render,
    "sarif": sarif.render,
    "github": lambda report: "\n".join(github.commands(report)),
}


def ndjson(run: Run) -> str:
    lines = EventLines(version="0.1.0")
    return "".join(lines.feed(event) for event in events(run))


def without_assets(page: str) -> str:
    """The page but for its style, its script and their hashes, which lie in files of their own."""
    page = re.sub(r"(?s)<style>.*?</style>", "<style>page.css</style>", page)
    page = re.sub(r"(?s)<script>.*</script>", "<script>page.js</script>", page)
    return re.sub(r"'sha256-[^']+'", "'sha256-HASH'", page)


def many(cases: tuple[CaseJudged, ...], run: Run) -> Run:
    started, finished = run
    return started, replace(finished, cases=cases)


# ── whole ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", RUNS)
def test_text(name: str, golden: Golden) -> None:
    golden(f"{name}.txt", text.render(document(RUNS[name]())))


@pytest.mark.parametrize("name", ["failing", "unreachable"])
def test_json(name: str, golden: Golden) -> None:
    golden(f"{name}.json", json_report.render(document(RUNS[name]())))


@pytest.mark.parametrize("name", RUNS)
def test_junit(name: str, golden: Golden) -> None:
    golden(f"{name}.xml", junit.render(document(RUNS[name]())))


@pytest.mark.parametrize("name", ["failing", "ended-early", "interrupted"])
def test_ndjson(name: str, golden: Golden) -> None:
    golden(f"{name}.ndjson", ndjson(RUNS[name]()))


@pytest.mark.parametrize("name", ["failing", "unreachable", "interrupted"])
def test_github(name: str, golden: Golden) -> None:
    report = document(RUNS[name]())
    golden(f"{name}.github.txt", RENDERERS["github"](report) + "\n")
    golden(f"{name}.md", markdown.render(report))


@pytest.mark.parametrize("name", ["failing", "unreachable"])
def test_html(name: str, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_page, "load_register", dict)
    golden(f"{name}.html", without_assets(html_report.render(document(RUNS[name]()))))


# ── all of them ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", RENDERERS)
@pytest.mark.parametrize("name", RUNS)
def test_no_report_shows_a_secret_or_changes_from_one_time_to_the_next(name: str, kind: str) -> None:
    shown = RENDERERS[kind](document(RUNS[name]()))
    assert not [secret for secret in SECRETS if secret in shown]
    assert shown == RENDERERS[kind](document(RUNS[name]()))
    shown.encode()


def test_no_event_shows_a_secret() -> None:
    assert not [secret for secret in SECRETS if secret in ndjson(failing())]


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def summary_of(run: Run) -> list[str]:
    return text.render(document(run)).rstrip().rpartition("\n\n")[2].splitlines()


def test_the_first_line_of_the_summary_says_both_axes() -> None:
    assert summary_of(failing())[0] == (
        "delivered: NO, 17 of 20 by the Room backend's count (http-status: 3)   compliant: NO, 15 of 18 answers"
    )
    assert summary_of(passing())[0] == (
        "delivered: yes, 20 of 20 by the Room backend's count   compliant: yes, 20 of 20 answers"
    )


def test_one_cause_is_told_once_and_names_the_others() -> None:
    shown = text.render(document(failing()))
    assert shown.count("seen      a valid callback was not acknowledged") == 2  # the quoted code, and one crash of two
    assert "also      type.expired (the same cause)" in shown


@pytest.mark.parametrize("width", [60, 80, 100])
def test_text_keeps_to_the_width_but_for_what_is_copied(width: int) -> None:
    lines = text.render(document(failing()), width=width).splitlines()
    free = ("sent ", "source ", "https://", "target ", "delivered: ", "DOES NOT CONFORM ")
    assert not [line for line in lines if len(line) > width and not line.strip().startswith(free)]


def test_colours_are_the_style_s_business() -> None:
    coloured = text.render(document(failing()), lambda words, colour: f"<{colour}:{words}>")
    assert "<red:FAIL>  ack.error-code (MUST)" in coloured
    assert "<red:DOES NOT CONFORM>" in coloured
    assert "\x1b" not in text.render(document(failing()))


# ── JSON, NDJSON ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", RUNS)
def test_the_json_report_matches_its_schema_and_is_read_as_it_was_written(name: str, tmp_path: Any) -> None:
    report = document(RUNS[name]())
    path = tmp_path / "roomhook.json"
    path.write_text(json_report.render(report), encoding="utf-8")
    assert loader.problems("report", json.loads(path.read_bytes())) == []
    assert json_report.load(path) == report


def test_the_gravest_findings_come_first_each_with_its_kin() -> None:
    findings = document(failing()).findings
    assert [one.verdict for one in findings] == [
        *[Verdict.FAIL] * 3,
        *[Verdict.WARN] * 2,
        Verdict.KNOWN,
        Verdict.INFO,
    ]
    kin = {one.id: one.also for one in findings}
    assert kin["type.kicked"] == ("type.expired",)
    assert kin["type.expired"] == ("type.kicked",)
    assert kin["ack.error-code"] == ()


def test_the_lines_of_events_add_up_to_the_json_report() -> None:
    first, *cases, last = map(json.loads, ndjson(failing()).splitlines())
    assert (first["event"], last["event"], {one["event"] for one in cases}) == (
        "run-started",
        "run-finished",
        {"case-judged"},
    )
    findings = [finding for one in cases for finding in one["findings"]]
    whole = json.loads(json_report.render(document(failing())))
    assert {**first, **last} | {"event": None, "planned": None} == {
        **{key: value for key, value in whole.items() if key not in {"requirements", "findings"}},
        "event": None,
        "planned": None,
    }
    told = [{key: value for key, value in one.items() if key not in {"event", "findings"}} for one in cases]
    assert told == whole["requirements"]
    assert [one["id"] for one in findings] == [
        one["id"] for one in whole["requirements"] if one["verdict"] not in {"pass", "not-judged"}
    ]


def test_a_verdict_that_the_end_of_the_run_changes_is_told_again() -> None:
    started, finished = ended_early()
    lines = EventLines(version="0.1.0")
    told = lines.feed(started) + lines.feed(CaseJudged(STATUS, Verdict.PASS))
    told += "".join(lines.feed(case) for case in finished.cases[1:]) + lines.feed(finished)
    verdicts = [json.loads(line).get("verdict") for line in told.splitlines()]
    assert verdicts == [None, "pass", "pass", "not-judged", "fail", "violates"]


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
