"""The error codes of the Room backend, with their meanings and sources."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["MEANINGS", "BackendError", "Code"]


class Code(IntEnum):
    """Error codes. 60xxx: every REST call (REST-OV); 1000xx and 1003xx: rooms and callbacks (protocol.md 2, 4).

    100008 and 1002xx are server codes that the client SDK names; only ``/sim`` answers with them.
    """

    OK = 0
    BAD_HTTP = 60002
    BAD_JSON = 60003
    BAD_ACCOUNT = 60004
    BAD_SIGNATURE = 60005
    BAD_SDKAPPID = 60006
    TOO_OFTEN = 60007
    TIMEOUT = 60008
    BAD_URL = 60009
    NEEDS_ADMIN = 60010
    APP_TOO_OFTEN = 60011
    NO_SDKAPPID = 60012
    BAD_ANSWER = 60013
    ACCOUNT_NO_STRING = 60015
    DISABLED = 60016
    APP_DISABLED = 60017
    TOO_MANY = 60018
    APP_TOO_MANY = 60019
    PLAN_EXPIRED = 60020
    BAD_SOURCE = 60021
    INTERNAL = 100001
    BAD_PARAMETER = 100002
    ROOM_EXISTS = 100003
    NO_ROOM = 100004
    NOT_A_MEMBER = 100005
    NO_PERMISSION = 100006
    ROOM_FULL = 100008
    CONFLICT = 100102
    SEAT_LOCKED = 100200
    ALREADY_SEATED = 100203
    ALL_SEATS_TAKEN = 100205
    NOT_SEATED = 100206
    SEAT_TAKEN = 100210
    CALLBACK_EXISTS = 100300
    NO_CALLBACK = 100301


MEANINGS: Final[dict[Code, str]] = {
    Code.OK: "",
    Code.BAD_HTTP: "the HTTP request is wrong",
    Code.BAD_JSON: "the body is not JSON",
    Code.BAD_ACCOUNT: "the account is missing or wrong",
    Code.BAD_SIGNATURE: "the signature is missing or wrong",
    Code.BAD_SDKAPPID: "the SDKAppID is wrong",
    Code.TOO_OFTEN: "this API is called too often",
    Code.TIMEOUT: "the request timed out",
    Code.BAD_URL: "there is no such resource",
    Code.NEEDS_ADMIN: "only an app administrator may call this",
    Code.APP_TOO_OFTEN: "this SDKAppID calls too often",
    Code.NO_SDKAPPID: "the SDKAppID is missing",
    Code.BAD_ANSWER: "the answer's JSON can't be parsed",
    Code.ACCOUNT_NO_STRING: "the account is not a string",
    Code.DISABLED: "the service is disabled",
    Code.APP_DISABLED: "the service is disabled for this SDKAppID",
    Code.TOO_MANY: "too many requests",
    Code.APP_TOO_MANY: "too many requests of this SDKAppID",
    Code.PLAN_EXPIRED: "the plan has expired",
    Code.BAD_SOURCE: "the source address is not allowed",
    Code.INTERNAL: "internal error, try again",
    Code.BAD_PARAMETER: "a parameter is wrong",
    Code.ROOM_EXISTS: "the RoomId is taken",
    Code.NO_ROOM: "there is no such room",
    Code.NOT_A_MEMBER: "the user is not in the room",
    Code.NO_PERMISSION: "no permission",
    Code.ROOM_FULL: "the room is full",
    Code.CONFLICT: "the request conflicts with the current state",
    Code.SEAT_LOCKED: "the seat is locked",
    Code.ALREADY_SEATED: "the user has a seat already",
    Code.ALL_SEATS_TAKEN: "all seats are taken",
    Code.NOT_SEATED: "the user has no seat",
    Code.SEAT_TAKEN: "the seat is taken",
    Code.CALLBACK_EXISTS: "the callback is configured already: use update_callback",
    Code.NO_CALLBACK: "no callback is configured: use set_callback",
}
"""The meaning of each code, in Roomhook's words."""


class BackendError(Exception):
    """The Room backend refuses a call, and nothing has changed."""

    def __init__(self, code: Code, detail: str = "") -> None:
        self.code = code
        self.info = f"{MEANINGS[code]}: {detail}" if detail else MEANINGS[code]
        super().__init__(self.info)
