"""Defects that show to a rare order of events, a rare count or a rare list, in App backends that else are right."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished

pytestmark = pytest.mark.long


def found(variant: Variant, *only: str) -> dict[str, list[str]]:
    """The messages of what a run over *only* these finds, by requirement."""
    with listening(variant) as url:
        settings = Settings(url, SDKAPPID, settle_s=0.1, only=only)
        run = SuiteRun(settings, probe=lambda room: set(variant.members(room)), sleep=lambda _: None)
        finished = list(run.events())[-1]
    assert isinstance(finished, RunFinished)
    return {case.requirement.id: [one.message for one in case.findings] for case in finished.cases if case.findings}


class EmptiesOn(Variant):
    """Empties the room before an event that *clears* it."""

    def __init__(self, clears: Callable[[MemberEvent], bool]) -> None:
        super().__init__()
        self.clears = clears

    async def apply(self, event: MemberEvent) -> None:
        if self.clears(event):
            self.presence.leave(event.room_id, self.members(event.room_id), event.event_time)
        await super().apply(event)


COUNTS: Final = {
    "was kicked with MemberCount 0": lambda event: event.type == "Kicked" and event.member_count == 0,
    "dropped out with MemberCount 0": lambda event: event.type == "Expired" and event.member_count == 0,
    "entered with MemberCount 1": lambda event: event.type == "Enter" and event.member_count == 1,
}


@pytest.mark.parametrize("what", COUNTS)
def test_no_kick_expiry_or_enter_empties_the_room_by_its_count(what: str) -> None:
    messages = found(EmptiesOn(COUNTS[what]), "effect.count")["effect.count"]
    assert len(messages) == 1
    assert what in messages[0]


class LetsOneIn(Variant):
    """Lets in whom an enter lists first."""

    async def apply(self, event: MemberEvent) -> None:
        if event.type == "Enter":
            event.member_list_account = event.member_list_account[:1]
        await super().apply(event)


def test_who_is_listed_in_an_enter_and_not_let_in_is_named() -> None:
    messages = found(LetsOneIn(), "effect.count")["effect.count"]
    assert len(messages) == 1
    assert "after an enter that lists three" in messages[0]


class TwoTimes(Variant):
    """Keeps the time of each member's enter and leave; *newest* says which of two enters, or leaves, counts."""

    def __init__(self, enters: Callable[..., int] = max, leaves: Callable[..., int] = max) -> None:
        super().__init__()
        self.newest = {"in": enters, "out": leaves}
        self.times: dict[str, dict[tuple[str, str], int]] = {"in": {}, "out": {}}

    def note(self, kind: str, event: MemberEvent) -> None:
        for account in event.member_list_account:
            key = event.room_id, account
            self.times[kind][key] = self.newest[kind](self.times[kind].get(key, 0), event.event_time)

    def enter(self, event: MemberEvent) -> None:
        self.note("in", event)

    def leave(self, event: MemberEvent) -> None:
        self.note("out", event)

    def members(self, room: str) -> list[str]:
        entered, left = self.times["in"], self.times["out"]
        return [key[1] for key, at in entered.items() if key[0] == room and at > left.get(key, 0)]


class Clamps(Variant):
    """Takes an EventTime ahead of its clock for now."""

    async def apply(self, event: MemberEvent) -> None:
        event.event_time = min(event.event_time, int(self.clock() * 1000))
        await super().apply(event)


