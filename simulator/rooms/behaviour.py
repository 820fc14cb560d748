"""How a Room backend behaves where the pages leave it open: each point is an option with a documented default."""

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
    """Whether MemberCount counts those who leave; "after users successfully leave" suggests not (protocol.md 7.6)."""

    AFTER = "after"
    BEFORE = "before"


class BulkKick(StrEnum):
    """Whether a kick of several members is one packet or one for each (protocol.md 7.6)."""

    ONE = "one"
    EACH = "each"


class Dissolution(StrEnum):
    """What a dissolved room sends for those still inside: a Leave or a Kicked each, or nothing, as Live does (7.8)."""

    LEAVE = "leave"
    KICKED = "kicked"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendBehaviour:
    """How this Room backend settles what the pages leave open; ``heartbeat_ms`` is how long a silent member stays.

    The range of ``heartbeat_ms`` is that of Live (protocol.md 4); ``administrator`` is the operator of a REST call.
    """

    expired_operator: ExpiredOperator = ExpiredOperator.MEMBER
    member_count: CountMoment = CountMoment.AFTER
    bulk_kick: BulkKick = BulkKick.ONE
    dissolution: Dissolution = Dissolution.LEAVE
    administrator: str = "administrator"
    heartbeat_ms: tuple[int, int] = (90_000, 110_000)
