"""The traffic of rooms: truthful, varied as asked for, and byte by byte the same from the same seed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Any

import msgspec
import pytest
from generated_traffic import packets, told, traffic

from roomhook.errors import ConfigurationError
from roomhook.schemas.loader import problems
from roomhook.simulator.protocol.callback_event import from_line, to_line
from roomhook.simulator.protocol.callback_url import PLATFORMS
from roomhook.simulator.protocol.packets import (
    ENTER_COMMAND,
    EnterPacket,
    LeavePacket,
    decode_leave,
    encode,
)
from roomhook.simulator.traffic.generator import FIXED_START_MS, TrafficRequest, events
from roomhook.simulator.traffic.scenario import Scenario

GOLDEN = "28fae577e59baf208f31457cd0ca0c8ce6fc8af34a828fc09c31670c0f31bbd4"
"""SHA-256 of what ``roomhook traffic --events 1000 --seed 7`` writes; users are to be told of a change of it."""

HOUR = 3_600_000
PROFILES = ("evening", "steady", "dissolve", "outage", "kick-wave")


def run(*arguments: str, hash_seed: str = "0") -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-m", "roomhook", "traffic", *arguments]
    return subprocess.run(command, check=True, capture_output=True, env=environment).stdout


# The same bytes


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_the_golden_checksum_holds_whatever_the_hash_seed(hash_seed: str) -> None:
    output = run("--events", "1000", "--seed", "7", hash_seed=hash_seed)
    assert output.count(b"\n") == 1000
    assert hashlib.sha256(output).hexdigest() == GOLDEN


@pytest.mark.long
def test_the_shards_of_a_run_are_disjoint_and_make_up_the_whole() -> None:
    whole = run("--events", "1000", "--seed", "7")
    first, second = (run("--events", "1000", "--seed", "7", "--shard", shard) for shard in ("1/2", "2/2"))
    assert first
    assert second
    assert sorted((first + second).splitlines()) == sorted(whole.splitlines())


@pytest.mark.parametrize("profile", PROFILES)
def test_shards_of_a_stretch_of_time_never_share_a_room(profile: str) -> None:
    settings: dict[str, Any] = {"rooms": 9, "members": 400, "duration": "6m", "with_enter": True}
    whole = [to_line(event) for event in events(traffic(profile, **settings))]
    parts = [list(events(traffic(profile, **settings, shard=(part, 3)))) for part in (1, 2, 3)]
    rooms = [{packet.room_id for _, packet in told(part)} for part in parts]
    assert sum(map(len, rooms)) == len(set.union(*rooms)) > 0
    assert sorted(to_line(event) for part in parts for event in part) == sorted(whole)


def test_another_seed_makes_other_callbacks() -> None:
    assert list(events(traffic(limit=50))) != list(events(traffic(limit=50, seed=8)))


def test_callbacks_are_made_as_they_are_taken() -> None:
    endless = traffic("dissolve", duration="3650d", rooms=10)
    assert len(list(islice(events(endless), 5000))) == 5000


# The truth


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("people", [0, 120])
def test_the_callbacks_of_a_room_tell_one_consistent_story(profile: str, people: int) -> None:
    accounts = tuple(f"person{number}" for number in range(people))
    wanted = traffic(
        profile, rooms=6, members=120, duration="40m", every="8m", with_enter=True, people=accounts,
        reenter=0.5, stay="4m", owner_grace="30s", mix={"leave": 5, "kicked": 2, "expired": 3},
    )  # fmt: skip
    inside: defaultdict[str, list[str]] = defaultdict(list)
    last: defaultdict[str, int] = defaultdict(int)
    somewhere: set[str] = set()
    for event, packet in told(events(wanted)):
        room = inside[packet.room_id]
        if isinstance(packet, EnterPacket):
            (account,) = packet.member_list_account
            assert account not in somewhere
            somewhere.add(account)
            room.append(account)
        else:
            assert 1 <= len(packet.member_list_account) <= 20
            for account in packet.member_list_account:
                room.remove(account)
                somewhere.remove(account)
        assert packet.member_count == len(room)
        assert event.time_ms == packet.event_time >= last[packet.room_id]
        last[packet.room_id] = packet.event_time
    if people:
        assert {account for room in inside.values() for account in room} <= set(accounts)


def test_callbacks_come_in_the_order_of_their_time_from_the_start_on() -> None:
    times = [event.time_ms for event in events(traffic("evening", duration="3h"))]
    assert times[0] >= FIXED_START_MS
    assert times[-1] < FIXED_START_MS + 3 * HOUR
    assert all(earlier <= later for earlier, later in pairwise(times))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_packet_and_line_matches_its_schema_and_is_what_msgspec_makes_of_it(profile: str) -> None:
    for event, packet in told(islice(events(traffic(profile, with_enter=True)), 300)):
        schema = "enter" if isinstance(packet, EnterPacket) else "leave"
        assert encode(packet) == event.body
        assert not problems(schema, json.loads(event.body))
        assert from_line(to_line(event)) == event
        assert event.platform in PLATFORMS


# Profiles


def test_a_dissolved_room_sends_everybody_home_within_seconds() -> None:
    found = packets(events(traffic("dissolve")))
    assert [packet.member_count for packet in found] == list(range(199, -1, -1))
    assert {packet.type for packet in found} == {"Leave"}
    assert len({packet.room_id for packet in found}) == 1
    assert found[-1].event_time - found[0].event_time <= 3000


def test_an_outage_expires_a_region_in_one_sweep_90_to_110_s_later() -> None:
    found = packets(events(traffic("outage", rooms=4, members=1000, share=0.4, reenter=0)))
    assert {packet.type for packet in found} == {"Expired"}
    assert 300 <= len(found) <= 500
    assert 15_000 <= found[-1].event_time - found[0].event_time <= 20_000


def test_the_heartbeat_says_when_a_member_expires() -> None:
    found = packets(events(traffic("outage", backend={"heartbeat": ["50s", "50s"]}, reenter=0, share=1)))
    assert len(found) == 200
    assert len({packet.event_time for packet in found}) == 1


def test_lost_heartbeats_that_recover_in_time_are_not_told_of() -> None:
    found = packets(events(traffic("outage", share=1, recover=0.75, members=2000, reenter=0)))
    assert 400 <= len(found) <= 600


def test_a_wave_of_kicks_comes_twenty_at_a_time() -> None:
    stream = list(events(traffic("kick-wave", share=1, kick_by={"owner": 1, "admin": 0, "rest": 1})))
    found = packets(stream)
    assert {packet.type for packet in found} == {"Kicked"}
    assert [len(packet.member_list_account) for packet in found] == [20] * 9 + [19]
    assert found[-1].member_count == 1
    assert all(packet.operator_account not in packet.member_list_account for packet in found)
    by_rest = [event for event, packet in zip(stream, found, strict=True) if packet.operator_account == "administrator"]
    assert by_rest
    assert {(event.client_ip, event.platform) for event in by_rest} == {("0.0.0.0", "RESTAPI")}


@pytest.mark.exhaustive
@pytest.mark.long
def test_an_evening_is_busiest_at_20_hours_of_the_rooms_own_time() -> None:
    for offset in (0, 9 * HOUR):
        hours = Counter(
            datetime.fromtimestamp((event.time_ms + offset) / 1000, UTC).hour
            for event in events(traffic("evening", offset_ms=offset, members=3000))
        )
        assert max(hours, key=lambda hour: hours[hour]) in {20, 21}
        assert hours[21] > 10 * hours[4]


def test_rooms_differ_widely_in_size_unless_they_are_not_to() -> None:
    def sizes(**parameters: Any) -> list[int]:
        stream = events(traffic("dissolve", rooms=200, members=2000, **parameters))
        return sorted(Counter(packet.room_id for packet in packets(stream)).values())

    assert sizes(size_tail=0) == [10] * 200
    tail = sizes(size_tail=1.2)
    assert sum(tail) == 2000
    assert tail[100] < 10
    assert tail[-1] > 100


def test_the_mix_of_check_out_methods_and_platforms_is_a_parameter() -> None:
    stream = list(
        events(
            traffic(
                mix={"leave": 1, "kicked": 1, "expired": 2},
                platforms={"Web": 3, "iOS": 1},
                kick_bulk=0,
                owner_ends=0,
                owner_grace=0,
                duration="3h",
                limit=8000,
            )
        )
    )
    kinds = Counter(packet.type for packet in packets(stream))
    assert kinds["Expired"] / 8000 == pytest.approx(0.5, abs=0.05)
    assert kinds["Kicked"] / 8000 == pytest.approx(0.23, abs=0.04)  # owners can't be kicked
    platforms = Counter(
        event.platform for event, packet in told(stream) if packet.operator_account in packet.member_list_account
    )
    assert platforms["Web"] / platforms.total() == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("members", [50, 2000])
def test_a_steady_flow_keeps_the_rooms_at_their_size(members: int) -> None:
    present, sizes = 0, []
    for event, packet in told(events(traffic(members=members, rooms=members // 10, duration="6h", with_enter=True))):
        present += len(packet.member_list_account) * (1 if event.command == ENTER_COMMAND else -1)
        sizes.append(present)
    settled = sizes[len(sizes) // 4 :]
    assert sum(settled) / len(settled) == pytest.approx(members, rel=0.35)


def test_an_owner_who_stays_away_ends_the_room() -> None:
    stream = events(
        traffic(
            "outage",
            share=1,
            reenter=0,
            recover=0,
            members=50,
            sweep="2s",
            owner_grace="5s",
            every="10m",
            flow=1,
            stay="30m",
        )
    )
    left = [packet for packet in packets(stream) if packet.type == "Leave"]
    assert left


# What the pages leave open


def test_the_habits_of_the_backend_are_options() -> None:
    def some(profile: str, **backend: Any) -> list[LeavePacket]:
        return packets(islice(events(traffic(profile, backend=backend, share=1)), 40))

    assert {packet.operator_account for packet in some("outage", expired_operator="empty")} == {""}
    assert {packet.operator_account for packet in some("outage", expired_operator="system")} == {"@TIM#SYSTEM"}
    assert some("dissolve", member_count="before")[0].member_count == 200
    assert {len(packet.member_list_account) for packet in some("kick-wave", bulk_kick="each")} == {1}
    assert {packet.type for packet in some("dissolve", dissolution="kicked")} == {"Kicked"}
    assert not some("dissolve", dissolution="none")
    assert {packet.reason for packet in some("dissolve", reason="empty")} == {""}
    by_rest = {"owner": 0, "admin": 0, "rest": 1}
    kicks = packets(events(traffic("kick-wave", backend={"administrator": "root"}, kick_by=by_rest)))
    assert {packet.operator_account for packet in kicks} == {"root"}


def test_an_absent_reason_is_absent_from_all_but_kicks() -> None:
    for event in islice(events(traffic("steady", backend={"reason": "absent"})), 500):
        assert (b'"Reason":' in event.body) == (b'"Kicked"' in event.body)


# Options of the run


def test_time_can_be_compressed_and_event_times_with_it() -> None:
    usual = list(events(traffic("dissolve")))
    quick = list(events(traffic("dissolve", speed=60.0)))
    assert len(usual) == len(quick)
    for one, other in zip(usual, quick, strict=True):
        assert (
            other.time_ms
            == FIXED_START_MS + (one.time_ms - FIXED_START_MS) // 60
            == decode_leave(other.body).event_time
        )


def test_existing_rooms_and_people_are_the_only_ones() -> None:
    rooms, people = ("alpha", "beta"), tuple(f"user{number}" for number in range(40))
    stream = told(islice(events(traffic(rooms=2, members=40, room_ids=rooms, people=people, duration="10h")), 2000))
    found = [packet for _, packet in stream]
    assert {packet.room_id for packet in found} == set(rooms)
    assert {account for packet in found for account in packet.member_list_account} == set(people)


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ({"members": 5, "rooms": 6}, "steady: 5 members can't fill 6 rooms"),
        ({"rooms": 3, "members": 3, "room_ids": ("a",)}, "3 rooms are asked for and only 1 exist"),
        ({"rooms": 1, "members": 9, "people": ("a", "b")}, "9 members are asked for and only 2 people exist"),
        ({"mix": {"leave": 0}}, "every share in mix is 0"),
        ({"profile": "outage", "every": "1m"}, r"outage: 60s are too short .* 140s at least"),
        ({"locales": ("xx_XX",)}, "Faker has no locale 'xx_XX'"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(wanted: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        events(traffic(**wanted))


@pytest.mark.parametrize(
    ("profile", "parameters", "backend"),
    [
        ("kick-wave", {"rooms": 2, "members": 2}, {}),
        ("outage", {"share": 0}, {}),
        ("dissolve", {}, {"dissolution": "none"}),
        ("steady", {"flow": 0}, {}),
    ],
)
def test_a_wait_without_end_is_refused(profile: str, parameters: dict[str, Any], backend: dict[str, str]) -> None:
    scenario = traffic(profile, backend=backend, **parameters).scenario
    endless = msgspec.structs.replace(scenario.phases[0], duration=None)
    with pytest.raises(ConfigurationError, match="no callback would ever occur"):
        events(TrafficRequest(scenario=Scenario((endless,), scenario.backend), seed=1, limit=5))


def test_outages_go_on_for_as_long_as_they_are_asked_for() -> None:
    scenario = traffic("outage", rooms=3, members=60).scenario
    endless = msgspec.structs.replace(scenario.phases[0], duration=None)

    made = list(events(TrafficRequest(scenario=Scenario((endless,), scenario.backend), seed=3, limit=3000)))

    assert len(made) == 3000


# Languages
