"""Defects that show only to events at unusual times, of unusual kinds or in two rooms, and the like that is lawful."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Final

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, RefusedCallback
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished

pytestmark = pytest.mark.long


def against(variant: Variant, *only: str, longest_pause_s: float = 0.05, **options: Any) -> RunFinished:
    with listening(variant) as url:
        settings = Settings(url, SDKAPPID, only=only, **{"settle_s": 0.1, **options})
        run = SuiteRun(
            settings,
            probe=lambda room: set(variant.members(room)),
            sleep=lambda seconds: time.sleep(min(seconds, longest_pause_s)),
        )
        finished = list(run.events())[-1]
    assert isinstance(finished, RunFinished)
    return finished


def messages(finished: RunFinished) -> dict[str, str]:
    """What was found, by requirement, with the message of its first finding."""
    return {case.requirement.id: case.findings[0].message for case in finished.cases if case.findings}


def reasons(finished: RunFinished) -> dict[str, str]:
    """Why requirements were not judged."""
    return {case.requirement.id: case.reason for case in finished.cases if case.reason}


# Two rooms


class OneRow(Variant):
    """Keeps a row for each person, and their last event in it."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, tuple[int, str, bool]] = {}

    def note(self, event: MemberEvent, *, inside: bool) -> None:
        for account in event.member_list_account:
            if self.rows.get(account, (0, "", False))[0] < event.event_time:
                self.rows[account] = event.event_time, event.room_id, inside

    def enter(self, event: MemberEvent) -> None:
        self.note(event, inside=True)

    def leave(self, event: MemberEvent) -> None:
        self.note(event, inside=False)

    def members(self, room: str) -> list[str]:
        return [account for account, (_, where, inside) in self.rows.items() if inside and where == room]


class OneRoomEach(OneRow):
    """The same, and a leave counts only for the room that the person is in."""

    def leave(self, event: MemberEvent) -> None:
        inside = set(self.members(event.room_id))
        event.member_list_account = [one for one in event.member_list_account if one in inside]
        super().leave(event)


def test_who_leaves_the_first_of_two_rooms_is_still_in_the_second_also_where_a_person_has_one_room() -> None:
    assert " is gone from " in messages(against(OneRow(), "effect.two-rooms"))["effect.two-rooms"]


def test_one_room_for_each_person_is_lawful_and_the_rest_is_not_judged() -> None:
    finished = against(OneRoomEach(), "effect.two-rooms")
    assert messages(finished) == {}
    assert "one room at a time" in reasons(finished)["effect.two-rooms"]


