"""Every report of a run, whole, and what holds for each of them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from made_runs import (
    SECRETS,
    STATUS,
    Run,
    document,
    ended_early,
    events,
    failing,
    passing,
)
from msgspec.structs import replace
from report_runs import RUNS

from roomhook.contract_tests.model.register import load_groups
from roomhook.contract_tests.model.verdicts import CaseJudged, Verdict
from roomhook.contract_tests.reports import github, json_report, junit, markdown, sarif, text
from roomhook.contract_tests.reports.html import page as html_page
from roomhook.contract_tests.reports.html import run_page as html_report
from roomhook.contract_tests.reports.ndjson import EventLines
from roomhook.contract_tests.reports.run_report import RunReport
from roomhook.schemas import loader

Golden = Callable[[str, str], None]


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


def test_the_summary_starts_with_both_axes() -> None:
    assert summary_of(failing())[:2] == [
        "delivered: NO, 17 of 20 as the Room backend would count it (http-status: 3)",
        "compliant: NO, 15 of 18 responses",
    ]
    assert summary_of(passing())[:2] == [
        "delivered: yes, 20 of 20 as the Room backend would count it",
        "compliant: yes, 20 of 20 responses",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", RUNS)
def test_text_fits_the_columns_but_for_urls_and_bodies_and_names_every_group(name: str, width: int) -> None:
    report = document(RUNS[name]())
    shown = text.render(report, width=width)
    long = [one for one in shown.splitlines() if len(one) > width]
    assert not [one for one in long if "http" not in one and "--data-raw" not in one and len(one.split()) > 1], long
    judged = {
        group for group, members in report.groups().items() if any(one.verdict != "not-judged" for one in members)
    }
    for group in judged if "requirements  " in shown else ():
        assert load_groups()[group] in " ".join(shown.split())


def test_one_cause_is_told_once_and_names_the_others() -> None:
    shown = text.render(document(failing()))
    assert shown.count("seen      a valid callback was not acknowledged") == 2  # the quoted code, and one crash of two
    assert "also      type.expired (the same cause)" in shown


def test_the_summary_says_in_how_many_findings_the_failures_are_told() -> None:
    shown = text.render(document(failing()))
    assert "3 failed (2 findings), 2 warned, " in shown
    assert len(re.findall("^FAIL  ", shown, re.MULTILINE)) == 2
    assert len(re.findall("^WARN  ", shown, re.MULTILINE)) == 2


def test_a_finding_names_the_others_of_its_group_unless_they_are_too_many_to_be_read() -> None:
    first = document(failing()).causes[0]
    some = tuple(f"bad.field-type.f{number}" for number in range(8))
    assert ", ".join(some) in " ".join(" ".join(text.finding_fields(replace(first, also=some), width=500)).split())
    many = tuple(f"bad.field-type.f{number}" for number in range(40))
    assert "40 of bad.*" in " ".join(text.finding_fields(replace(first, also=many), width=500))


def test_a_note_comes_with_its_fix_unless_there_is_nothing_to_fix() -> None:
    note = next(one for one in document(failing()).causes if one.verdict is Verdict.INFO)
    assert "fix       Take one." in "\n".join(text.finding_lines(replace(note, fix="Take one.")))
    assert "fix" not in "\n".join(text.finding_lines(replace(note, fix="Nothing to fix. Say so.")))


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (
            (
                "<!DOCTYPE html><html><head><title>403</title><style>p { color: red }</style></head><body>"
                "<h1>Forbidden</h1><p>CSRF verification&nbsp;failed.</p><script>x()</script></body></html>"
            ),
            "HTTP 403 Forbidden CSRF verification failed.",
        ),
        ("<html><head><title>Bad gateway</title></head><body></body></html>", "HTTP 403 Bad gateway"),
        ("<html><style>p { color", "HTTP 403"),
        ("Access <denied>", "HTTP 403 Access <denied>"),
    ],
)
def test_of_a_page_the_words_are_shown(body: str, shown: str) -> None:
    first = document(failing()).causes[0]
    actual = replace(first.actual, text="HTTP 403", status=403, body=body)
    fields = "\n".join(text.finding_fields(replace(first, actual=actual), width=200))
    found = re.search(r"^ *answer +(.*)$", fields, re.MULTILINE)
    assert (" ".join(found[1].split()) if found else "HTTP 403") == shown


@pytest.mark.parametrize("width", [60, 80, 100])
def test_text_keeps_to_the_width_but_for_what_is_copied(width: int) -> None:
    lines = text.render(document(failing()), width=width).splitlines()
    free = ("sent ", "again ", "source ", "https://", "target ", "delivered: ", "DOES NOT CONFORM ")
    folded = ("'http", "--data-", "-H ", "--header ")
    assert not [line for line in lines if len(line) > width and not line.strip().startswith((*free, *folded))]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_folded_command_line_is_the_same_to_a_shell(width: int) -> None:
    report = document(failing())
    shown = text.render(report, width=width)
    commands = re.findall(r"^ +(?:sent|again) {4,6}((?:.*\\\n)*.*)$", shown, re.MULTILINE)
    known = [one.again for one in report.findings] + [one.sent.curl for one in report.findings if one.sent]
    assert any("\\\n" in one for one in commands)
    assert {tuple(shlex.split(one.replace("\\\n", ""))) for one in commands} <= {
        tuple(shlex.split(one)) for one in known if one
    }


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
