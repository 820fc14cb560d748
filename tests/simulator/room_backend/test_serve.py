"""The mock Room backend as a whole: an app's own code provisions, people live in rooms, callbacks arrive."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from recording_target import Target, recording_target

from roomhook.contract_tests.api.room_backend import RoomBackend
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome
from roomhook.schemas import loader
from roomhook.simulator.protocol.callback_url import sign
from roomhook.simulator.protocol.room_packets import COMMANDS, UPDATE_COMMANDS
from roomhook.simulator.room_backend.client import RestError, SimError
from roomhook.simulator.room_backend.state.options import BackendOptions, DestroyOrder, EmptySeat
from roomhook.simulator.rooms.behaviour import BackendBehaviour, BulkKick, CountMoment, Dissolution, ExpiredOperator
from roomhook.simulator.transport.retry_policy import PROFILES

NOW_MS = 1_700_000_000_000
LEAVE = "Room.CallbackAfterMemberLeave"
SCHEMAS = {
    "Room.CallbackAfterCreateRoom": "create",
    "Room.CallbackAfterDestroyRoom": "destroy",
    "Room.CallbackUpdateRoomInfo": "update",
    "Room.CallbackAfterUpdateRoomInfo": "update",
    "Room.CallbackAfterMemberEnter": "enter",
    LEAVE: "leave",
    "Mic.CallbackAfterSeatInfoChanged": "seat",
}


@pytest.fixture
def target() -> Iterator[Target]:
    with recording_target() as found:
        yield found


@pytest.fixture
def backend(target: Target) -> Iterator[RoomBackend]:
    with RoomBackend(start_ms=NOW_MS) as found:
        found.callbacks_to(target.url)
        yield found


def packets(target: Target) -> list[dict[str, Any]]:
    return [json.loads(one.body) for one in target.received]


def short(target: Target) -> list[tuple[str, ...]]:
    """Each callback's last word of the command, and who or what it is about."""
    told: list[tuple[str, ...]] = []
    for packet in packets(target):
        what = packet["CallbackCommand"].rpartition("Callback")[2].removeprefix("After")
        told.append((what, *packet.get("MemberList_Account", ()), *([packet["Type"]] if "Reason" in packet else ())))
    return told


def test_the_whole_family_arrives_as_documented(backend: RoomBackend, target: Target) -> None:
    room = backend.create_room("r1", Owner_Account="ann", IsSeatEnabled=True, MaxSeatCount=4)
    room.enter("ann", "bob", "cem", "dan")
    assert room.take_seat("bob") == 0
    room.change_seat(0, audio_off=True)
    room.leave_seat("bob")
    backend.rest("room_engine_http_srv/update_room_info", {"RoomInfo": {"RoomId": "r1", "RoomName": "standup"}})
    room.leave("ann", reason="gone home")
    backend.rest("room_engine_http_srv/kick_user_out", {"RoomId": "r1", "MemberList_Account": ["bob"], "Reason": "out"})
    room.lose_heartbeat("cem")
    assert backend.advance(120)
    room.destroy()
    commands = [packet["CallbackCommand"] for packet in packets(target)]
    assert set(commands) == set(COMMANDS) - {"Room.CallbackAfterUpdateRoomInfo"}
    assert [packet["Type"] for packet in packets(target) if packet["CallbackCommand"] == LEAVE] == [
        "Leave",
        "Kicked",
        "Expired",
        "Leave",
    ]
    for one, packet in zip(target.received, packets(target), strict=True):
        assert loader.problems(SCHEMAS[packet["CallbackCommand"]], packet) == []
        query = {name: values[0] for name, values in parse_qs(urlsplit(one.target).query).items()}
        assert loader.problems("url", query) == []
        assert query["CallbackCommand"] == packet["CallbackCommand"]
    kicked = next(one for one in target.received if b'"Kicked"' in one.body)
    assert b'"Operator_Account":"administrator"' in kicked.body
    assert "ClientIP=0.0.0.0&OptPlatform=RESTAPI" in kicked.target


