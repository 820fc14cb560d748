from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from starlette.responses import Response
from variant_server import OK_BODY, SDKAPPID, HangUpError, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, RefusedCallback
from roomhook.contract_tests.engine import opening
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, RunStarted, Verdict
from roomhook.contract_tests.reports.run_report import report_of
from roomhook.simulator.protocol.callback_url import sign
from roomhook.simulator.protocol.packets import ENTER_COMMAND, ResponsePacket

pytestmark = pytest.mark.long

TOKEN = "xxxxyyyy"
QUICK = ("http.idle", "http.slow-body", "http.split-head", "http.burst", "url.https")


def run(url: str, **options: Any) -> RunFinished:
    finished = list(run_suite(Settings(url, SDKAPPID, **{"exclude": QUICK, **options})))[-1]
    assert isinstance(finished, RunFinished)
    return finished


def against(variant: Variant, **options: Any) -> RunFinished:
    with listening(variant) as url:
        return run(url, **options)


def failed(finished: RunFinished) -> set[str]:
    """The ids of what failed or warned; pytest shows the rest of the run where a test fails."""
    for case in finished.cases:
        for finding in case.findings:
            print(case.verdict, case.requirement.id, finding.message, "|", finding.actual)  # noqa: T201
    print(finished.summary)  # noqa: T201
    return {case.requirement.id for case in finished.cases if case.verdict in {Verdict.FAIL, Verdict.WARN}}


def message(finished: RunFinished, requirement: str) -> str:
    return next(case.findings[0].message for case in finished.cases if case.requirement.id == requirement)


def verdict(finished: RunFinished, requirement: str) -> Verdict:
    return next(case.verdict for case in finished.cases if case.requirement.id == requirement)


def parameter(callback: IncomingCallback, name: str) -> str | None:
    return dict(callback.parameters).get(name)


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


def test_one_late_answer_is_forgiven() -> None:
    variant = LateOnce()
    assert failed(against(variant, deadline_ms=300, only=("ack", "type"))) == set()
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


# Targets that hang, go away, or spoil


