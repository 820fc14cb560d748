"""The behaviour of a Room backend where the pages leave it open: options with documented defaults."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BackendBehaviour", "BulkKick", "CountMoment", "Dissolution", "ExpiredOperator"]


class ExpiredOperator(StrEnum):
    """Operator_Account of an expiry, which no page states (protocol.md 7.4)."""

    MEMBER = "member"
    EMPTY = "empty"
    SYSTEM = "system"


class CountMoment(StrEnum):
    """Whether MemberCount includes those who leave; "after users successfully leave" suggests not (protocol.md 7.6)."""

    AFTER = "after"
    BEFORE = "before"


class BulkKick(StrEnum):
    """Whether a kick of several members is one packet or one for each (protocol.md 7.6)."""

    ONE = "one"
    EACH = "each"


class Dissolution(StrEnum):
    """The callbacks for members inside a dissolved room: a Leave or a Kicked each, or none, as in Live (7.8)."""

    LEAVE = "leave"
    KICKED = "kicked"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendBehaviour:
    """The choices of this Room backend; ``heartbeat_ms`` is the time from a lost heartbeat to the expiry (ms).

    The default range of ``heartbeat_ms`` is that of Live (protocol.md 4); ``administrator`` is the operator of REST
    calls.
    """

    expired_operator: ExpiredOperator = ExpiredOperator.MEMBER
    member_count: CountMoment = CountMoment.AFTER
    bulk_kick: BulkKick = BulkKick.ONE
    dissolution: Dissolution = Dissolution.LEAVE
    administrator: str = "administrator"
    heartbeat_ms: tuple[int, int] = (90_000, 110_000)
