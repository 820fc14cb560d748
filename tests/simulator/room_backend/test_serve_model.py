"""The mock Room backend against a model of it: 5,000 random steps of REST, /sim and the clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from roomhook.schemas import loader
from roomhook.simulator.protocol.room_packets import COMMANDS
from roomhook.simulator.room_backend.api.client_actions import act, decoded
from roomhook.simulator.room_backend.api.rest import Rest
from roomhook.simulator.room_backend.runtime.clock import VirtualClock
from roomhook.simulator.room_backend.runtime.service import Service, parse_apps
from roomhook.simulator.room_backend.runtime.store import Store
from roomhook.simulator.room_backend.state.changes import PendingCallback
from roomhook.simulator.room_backend.state.error_codes import BackendError
from roomhook.simulator.room_backend.state.options import BackendOptions

pytestmark = pytest.mark.long

APP: Final = 1400000001
NOW_MS: Final = 1_700_000_000_000
QUERY: Final = {
    "sdkappid": str(APP),
    "identifier": "administrator",
    "usersig": "x",
    "random": "7",
    "contenttype": "json",
}
CAPACITY: Final = 4
rooms = st.sampled_from(["r1", "r2", "r3"])
people = st.sampled_from(["ann", "bob", "cem", "dan", "eve", "fay"])
choices = st.integers(0, 11)
"""Draws whom or what a step is about: 0 leaves it to chance, the others pick somebody or something that exists."""
STEPS: list[str] = []


class Unsent(Service):
    """Keeps what it would send."""

    def __init__(self) -> None:
        super().__init__(
            parse_apps([APP], [], []), BackendOptions(calls_per_second=10**6), Store(None), VirtualClock(NOW_MS)
        )
        self.sent: list[dict[str, Any]] = []

    def _send(self, callback: int, one: PendingCallback) -> None:
        del callback
        self.sent.append(json.loads(one.event.body))


class Rooms(RuleBasedStateMachine):
    """The model: who is in which room since when silent. A room's name leads to account and moment (ms) or None."""

    def __init__(self) -> None:
        super().__init__()
        self.service = Unsent()
        self.rest = Rest(self.service, "administrator", lambda: 0.0, lambda: 0.0)
        self.model: dict[str, dict[str, int | None]] = {}

    def teardown(self) -> None:
        self.service.store.close()

    def pick(self, drawn: str, existing: Iterable[str], choice: int) -> str:
        """Mostly one that exists, so that steps do not run into nothing."""
        found = list(existing)
        return found[choice % len(found)] if choice and found else drawn

    def call(self, api: str, packet: Any) -> dict[str, Any]:
        return self.rest.answer("POST", f"v4/{api}", list(QUERY.items()), json.dumps(packet).encode())

    def sim(self, action: str, **asked: Any) -> int:
        planned = decoded(action, asked, APP)
        try:
            self.service.act(lambda state, now: act(state, planned, now))
        except BackendError as error:
            return int(error.code)
        return 0

    def expect(self, *told: tuple[Any, ...]) -> None:
        """Exactly these callbacks have been caused: last word of the command, members, count, type."""
        sent, self.service.sent = self.service.sent, []
        shown = [
            (
                one["CallbackCommand"].rpartition("Callback")[2].removeprefix("After"),
                *one.get("MemberList_Account", ()),
                *([one["MemberCount"], one["Type"]] if "Type" in one else ()),
            )
            for one in sent
        ]
        assert shown == list(told)
        names = {"CreateRoom": "create", "DestroyRoom": "destroy", "MemberEnter": "enter", "MemberLeave": "leave"}
        for one, (command, *_) in zip(sent, shown, strict=True):
            assert loader.problems(names[command], one) == []

    @initialize()
    def configure(self) -> None:
        packet = {"Url": "http://127.0.0.1:9/", "CallbackCommandList": list(COMMANDS)}
        assert self.call("room_config/set_callback", packet)["ErrorCode"] == 0
        for room in ("r1", "r2"):
            self.create(room, by_rest=True)
            for account in ("ann", "bob", "cem"):
                self.enter(room, account, 0)

    @rule(room=rooms, by_rest=st.booleans())
    def create(self, room: str, by_rest: bool) -> None:
        if by_rest:
            info = {"RoomId": room, "RoomType": "Conference", "Owner_Account": "own", "MaxMemberCount": CAPACITY}
            code = self.call("room_engine_http_srv/create_room", {"RoomInfo": info})["ErrorCode"]
        else:
            code = self.sim("create-room", room=room, owner="own", max_members=CAPACITY)
        if room in self.model:
            assert code == 100003
            self.expect()
        else:
            assert code == 0
            self.model[room] = {}
            self.expect(("CreateRoom",))

    @rule(room=rooms, by_rest=st.booleans(), seldom=st.integers(0, 3))
    def destroy(self, room: str, by_rest: bool, seldom: int) -> None:
        if seldom:
            return
        if by_rest:
            code = self.call("room_engine_http_srv/destroy_room", {"RoomId": room})["ErrorCode"]
        else:
            code = self.sim("destroy-room", room=room)
        members = self.model.pop(room, None)
        assert code == (100004 if members is None else 0)
        left = list(members or ())
        leaves = [("MemberLeave", one, len(left) - number, "Leave") for number, one in enumerate(left, 1)]
        self.expect(*leaves, *([] if members is None else [("DestroyRoom",)]))

    @rule(room=rooms, account=people, choice=choices)
    def enter(self, room: str, account: str, choice: int) -> None:
        room = self.pick(room, self.model, choice)
        code = self.sim("enter", room=room, account=account)
        members = self.model.get(room)
        if members is None:
            assert code == 100004
        elif account in members:
            assert code == (100102 if members[account] is None else 0)
            members[account] = None
        elif len(members) == CAPACITY:
            assert code == 100008
        else:
            assert code == 0
            members[account] = None
            self.expect(("MemberEnter", account, len(members), "Enter"))
        self.expect()

    @rule(room=rooms, account=people, choice=choices)
    def leave(self, room: str, account: str, choice: int) -> None:
        room = self.pick(room, self.model, choice)
        account = self.pick(account, self.model.get(room, ()), choice)
        code = self.sim("leave", room=room, account=account)
        members = self.model.get(room, {})
        if account in members:
            del members[account]
            assert code == 0
            self.expect(("MemberLeave", account, len(members), "Leave"))
        else:
            assert code == (100005 if room in self.model else 100004)
            self.expect()

    @rule(room=rooms, accounts=st.lists(people, min_size=1, max_size=4), choice=choices)
    def kick(self, room: str, accounts: list[str], choice: int) -> None:
        room = self.pick(room, self.model, choice)
        if choice > 3:
            accounts = list(self.model.get(room, ()))[: choice % 3 + 1] or accounts
        packet = {"RoomId": room, "MemberList_Account": accounts, "Reason": "out"}
        code = self.call("room_engine_http_srv/kick_user_out", packet)["ErrorCode"]
        members = self.model.get(room)
        if members is None:
            assert code == 100004
        elif len(set(accounts)) < len(accounts):
            assert code == 100002
        elif set(accounts) <= set(members):
            assert code == 0
            for account in accounts:
                del members[account]
            self.expect(("MemberLeave", *accounts, len(members), "Kicked"))
        else:
            assert code == 100005
        self.expect()

    @rule(
        room=rooms, account=people, action=st.sampled_from(["lose-heartbeat", "heartbeat", "recover"]), choice=choices
    )
    def beat(self, room: str, account: str, action: str, choice: int) -> None:
        room = self.pick(room, self.model, choice)
        account = self.pick(account, self.model.get(room, ()), choice)
        code = self.sim(action, room=room, account=account)
        members = self.model.get(room, {})
        if account not in members:
            assert code == (100005 if room in self.model else 100004)
            return
        assert code == 0
        if action == "recover":
            members[account] = None
        elif action == "heartbeat" or members[account] is None:
            members[account] = self.service.clock.now_ms()

    @rule(seconds=st.sampled_from([0, 1, 30, 60, 100, 200]))
    def advance(self, seconds: int) -> None:
        asyncio.run(self.service.advance(seconds * 1000, wait=False, timeout_s=1))
        now = self.service.clock.now_ms()
        sent, self.service.sent = self.service.sent, []
        times = [one["EventTime"] for one in sent]
        assert times == sorted(times)
        for one in sent:
            (account,) = one["MemberList_Account"]
            members = self.model[one["RoomId"]]
            lost = members.pop(account)
            assert lost is not None
            assert 90_000 <= one["EventTime"] - lost <= 110_000
            assert (one["Type"], one["MemberCount"]) == ("Expired", len(members))
        for members in self.model.values():
            assert all(lost is None or now - lost < 110_000 for lost in members.values())

    @invariant()
    def the_lists_agree(self) -> None:
        STEPS.append("")
        assert set(self.service.state.rooms.by_app[APP]) == set(self.model)
        for room, members in self.model.items():
            page = self.call("room_engine_http_srv/get_room_member_list", {"RoomId": room})["Response"]
            assert [one["Member_Account"] for one in page["MemberList"]] == list(members)
            info = self.call("room_engine_http_srv/get_room_info", {"RoomId": room})["Response"]["RoomInfo"]
            assert info["MemberCount"] == len(members)

    @invariant()
    def what_is_stored_is_what_there_is(self) -> None:
        again = Service(
            parse_apps([APP], [], []), BackendOptions(), _Borrowed(self.service.store), VirtualClock(NOW_MS)
        )
        for room, entry in self.service.state.rooms.by_app[APP].items():
            other = again.state.rooms.by_app[APP][room]
            assert list(other.room.members) == list(entry.room.members)
            assert other.room.members == entry.room.members
            assert other.record() == entry.record()


class _Borrowed(Store):
    """A store that is read a second time."""

    def __init__(self, store: Store) -> None:
        self.__dict__.update(store.__dict__)


def test_thousands_of_random_steps_agree_with_the_model(pytestconfig: pytest.Config) -> None:
    examples = 120 if pytestconfig.getoption("--exhaustive") else 40
    Rooms.TestCase.settings = settings(
        max_examples=examples, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
    )
    STEPS.clear()
    Rooms.TestCase("runTest").debug()
    assert len(STEPS) >= 40 * examples
