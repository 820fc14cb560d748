"""Generated packets: valid ones, near misses, and how each is described."""

from __future__ import annotations

from typing import Any

import pytest
from fuzz_runs import MEMBER, NOW_MS, ROOM, packet_of, search

from roomhook.contract_tests.fuzzing.strategies import Mutation, described, near_misses, valid_topics
from roomhook.contract_tests.harness.drafts import ABSENT
from roomhook.schemas import loader

# ── what is generated ───────────────────────────────────────────────────────────────────────────────────────────────


def generated(seed: str, *, near: bool = False, examples: int = 500) -> list[Mutation]:
    seen: list[Mutation] = []

    def fails(departure: Mutation) -> bool:
        seen.append(departure)
        return False

    topics = near_misses(MEMBER) if near else valid_topics(MEMBER, ROOM)
    assert list(search(fails, seed).run(topics, examples, combined=not near)) == []
    return seen


@pytest.fixture(scope="module")
def valid() -> list[tuple[Mutation, dict[str, Any]]]:
    return [(one, packet_of(one)) for one in generated("1")]


def body_of(departure: Mutation) -> str:
    written = departure.draft(MEMBER, NOW_MS).body
    return (written(packet_of(departure)) or b"").decode() if written else ""


def test_shrinks_half_a_surrogate_pair_to_itself() -> None:
    (found,) = search(lambda departure: "\\ud" in body_of(departure), "1").run(near_misses(MEMBER), 300)

    assert body_of(found).count("\\u") == 1
    assert found.fields.keys() == {"Reason"}
    assert len(found.fields["Reason"]) == 1


@pytest.mark.long
def test_the_same_seed_generates_the_same_and_another_seed_something_else() -> None:
    some = generated("1", examples=100)
    assert generated("1", examples=100) == some
    assert generated("2", examples=100) != some


@pytest.mark.long
def test_a_valid_packet_is_one_as_documented(valid: list[tuple[Mutation, dict[str, Any]]]) -> None:
    assert 450 <= len(valid) <= 500
    for _, packet in valid:
        assert loader.problems("leave", packet) == []


def test_a_valid_packet_keeps_to_the_limits_and_to_what_is_not_disputed(
    valid: list[tuple[Mutation, dict[str, Any]]],
) -> None:
    for departure, packet in valid:
        accounts = [packet["Operator_Account"], *packet["MemberList_Account"]]
        assert len(packet["Reason"].encode()) <= 1000  # which a lone surrogate could not be
        assert "\0" not in packet["Reason"]
        assert 0 <= packet["MemberCount"] < 2**53
        assert packet["RoomId"].startswith(ROOM)
        assert len(packet["RoomId"].encode()) <= 48
        assert all(1 <= len(one.encode()) <= 32 for one in accounts)
        assert all(one.isascii() and one.isprintable() and " " not in one for one in [packet["RoomId"], *accounts])
        assert len(set(packet["MemberList_Account"])) == len(packet["MemberList_Account"]) <= 53
        assert packet["Type"] == "Kicked" or packet["Operator_Account"] in packet["MemberList_Account"]
        assert NOW_MS - 61_000 <= packet["EventTime"] <= NOW_MS
        assert departure.params.get("OptPlatform") not in {"Mac", "macOS"}


def test_a_valid_packet_may_lie_in_any_corner(valid: list[tuple[Mutation, dict[str, Any]]]) -> None:
    packets = [packet for _, packet in valid]
    assert {2**31 - 1, 2**31, 2**32} <= {one["MemberCount"] for one in packets}
    assert {len(one["MemberList_Account"]) for one in packets} >= {1, 2, 20, 33, 50}
    assert {one["Type"] for one in packets} == {"Leave", "Kicked", "Expired"}
    assert any(one["EventTime"] % 1000 == 0 and one["EventTime"] != NOW_MS for one in packets)
    reasons = "".join(one["Reason"] for one in packets)
    assert all(character in reasons for character in "'\"\\/%{}\n\x01")
    assert sum(ord(character) > 0xFFFF for character in reasons) > 100
    ids = "".join(one["RoomId"] + "".join(one["MemberList_Account"]) for one in packets)
    assert all(character in ids for character in "%@#-_.:+&=?|<>")
    assert {departure.escaped for departure, _ in valid} == {True, False}
    assert {departure.last for departure, _ in valid} == {True, False}


@pytest.mark.long
def test_a_near_miss_is_forbidden_by_what_must_be_accepted() -> None:
    seen = generated("1", near=True, examples=300)
    assert len(seen) >= 250
    for departure in seen:
        packet = packet_of(departure)
        if any("\ud800" <= character <= "\udfff" for character in str(packet.get("Reason"))):
            assert departure.escaped
        else:
            assert loader.problems("leave.accepted", packet)
    departing = {name for departure in seen for name in departure.fields}
    assert departing == set(loader.schema("leave")["properties"])


@pytest.mark.parametrize(
    ("departure", "text"),
    [
        (Mutation(), "nothing"),
        (Mutation({"MemberCount": 2**31}), "MemberCount = 2147483648"),
        (Mutation({"RoomId": ABSENT}), "no RoomId"),
        (Mutation({"Reason": "x" * 256}), 'Reason of 256 characters ("xxxxxxxxxxxxxxxxxxx…)'),
        (Mutation(others=("%",)), f'MemberList_Account = ["{MEMBER}", "%"]'),
        (Mutation(others=("%",), last=True), f'MemberList_Account = ["%", "{MEMBER}"]'),
        (Mutation(others=tuple("abcdefg")), "MemberList_Account of 8 items"),
        (Mutation(params={"OptPlatform": "Web"}), 'OptPlatform = "Web"'),
        (Mutation({"Type": "Kicked", "Operator_Account": "#"}), 'Operator_Account = "#", Type = "Kicked"'),
        (Mutation(age_ms=1500, whole=True), "EventTime = 1795399998000"),
    ],
)
def test_a_departure_is_described_in_a_few_words(departure: Mutation, text: str) -> None:
    assert described(departure.draft(MEMBER, NOW_MS), MEMBER) == text


def test_an_escaped_packet_is_ascii_and_means_the_same() -> None:
    body = Mutation({"Reason": "\U0001f600"}, escaped=True).draft(MEMBER, NOW_MS).body
    assert body is not None
    written = body({"Reason": "\U0001f600"})
    assert written == b'{"Reason":"\\ud83d\\ude00"}'