class RepeatsCloseNow(Variant):
    """Takes a leave that arrives again for one that happens now."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[object, ...]] = set()

    def leave(self, event: MemberEvent) -> None:
        key = event.room_id, *event.member_list_account, event.event_time
        if key in self.seen:
            event.event_time = int(self.clock() * 1000)
        self.seen.add(key)
        super().leave(event)


class Drops(Variant):
    """Drops an event that is a minute older than the newest of its room."""

    def __init__(self) -> None:
        super().__init__()
        self.newest: dict[str, int] = {}

    async def apply(self, event: MemberEvent) -> None:
        newest = self.newest[event.room_id] = max(event.event_time, self.newest.get(event.room_id, 0))
        if event.event_time > newest - 60_000:
            await super().apply(event)


class CountsOnce(Variant):
    """Counts who enters for the first time and who leaves, and shows nobody where that makes 0."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, set[str]] = {}
        self.people: dict[str, int] = {}

    def enter(self, event: MemberEvent) -> None:
        known, people = self.known.setdefault(event.room_id, set()), set(event.member_list_account)
        self.people[event.room_id] = self.people.get(event.room_id, 0) + len(people - known)
        known |= people
        super().enter(event)

    def leave(self, event: MemberEvent) -> None:
        gone = set(event.member_list_account) & set(self.members(event.room_id))
        super().leave(event)
        self.people[event.room_id] = self.people.get(event.room_id, 0) - len(gone)

    def members(self, room: str) -> list[str]:
        return super().members(room) if self.people.get(room) else []


class ForgetsWhenEmpty(TwoTimes):
    """Forgets who left a room when somebody enters it after it was empty for two seconds."""

    def enter(self, event: MemberEvent) -> None:
        if not self.members(event.room_id):
            old = [key for key, at in self.times["out"].items() if at < event.event_time - 2000]
            for key in old:
                self.times["in"].pop(key, None)
                self.times["out"].pop(key)
        super().enter(event)


class ForgetsWhoStays(TwoTimes):
    """Drops a leave of somebody who entered over sixty days before."""

    def leave(self, event: MemberEvent) -> None:
        entered = self.times["in"].get((event.room_id, event.member_list_account[0]), event.event_time)
        if event.event_time - entered < 60 * 86_400_000:
            super().leave(event)


class KeepsOtherDevices(Variant):
    """Takes who was displaced by another device of theirs for still inside."""

    def leave(self, event: MemberEvent) -> None:
        if event.reason != "byLoggedOnOtherDevice":
            super().leave(event)


class Once(Variant):
    """Takes a leave for a repeat if its time and what *key* makes of its accounts are those of another."""

    def __init__(self, key: Callable[[list[str]], object]) -> None:
        super().__init__()
        self.key = key
        self.seen: set[object] = set()

    def leave(self, event: MemberEvent) -> None:
        key = event.room_id, event.event_time, self.key(event.member_list_account)
        if key not in self.seen:
            self.seen.add(key)
            super().leave(event)


