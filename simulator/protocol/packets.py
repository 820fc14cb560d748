"""The packets of the leave and enter callbacks and of their response, as typed values with their wire names."""

from __future__ import annotations

from typing import Final, Literal, TypeVar

import msgspec

__all__ = [
    "ENTER_COMMAND",
    "LEAVE_COMMAND",
    "OK_RESPONSE",
    "WIRE_NAMES",
    "CheckOutMethod",
    "EnterPacket",
    "LeavePacket",
    "Packet",
    "ResponsePacket",
    "decode_enter",
    "decode_leave",
    "decode_response",
    "encode",
]

LEAVE_COMMAND: Final = "Room.CallbackAfterMemberLeave"
ENTER_COMMAND: Final = "Room.CallbackAfterMemberEnter"

WIRE_NAMES: Final[dict[str, str]] = {
    "callback_command": "CallbackCommand",
    "operator_account": "Operator_Account",
    "room_id": "RoomId",
    "member_count": "MemberCount",
    "type": "Type",
    "member_list_account": "MemberList_Account",
    "reason": "Reason",
    "event_time": "EventTime",
    "action_status": "ActionStatus",
    "error_info": "ErrorInfo",
    "error_code": "ErrorCode",
}
"""Python attribute to JSON key; the keys keep the vendor's spelling exactly (page, field tables)."""


CheckOutMethod = Literal["Leave", "Kicked", "Expired"]
"""How a member left: by choice, kicked, or timed out (page, ``Type``)."""


class LeavePacket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=WIRE_NAMES, gc=False):
    """The request packet of Room.CallbackAfterMemberLeave, its fields in the order of the page's sample.

    ``member_count`` is the number of people in the room (protocol.md 3.1: the English page mistranslates it as
    capacity); ``event_time`` is in ms since the epoch.
    """

    callback_command: Literal["Room.CallbackAfterMemberLeave"] = LEAVE_COMMAND
    operator_account: str
    room_id: str
    member_count: int
    type: CheckOutMethod
    member_list_account: tuple[str, ...]
    reason: str
    event_time: int


class EnterPacket(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=WIRE_NAMES, gc=False):
    """The request packet of Room.CallbackAfterMemberEnter (protocol.md 3.2): as the leave packet, without a Reason."""

    callback_command: Literal["Room.CallbackAfterMemberEnter"] = ENTER_COMMAND
    operator_account: str
    room_id: str
    member_count: int
    type: Literal["Enter"] = "Enter"
    member_list_account: tuple[str, ...]
    event_time: int


class ResponsePacket(msgspec.Struct, frozen=True, kw_only=True, rename=WIRE_NAMES):
    """The response packet (page): all three fields are required; other fields are allowed and dropped."""

    action_status: Literal["OK", "FAIL"]
    error_info: str
    error_code: int


Packet = LeavePacket | EnterPacket | ResponsePacket

OK_RESPONSE: Final = ResponsePacket(action_status="OK", error_info="", error_code=0)

_P = TypeVar("_P", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()
_leave_decoder = msgspec.json.Decoder(LeavePacket)
_enter_decoder = msgspec.json.Decoder(EnterPacket)
_response_decoder = msgspec.json.Decoder(ResponsePacket)


def encode(packet: Packet) -> bytes:
    """The packet as UTF-8 JSON without white space."""
    return _encoder.encode(packet)


def decode_leave(body: bytes) -> LeavePacket:
    """The leave packet in *body*; raises ``msgspec.DecodeError`` (``ValidationError`` below it) for anything else."""
    return _decode(_leave_decoder, body)


def decode_enter(body: bytes) -> EnterPacket:
    """The enter packet in *body*; raises ``msgspec.DecodeError`` for anything else."""
    return _decode(_enter_decoder, body)


def decode_response(body: bytes) -> ResponsePacket:
    """The response packet in *body*; raises ``msgspec.DecodeError`` for anything else.

    This is the fast parser of the hot path. It is stricter than the contract in corner cases (an ErrorCode of 0.0, a
    byte order mark). To judge a response, use ``roomhook.simulator.protocol.response_check``.
    """
    return _decode(_response_decoder, body)


def _decode(decoder: msgspec.json.Decoder[_P], body: bytes) -> _P:
    """Decode as msgspec does, with two gaps closed: it skips unknown members unread, and lets two errors through."""
    try:
        if not body.isascii():
            body.decode()
        return decoder.decode(body)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
