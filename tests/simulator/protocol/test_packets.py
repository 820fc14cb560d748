"""The typed packets and their wire form."""

from __future__ import annotations

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomhook.simulator.protocol.packets import (
    OK_RESPONSE,
    CheckOutMethod,
    EnterPacket,
    LeavePacket,
    ResponsePacket,
    decode_enter,
    decode_leave,
    decode_response,
    encode,
)

PAGE_SAMPLE = (
    b'{"CallbackCommand":"Room.CallbackAfterMemberLeave","Operator_Account":"user1","RoomId":"rid-123","MemberCount":20,'
    b'"Type":"Leave","MemberList_Account":["user1"],"Reason":"xxxx","EventTime":1670574414123}'
)
PAGE_PACKET = LeavePacket(
    operator_account="user1",
    room_id="rid-123",
    member_count=20,
    type="Leave",
    member_list_account=("user1",),
    reason="xxxx",
    event_time=1670574414123,
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.integers(0, 2**53)
MEMBERS = st.lists(TEXT, min_size=1).map(tuple)
LEAVES = st.builds(
    LeavePacket,
    callback_command=st.just("Room.CallbackAfterMemberLeave"),
    operator_account=TEXT,
    room_id=TEXT,
    member_count=NUMBER,
    type=st.sampled_from(get_args(CheckOutMethod)),
    member_list_account=MEMBERS,
    reason=TEXT,
    event_time=NUMBER,
)
ENTERS = st.builds(
    EnterPacket,
    callback_command=st.just("Room.CallbackAfterMemberEnter"),
    operator_account=TEXT,
    room_id=TEXT,
    member_count=NUMBER,
    type=st.just("Enter"),
    member_list_account=MEMBERS,
    event_time=NUMBER,
)


def test_the_sample_of_the_page_is_written_byte_for_byte() -> None:
    assert encode(PAGE_PACKET) == PAGE_SAMPLE


def test_the_sample_of_the_page_is_read() -> None:
    assert decode_leave(PAGE_SAMPLE) == PAGE_PACKET


def test_the_answer_of_the_page_is_written_in_its_order() -> None:
    assert encode(OK_RESPONSE) == b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}'


@given(LEAVES)
def test_a_leave_packet_survives_the_wire(packet: LeavePacket) -> None:
    assert decode_leave(encode(packet)) == packet


@given(ENTERS)
def test_an_enter_packet_survives_the_wire(packet: EnterPacket) -> None:
    assert decode_enter(encode(packet)) == packet


@given(LEAVES)
def test_msgspec_and_the_standard_library_read_the_same(packet: LeavePacket) -> None:
    read = json.loads(encode(packet))
    assert read["MemberList_Account"] == list(packet.member_list_account)
    assert [read[key] for key in ("Operator_Account", "RoomId", "MemberCount", "Type", "Reason", "EventTime")] == [
        packet.operator_account,
        packet.room_id,
        packet.member_count,
        packet.type,
        packet.reason,
        packet.event_time,
    ]


def test_an_enter_packet_has_no_reason() -> None:
    packet = EnterPacket(operator_account="a", room_id="r", member_count=1, member_list_account=("a",), event_time=1)
    assert encode(packet) == (
        b'{"CallbackCommand":"Room.CallbackAfterMemberEnter","Operator_Account":"a","RoomId":"r","MemberCount":1,'
        b'"Type":"Enter","MemberList_Account":["a"],"EventTime":1}'
    )


@pytest.mark.parametrize(
    "departure",
    [
        {"Extra": 1},
        {"Type": "Left"},
        {"MemberCount": "20"},
        {"MemberCount": 1.5},
        {"MemberCount": True},
        {"MemberList_Account": "user1"},
        {"MemberList_Account": [1]},
        {"EventTime": None},
        {"CallbackCommand": "Room.CallbackAfterMemberEnter"},
    ],
    ids=str,
)
def test_a_leave_packet_that_departs_from_the_page_is_refused(departure: dict[str, object]) -> None:
    body = json.dumps({**json.loads(PAGE_SAMPLE), **departure}).encode()
    with pytest.raises(msgspec.ValidationError):
        decode_leave(body)


@pytest.mark.parametrize("field", sorted(json.loads(PAGE_SAMPLE)))
def test_a_leave_packet_without_one_of_its_fields_is_refused(field: str) -> None:
    packet = json.loads(PAGE_SAMPLE)
    del packet[field]
    if field == "CallbackCommand":
        assert decode_leave(json.dumps(packet).encode()) == PAGE_PACKET  # the URL names the command as well
        return
    with pytest.raises(msgspec.ValidationError):
        decode_leave(json.dumps(packet).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"ActionStatus":"ok","ErrorInfo":"","ErrorCode":0}',
        b'{"ActionStatus":"OK","ErrorInfo":null,"ErrorCode":0}',
        b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":"0"}',
        b'{"ActionStatus":"OK","ErrorInfo":"\xff","ErrorCode":0}',
        b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"more":"\xff"}',
        b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["empty", "null", "array", "cut", "lower-case", "no-info", "text-code", "not-utf8", "not-utf8-beyond", "deep"],
)
def test_whatever_is_no_response_packet_is_one_kind_of_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_response(body)


def test_members_beyond_the_response_packet_are_dropped() -> None:
    body = b'{"ErrorCode":0,"RequestId":"x","ActionStatus":"OK","ErrorInfo":""}'
    assert decode_response(body) == ResponsePacket(action_status="OK", error_info="", error_code=0)
