# ruff: noqa: ARG002 (a variant ignores what the reference would look at)
"""What any answer shows: its label, the spelling of its status, and that nobody reads the body."""

from __future__ import annotations

import json

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, RefusedCallback
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import Finding, RunFinished


def findings(variant: Variant, *only: str) -> dict[str, Finding]:
    with listening(variant) as url:
        finished = list(run_suite(Settings(url, SDKAPPID, only=only)))[-1]
    assert isinstance(finished, RunFinished)
    return {case.requirement.id: case.findings[0] for case in finished.cases if case.findings}


class RefusesAs(Variant):
    """Refuses with a packet of its own making."""

    def __init__(self, status: str, media_type: str) -> None:
        super().__init__()
        self.status, self.media_type = status, media_type

    def refuse(self, refusal: RefusedCallback) -> Response:
        packet = {"ActionStatus": self.status, "ErrorInfo": "no", "ErrorCode": 1}
        return Response(json.dumps(packet), media_type=self.media_type)


class RefusesAll(RefusesAs):
    """Refuses the baseline, too."""

    def acknowledge(self) -> Response:
        return self.refuse(RefusedCallback(1, ""))


class ReadsNoBody(Variant):
    """Acknowledges every body."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        return None


class AcknowledgesText(Variant):
    """Takes a body that is no JSON for an event to be ignored, and refuses the rest."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        return None if callback.body.startswith(b"hello") else super().read(callback)


@pytest.mark.parametrize("status", ["Fail", "fail"])
def test_a_status_in_the_wrong_letter_case_is_named_though_only_refusals_show_it(status: str) -> None:
    found = findings(RefusesAs(status, "application/json"), "ack", "app-id.wrong")
    assert set(found) == {"ack.consistent"}
    assert found["ack.consistent"].actual == f'"{status}"'


def test_another_word_for_a_refusal_is_left_to_the_note_on_refusals() -> None:
    assert findings(RefusesAs("REJECTED", "application/json"), "ack", "app-id.wrong") == {}


def test_a_refusal_that_is_labelled_html_is_not_labelled_json() -> None:
    assert set(findings(RefusesAs("FAIL", "text/html"), "ack", "app-id.wrong")) == {"ack.content-type"}


def test_the_label_is_judged_also_when_the_baseline_is_refused() -> None:
    found = findings(RefusesAll("FAIL", "text/html"))
    assert set(found) - {"url.https"} == {"ack.ok", "ack.content-type"}
    assert found["ack.content-type"].actual.startswith("text/html")


def test_a_backend_that_acknowledges_every_body_is_told_that_it_reads_none() -> None:
    found = findings(ReadsNoBody(), "bad.text", "bad.null")
    assert {one.hint for one in found.values()} == {
        "You seem never to read the body: all malformed bodies are acknowledged."
    }


def test_a_backend_that_acknowledges_one_bad_body_is_not_told_so() -> None:
    assert [one.hint for one in findings(AcknowledgesText(), "bad.text").values()] == [""]