def test_only_what_is_listed_is_sent_and_the_update_under_the_name_that_is_listed(
    backend: RoomBackend, target: Target
) -> None:
    for name in UPDATE_COMMANDS:
        target.received.clear()
        backend.set_callback(target.url, [name])
        backend.room(name[-20:])
        backend.rest("room_engine_http_srv/update_room_info", {"RoomInfo": {"RoomId": name[-20:], "RoomName": "n"}})
        backend.settle()
        assert [packet["CallbackCommand"] for packet in packets(target)] == [name]
    backend.rest("room_config/delete_callback", {})
    backend.room("silent")
    assert len(target.received) == 1


class TestTheVirtualClock:
    def test_an_expiry_that_takes_110_s_is_there_within_a_second(self, backend: RoomBackend, target: Target) -> None:
        room = backend.room("r1")
        room.enter("ann", "bob")
        room.lose_heartbeat("ann")
        target.received.clear()
        began = time.monotonic()
        assert backend.advance(89)
        assert target.received == []
        assert backend.advance(21)
        assert time.monotonic() - began < 1
        (packet,) = packets(target)
        assert (packet["Type"], packet["MemberList_Account"], packet["MemberCount"]) == ("Expired", ["ann"], 1)
        assert NOW_MS + 90_000 <= packet["EventTime"] <= NOW_MS + 110_000
        assert room.members == ["bob"]

    def test_who_recovers_or_comes_back_stays_and_each_heartbeat_begins_the_silence_anew(
        self, backend: RoomBackend, target: Target
    ) -> None:
        room = backend.room("r1")
        room.enter("ann", "bob", "cem")
        room.lose_heartbeat("ann", "bob")
        room.heartbeat("cem")
        backend.advance(80)
        room.recover("ann")
        room.enter("bob")
        room.heartbeat("cem")
        backend.advance(80)
        assert room.members == ["ann", "bob", "cem"]
        backend.advance(30)
        assert room.members == ["ann", "bob"]
        assert short(target)[-1] == ("MemberLeave", "cem", "Expired")

    def test_the_same_calls_cause_the_same_callbacks(self) -> None:
        def evening() -> list[tuple[str, bytes]]:
            with recording_target() as target, RoomBackend(start_ms=NOW_MS) as backend:
                backend.callbacks_to(target.url)
                room = backend.room("r1")
                room.enter(*"abcdefgh")
                room.lose_heartbeat("a", "c", "e", "g")
                backend.advance(200)
                room.kick("b", "d")
                room.destroy()
                return [(one.target.partition("&")[2], one.body) for one in target.received]

        assert evening() == evening()

    def test_a_real_clock_can_not_be_advanced(self, tmp_path: Any) -> None:
        del tmp_path
        with RoomBackend(start_ms=NOW_MS) as backend:
            with pytest.raises(SimError) as refused:
                backend.sim("clock/advance", seconds=-1)
            assert refused.value.status == 400


class TestWhatIsUndocumentedIsAnOption:
    def played(self, options: BackendOptions) -> list[dict[str, Any]]:
        with recording_target() as target, RoomBackend(start_ms=NOW_MS, options=options) as backend:
            backend.callbacks_to(target.url)
            room = backend.room("r1", seats=2)
            room.enter("ann", "bob", "cem", "dan")
            room.take_seat("dan")
            room.leave_seat("dan")
            room.kick("ann", "bob")
            room.lose_heartbeat("cem")
            backend.advance(120)
            room.destroy()
            return packets(target)

    def test_by_default(self) -> None:
        told = [
            (one.get("Type"), one.get("MemberList_Account"), one.get("MemberCount"))
            for one in self.played(BackendOptions())
        ]
        assert told[-4:] == [
            ("Kicked", ["ann", "bob"], 2),
            ("Expired", ["cem"], 1),
            ("Leave", ["dan"], 0),
            (None, None, None),
        ]

    def test_each_choice_the_other_way(self) -> None:
        behaviour = BackendBehaviour(
            expired_operator=ExpiredOperator.SYSTEM,
            member_count=CountMoment.BEFORE,
            bulk_kick=BulkKick.EACH,
            dissolution=Dissolution.KICKED,
        )
        options = BackendOptions(
            behaviour=behaviour,
            destroy_order=DestroyOrder.DESTROY_FIRST,
            empty_seat=EmptySeat.ABSENT,
            room_type="Conference",
        )
        sent = self.played(options)
        assert sent[0]["RoomInfo"]["RoomType"] == "Conference"
        assert "Member_Account" not in sent[6]["SeatList"][0]
        told = [(one.get("Type"), one.get("MemberList_Account"), one.get("MemberCount")) for one in sent]
        assert told[-5:] == [
            ("Kicked", ["ann"], 4),
            ("Kicked", ["bob"], 3),
            ("Expired", ["cem"], 2),
            (None, None, None),
            ("Kicked", ["dan"], 1),
        ]
        assert sent[-3]["Operator_Account"] == "@TIM#SYSTEM"

    def test_an_empty_room_is_dissolved_only_if_that_is_asked_for(self) -> None:
        with (
            recording_target() as target,
            RoomBackend(start_ms=NOW_MS, options=BackendOptions(auto_destroy_ms=60_000)) as backend,
        ):
            backend.callbacks_to(target.url)
            kept, left = backend.room("kept"), backend.room("left")
            kept.enter("ann")
            left.enter("bob")
            kept.leave("ann")
            left.leave("bob")
            backend.advance(30)
            kept.enter("cem")
            backend.advance(60)
            assert packets(target)[-1]["CallbackCommand"] == "Room.CallbackAfterDestroyRoom"
            assert packets(target)[-1]["RoomId"] == "left"
            assert packets(target)[-1]["EventTime"] == NOW_MS + 60_000
            assert kept.members == ["cem"]


