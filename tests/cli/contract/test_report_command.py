"""``roomhook report``: one run again, many backends side by side, one backend over time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from made_comparisons import at, backends, elsewhere, over_time
from made_runs import document, failing, passing, saved

from roomhook.cli.main import main
from roomhook.contract_tests.model.verdicts import Verdict
from roomhook.contract_tests.reports import comparison_text, json_report, text
from roomhook.contract_tests.reports.comparison import compare
from roomhook.contract_tests.reports.html import comparison_page as html_matrix
from roomhook.contract_tests.reports.run_report import RunReport

Golden = Callable[[str, str], None]


def without_assets(page: str) -> str:
    page = re.sub(r"(?s)<style>.*?</style>", "<style>page.css</style>", page)
    page = re.sub(r"(?s)<script>.*</script>", "<script>page.js</script>", page)
    return re.sub(r"'sha256-[^']+'", "'sha256-HASH'", page)


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., list[str]]:
    def write(**reports: RunReport) -> list[str]:
        return [str(saved(report, tmp_path / name / "roomhook.json")) for name, report in reports.items()]

    return write


# ── whole ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_many_backends(golden: Golden) -> None:
    golden("backends.txt", comparison_text.render(backends()))
    golden("backends.json", comparison_text.render_json(backends()))
    golden("backends.html", without_assets(html_matrix.render(backends())))


def test_one_backend_over_time(golden: Golden) -> None:
    golden("over-time.txt", comparison_text.render(over_time()))
    golden("over-time.html", without_assets(html_matrix.render(over_time())))


# ── what is compared ────────────────────────────────────────────────────────────────────────────────────────────────


def test_backends_are_named_by_what_tells_their_files_apart() -> None:
    assert [one.label for one in backends().columns] == ["flask", "django", "down"]
    one = document(passing())
    same = compare([(Path("out/a.json"), one), (Path("out/b.json"), elsewhere(one))])
    assert [column.label for column in same.columns] == ["a", "b"]
    twice = compare([(Path("a.json"), one), (Path("a.json"), elsewhere(one))])
    assert [column.label for column in twice.columns] == ["a", "a"]


def test_runs_against_one_target_are_taken_as_one_backend_over_time_and_sorted_by_their_start() -> None:
    comparison = over_time()
    assert comparison.over_time
    assert [one.label for one in comparison.columns] == [
        "2026-11-01 09:30 UTC",
        "2026-11-02 09:30 UTC",
        "2026-11-03 09:30 UTC",
    ]
    runs = [(Path(f"{number}.json"), document(passing())) for number in range(2)]
    assert not compare(runs, over_time=False).over_time


def test_what_has_changed_is_told_step_by_step_the_latest_first() -> None:
    changes = over_time().changes
    assert [one.after for one in changes] == sorted((one.after for one in changes), reverse=True)
    first = {one.id: one.kind for one in changes if one.after == 1}
    assert first["type.kicked"] == "newly failing"
    assert first["bad.scalar"] == "newly warned about"
    assert first["reason.long"] == "newly known"
    assert first["ack.extra"] == "newly noted"
    last = {one.id: one.kind for one in changes if one.after == 2}
    assert last["type.kicked"] == "newly passing"
    assert last["ack.extra"] == "no longer noted"
    assert "type.leave" not in first


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (Verdict.PASS, Verdict.NOT_JUDGED, "no longer judged"),
        (Verdict.NOT_JUDGED, Verdict.PASS, "newly judged"),
        (Verdict.NOT_JUDGED, Verdict.FAIL, "newly failing"),
        (Verdict.FAIL, Verdict.WARN, "newly warned about"),
        (Verdict.KNOWN, Verdict.PASS, "newly passing"),
    ],
)
def test_every_step_has_its_name(before: Verdict, after: Verdict, kind: str) -> None:
    def with_verdict(verdict: Verdict) -> RunReport:
        report = document(passing())
        return msgspec.structs.replace(
            report, requirements=(msgspec.structs.replace(report.requirements[0], verdict=verdict),)
        )

    runs = [(Path("a"), at(1, with_verdict(before))), (Path("b"), at(2, with_verdict(after)))]
    assert [one.kind for one in compare(runs).changes] == [kind]


def test_a_requirement_that_only_some_runs_hold_is_a_change_and_no_error() -> None:
    started, finished = passing()
    fewer = document((started, replace(finished, cases=finished.cases[:2])))
    comparison = compare([(Path("a"), at(1, document(passing()))), (Path("b"), at(2, fewer))])
    assert {one.kind for one in comparison.changes} == {"no longer judged"}
    assert len(comparison.rows) == len(finished.cases)
    assert "not part of this run" in html_matrix.render(comparison)


def test_what_an_unreachable_backend_did_not_show_is_no_difference() -> None:
    assert {row.id for row in backends().rows if row.differs} == {
        "ack.error-code",
        "ack.content-type",
        "ack.extra",
        "type.kicked",
        "type.expired",
        "reason.long",
        "bad.scalar",
    }


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_single_report_is_shown_as_its_run_was(
    files: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = files(one=document(failing()))
    assert main(["report", path, "--html", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out == text.render(document(failing()))
    assert "<h1>Does not conform</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert main(["report", path, "--format", "json"]) == 0
    assert capsys.readouterr().out == json_report.render(document(failing()))


def test_several_reports_are_laid_side_by_side(
    files: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = files(flask=document(passing()), django=elsewhere(document(failing())))
    page = tmp_path / "matrix.html"
    assert main(["report", *paths, "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("2 runs against 2 targets")
    assert err == f"wrote {page}\n"
    assert "2 App backends side by side" in page.read_text(encoding="utf-8")
    assert main(["report", *paths, "--format", "json"]) == 0
    document_ = json.loads(capsys.readouterr().out)
    assert [run["label"] for run in document_["runs"]] == ["flask", "django"]
    assert main(["report", *paths, "--all"]) == 0
    assert "type.leave" in capsys.readouterr().out


def test_one_backend_on_changing_ports_is_put_over_time_on_demand(
    files: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = files(today=at(2, elsewhere(document(failing()))), yesterday=at(1, document(passing())))
    assert main(["report", *paths, "--over-time"]) == 0
    assert "newly failing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "can't be read: No such file or directory"),
        ("not JSON", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[1]", "it is some other JSON"),
        ('{"kind": "load"}', "it is some other JSON"),
        ('{"kind": "check"}', "is missing"),
    ],
)
def test_a_file_that_holds_no_report_is_refused_in_one_line(
    content: str | None, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.json"
    if content is not None:
        path.write_text(content)
    assert main(["report", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert complaint in err
    assert str(path) in err


def test_a_page_that_can_not_be_written_is_refused_in_one_line(
    files: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = files(one=document(passing()))
    assert main(["report", path, "--html", str(tmp_path)]) == 2
    assert "--html" in capsys.readouterr().err


def test_no_file_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 2
    assert "FILE" in capsys.readouterr().err