class EndsAllOf(Variant):
    """Takes who leaves by one Type out of all their rooms."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.rooms: set[str] = set()

    def leave(self, event: MemberEvent) -> None:
        self.rooms.add(event.room_id)
        super().leave(event)
        if event.type == self.method:
            for room in self.rooms:
                self.presence.leave(room, event.member_list_account, event.event_time)

    def enter(self, event: MemberEvent) -> None:
        self.rooms.add(event.room_id)
        super().enter(event)


@pytest.mark.parametrize(("method", "did"), [("Kicked", "was kicked out of"), ("Expired", "dropped out of")])
def test_a_kick_or_an_expiry_is_of_one_room(method: str, did: str) -> None:
    assert did in messages(against(EndsAllOf(method), "effect.two-rooms"))["effect.two-rooms"]


# Times


class TimeOfDay(Variant):
    """Keeps the time of day of an event."""

    async def apply(self, event: MemberEvent) -> None:
        event.event_time %= 86_400_000
        await super().apply(event)


def test_a_visit_over_midnight_ends() -> None:
    assert "23 hours and 59 minutes" in messages(against(TimeOfDay(), "effect.same-second"))["effect.same-second"]


# Callbacks that are acknowledged and dropped


class Drops(Variant):
    """Acknowledges some leaves and drops them."""

    def __init__(self, dropped: Callable[[IncomingCallback], bool]) -> None:
        super().__init__()
        self.dropped = dropped

    async def handle(self, callback: IncomingCallback) -> Response:
        if b"MemberLeave" in callback.body and self.dropped(callback):
            return self.acknowledge()
        return await super().handle(callback)


def test_a_kick_by_the_own_server_counts() -> None:
    variant = Drops(lambda it: it.values("OptPlatform") == ["RESTAPI"] and b'"Kicked"' in it.body)
    found = messages(against(variant, "url.platform.restapi", "effect.applied*"))
    assert "a kick with OptPlatform=RESTAPI and ClientIP=0.0.0.0" in found["effect.applied"]


class DropsWhatIsAhead(Variant):
    """Acknowledges events that are over two seconds ahead of its clock, or only such leaves, and drops them."""

    def __init__(self, *, enters: bool) -> None:
        super().__init__()
        self.enters = enters

    async def apply(self, event: MemberEvent) -> None:
        ahead = event.event_time > self.clock() * 1000 + 2000
        if not (ahead and (self.enters or event.type == "Leave")):
            await super().apply(event)


@pytest.mark.parametrize("enters", [True, False])
def test_a_leave_ahead_of_the_clock_is_ahead_again_when_it_is_repeated(enters: bool) -> None:
    found = messages(against(DropsWhatIsAhead(enters=enters), "time.ahead", "effect.applied*"))
    assert "still in" in found["effect.applied.variants"]
    assert "takes effect" not in found["effect.applied.variants"]


class DropsOldExpiries(Variant):
    def leave(self, event: MemberEvent) -> None:
        if event.type != "Expired" or event.event_time > self.clock() * 1000 - 120_000:
            super().leave(event)


def test_an_expiry_that_arrives_late_counts() -> None:
    found = messages(against(DropsOldExpiries(), "effect.combined"))["effect.combined"]
    assert found.startswith("after a leave of Type Expired that arrived ten minutes late")


# Refusals


class WantsReasons(Variant):
    """Refuses kicks that have no Reason; and drops those by somebody outside, if it is *careless*."""

    def __init__(self, *, careless: bool) -> None:
        super().__init__()
        self.careless = careless

    def leave(self, event: MemberEvent) -> None:
        if event.type == "Kicked" and not event.reason:
            raise RefusedCallback(100002, "a kick needs a Reason")
        if not (self.careless and event.type == "Kicked" and event.operator_account == "administrator"):
            super().leave(event)


def test_leaves_that_are_refused_are_named_and_the_others_are_judged() -> None:
    finished = against(WantsReasons(careless=False), "effect.combined")
    assert messages(finished) == {}
    reason = reasons(finished)["effect.combined"]
    assert "a leave of Type Kicked by themselves with no Reason" in reason
    assert "and 3 more; 23 others are as they must be" in reason


class WantsTheField(Variant):
    """Refuses packets without a Reason: no page says that there is one."""

    async def handle(self, callback: IncomingCallback) -> Response:
        if b"MemberLeave" in callback.body and b'"Reason"' not in callback.body:
            return self.refuse(RefusedCallback(3, "no Reason"))
        return await super().handle(callback)


def test_who_refuses_a_leave_without_a_reason_is_blamed_for_nothing() -> None:
    assert messages(against(WantsTheField(), "effect.combined", "ack.steady", "reason.absent")) == {}


def test_a_refused_leave_hides_no_defect_of_the_others() -> None:
    found = messages(against(WantsReasons(careless=True), "effect.combined"))["effect.combined"]
    assert found.startswith("after a leave of Type Kicked by somebody outside with the Reason byServer")


# Rooms


class Globs(Variant):
    """Takes a RoomId for a pattern where people ask who is inside."""

    def __init__(self) -> None:
        super().__init__()
        self.rooms: set[str] = set()

    def enter(self, event: MemberEvent) -> None:
        self.rooms.add(event.room_id)
        super().enter(event)

    def members(self, room: str) -> list[str]:
        return [account for one in self.rooms if fnmatchcase(one, room) for account in super(Globs, self).members(one)]


def test_strangers_of_several_rooms_in_one_are_a_finding() -> None:
    found = messages(against(Globs(), "effect.rooms-apart.signs", probe="http://127.0.0.1/{RoomId}"))
    assert "are they compared by a glob?" in found["effect.rooms-apart.signs"]


def test_a_command_that_expands_a_pattern_is_no_finding() -> None:
    assert messages(against(Globs(), "effect.rooms-apart.signs", probe_command="list {RoomId}")) == {}


# What goes wrong later


class FewRooms(Variant):
    """Keeps the rooms that were used last."""

    most = 20

    def __init__(self) -> None:
        super().__init__()
        self.used: dict[str, None] = {}

    async def apply(self, event: MemberEvent) -> None:
        self.used.pop(event.room_id, None)
        self.used[event.room_id] = None
        if len(self.used) > self.most:
            oldest = next(iter(self.used))
            del self.used[oldest]
            self.presence.leave(oldest, self.members(oldest), event.event_time)
        await super().apply(event)


class ForgetsOnce(FewRooms):
    """Loses all rooms once, as a restart does."""

    most = 9999
    forgot = False

    async def apply(self, event: MemberEvent) -> None:
        if not self.forgot and len(self.used) > 30:
            self.forgot = True
            for room in self.used:
                self.presence.leave(room, self.members(room), event.event_time)
        await super().apply(event)


MANY_ROOMS: Final = ("type", "reason", "effect.rooms-apart.signs", "effect.applied*")


def test_members_who_are_gone_once_many_other_rooms_are_used_are_a_finding() -> None:
    found = messages(against(FewRooms(), *MANY_ROOMS))
    assert "were listed there after it and have not left" in found["effect.applied"]
    assert "effect.applied.variants" not in found


def test_members_who_were_gone_once_and_not_again_are_no_finding() -> None:
    variant = ForgetsOnce()
    assert messages(against(variant, *MANY_ROOMS)) == {}
    assert variant.forgot


class ExpiresLate(Variant):
    """Applies an Expired leave a fifth of a second later, whatever has happened since."""

    def __init__(self) -> None:
        super().__init__()
        self.later: list[asyncio.TimerHandle] = []

    def leave(self, event: MemberEvent) -> None:
        if event.type != "Expired":
            super().leave(event)
        else:
            self.later.append(asyncio.get_running_loop().call_later(0.2, self.expire, event))

    def expire(self, event: MemberEvent) -> None:
        self.presence.leave(event.room_id, event.member_list_account, event.event_time + 3_600_000)


def test_a_leave_that_is_applied_late_over_a_new_enter_is_a_finding() -> None:
    between = ("effect.same-second", "effect.rooms-apart*")
    only = "effect.second-leave", *between, "effect.applied"
    found = messages(against(ExpiresLate(), *only, longest_pause_s=5, settle_s=0.5))
    assert "came back from a leave of Type Expired" in found["effect.applied"]


class DropsLargeCounts(Variant):
    def leave(self, event: MemberEvent) -> None:
        if event.member_count < 2**31:
            super().leave(event)


def test_a_generated_leave_that_is_acknowledged_and_dropped_is_a_finding() -> None:
    found = messages(against(DropsLargeCounts(), "fuzz.valid", "effect.applied*", fuzz=60))
    assert "a generated leave with MemberCount = " in found["effect.applied"]
    assert "still in" in found["effect.applied"]


def test_of_many_leaves_that_end_alike_a_few_are_named() -> None:
    variant = Drops(lambda it: it.values("OptPlatform") != ["iOS"])
    assert " and 2 others" in messages(against(variant, "url.platform", "effect.applied"))["effect.applied"]
