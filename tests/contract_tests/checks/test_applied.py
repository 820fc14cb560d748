"""What effect.applied makes of App backends that acknowledge a leave and do something else with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, RefusedCallback
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import Finding, RunFinished, RunOutcome, Verdict
from roomhook.contract_tests.transport.probe import SetupError
from roomhook.simulator.protocol.packets import LEAVE_COMMAND

pytestmark = pytest.mark.long

FEW = ("ack", "type", "reason", "http.no-content-type", "effect.leave", "effect.applied", "effect.applied.variants")


def against(variant: Variant, **options: Any) -> RunFinished:
    with listening(variant) as url:
        settings = Settings(url, SDKAPPID, **{"only": FEW, "settle_s": 0.2, **options})
        *_, last = SuiteRun(settings, probe=lambda room: set(variant.members(room))).events()
    assert isinstance(last, RunFinished)
    return last


def findings(finished: RunFinished) -> dict[str, Finding]:
    return {case.requirement.id: case.findings[0] for case in finished.cases if case.findings}


class DropsEmoji(Variant):
    def leave(self, event: MemberEvent) -> None:
        if all(character <= "\uffff" for character in event.reason):
            super().leave(event)


def test_one_finding_names_the_value_that_was_dropped_and_the_case_that_sent_it() -> None:
    found = findings(against(DropsEmoji()))
    assert set(found) == {"effect.applied"}
    assert "reason.unicode" in found["effect.applied"].message
    assert "still in" in found["effect.applied"].message


class TakesTwins(Variant):
    """Compares accounts without their last character where the list comes from a kick."""

    def leave(self, event: MemberEvent) -> None:
        super().leave(event)
        if event.type == "Kicked" and event.reason == "kicked out":
            for other in self.members(event.room_id):
                if other[:-1] == event.member_list_account[0][:-1]:
                    self.presence.leave(event.room_id, [other], event.event_time)


def test_a_near_twin_that_goes_as_well_is_a_finding() -> None:
    found = findings(against(TakesTwins()))
    assert "gone from" in found["effect.applied"].message
    assert "type.kicked" in found["effect.applied"].message


class LosesOneLeave(Variant):
    lost = False

    def leave(self, event: MemberEvent) -> None:
        if event.type == "Expired" and not self.lost and event.reason == "heartbeat expired":
            self.lost = True
        else:
            super().leave(event)


def test_an_effect_that_was_lost_once_is_told_as_such() -> None:
    assert "sent again alone, it takes effect" in findings(against(LosesOneLeave()))["effect.applied"].message


class FailsOnce(Variant):
    """Answers 500 to the first attempt at every leave of a second kind, as a deadlock does."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[bytes] = set()

    async def handle(self, callback: IncomingCallback) -> Response:
        if LEAVE_COMMAND.encode() in callback.body and len(self.seen) % 5 == 4 and callback.body not in self.seen:
            self.seen.add(callback.body)
            return Response(status_code=500)
        self.seen.add(callback.body)
        return await super().handle(callback)


def test_a_transient_error_is_blamed_on_the_answer_and_never_on_the_effect() -> None:
    finished = against(FailsOnce(), only=("ack", "effect"))
    assert {one for one in findings(finished) if one.startswith("effect")} == set()
    assert finished.summary.undelivered["http-status"] > 0


class Queue(Variant):
    """Answers first, and applies half a second later."""

    later: set[asyncio.Task[None]]

    def __init__(self) -> None:
        super().__init__()
        self.later = set()

    async def apply(self, event: MemberEvent) -> None:
        task = asyncio.create_task(self._apply(event))
        self.later.add(task)

    async def _apply(self, event: MemberEvent) -> None:
        await asyncio.sleep(0.4)
        await super().apply(event)


def test_what_is_applied_from_a_queue_is_clean_with_time_to_settle() -> None:
    finished = against(Queue(), settle_s=2, only=("ack", "type", "effect.leave", "effect.applied"))
    assert finished.summary.outcome is RunOutcome.CONFORMS
    assert finished.count(Verdict.PASS) > 8


class QueueOfLeaves(Queue):
    async def apply(self, event: MemberEvent) -> None:
        if event.callback_command == LEAVE_COMMAND:
            await super().apply(event)
        else:
            await Variant.apply(self, event)


def test_an_effect_that_shows_later_names_the_option() -> None:
    found = findings(against(QueueOfLeaves(), settle_s=0.05, only=("ack", "effect.leave")))
    assert "--settle" in found["effect.leave"].hint