class ClosesForGood(Variant):
    """Lists nobody in a room that was ever destroyed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: set[str] = set()

    async def handle(self, callback: IncomingCallback) -> Response:
        packet = json.loads(callback.body)
        if packet.get("CallbackCommand") == "Room.CallbackAfterDestroyRoom":
            self.closed.add(packet["RoomId"])
        return await super().handle(callback)

    def members(self, room: str) -> list[str]:
        return [] if room in self.closed else super().members(room)


class EmptiesRooms(Variant):
    """Empties all rooms that an event *loses*, by the packet and a RoomId."""

    def __init__(self, loses: Callable[[dict[str, Any], str], bool]) -> None:
        super().__init__()
        self.loses = loses
        self.people: defaultdict[str, set[str]] = defaultdict(set)

    async def handle(self, callback: IncomingCallback) -> Response:
        packet = json.loads(callback.body)
        for account in packet.get("MemberList_Account", ()):
            self.people[packet["RoomId"]].add(account)
        for room in [one for one in self.people if self.loses(packet, one)]:
            self.presence.leave(room, list(self.people[room]), packet["EventTime"] + 60_000)
        return await super().handle(callback)


def about(command: str, packet: dict[str, Any]) -> str:
    """The RoomId of a documented *packet* with this *command*; empty for any other."""
    if packet.get("CallbackCommand") != f"Room.CallbackAfter{command}" or "MemberList_Account" in packet:
        return ""
    return str(packet.get("RoomId") or packet["RoomInfo"]["RoomId"])


class EveryListEnters(Variant):
    """Takes every command with a list that is no leave for an enter."""

    async def handle(self, callback: IncomingCallback) -> Response:
        packet = json.loads(callback.body)
        if "Type" in packet and "MemberLeave" not in packet["CallbackCommand"]:
            self.presence.enter(packet["RoomId"], packet["MemberList_Account"], packet["EventTime"])
        return await super().handle(callback)


ORDERS: Final = (
    ("effect.command", ClosesForGood, "which had been destroyed and created again"),
    ("effect.command", EveryListEnters, "an unknown command that lists somebody outside"),
    (
        "effect.command",
        lambda: EmptiesRooms(lambda told, room: about("CreateRoom", told) == room),
        "AfterCreateRoom of",
    ),
    (
        "effect.command",
        lambda: EmptiesRooms(lambda told, room: about("UpdateRoomInfo", told) == room),
        "AfterUpdateRoomInfo of",
    ),
    (
        "effect.command",
        lambda: EmptiesRooms(lambda told, room: room.startswith(about("DestroyRoom", told) or "no")),
        "where they had been before",
    ),
    ("effect.rejoin", lambda: TwoTimes(enters=lambda _, new: new), "the first enter once more"),
    ("effect.rejoin", lambda: TwoTimes(enters=lambda _, new: new), "a leave between the two in time"),
    ("effect.late-enter", lambda: TwoTimes(leaves=lambda _, new: new), "an older leave that arrived late"),
    ("effect.late-enter", ForgetsWhenEmpty, "another entered, and then an older enter of the first"),
    ("effect.rejoin", Clamps, "4 s ahead of the clock"),
    ("effect.rejoin", RepeatsCloseNow, "whose leave arrived twice"),
    ("effect.second-leave", CountsOnce, "and then the other left"),
    ("effect.combined", Drops, "ten minutes late, when another had entered since"),
    ("effect.combined", KeepsOtherDevices, "with the Reason byLoggedOnOtherDevice"),
    ("effect.same-time", lambda: Once(lambda some: some[0]), "that begin alike"),
    ("effect.same-time", lambda: Once(lambda some: (some[0], len(some))), "and are equally long"),
    ("effect.same-time", lambda: Once(",".join), "whose accounts are its parts"),
    ("effect.same-second", ForgetsWhoStays, "a visit of 100 days"),
)


@pytest.mark.parametrize(("requirement", "variant", "what"), ORDERS, ids=[what for _, _, what in ORDERS])
def test_a_rare_order_of_events_is_told(requirement: str, variant: Callable[[], Variant], what: str) -> None:
    assert what in " / ".join(found(variant(), requirement)[requirement])


@pytest.mark.parametrize("variant", [Variant, TwoTimes])
def test_orders_that_are_kept_are_no_finding(variant: Callable[[], Variant]) -> None:
    requirements = {requirement for requirement, _, _ in ORDERS}
    assert found(variant(), *requirements, "effect.count") == {}


class HoldsNineteen(Variant):
    """Takes MemberCount for the room's capacity."""

    def enter(self, event: MemberEvent) -> None:
        if len(self.members(event.room_id)) < event.member_count:
            super().enter(event)


class HoldsAHundred(Variant):
    """Lets nobody into a room that has a hundred members."""

    def enter(self, event: MemberEvent) -> None:
        if len(self.members(event.room_id)) < 100:
            super().enter(event)


@pytest.mark.parametrize(
    ("variant", "requirement"), [(HoldsNineteen, "effect.kick-twenty"), (HoldsAHundred, "effect.burst")]
)
def test_who_was_never_listed_is_not_said_to_be_gone(variant: Callable[[], Variant], requirement: str) -> None:
    message = found(variant(), requirement)[requirement][0]
    assert " not listed in " in message
    assert "gone" not in message


class ShowsAPage(Variant):
    """Shows the first twenty of a room."""

    def members(self, room: str) -> list[str]:
        return super().members(room)[:20]


def test_a_probe_that_gives_a_page_at_a_time_is_lawful() -> None:
    assert found(ShowsAPage(), "effect.kick-twenty", "effect.burst") == {}
