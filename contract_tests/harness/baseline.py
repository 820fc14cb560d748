"""Builds callbacks around the baseline: accounts, rooms and event times that no other callback of the run has."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from roomhook.contract_tests.harness.drafts import ABSENT, CallbackDraft
from roomhook.contract_tests.model.settings import Settings
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.packets import ENTER_COMMAND, LEAVE_COMMAND
from roomhook.simulator.rooms.people import ADDRESSES, address

__all__ = ["CallbackBuilder", "NotJudgedError", "RunIds", "TargetLostError", "client_ip"]

_EVENT_TIME_STEP_MS: Final = 1
_RUN_ID: Final = "abcdefghjkmnpqrstuvwxyz23456789"


class NotJudgedError(Exception):
    """Raised by a check that cannot judge; the text says why."""


class TargetLostError(Exception):
    """The target hangs or is gone, so that nothing more can be judged."""


def client_ip(settings: Settings) -> str:
    """The public IPv4 address that the callbacks of a run name."""
    return address(random.Random(settings.seed).randrange(ADDRESSES))


class RunIds:
    """Hands out the accounts, rooms and event times of one run, each once; safe for use by several threads.

    *clock* gives s since the epoch. ``run`` is the part that all ids of the run share. ``short_rooms`` keeps RoomIds
    short and without signs, for a target that accepts no others.
    """

    def __init__(self, seed: int, clock: Callable[[], float]) -> None:
        chance = random.Random(f"{seed}/{int(clock() * 1000)}")
        self.run = "".join(chance.choice(_RUN_ID) for _ in range(4))
        self.short_rooms = False
        self._clock = clock
        self._lock = threading.Lock()
        self._number = 0
        self._rooms: Counter[str] = Counter()
        self._event_time = 0

    def now_ms(self) -> int:
        """The present time, ms since the epoch."""
        return int(self._clock() * 1000)

    def next_event_time(self) -> int:
        """The present time in ms, and never the same twice: no two events share their natural key."""
        with self._lock:
            self._event_time = max(self.now_ms(), self._event_time + _EVENT_TIME_STEP_MS)
            return self._event_time

    def next_account(self) -> str:
        """A UserID that no other member of this run has: letters and digits, as LIMITS has it."""
        with self._lock:
            self._number += 1
            return f"u{self.run}{self._number:05d}"

    @property
    def rooms(self) -> int:
        """How many rooms have been handed out."""
        with self._lock:
            return self._rooms.total()

    def next_room(self, case: str) -> str:
        """A RoomId that no other callback of this run has, of at most 32 bytes: it carries the run and *case*."""
        prefix = f"rh{self.run}" if self.short_rooms else f"rh-{self.run}-{case[:20]}-"
        with self._lock:
            self._rooms[prefix] += 1
            return f"{prefix}{self._rooms[prefix]}"


class CallbackBuilder:
    """Builds the callbacks of one *case* (a requirement id, which its RoomIds carry)."""

    def __init__(self, settings: Settings, ids: RunIds, case: str) -> None:
        self.settings = settings
        self.ids = ids
        self._case = case
        self._accounts = 0
        self.people: set[str] = set()
        """The accounts that it has given since the last room was populated."""

    def account(self) -> str:
        """A new UserID; with ``--member``, the next one that the user named."""
        self._accounts += 1
        members = self.settings.members
        if members and self._accounts > len(members):
            raise NotJudgedError(f"needs {self._accounts} members; --member names {len(members)}")
        account = members[self._accounts - 1] if members else self.ids.next_account()
        self.people.add(account)
        return account

    def accounts(self, count: int) -> list[str]:
        """*count* different UserIDs."""
        return [self.account() for _ in range(count)]

    def start_over(self) -> None:
        """Begin anew with the members that the user named."""
        self._accounts = 0

    def room(self) -> str:
        """A new RoomId that carries the run and the case, or the one that the user named."""
        return self.settings.room or self.ids.next_room(self._case)

    def build(self, draft: CallbackDraft, *, room: str | None = None) -> CallbackRequest:
        """*draft* as a callback of a room of its own (or *room*), at the present time."""
        self.start_over()
        member = draft.fields.get("MemberList_Account") or [self.account()]
        packet = {
            "CallbackCommand": LEAVE_COMMAND,
            "Operator_Account": member[0]
            if isinstance(member, list) and isinstance(member[0], str)
            else self.account(),
            "RoomId": room or self.room(),
            "MemberCount": 19,
            "Type": "Leave",
            "MemberList_Account": member,
            "Reason": "left the room",
            "EventTime": self.ids.next_event_time(),
        }
        settings = self.settings
        return draft.build(
            CallbackUrl.parse(settings.target),
            packet,
            sdkappid=settings.sdkappid,
            token=settings.token,
            client_ip=client_ip(settings),
            now_s=int(self.ids.now_ms() / 1000 + settings.clock_skew_s),
        )

    def build_enter(
        self, accounts: Sequence[str], room: str, *, event_time: int | None = None, **fields: Any
    ) -> CallbackRequest:
        """Room.CallbackAfterMemberEnter for *accounts* (protocol.md 3.2); *event_time* in ms, default now.

        *fields* replace those of the packet.
        """
        packet: dict[str, Any] = {
            "CallbackCommand": ENTER_COMMAND,
            "Type": "Enter",
            "MemberList_Account": list(accounts),
            "Reason": ABSENT,
        }
        times = {} if event_time is None else {"EventTime": event_time}
        return self.build(CallbackDraft({**packet, **times, **fields}, {"CallbackCommand": ENTER_COMMAND}), room=room)
