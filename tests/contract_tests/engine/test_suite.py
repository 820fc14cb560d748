"""The suite's blame: what one finding means for the others, and what a run judges at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from starlette.responses import Response
from suite_runs import TOKEN, against, failed, message, parameter, verdict
from variant_server import OK_BODY, SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, RefusedCallback
from roomhook.contract_tests.engine import opening
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, RunStarted, Verdict
from roomhook.contract_tests.reports.run_report import report_of
from roomhook.simulator.protocol.callback_url import sign

pytestmark = pytest.mark.long


class Minds(Variant):
    """Answers FAIL where ``minds`` says so."""

    def __init__(self, minds: Callable[[IncomingCallback, MemberEvent], bool], token: str | None = None) -> None:
        super().__init__(token)
        self.minds = minds

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        if event is not None and self.minds(callback, event):
            raise RefusedCallback(9, "not so")
        return event


# The baseline: one value of it, or its answer


@pytest.mark.parametrize(
    ("requirement", "minds"),
    [
        ("type.leave", lambda _, event: event.type == "Leave"),
        ("members.one", lambda _, event: len(event.member_list_account) == 1),
        ("time.now", lambda _, event: event.event_time > 2**32),
        ("time.now", lambda _, event: abs(event.event_time - time.time()) > 300),
        ("url.platform.ios", lambda callback, _: parameter(callback, "OptPlatform") == "iOS"),
        ("url.contenttype.json", lambda callback, _: parameter(callback, "contenttype") != "JSON"),
        ("url.client-ip.v4", lambda callback, _: parameter(callback, "ClientIP") not in {None, "127.0.0.1"}),
    ],
)
def test_a_value_of_the_baseline_that_alone_is_minded_is_blamed_alone(
    requirement: str, minds: Callable[[IncomingCallback, MemberEvent], bool]
) -> None:
    finished = against(Minds(minds))
    assert failed(finished) == {requirement}
    assert "acknowledged only with" in message(finished, requirement)
    assert finished.count(Verdict.PASS) == 0


def test_two_values_that_are_minded_leave_the_blame_with_the_answer() -> None:
    variant = Minds(lambda callback, _: {("contenttype", "json"), ("OptPlatform", "iOS")} <= set(callback.parameters))
    assert failed(against(variant)) == {"ack.ok"}


class SignedBackwards(Variant):
    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        if parameter(callback, "Sign") != sign(parameter(callback, "RequestTime") or "", token):
            raise RefusedCallback(2, "Sign does not match")


class NeverSigned(Variant):
    def check_sign(self, callback: IncomingCallback, token: str) -> None:  # noqa: ARG002 (nothing suits it)
        raise RefusedCallback(2, "Sign does not match")


@pytest.mark.parametrize(
    ("kind", "said"),
    [(SignedBackwards, "only with Sign as sha256(RequestTime + Token)"), (NeverSigned, "the answer names its Sign")],
)
def test_a_refused_sign_is_told_from_other_refusals(kind: type[Variant], said: str) -> None:
    finished = against(kind(TOKEN), token=TOKEN)
    assert failed(finished) == {"sign.valid"}
    assert said in message(finished, "sign.valid")


def test_an_answer_is_blamed_once_for_all_callbacks_and_the_rest_is_not_judged() -> None:
    class Created(Variant):
        def acknowledge(self) -> Response:
            return Response(OK_BODY, 201)

    finished = against(Created())
    assert failed(finished) == {"ack.status"}
    assert {case.verdict for case in finished.cases} == {Verdict.FAIL, Verdict.NOT_JUDGED}
    assert (finished.summary.delivered, finished.summary.compliant) == (0, 0)


def test_fail_is_delivered_and_compliant_but_no_acknowledgement() -> None:
    finished = against(Minds(lambda *_: True))
    summary = finished.summary
    assert failed(finished) == {"ack.ok"}
    assert summary.sent == summary.delivered == summary.compliant > summary.acknowledged == 0


def test_a_body_that_was_announced_too_long_is_blamed_on_the_announcement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_WARM_UP_MS", 100)

    class Announces(Variant):
        def framing(self, response: Response) -> list[tuple[bytes, bytes]]:
            return [(b"Content-Length", b"%d" % (len(response.body) + 9))]

    finished = against(Announces(), deadline_ms=100)
    assert failed(finished) == {"ack.complete"}
    assert finished.summary.undelivered == {"timeout": finished.summary.sent}


# What a RoomId may look like is not documented


def test_rooms_without_a_dot_are_used_where_a_dot_is_minded() -> None:
    assert failed(against(Minds(lambda _, event: "." in event.room_id))) == set()


def test_a_limit_on_room_ids_is_blamed_on_nothing_else() -> None:
    assert failed(against(Minds(lambda _, event: len(event.room_id) > 24))) == {"id.room-max"}


# Answers that fail now and then, late answers


class Moody(Variant):
    """Answers 500 to every seventh request."""

    async def handle(self, callback: IncomingCallback) -> Response:
        return Response(status_code=500) if self.requests % 7 == 0 else await super().handle(callback)


def test_an_answer_that_fails_now_and_then_is_blamed_on_no_case() -> None:
    finished = against(Moody())
    assert failed(finished) == {"ack.status"}
    assert "acknowledged when it was sent again" in message(finished, "ack.status")
    assert finished.summary.undelivered["http-status"] > 5


class LateOnce(Variant):
    late = 0

    async def apply(self, event: MemberEvent) -> None:
        if event.type == "Kicked" and not self.late:
            self.late += 1
            await asyncio.sleep(0.4)
        await super().apply(event)


def test_one_late_answer_is_no_failure_of_its_case_and_summed_up() -> None:
    variant = LateOnce()
    assert failed(against(variant, deadline_ms=300, only=("ack", "type"))) == {"ack.steady"}
    assert variant.late == 1


class LateWhenKicked(Variant):
    async def apply(self, event: MemberEvent) -> None:
        if event.type == "Kicked":
            await asyncio.sleep(0.4)
        await super().apply(event)


def test_what_is_always_late_is_blamed_after_three_times_alone() -> None:
    finished = against(LateWhenKicked(), deadline_ms=300, only=("ack", "type", "operator", "id.system"))
    assert failed(finished) == {"type.kicked"}
    assert verdict(finished, "operator.other") is Verdict.NOT_JUDGED
    assert finished.summary.undelivered == {"timeout": 3}


# What is selected


def test_only_what_is_selected_is_judged() -> None:
    finished = against(Variant(), only=("count", "type.*"), exclude=("type.unknown",))
    judged = {case.requirement.id for case in finished.cases}
    counts = {"count.zero", "count.one", "count.large", "count.huge"}
    assert judged == {*counts, "type.leave", "type.kicked", "type.expired"}


def test_a_run_that_can_judge_nothing_is_no_success() -> None:
    finished = against(Variant(), only=("effect.leave", "sign"))
    assert finished.summary.outcome is RunOutcome.NOTHING_RAN
    assert finished.summary.outcome.exit_code == 2
    assert "no probe given" in finished.summary.detail


class AnyApp(Variant):
    def check_app_id(self, callback: IncomingCallback) -> None:
        """Takes every callback."""


def test_what_another_requirement_builds_on_is_not_reported_unless_it_was_asked_for() -> None:
    finished = against(AnyApp(), only=("app-id.padded", "count"))
    assert failed(finished) == set()
    assert verdict(finished, "app-id.padded") is Verdict.NOT_JUDGED
    assert {case.requirement.group for case in finished.cases} == {"app-id", "count"}


def test_findings_of_one_cause_are_one_in_the_report() -> None:
    with listening(AnyApp()) as url:
        events = list(run_suite(Settings(url, SDKAPPID, only=("app-id",))))
    started, finished = events[0], events[-1]
    assert isinstance(started, RunStarted)
    assert isinstance(finished, RunFinished)
    assert failed(finished) == {"app-id.wrong", "app-id.missing", "app-id.empty", "app-id.near"}
    causes = [cause for cause in report_of(started, finished).causes if cause.verdict is Verdict.FAIL]
    assert len(causes) == 1
