"""Options of the mock Room backend where the documents leave a choice, and the settings of its apps."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from roomhook.simulator.protocol.room_packets import RoomType
from roomhook.simulator.rooms.behaviour import BackendBehaviour, Dissolution
from roomhook.simulator.transport.retry_policy import PROFILES, RetryPolicy
from roomhook.simulator.util.defaults import DEADLINE_MS

__all__ = ["AppSettings", "BackendOptions", "DestroyOrder", "EmptySeat"]


class DestroyOrder(StrEnum):
    """Whether the leaves of a destroyed room come before or after its destroy callback (protocol.md 7.8)."""

    LEAVES_FIRST = "leaves-first"
    DESTROY_FIRST = "destroy-first"


class EmptySeat(StrEnum):
    """An empty seat in a packet: an empty Member_Account (Room page), or no such field (Live page)."""

    EMPTY = "empty"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """One SDKAppID: *secret_key* verifies usersig (None accepts any), *token* signs its callbacks (None: unsigned)."""

    sdkappid: int
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """All options of the Room backend.

    ``most_members`` is the default of MaxMemberCount; ``auto_destroy_ms`` destroys a room that has been empty for so
    long after its last member left (None: never); ``rest_ip`` is ClientIP of callbacks that REST calls cause;
    ``calls_per_second`` limits each REST API of each app; ``in_flight`` limits the callbacks of an app on their way;
    ``callback_hosts`` are the hosts besides loopback that callback URLs may name (None: any).
    """

    behaviour: BackendBehaviour = field(default_factory=lambda: BackendBehaviour(dissolution=Dissolution.LEAVE))
    destroy_order: DestroyOrder = DestroyOrder.LEAVES_FIRST
    empty_seat: EmptySeat = EmptySeat.EMPTY
    room_type: RoomType = "Meeting"
    most_members: int = 300
    auto_destroy_ms: int | None = None
    rest_ip: str = "0.0.0.0"  # noqa: S104 (an address in packets, not one to listen on; protocol.md 1.1)
    expired_reason: str = "heartbeat expired"
    calls_per_second: int = 200
    lenient: bool = False
    deadline_ms: float = DEADLINE_MS
    in_flight: int = 16
    retry: RetryPolicy = PROFILES["none"]
    seed: int = 0
    callback_hosts: frozenset[str] | None = None
