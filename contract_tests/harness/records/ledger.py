"""Remembers what each acknowledged leave must have done to its room, so that all rooms can be looked at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import digits
from typing import Any, Final

from roomhook.contract_tests.harness.baseline import CallbackBuilder
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.callback_request import CallbackRequest

__all__ = [
    "SHARED_BY",
    "EffectLedger",
    "WatchedLeave",
    "ahead_ms",
    "entered_ms",
    "happened_before",
    "is_plain",
    "near_twin",
    "watchable",
    "watched",
]

SHARED_BY: Final = 8
"""How many leaves share a room."""
_TWIN_ENDS: Final = "qrstvwxyzk"
_LONGEST_ACCOUNT: Final = 32
_ENTERED_BEFORE_MS: Final = 1000
"""How long before a leave with an EventTime of its own its members have entered."""


@dataclass(frozen=True)
class WatchedLeave:
    """A leave out of a populated room: who leaves, and who stays (a near twin of the first, and a bystander).

    ``draft`` is complete but for the envelope's own values; ``what`` says what it departs in; ``exchange`` is the
    acknowledgement, once there is one. ``ahead_ms`` is how far its EventTime lay ahead, or 0.
    """

    requirement: str
    what: str
    draft: CallbackDraft
    room: str
    leaving: tuple[str, ...]
    staying: tuple[str, ...]
    odd_room: bool = False
    exchange: Exchange | None = None
    ahead_ms: int = 0

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody who is in the room before the leave."""
        return (*self.leaving, *self.staying)


class EffectLedger:
    """The watched leaves of a run, by callback; safe for cases that run side by side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[CallbackRequest, WatchedLeave]] = {}
        self._shared: list[tuple[str, str, tuple[str, ...]]] = []

    def share(self, room: str, members: Sequence[str], bystander: str) -> None:
        """Let leaves that need no room of their own take *members* out of *room*, each beside its near twin."""
        with self._lock:
            self._shared += [(room, one, (near_twin(one, members), bystander)) for one in members]

    def next_member(self) -> tuple[str, str, tuple[str, ...]] | None:
        """A room, a member who has not left it yet, and who stays; None if all have left."""
        with self._lock:
            return self._shared.pop(0) if self._shared else None

    def watch(self, callback: CallbackRequest, leave: WatchedLeave) -> None:
        """Remember what *callback*, which is about to be sent, must do."""
        with self._lock:
            self._watched[id(callback)] = callback, leave

    def observe(self, exchange: Exchange) -> None:
        """Take note of an acknowledgement: from then on the effect is due."""
        if not exchange.acknowledged:
            return
        with self._lock:
            known = self._watched.get(id(exchange.callback))
            if known is not None:
                self._watched[id(exchange.callback)] = known[0], replace(known[1], exchange=exchange)

    def due(self) -> Sequence[WatchedLeave]:
        """The leaves that were acknowledged, in the order in which they were made."""
        with self._lock:
            return [leave for _, leave in self._watched.values() if leave.exchange is not None]


def is_plain(draft: CallbackDraft) -> bool:
    """Whether *draft* has no room, members or time of its own, so that it can leave any room."""
    return not draft.fields.keys() & {"RoomId", "MemberList_Account", "EventTime"}


def watchable(draft: CallbackDraft) -> bool:
    """Whether *draft* is a leave whose members and room can be told."""
    fields = draft.fields
    members, room = fields.get("MemberList_Account", ["x"]), fields.get("RoomId", "x")
    listed = isinstance(members, list) and members and all(isinstance(one, str) for one in members)
    return draft.is_leave and bool(listed) and isinstance(room, str)


def watched(builder: CallbackBuilder, draft: CallbackDraft, room: str | None, requirement: str) -> WatchedLeave:
    """*draft* with a room and members of its own, beside those who stay."""
    fields: dict[str, Any] = dict(draft.fields)
    odd_room = "RoomId" in fields
    own: str = fields.setdefault("RoomId", room or builder.room())
    members = list(dict.fromkeys(fields.setdefault("MemberList_Account", [builder.account()])))
    fields.setdefault("Operator_Account", members[0])
    staying = (near_twin(members[0], members), builder.account())
    return WatchedLeave(requirement, "", replace(draft, fields=fields), own, tuple(members), staying, odd_room)


def entered_ms(draft: CallbackDraft, now_ms: int) -> int:
    """The EventTime of those who enter before *draft* leaves: *now_ms*, or earlier to be before it."""
    at = draft.fields.get("EventTime")
    return min(at - _ENTERED_BEFORE_MS, now_ms) if isinstance(at, int) else now_ms


def ahead_ms(draft: CallbackDraft, now_ms: int) -> int:
    """How far the EventTime of *draft* lies ahead of *now_ms*, or 0."""
    at = draft.fields.get("EventTime")
    return max(0, at - now_ms) if isinstance(at, int) else 0


def happened_before(draft: CallbackDraft, moment_ms: int) -> bool:
    """Whether *draft* has an EventTime before *moment_ms*."""
    at = draft.fields.get("EventTime")
    return isinstance(at, int) and at < moment_ms


def near_twin(account: str, others: Sequence[str] = ()) -> str:
    """An account that differs from *account* as little as can be and lawfully means somebody else."""
    last = account[-1]
    if account.isdigit():
        endings = "".join(digit for digit in digits if abs(int(digit) - int(last)) == 1)
        candidates = [account[:-1] + end for end in endings]
    else:
        # An end of its own for each digit, so that consecutive accounts have different twins.
        endings = f"{_TWIN_ENDS[int(last)]}qz7" if last in digits else "qz7"
        candidates = [account[:-1] + end for end in endings if end != last.lower()]
        if len(account.encode()) < _LONGEST_ACCOUNT and account.isascii() and len(account) % 2:
            candidates.insert(0, f"{account}x")
    return next(one for one in candidates if one not in others)