class TestDelivery:
    def test_faults_on_demand(self, backend: RoomBackend, target: Target) -> None:
        room = backend.room("r1")
        backend.faults(drop=1, callbacks=1)
        room.enter("lost")
        backend.faults(duplicate=1, callbacks=1)
        room.enter("twice")
        backend.faults(reorder=1, callbacks=1)
        backend.wait = False
        room.enter("late")
        room.enter("soon")
        backend.wait = True
        backend.settle()
        backend.faults(delay_ms=[5000, 5000], callbacks=1)
        room.enter("slow")
        assert [one[1] for one in short(target)[1:]] == ["twice", "twice", "soon", "late"]
        backend.advance(5)
        assert short(target)[-1] == ("MemberEnter", "slow")
        states = [(one["packet"].get("MemberList_Account"), one["state"]) for one in backend.callbacks()]
        assert (["lost"], "dropped") in states
        assert {state for _, state in states} == {"dropped", "delivered"}

    def test_retries_follow_the_clock(self) -> None:
        with (
            recording_target() as target,
            RoomBackend(start_ms=NOW_MS, options=BackendOptions(retry=PROFILES["trtc"])) as backend,
        ):
            backend.callbacks_to(target.url, commands=[LEAVE])
            room = backend.room("r1")
            room.enter("ann")
            target.status = 500
            room.leave("ann")
            backend.advance(0)
            assert len(target.received) == 2, "at once, and again at once"
            backend.advance(10)
            target.status = 200
            backend.advance(10)
            (callback,) = backend.callbacks()
            assert callback["state"] == "delivered"
            assert callback["outcomes"] == ["http-status"] * 3 + ["delivered"]

    def test_what_does_not_fit_into_memory_waits_in_the_store_in_its_order(
        self, backend: RoomBackend, target: Target, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("roomhook.simulator.room_backend.runtime.deliveries._MOST_QUEUED", 10)
        room = backend.room("r1")
        target.delay_s = 0.005
        backend.wait = False
        people = [f"u{number}" for number in range(100)]
        backend.batch([{"do": "enter", "room": "r1", "account": one} for one in people])
        backend.faults(drop=1, callbacks=3)
        backend.wait = True
        room.leave("u0")
        assert backend.settle()
        came = [one[1] for one in short(target) if one[0] == "MemberEnter"]
        lost = [one for one in backend.callbacks() if one["state"] == "dropped"]
        assert len(lost) == 3
        assert [one for one in people if one in came] == came
        assert len(came) + len(lost) >= 100
        assert all(one["state"] in {"delivered", "dropped"} for one in backend.callbacks())

    def test_nothing_is_retried_by_default(self, backend: RoomBackend, target: Target) -> None:
        target.status = 500
        backend.room("r1")
        assert [one["state"] for one in backend.callbacks()] == ["failed"]
        assert len(target.received) == 1

    def test_a_token_signs_by_the_clock_on_the_wall(self, target: Target) -> None:
        with RoomBackend(start_ms=NOW_MS, token="xxxxyyyy") as backend:
            backend.callbacks_to(target.url)
            backend.room("r1")
        query = parse_qs(urlsplit(target.received[0].target).query)
        (request_time,) = query["RequestTime"]
        assert abs(int(request_time) - time.time()) < 60
        assert query["Sign"] == [sign("xxxxyyyy", request_time)]


class TestRefusals:
    def test_what_people_can_not_do_is_refused_and_changes_nothing(self, backend: RoomBackend) -> None:
        room = backend.room("r1", max_members=2, seats=1)
        room.enter("ann", "bob")
        for status, code, run in (
            (409, 100008, lambda: room.enter("cem")),
            (409, 100102, lambda: room.enter("ann")),
            (404, 100005, lambda: room.leave("cem")),
            (404, 100005, lambda: room.kick("cem", operator="administrator")),
            (409, 100006, lambda: room.kick("ann", operator="bob")),
            (404, 100004, lambda: backend.sim("enter", room="nowhere", account="ann")),
            (400, 100002, lambda: backend.sim("enter", room="r1", account="ann", colour="red")),
            (400, 100002, lambda: room.take_seat("ann", 7)),
            (409, 100206, lambda: room.leave_seat("ann")),
            (404, 60006, lambda: backend.sim("enter", room="r1", account="ann", sdkappid=5)),
        ):
            with pytest.raises(SimError) as refused:
                run()
            assert (refused.value.status, refused.value.code) == (status, code)
        assert room.members == ["ann", "bob"]

    def test_seats_are_taken_once_and_locked_seats_not_at_all(self, backend: RoomBackend) -> None:
        room = backend.room("r1", seats=2)
        room.enter("ann", "bob", "cem")
        assert room.take_seat("ann") == 0
        room.change_seat(1, locked=True)
        cases: list[tuple[int, Callable[[], object]]] = [
            (100203, lambda: room.take_seat("ann", 1)),
            (100210, lambda: room.take_seat("bob", 0)),
            (100200, lambda: room.take_seat("bob", 1)),
            (100205, lambda: room.take_seat("bob")),
        ]
        for code, run in cases:
            with pytest.raises(SimError) as refused:
                run()
            assert refused.value.code == code
        room.leave("ann")
        assert room.take_seat("cem") == 0

    def test_an_answer_can_be_planned(self, backend: RoomBackend) -> None:
        backend.next_answers("create_room", 60008, 100001)
        for code in (60008, 100001):
            with pytest.raises(RestError) as refused:
                backend.create_room("r1")
            assert refused.value.code == code
        backend.create_room("r1")


@pytest.mark.long
def test_an_app_backend_that_provisions_itself_receives_its_callbacks_and_conforms() -> None:
    with BackendServer() as server, RoomBackend(start_ms=NOW_MS) as backend:
        url = server.url()
        backend.rest("room_config/set_callback", {"Url": url, "CallbackCommandList": list(COMMANDS)})
        room = backend.create_room("r1", Owner_Account="ann")
        room.enter("ann", "bob", "cem")
        kick = {"RoomId": "r1", "MemberList_Account": ["bob"], "Reason": "against the rules"}
        backend.rest("room_engine_http_srv/kick_user_out", kick)
        room.lose_heartbeat("cem")
        backend.advance(110)
        assert {one["state"] for one in backend.callbacks()} == {"delivered"}
        assert len(backend.callbacks()) == 6
        with requests.Session() as session:
            assert session.get(server.probe().format(RoomId="r1")).json() == ["ann"]
        finished = [event for event in SuiteRun(Settings(url)).events() if isinstance(event, RunFinished)]
        assert finished[0].summary.outcome is RunOutcome.CONFORMS


def test_the_fixture_serves_apps_of_the_same_process(room_backend: RoomBackend) -> None:
    gone: list[str] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        packet = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        gone.extend(packet["MemberList_Account"])
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}']

    room_backend.callbacks_to(app, path="/callback", commands=[LEAVE])
    room = room_backend.room("r1")
    room.enter("ann")
    room.lose_heartbeat("ann")
    room_backend.advance(seconds=120)
    assert gone == ["ann"]
