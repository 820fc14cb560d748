"""A finding's curl line, run by a shell, gets the answer that the finding is about; where none can, none is shown."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Final

import pytest

from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.register import load_register
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunStarted
from roomhook.contract_tests.reports.run_report import FindingRecord, report_of
from roomhook.contract_tests.reports.text import finding_fields

pytestmark = pytest.mark.long

TOKEN: Final = "curl-token"
TOLD_APART_AT_ONCE: Final = {"bad.deep", "bad.utf8", "http.chunked", "http.method", "app-id.elsewhere", "url.encoded"}
NOT_COMPARED: Final = {"ack.coding", "ack.cold-start", "ack.margin", "fuzz.valid", "fuzz.near-miss", "time.now"}
"""What no single request shows, what is in no status or packet, what is drawn anew, and what is new only once."""
ALONE: Final = [one for one in BROKEN if not load_register()[one].series and one not in NOT_COMPARED]
SERIES: Final = ["app-id.recovers", "http.split-head", "duplicate.ack"]


class Origins:
    """Two servers of the same backends: one to be judged, one that has seen nothing yet."""

    def __init__(self, judged: str, fresh: str) -> None:
        self.judged, self.fresh = judged, fresh

    def findings(self, requirement: str) -> tuple[FindingRecord, ...]:
        target = f"{self.judged}/broken/{requirement}"
        started, *_, finished = run_suite(Settings(target, token=TOKEN, seed=7, only=(requirement,)))
        assert isinstance(started, RunStarted)
        assert isinstance(finished, RunFinished)
        return report_of(started, finished).findings


@pytest.fixture(scope="module")
def origins() -> Iterator[Origins]:
    with BackendServer(token=TOKEN) as judged, BackendServer(token=TOKEN) as fresh:
        yield Origins(judged.origin, fresh.origin)


@pytest.mark.parametrize(
    "requirement",
    [pytest.param(one, marks=() if one in TOLD_APART_AT_ONCE else pytest.mark.exhaustive) for one in ALONE],
)
def test_the_line_gets_the_answer_of_the_finding(origins: Origins, requirement: str) -> None:
    for finding in origins.findings(requirement):
        assert finding.sent
        line = finding.sent.curl.replace(origins.judged, origins.fresh)
        if not line:
            assert finding.sent.series.startswith("a body of ")
            continue
        ran = subprocess.run(
            ["sh", "-c", f"{line} -m 9 -w ' HTTP %{{http_code}}'"],
            env={**os.environ, "ROOMHOOK_TOKEN": TOKEN},
            capture_output=True,
            check=False,
        )
        answer = ran.stdout.decode(errors="replace")  # curl itself asks again after a 417
        status = f"HTTP/1.1 {finding.actual.status} " if finding.actual.status else " HTTP 000"
        assert status in answer, line
        assert ('"OK"' in answer) == ('"OK"' in (finding.actual.body or "")), line


@pytest.mark.parametrize("requirement", SERIES)
def test_what_one_request_does_not_repeat_shows_the_request_and_the_command_that_repeats_it(
    origins: Origins, requirement: str
) -> None:
    finding = origins.findings(requirement)[0]
    shown = " ".join(" ".join(finding_fields(finding)).split())

    assert finding.sent
    assert finding.sent.curl == ""
    assert "curl -" not in shown
    assert f"({load_register()[requirement].series}: no curl line repeats that)" in shown
    assert f"--only {requirement}" in shown
    assert "Room.CallbackAfterMemberLeave" in shown


def test_a_body_of_ten_thousand_brackets_is_made_by_the_line(origins: Origins) -> None:
    (finding,) = origins.findings("bad.deep")
    assert finding.sent
    assert len(finding.sent.curl) < 500
    script = finding.sent.curl.replace("curl -", "cat; : -")
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[" * 10_000 + "]" * 10_000
