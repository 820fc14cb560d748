"""One realistic packet; values that are not given are generated from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl, parameters
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND, CheckOutMethod, EnterPacket, LeavePacket
from roomhook.simulator.rooms.people import People
from roomhook.simulator.util.random_stream import RandomStream

__all__ = ["Fake", "Given", "Kind", "RequestTemplate", "fake"]


class Kind(StrEnum):
    """The event: one of the three check-out methods, or an enter."""

    LEAVE = "leave"
    KICKED = "kicked"
    EXPIRED = "expired"
    ENTER = "enter"

    @property
    def command(self) -> str:
        """The CallbackCommand that reports it."""
        return ENTER_COMMAND if self is Kind.ENTER else LEAVE_COMMAND


@dataclass(frozen=True, slots=True)
class Given:
    """The given values; ``event_time`` is in ms since the epoch."""

    room: str | None = None
    members: Sequence[str] = ()
    operator: str | None = None
    count: int | None = None
    reason: str | None = None
    event_time: int | None = None


@dataclass(frozen=True, slots=True)
class Fake:
    """A packet, and the client for the URL parameters."""

    packet: LeavePacket | EnterPacket
    client_ip: str
    platform: str


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """One callback to send once or more: the same packet, with a new signature each time if there is a *token*."""

    url: CallbackUrl
    sdkappid: int
    command: str
    client_ip: str
    platform: str
    contenttype: str
    token: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def callback(self, now_s: int) -> CallbackRequest:
        """The callback at *now_s* (s since the epoch); raises ``ConfigurationError`` for text that is no UTF-8."""
        params = parameters(
            sdkappid=self.sdkappid,
            command=self.command,
            client_ip=self.client_ip,
            platform=self.platform,
            contenttype=self.contenttype,
            token=self.token,
            request_time=now_s,
        )
        try:
            url = self.url.with_parameters(params)
        except UnicodeEncodeError:
            raise ConfigurationError("a parameter of the URL is not UTF-8; give it as text") from None
        return CallbackRequest(url, self.body, self.headers, signed=self.token is not None)


_METHODS: Final[Mapping[Kind, CheckOutMethod]] = {
    Kind.LEAVE: "Leave",
    Kind.KICKED: "Kicked",
    Kind.EXPIRED: "Expired",
}


def fake(kind: Kind, given: Given, *, seed: int, now_ms: int) -> Fake:
    """One event at *now_ms* (ms since the epoch).

    All values are generated in the same order, even the given ones, so giving one value does not change the others. The
    operator of an expiry is not documented (protocol.md 7.4): here it is the member.
    """
    people = People(seed)
    room, member, owner = people.room_id(), people.account(), people.account()
    client_ip, platform = people.client_ip(), people.platform()
    members = tuple(given.members) or (member,)
    operator = owner if kind is Kind.KICKED else members[0]
    method = _METHODS.get(kind, "Leave")
    reason = people.reason(method)
    leave = LeavePacket(
        operator_account=operator if given.operator is None else given.operator,
        room_id=room if given.room is None else given.room,
        member_count=RandomStream(seed, "count").between(1, 30) if given.count is None else given.count,
        type=method,
        member_list_account=members,
        reason=reason if given.reason is None else given.reason,
        event_time=now_ms if given.event_time is None else given.event_time,
    )
    return Fake(_as_enter(leave) if kind is Kind.ENTER else leave, client_ip, platform)


def _as_enter(leave: LeavePacket) -> EnterPacket:
    return EnterPacket(
        operator_account=leave.operator_account,
        room_id=leave.room_id,
        member_count=leave.member_count,
        member_list_account=leave.member_list_account,
        event_time=leave.event_time,
    )