class Hangs(Variant):
    """Answers *answers* callbacks and no more."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.answers = answers

    async def handle(self, callback: IncomingCallback) -> Response:
        if self.requests > self.answers:
            await asyncio.sleep(60)
        return await super().handle(callback)


def test_three_hung_callbacks_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_WARM_UP_MS", 100)
    variant = Hangs(0)
    finished = against(variant, deadline_ms=100)
    assert failed(finished) == {"ack.deadline"}
    assert variant.requests == 3


def test_a_target_that_hangs_later_says_since_when() -> None:
    finished = against(Hangs(20), deadline_ms=100)
    assert failed(finished) == {"ack.deadline"}
    assert finished.summary.detail.startswith("3 callbacks in a row got no answer within 1.15 s, since ")
    assert verdict(finished, "type.kicked") is Verdict.PASS
    assert verdict(finished, "bad.alive") is Verdict.NOT_JUDGED


class GoesAway(Variant):
    """Takes no connections any more once ``leaves`` says so."""

    def __init__(self, leaves: Callable[[IncomingCallback], bool], back_after_s: float | None = None) -> None:
        super().__init__()
        self.leaves = leaves
        self.back_after_s = back_after_s
        self.restarts = 0

    async def handle(self, callback: IncomingCallback) -> Response:
        assert self.server is not None
        if self.leaves(callback):
            host, port = self.server.sockets[0].getsockname()
            self.server.close()
            if self.back_after_s is not None:
                self.coming_back = asyncio.create_task(self._come_back(host, port, self.back_after_s))
            raise HangUpError
        return await super().handle(callback)

    async def _come_back(self, host: str, port: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self.restarts += 1
        self.server = await asyncio.start_server(self.connected, host, port)


def test_a_target_that_goes_away_ends_the_run_with_a_finding() -> None:
    variant = GoesAway(lambda _: False)
    variant.leaves = lambda _: variant.requests > 30
    finished = against(variant)
    assert failed(finished) == {"ack.status"}
    assert finished.summary.outcome is RunOutcome.VIOLATES
    assert "accepts no connections any more" in finished.summary.detail


@pytest.mark.parametrize("callback", range(1, 9))
def test_a_target_that_one_of_the_first_callbacks_kills_is_a_finding_and_no_error_of_ours(callback: int) -> None:
    variant = GoesAway(lambda _: False)
    variant.leaves = lambda _: variant.requests >= callback
    finished = against(variant)
    assert failed(finished) == {"ack.status"}
    assert finished.summary.outcome is RunOutcome.VIOLATES


def test_a_target_that_the_first_callback_kills_while_it_is_waited_for_is_told_from_one_that_was_never_there() -> None:
    finished = against(GoesAway(lambda _: True), wait_for_s=0.5)
    assert finished.summary.outcome is RunOutcome.UNREACHABLE
    assert "took a callback before and it closed the connection without an answer" in finished.summary.detail


def test_a_target_that_bad_input_kills_is_not_alive() -> None:
    finished = against(GoesAway(lambda callback: callback.body == b"null"))
    assert failed(finished) == {"bad.alive"}
    assert "bad.null" in message(finished, "bad.alive")


def test_a_target_that_bad_input_kills_and_that_is_restarted_is_not_alive_either() -> None:
    variant = GoesAway(lambda callback: callback.body == b"null", back_after_s=0.4)
    finished = against(variant, only=("ack", "bad.null", "bad.alive"))
    assert failed(finished) == {"bad.alive"}
    assert variant.restarts == 2
    assert message(finished, "bad.alive") == "the target was gone for a while after the body null"


class Spoilt(Variant):
    """Answers 500 for ever after a body that is no JSON."""

    spoilt = False

    def parse(self, body: bytes, kind: type[Any]) -> Any:
        self.spoilt = self.spoilt or body[:1] not in {b"{", b""}
        return super().parse(body, kind)

    async def handle(self, callback: IncomingCallback) -> Response:
        return Response(status_code=500) if self.spoilt else await super().handle(callback)


class HangsUpEverAfter(Spoilt):
    """Closes every connection after a body that is no JSON, which is a refusal as good as any."""

    async def handle(self, callback: IncomingCallback) -> Response:
        if self.spoilt:
            raise HangUpError
        return await super().handle(callback)


@pytest.mark.parametrize("only", [("bad",), ("bad.alive",)])
def test_a_dead_target_passes_nothing_by_refusing_everything(only: tuple[str, ...]) -> None:
    finished = against(HangsUpEverAfter(), only=only)
    assert failed(finished) == {"bad.alive"}
    assert finished.count(Verdict.PASS) <= 2


class DiesOfAWrongSign(Variant):
    dead = False

    async def handle(self, callback: IncomingCallback) -> Response:
        self.dead = self.dead or parameter(callback, "Sign") == "0" * 64
        if self.dead:
            raise HangUpError
        return await super().handle(callback)


@pytest.mark.parametrize("only", [("sign", "http.half-request"), ("sign",), ("sign.wrong", "sign.missing")])
def test_a_target_that_dies_while_it_refuses_is_found_dead(only: tuple[str, ...]) -> None:
    finished = against(DiesOfAWrongSign(TOKEN), token=TOKEN, only=(*only, "ack"))
    assert failed(finished) == {"ack.status"}
    assert "sign.wrong" in message(finished, "ack.status")


def test_a_spoilt_target_is_blamed_for_what_spoilt_it_and_for_nothing_after() -> None:
    finished = against(Spoilt())
    assert failed(finished) == {"bad.alive"}
    assert "even the baseline callback is not acknowledged any more" in message(finished, "bad.alive")


# Reaching the target


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "no-such-host.invalid"])
def test_an_unreachable_target_is_no_finding(host: str) -> None:
    finished = run(f"http://{host.format(port=free_port())}/")
    assert finished.summary.outcome is RunOutcome.UNREACHABLE
    assert finished.summary.outcome.exit_code == 3
    assert not finished.cases


def test_a_server_that_speaks_no_tls_is_unreachable_by_https() -> None:
    with listening(Variant()) as url:
        assert run(url.replace("http", "https", 1)).summary.outcome is RunOutcome.UNREACHABLE


class StillStarting(Variant):
    """A gateway answers for it at first."""

    async def handle(self, callback: IncomingCallback) -> Response:
        return Response(status_code=502) if self.requests < 4 else await super().handle(callback)


def test_a_target_that_is_still_starting_is_waited_for() -> None:
    assert failed(against(StillStarting(), wait_for_s=10, only=("ack", "type"))) == set()


class StillLoading(Variant):
    """Takes connections, and answers once it has loaded."""

    async def handle(self, callback: IncomingCallback) -> Response:
        if self.requests == 1:
            await asyncio.sleep(2)
        return await super().handle(callback)


def test_a_target_that_listens_but_does_not_answer_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_WARM_UP_MS", 100)
    finished = against(StillLoading(), wait_for_s=10, deadline_ms=300, only=("type",))
    assert failed(finished) == set()
    assert finished.summary.undelivered == {}


def test_a_target_that_does_not_listen_yet_is_waited_for() -> None:
    port = free_port()
    result: list[RunFinished] = []
    waiting = threading.Thread(
        target=lambda: result.append(run(f"http://127.0.0.1:{port}/callback", wait_for_s=20, only=("type",)))
    )
    waiting.start()
    time.sleep(0.3)
    with listening(Variant(), port=port):
        waiting.join()
    assert failed(result[0]) == set()
    assert result[0].count(Verdict.PASS) == 4


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


# What the user knows about the target


class Recording(Variant):
    def __init__(self, token: str | None = None) -> None:
        super().__init__(token)
        self.packets: list[dict[str, Any]] = []

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        self.packets.append(json.loads(callback.body))
        return event


def test_members_enter_the_room_before_they_leave_it() -> None:
    variant = Recording()
    assert failed(against(variant, enter_first=True, only=("type", "members", "http.parallel", "duplicate"))) == set()
    here: set[tuple[str, str]] = set()
    for packet in variant.packets[1:]:  # the first is the warm-up
        members = {(packet["RoomId"], one) for one in packet["MemberList_Account"]}
        if packet["CallbackCommand"] == ENTER_COMMAND:
            here |= members
        else:
            assert members <= here


def test_a_named_room_and_members_are_used_and_no_others() -> None:
    variant = Recording()
    finished = against(variant, room="standup", members=("ann", "bob"), exclude=(*QUICK, "bad.no-echo"))
    assert failed(finished) == set()
    valid = [one for one in variant.packets if one.get("Reason") == "left the room"]
    assert {one["RoomId"] for one in valid} == {"standup"}
    assert {account for one in valid for account in one["MemberList_Account"]} == {"ann", "bob"}
    assert verdict(finished, "members.twenty") is Verdict.NOT_JUDGED
    assert verdict(finished, "id.room-max") is Verdict.NOT_JUDGED


class Silent(Variant):
    def refuse(self, refusal: RefusedCallback) -> Response:
        return self.acknowledge() if refusal.code <= 2 else super().refuse(refusal)


def test_silent_refusals_are_not_judged_without_a_probe() -> None:
    finished = against(Silent(TOKEN), token=TOKEN, refusal="silent", only=("app-id", "sign"))
    assert failed(finished) == set()
    assert verdict(finished, "app-id.wrong") is verdict(finished, "sign.wrong") is Verdict.NOT_JUDGED
    assert verdict(finished, "sign.valid") is verdict(finished, "app-id.recovers") is Verdict.PASS


def test_silence_without_the_option_is_found_and_the_finding_names_the_option() -> None:
    finished = against(Silent(), only=("app-id.wrong",))
    assert failed(finished) == {"app-id.wrong"}
    assert "--refusal silent" in finished.cases[0].findings[0].fix


def test_a_clock_that_is_known_to_differ_is_followed() -> None:
    assert failed(against(Variant(TOKEN, clock_ahead_s=200), token=TOKEN, clock_skew_s=200, only=("sign",))) == set()
    assert failed(against(Variant(TOKEN, clock_ahead_s=200), token=TOKEN, only=("sign", "ack.ok"))) == {"ack.ok"}


class Dated(Variant):
    def respond(self, packet: ResponsePacket) -> Response:
        response = super().respond(packet)
        response.headers["Date"] = formatdate(self.clock(), usegmt=True)
        return response


def test_a_clock_that_differs_is_hinted_at() -> None:
    finished = against(Dated(TOKEN, clock_ahead_s=200), token=TOKEN)
    assert failed(finished) == {"ack.ok"}
    fix = next(case.findings[0].fix for case in finished.cases if case.findings)
    assert re.match(r"Its Date header is \+(199|200|201) s off the RequestTime", fix)
    assert "--clock-skew" in fix


def test_sdkappid_is_what_the_target_is_told() -> None:
    variant = Variant()
    variant.sdkappid = "20001234"
    with listening(variant) as url:
        for sdkappid, found in ((SDKAPPID, {"ack.ok"}), (20001234, set[str]())):
            finished = list(run_suite(Settings(url, sdkappid, only=("app-id", "ack"))))[-1]
            assert isinstance(finished, RunFinished)
            assert failed(finished) == found


def test_two_suites_at_once_do_not_disturb_each_other() -> None:
    variant = Variant()
    results: list[RunFinished] = []
    with listening(variant) as url:
        threads = [threading.Thread(target=lambda: results.append(run(url))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [failed(one) for one in results] == [set(), set()]


class Distant(Variant):
    """Takes 150 ms over a callback; keeps which cases it has seen at the same time."""

    delay_s = 0.15

    def __init__(self) -> None:
        super().__init__()
        self.present: list[str] = []
        self.companies: set[frozenset[str]] = set()

    async def answer(self, callback: IncomingCallback, method: str, path: str) -> Response:
        named = re.search(rb'"RoomId":"rh-[a-z2-9]{4}-([a-z.-]+)-', callback.body)
        case = named[1].decode() if named else ""
        self.present.append(case)
        self.companies.add(frozenset(self.present))
        try:
            return await super().answer(callback, method, path)
        finally:
            self.present.remove(case)


class Near(Distant):
    delay_s = 0


class Single(Distant):
    alone = True


FEW_CASES = ("count", "reason", "bad.null", "bad.text", "bad.field-type.type")


def test_a_distant_target_is_sent_several_cases_at_a_time_and_judged_alike() -> None:
    variant = Distant()
    finished = against(variant, only=FEW_CASES)
    assert failed(finished) == set()
    assert finished.count(Verdict.PASS) == len(finished.cases) == 13
    assert max(len(company) for company in variant.companies) > 1
    assert not any("bad.null" in company and "count.one" in company for company in variant.companies)


@pytest.mark.parametrize("kind", [Near, Single])
def test_cases_share_no_target_that_is_quick_or_that_takes_one_callback_at_a_time(kind: type[Distant]) -> None:
    variant = kind()
    assert failed(against(variant, only=FEW_CASES)) == set()
    assert max(len(company) for company in variant.companies) == 1
