"""Known failures: what the file may hold, what a run makes of it, and what it says of an entry that must go."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from inner_pytest import PYTEST

from roomhook.cli.main import main
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.known_failures import KnownFailure, load_known
from roomhook.contract_tests.model.register import load_register
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import (
    CaseJudged,
    Finding,
    RunFinished,
    RunOutcome,
    Verdict,
    apply_known_failures,
)
from roomhook.errors import ConfigurationError

ENTRY = '[[known]]\nid = "reason.unicode"\nreason = "the old database is Latin-1"\nuntil = 2099-05-31\n'
DAY = date(2027, 5, 31)
KNOWN = KnownFailure("reason.unicode", "the old database is Latin-1", DAY, "known.toml", 7)


@pytest.fixture(scope="module")
def server() -> Iterator[BackendServer]:
    with BackendServer() as running:
        yield running


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = Path("roomhook-known.toml")
        path.write_text(text, encoding="utf-8")
        return path

    return write


def judged(verdict: Verdict, requirement: str = "reason.unicode") -> CaseJudged:
    one = load_register()[requirement]
    finding = Finding(one, "seen", "this", "that")
    reason = "no token given" if verdict is Verdict.NOT_JUDGED else ""
    return CaseJudged(one, verdict, (finding,) if verdict in {Verdict.FAIL, Verdict.WARN} else (), reason)


class TestFile:
    def test_holds_entries_with_their_lines(self, write: Callable[[str], Path]) -> None:
        second = '# and\n\n [[ known ]]  # this\nid = "bad.null"\nreason = "a proxy"\nuntil = "2027-01-02"\n'
        assert load_known(write(ENTRY + second)) == (
            KnownFailure("reason.unicode", "the old database is Latin-1", date(2099, 5, 31), "roomhook-known.toml", 1),
            KnownFailure("bad.null", "a proxy", date(2027, 1, 2), "roomhook-known.toml", 7),
        )

    def test_may_be_empty_once_the_last_entry_is_gone(self, write: Callable[[str], Path]) -> None:
        assert load_known(write("# nothing known\n")) == ()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                ENTRY.replace("unicode", "unicod"),
                "roomhook-known.toml:1: no requirement is named 'reason.unicod'; did you mean reason.unicode",
            ),
            ("\n" + ENTRY + "owner = 'ann'\n", "roomhook-known.toml:2: owner: is not a known field"),
            ("known_failures = []\n", "roomhook-known.toml: $.known_failures: is not a known field"),
            (ENTRY.replace("reason =", "why ="), "roomhook-known.toml:1: reason: is missing"),
            (ENTRY.replace("2099-05-31", "'soon'"), "roomhook-known.toml:1: until: must be the last day"),
            (ENTRY.replace("2099-05-31", "'2099-02-31'"), "roomhook-known.toml:1: until: there is no day 2099-02-31"),
            (ENTRY.replace("2099-05-31", "2099-05-31T12:00:00"), "roomhook-known.toml:1: until: must be the last day"),
            (ENTRY.replace("reason.unicode", "reason"), "roomhook-known.toml:1: id: must be the id of one requirement"),
            (ENTRY.replace("reason.unicode", "url.https"), "roomhook-known.toml:1: url.https is INFO and never fails"),
            (ENTRY + ENTRY, "roomhook-known.toml:5: reason.unicode is in line 1 already; keep one of them"),
            ("[[known]", "--known roomhook-known.toml is not TOML"),
        ],
    )
    def test_is_refused_in_one_line_that_says_where(
        self, write: Callable[[str], Path], capsys: pytest.CaptureFixture[str], text: str, message: str
    ) -> None:
        assert main(["check", "http://127.0.0.1:9/", "--known", str(write(text))]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith(f"roomhook: {message}")
        assert captured.err.count("\n") == 1

    def test_must_be_there_if_it_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="can't be read: No such file"):
            load_known(tmp_path / "nothing.toml")


class TestWeighing:
    @pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.WARN])
    def test_tolerates_a_failure_up_to_the_last_day(self, verdict: Verdict) -> None:
        weighed = apply_known_failures(judged(verdict), [KNOWN], DAY)
        assert weighed.verdict is Verdict.KNOWN
        assert weighed.reason == "the old database is Latin-1 (known until 2027-05-31, known.toml:7)"
        assert weighed.findings == judged(verdict).findings

    @pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.WARN])
    def test_fails_the_day_after_with_the_entry_to_delete_and_the_failure_itself(self, verdict: Verdict) -> None:
        weighed = apply_known_failures(judged(verdict), [KNOWN], DAY + timedelta(days=1))
        assert weighed.verdict is Verdict.FAIL
        expiry, failure = weighed.findings
        assert expiry.message == "a known failure has expired"
        assert expiry.expected == "no failure after 2027-05-31, as known.toml:7 says"
        assert 'Delete the entry [[known]] id = "reason.unicode" that begins in line 7 of known.toml' in expiry.fix
        assert failure == judged(verdict).findings[0]

    @pytest.mark.parametrize("today", [DAY, DAY + timedelta(days=1)])
    def test_fails_what_passes_although_it_is_known_to_fail(self, today: date) -> None:
        weighed = apply_known_failures(judged(Verdict.PASS), [KNOWN], today)
        assert weighed.verdict is Verdict.FAIL
        assert weighed.findings[0].message == "a known failure passes"
        assert weighed.findings[0].fix == (
            'Delete the entry [[known]] id = "reason.unicode" that begins in line 7 of known.toml.'
        )

    @pytest.mark.parametrize("today", [DAY, DAY + timedelta(days=1)])
    def test_leaves_alone_what_was_not_judged_and_what_is_not_listed(self, today: date) -> None:
        for one in (judged(Verdict.NOT_JUDGED), judged(Verdict.FAIL, "reason.empty")):
            assert apply_known_failures(one, [KNOWN], today) is one


class TestRun:
    def run(
        self, server: BackendServer, known: str, *, days: int = 0, strict: bool = False, only: str = "reason"
    ) -> RunFinished:
        until = datetime.now(UTC).date()
        entry = KnownFailure(known, "for a reason", until, "known.toml", 1)
        settings = Settings(server.url("reason.unicode"), only=[only], known=[entry], strict=strict)
        *_, last = SuiteRun(settings, clock=lambda: time.time() + 86400 * days).events()
        assert isinstance(last, RunFinished)
        return last

    def test_conforms_with_a_known_failure(self, server: BackendServer) -> None:
        finished = self.run(server, "reason.unicode")
        assert finished.summary.outcome is RunOutcome.CONFORMS
        assert [one.requirement.id for one in finished.with_verdict(Verdict.KNOWN)] == ["reason.unicode"]
        assert {one.requirement.id: one.reason for one in finished.with_verdict(Verdict.NOT_JUDGED)} == {
            "reason.escapes": "skipped because reason.unicode failed"
        }

    def test_takes_the_day_from_its_own_clock(self, server: BackendServer) -> None:
        finished = self.run(server, "reason.unicode", days=2)
        assert finished.summary.outcome is RunOutcome.VIOLATES
        assert [one.requirement.id for one in finished.with_verdict(Verdict.FAIL)] == ["reason.unicode"]

    def test_violates_with_an_entry_for_what_passes(self, server: BackendServer) -> None:
        finished = self.run(server, "reason.empty")
        assert {one.requirement.id for one in finished.with_verdict(Verdict.FAIL)} == {"reason.empty", "reason.unicode"}

    def test_says_nothing_of_an_entry_that_this_run_does_not_judge(self, server: BackendServer) -> None:
        assert self.run(server, "reason.unicode", only="count").summary.outcome is RunOutcome.CONFORMS

    def test_counts_a_requirement_that_passes_as_passed_where_another_needs_it(self, server: BackendServer) -> None:
        finished = self.run(server, "type.kicked", only="type.kicked,operator.other")
        assert [one.requirement.id for one in finished.with_verdict(Verdict.PASS)] == ["operator.other"]
        assert [one.requirement.id for one in finished.with_verdict(Verdict.FAIL)] == ["type.kicked"]


class TestCommand:
    def test_tells_known_failures_in_every_report_and_ends_with_0(
        self, server: BackendServer, write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["check", server.url("reason.unicode"), "--only", "reason.unicode", "--known", str(write(ENTRY))]
        told = "the old database is Latin-1 (known until 2099-05-31, roomhook-known.toml:1)"

        assert main([*arguments, "--report", "json", "--report", "junit", "--report", "ndjson"]) == 0

        text = capsys.readouterr().out
        assert "known failures: 1\n" in text
        assert " ".join(text.split()).count(told) == 1
        assert "CONFORMS  1 known in" in text
        document = json.loads(Path("roomhook-report/roomhook.json").read_bytes())
        assert document["totals"]["known"] == 1
        assert document["requirements"][0]["reason"] == told
        assert document["findings"][0]["verdict"] == "known"
        suite = ET.parse("roomhook-report/roomhook-junit.xml").getroot()[0]
        assert suite.attrib["failures"] == "0"
        skipped = suite.find("testcase/skipped")
        assert skipped is not None
        assert skipped.attrib["message"] == f"known: {told}"
        assert told in Path("roomhook-report/roomhook.ndjson").read_text(encoding="utf-8")

    def test_ends_with_1_and_the_line_to_delete_for_an_entry_that_must_go(
        self, server: BackendServer, write: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        for backend, until in ((None, "2099-05-31"), ("reason.unicode", "2020-01-01")):
            known = write("\n" + ENTRY.replace("2099-05-31", until))
            code = main(["check", server.url(backend), "--only", "reason.unicode", "--known", str(known)])
            assert code == 1
            assert "begins in line 2 of roomhook-known.toml" in " ".join(capsys.readouterr().out.split())

    def test_takes_nothing_for_known_that_was_not_asked_for(
        self, server: BackendServer, write: Callable[[str], Path]
    ) -> None:
        write(ENTRY)
        assert main(["check", server.url("reason.unicode"), "--only", "reason.unicode"]) == 1

    def test_is_named_in_the_configuration_file_too(
        self, server: BackendServer, write: Callable[[str], Path], tmp_path: Path
    ) -> None:
        write(ENTRY)
        (tmp_path / "roomhook.toml").write_text('[check]\nknown = "roomhook-known.toml"\n', encoding="utf-8")
        assert main(["check", server.url("reason.unicode"), "--only", "reason.unicode"]) == 0


@pytest.mark.long
def test_pytest_expects_a_known_failure_and_fails_an_unexpected_pass(
    server: BackendServer, write: Callable[[str], Path]
) -> None:
    known = write(ENTRY + ENTRY.replace("reason.unicode", "reason.empty"))
    command = [*PYTEST, "-rA", "--pyargs", "roomhook.contract_tests", "--room-target", server.url("reason.unicode")]
    command += ["--room-only", "reason.unicode,reason.empty", "--room-known", str(known)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "1 failed, 1 xfailed" in done.stdout
    assert "known until 2099-05-31, roomhook-known.toml:1" in done.stdout
    assert "begins in line 5 of roomhook-known.toml" in " ".join(done.stdout.split())
