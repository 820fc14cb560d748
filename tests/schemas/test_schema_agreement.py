"""Schemas and typed packets agree on every packet, generated or from an example."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema_packets import EXAMPLES, INVALID, VALID, relative

from roomhook.errors import ConfigurationError
from roomhook.schemas import loader
from roomhook.simulator.protocol.callback_event import CallbackEvent, from_line, to_line, with_type
from roomhook.simulator.protocol.callback_url import PLATFORMS, parameters, sign
from roomhook.simulator.protocol.packets import (
    ENTER_COMMAND,
    LEAVE_COMMAND,
    CheckOutMethod,
    EnterPacket,
    LeavePacket,
    Packet,
    ResponsePacket,
    decode_enter,
    decode_leave,
    decode_response,
    encode,
)

TYPES: dict[str, Callable[[bytes], Packet]] = {
    "leave": decode_leave,
    "enter": decode_enter,
    "response.accepted": decode_response,  # the type tolerates further members, as everybody who reads an answer must
}


# ── the typed packets, both ways ────────────────────────────────────────────────────────────────────────────────────


def text_of_at_most(limit: int) -> st.SearchStrategy[str]:
    """Text of 1 to *limit* bytes of UTF-8."""
    return st.text(min_size=1, max_size=limit).filter(lambda text: len(text.encode()) <= limit)


user_ids = text_of_at_most(32)


room_ids = text_of_at_most(48)


member_counts = st.integers(0, 2**63 - 1)


member_lists = st.lists(user_ids, min_size=1, max_size=20).map(tuple)


event_times = st.integers(10**12, 10**13 - 1)


leave_packets = st.builds(
    LeavePacket,
    operator_account=user_ids,
    room_id=room_ids,
    member_count=member_counts,
    type=st.sampled_from(get_args(CheckOutMethod)),
    member_list_account=member_lists,
    reason=st.text(max_size=1000),
    event_time=event_times,
)


enter_packets = st.builds(
    EnterPacket,
    operator_account=user_ids,
    room_id=room_ids,
    member_count=member_counts,
    member_list_account=member_lists,
    event_time=event_times,
)


response_packets = st.builds(
    ResponsePacket,
    action_status=st.sampled_from(("OK", "FAIL")),
    error_info=st.text(),
    error_code=st.integers(-(2**63), 2**64 - 1),
)


modestly = settings(max_examples=200)


@pytest.mark.long
@modestly
@given(leave_packets)
def test_whatever_a_leave_packet_encodes_is_sent_and_accepted_and_comes_back(packet: LeavePacket) -> None:
    body = encode(packet)
    assert loader.problems("leave", json.loads(body)) == []
    assert loader.problems("leave.accepted", json.loads(body)) == []
    assert decode_leave(body) == packet


@modestly
@given(enter_packets)
def test_whatever_an_enter_packet_encodes_is_sent_and_accepted_and_comes_back(packet: EnterPacket) -> None:
    body = encode(packet)
    assert loader.problems("enter", json.loads(body)) == []
    assert loader.problems("enter.accepted", json.loads(body)) == []
    assert decode_enter(body) == packet


@modestly
@given(response_packets)
def test_whatever_a_response_packet_encodes_is_sent_and_accepted_and_comes_back(packet: ResponsePacket) -> None:
    body = encode(packet)
    assert loader.problems("response", json.loads(body)) == []
    assert loader.problems("response.accepted", json.loads(body)) == []
    assert decode_response(body) == packet


@modestly
@given(
    sdkappid=st.integers(1, 2**32 - 1),
    command=st.sampled_from((LEAVE_COMMAND, ENTER_COMMAND)),
    client_ip=st.ip_addresses(v=4).map(str),
    platform=st.sampled_from(PLATFORMS),
    token=st.none() | st.text(min_size=1, max_size=128),
    request_time=st.integers(10**9, 10**10 - 1),
)
@pytest.mark.long
def test_whatever_parameters_are_appended_are_sent_and_accepted(**given_values: Any) -> None:
    query = dict(parameters(**given_values))
    assert loader.problems("url", query) == []
    assert loader.problems("url.accepted", query) == []
    assert list(query) == [key for key in loader.schema("url")["properties"] if key in query], "the documented order"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@modestly
@given(st.data())
def test_a_field_of_any_other_value_is_judged_alike_by_schema_and_type(data: st.DataObject) -> None:
    """But for limits, which types don't hold: what the schema accepts decodes, what doesn't decode it refuses."""
    name = data.draw(st.sampled_from(sorted(TYPES)))
    document = dict(loader.schema(name)["examples"][0])
    key = data.draw(st.sampled_from([*document, "Extra"]))
    document[key] = data.draw(json_values)
    found = loader.problems(name, document)
    limits = ("min", "max")
    assert decodes(name, document) == all(one.rule.startswith(limits) for one in found)


# Types know no limits, and take a missing command from the URL: these decode and still are not what is documented.
ONLY_THE_SCHEMA_REFUSES = {
    "invalid/leave/callback-command-missing",
    "invalid/leave/event-time-in-microseconds",
    "invalid/leave/event-time-in-seconds",
    "invalid/leave/member-count-negative",
    "invalid/leave/member-list-account-empty",
    "invalid/leave/member-list-account-second-of-33-characters",
    "invalid/leave/operator-account-empty",
    "invalid/leave/operator-account-of-33-characters",
    "invalid/leave/room-id-empty",
    "invalid/leave/room-id-of-49-characters",
}


# To JSON Schema 20.0 is an integer; the fast way asks for digits alone.
ONLY_THE_TYPE_REFUSES = {"valid/leave/member-count-written-as-20.0"}


@pytest.mark.parametrize("path", [one for one in VALID + INVALID if one.parent.name in TYPES], ids=relative)
def test_schema_and_type_agree_on_every_example_but_the_named_ones(path: Path) -> None:
    document = json.loads(path.read_bytes())
    matches = not loader.problems(path.parent.name, document)
    if relative(path) in ONLY_THE_SCHEMA_REFUSES | ONLY_THE_TYPE_REFUSES:
        assert decodes(path.parent.name, document) != matches
    else:
        assert decodes(path.parent.name, document) == matches


def decodes(name: str, document: Any) -> bool:
    try:
        TYPES[name](json.dumps(document).encode())
    except msgspec.DecodeError:
        return False
    return True


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────

events = st.builds(
    with_type,
    time_ms=st.integers(0, 10**13),
    command=st.sampled_from((LEAVE_COMMAND, ENTER_COMMAND)),
    client_ip=st.ip_addresses().map(str),
    platform=st.sampled_from(PLATFORMS),
    body=leave_packets.map(encode) | st.binary(),
)


@pytest.mark.long
@modestly
@given(events)
def test_whatever_event_is_written_matches_the_schema_and_is_read_back(event: CallbackEvent) -> None:
    line = to_line(event)
    assert loader.problems("event", json.loads(line)) == []
    assert from_line(line) == event


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/event/*.json")), ids=relative)
def test_the_reader_of_events_agrees_with_their_schema(path: Path) -> None:
    line = json.dumps(json.loads(path.read_bytes())).encode()
    if path.parent.parent.name == "valid":
        from_line(line)
    elif path.stem != "two-bodies-at-once":
        with pytest.raises(ConfigurationError):
            from_line(line)


def test_the_documented_vector_of_the_signature_is_among_the_examples() -> None:
    query = json.loads((EXAMPLES / "valid" / "url" / "signed-with-the-documented-vector.json").read_bytes())
    assert query["Sign"] == sign("xxxxyyyy", query["RequestTime"])