@pytest.mark.parametrize("only", [("effect.applied",), ("effect.applied", "effect.applied.variants")])
def test_asked_for_alone_it_sends_the_leaves_of_all_other_cases(only: tuple[str, ...]) -> None:
    class Web(Variant):
        async def handle(self, callback: IncomingCallback) -> Response:
            if callback.values("OptPlatform") == ["Web"] and LEAVE_COMMAND.encode() in callback.body:
                return self.acknowledge()
            return await super().handle(callback)

    finished = against(Web(), only=only)
    assert "OptPlatform=Web" in findings(finished)["effect.applied"].message
    assert {case.requirement.id for case in finished.cases} == set(only)


def test_a_probe_that_can_not_ask_for_an_unusual_room_fails_nothing() -> None:
    variant = Variant()

    def probe(room: str) -> set[str]:
        if "/" in room or "\\" in room:
            raise SetupError("the probe answers HTTP 301")
        return set(variant.members(room))

    with listening(variant) as url:
        settings = Settings(url, SDKAPPID, only=("effect.rooms-apart",), settle_s=0.2)
        *_, last = SuiteRun(settings, probe=probe).events()
    assert isinstance(last, RunFinished)
    assert last.summary.outcome is RunOutcome.CONFORMS


class ForgetsEmptyRooms(Variant):
    """Forgets all that it knows of a room when the last one has left."""

    def __init__(self) -> None:
        super().__init__()
        self.lives: Counter[str] = Counter()

    def enter(self, event: MemberEvent) -> None:
        super().enter(msgspec.structs.replace(event, room_id=self.of_this_life(event.room_id)))

    def leave(self, event: MemberEvent) -> None:
        super().leave(msgspec.structs.replace(event, room_id=self.of_this_life(event.room_id)))
        self.lives[event.room_id] += not self.members(event.room_id)

    def members(self, room: str) -> list[str]:
        return super().members(self.of_this_life(room))

    def of_this_life(self, room: str) -> str:
        return f"{room}/{self.lives[room]}"


def test_an_older_enter_that_comes_back_in_an_emptied_room_is_a_finding() -> None:
    found = findings(against(ForgetsEmptyRooms(), only=("effect.leave", "effect.late-enter")))
    assert set(found) == {"effect.late-enter"}
    assert found["effect.late-enter"].message.startswith("after the last one in a room left")


class DiesOfStrangers(Variant):
    """Applies nothing any more after a leave of somebody who is not inside."""

    dead = False

    async def apply(self, event: MemberEvent) -> None:
        strangers = set(event.member_list_account) - set(self.members(event.room_id))
        self.dead = self.dead or (event.callback_command == LEAVE_COMMAND and bool(strangers))
        if not self.dead:
            await super().apply(event)


def test_an_app_that_a_leave_of_strangers_stops_is_offered_members_that_enter_first() -> None:
    stopped = against(DiesOfStrangers(), only=("effect.leave",))
    assert stopped.summary.outcome is RunOutcome.SETUP_FAILED
    assert "--enter-first if a leave of strangers stops your app" in stopped.summary.detail
    again = against(DiesOfStrangers(), only=("effect.leave",), enter_first=True)
    assert again.summary.outcome is RunOutcome.CONFORMS


class TwoStates(Variant):
    """Lists every other member, as one of two processes that each know what they were sent themselves."""

    def members(self, room: str) -> list[str]:
        return super().members(room)[::2]


def test_members_of_whom_only_some_are_listed_make_one_ask_for_processes_with_a_state_of_their_own() -> None:
    finished = against(TwoStates(), only=("effect.leave",))
    assert finished.summary.outcome is RunOutcome.SETUP_FAILED
    assert "several processes of your app each keep a state of their own" in finished.summary.detail


class RefusesLateLeaves(Variant):
    """Answers FAIL to a leave that is older than another event of its member."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: dict[str, int] = {}

    async def apply(self, event: MemberEvent) -> None:
        newest = max(self.newest.get(one, 0) for one in event.member_list_account)
        if event.event_time < newest and event.callback_command == LEAVE_COMMAND:
            raise RefusedCallback(5, "stale event")
        self.newest |= dict.fromkeys(event.member_list_account, max(newest, event.event_time))
        await super().apply(event)


def test_late_leaves_that_are_refused_each_time_are_named_and_never_called_a_failure_now_and_then() -> None:
    found = findings(against(RefusesLateLeaves(), only=("ack", "effect.leave", "effect.rejoin")))
    assert set(found) == {"ack.steady"}
    assert "all of them leaves that arrive late" in found["ack.steady"].message
    assert "now and then" not in found["ack.steady"].hint
