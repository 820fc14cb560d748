"""Recorded callbacks become a scenario of the shares and stays that were seen."""

from __future__ import annotations

import tomllib

import pytest

from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.packets import LeavePacket, encode
from roomhook.simulator.rooms.behaviour import BulkKick
from roomhook.simulator.traffic.generator import TrafficRequest, events
from roomhook.simulator.traffic.observed import ObservedTraffic
from roomhook.simulator.traffic.scenario import Scenario, from_document

PLAYED = {
    "profile": "steady",
    "duration": "2h",
    "rooms": 20,
    "members": 300,
    "stay": "8m",
    "stay_sigma": 0.8,
    "mix": {"leave": 75, "kicked": 10, "expired": 15},
    "platforms": {"iOS": 80, "Web": 20},
    "kick_bulk": 0.4,
    "recover": 0,
    "owner_ends": 0,
}


def observed(
    *, with_enter: bool = True, bulk_kick: BulkKick = BulkKick.ONE
) -> tuple[ObservedTraffic, dict[str, object]]:
    scenario = from_document({"phase": [PLAYED], "backend": {"bulk_kick": str(bulk_kick)}}, "played")
    seen = ObservedTraffic()
    seen.add(events(TrafficRequest(scenario=scenario, seed=7, with_enter=with_enter)))
    (phase,) = tomllib.loads(seen.toml("a record"))["phase"]
    return seen, phase


def played(phase: dict[str, object]) -> Scenario:
    return from_document({"phase": [phase]}, "observed")


@pytest.mark.parametrize("bulk_kick", BulkKick)
def test_shares_stays_and_sizes_come_back(bulk_kick: BulkKick) -> None:
    _, found = observed(bulk_kick=bulk_kick)
    (phase,) = played(found).phases
    total = phase.mix.leave + phase.mix.kicked + phase.mix.expired
    assert phase.mix.leave / total == pytest.approx(0.75, abs=0.06)
    assert phase.mix.kicked / total == pytest.approx(0.10, abs=0.06)
    assert phase.mix.expired / total == pytest.approx(0.15, abs=0.06)
    assert phase.platforms["iOS"] / sum(phase.platforms.values()) == pytest.approx(0.8, abs=0.06)
    assert phase.stay == pytest.approx(8 * 60_000, rel=0.25)
    assert phase.stay_sigma == pytest.approx(0.8, abs=0.25)
    assert phase.rooms == pytest.approx(20, abs=2)
    assert phase.members == pytest.approx(300, rel=0.15)
    assert phase.duration == pytest.approx(2 * 3_600_000, rel=0.02)
    assert phase.kick_bulk == pytest.approx(0.4, abs=0.15)


def test_without_enters_the_stays_are_the_defaults_and_the_file_says_so() -> None:
    seen, found = observed(with_enter=False)
    assert "stay" not in found
    assert "no enters, so stays are the defaults" in seen.toml("a record")
    assert played(found).phases[0].stay == 12 * 60_000


def test_what_is_not_as_documented_is_left_out() -> None:
    packet = LeavePacket(
        operator_account="ann",
        room_id="r1",
        member_count=3,
        type="Leave",
        member_list_account=("ann",),
        reason="",
        event_time=1_700_000_000_000,
    )
    seen = ObservedTraffic()
    command = "Room.CallbackAfterMemberLeave"
    good = CallbackEvent(0, command, "1.2.3.4", "Gameboy", encode(packet))
    seen.add([good, CallbackEvent(0, command, "", "", b"{"), CallbackEvent(0, "Room.Other", "", "", b"{}")])
    assert seen.leaves.total() == 1
    (phase,) = seen.document()["phase"]
    assert "platforms" not in phase
    assert phase["members"] == 4
    played(phase)
