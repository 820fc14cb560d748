"""What becomes of members: delivers enters and leaves, and compares what the probe lists with what must be."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.drafts import ABSENT, CallbackDraft
from roomhook.contract_tests.harness.target_health import verify_target_alive
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.naming import are, listed
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.packets import ENTER_COMMAND
from roomhook.simulator.protocol.response_check import Violation

__all__ = [
    "BEGAN_AGO_MS",
    "MOST_REPEATED",
    "PARTED",
    "Enter",
    "Episode",
    "Leave",
    "RefusedLate",
    "RefusedLeaveError",
    "blame_state",
    "blame_unlisted",
    "deliver",
    "enter",
    "leave_draft",
    "need_enters",
    "play",
    "send_event",
    "side_by_side",
]


_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

MOST_REPEATED: Final = 4
"""So many of a case's failures are repeated alone; more tell nothing new."""
PARTED: Final = {"Leave": "left", "Kicked": "was kicked out of", "Expired": "dropped out of"}
"""What a member did, by the Type of the leave, before the name of a room."""
_LANES_LEFT: Final = 4
"""One in so many of the lanes is for a single case: others want to go on as well."""
_LATE_MS: Final = 1000
"""How far back EventTime must lie for a leave that comes late, beyond what repeating it takes."""
_MOST_NAMED: Final = 3
"""So many refused episodes are named."""
BEGAN_AGO_MS: Final = 8000
"""How long ago the first event of an episode happened, unless told."""
_BEFORE_MS: Final = 1000
_MANY: Final = 10
"""More than so many are looked for before anything happens: the room may be too large for the target."""
_MOST_LISTED: Final = 25
"""So many enter by one callback."""
_APART_MS: Final = 3
"""How far apart episodes that share a room begin, so that their events have EventTimes of their own."""
_LATER_S: Final = 1.0
"""How much longer to wait, beyond the time to settle twice, before an effect counts as missing for good."""


@dataclass(frozen=True, slots=True)
class Enter:
    """Members enter; ``at`` is the EventTime in ms after the episode's beginning, ``fields`` replace the packet's."""

    at: int
    who: tuple[str, ...] = ("a",)
    fields: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Leave:
    """Members leave; ``fields`` replace those of the packet, in which a short name stands for its account."""

    at: int
    who: tuple[str, ...] = ("a",)
    fields: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Episode:
    """Events of one room in the order of their arrival, and who must be ``inside`` after them.

    People go by short names, which stand for accounts of the episode's own; ``a,b`` is one person, whose account is
    those of a and b with a comma between. ``before``: who has entered a second before
    the first event. ``alone``: nobody else may be in the room.
    """

    what: str
    events: tuple[Enter | Leave, ...]
    inside: frozenset[str] = frozenset()
    before: tuple[str, ...] = ()
    alone: bool = False

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody who is named, in order."""
        return tuple(dict.fromkeys((*self.before, *(one for event in self.events for one in event.who))))


@dataclass
class RefusedLate:
    """The packets of the leaves that arrived late, on purpose, and were refused each time."""

    bodies: set[bytes | None] = field(default_factory=set)


class RefusedLeaveError(NotJudgedError):
    """A valid leave was never acknowledged: that is a matter of the answer, and not of the effect."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(f"a leave was not acknowledged: {exchange.judgement.breaches[0].actual}")
        self.exchange = exchange


def deliver(case: Case, callback: CallbackRequest, *, owed: bool = True) -> Exchange:
    """Send a valid *callback* until it is acknowledged, as a retry would.

    It counts into the summary of valid callbacks if an acknowledgement is *owed*. Raises ``RefusedLeaveError`` if there
    is none.
    """
    send = case.send_valid if owed else case.send
    first = exchange = send(callback)
    for _ in range(case.run.repeats):
        if exchange.acknowledged:
            break
        if exchange.hung:
            verify_target_alive(case.run)
        exchange = send(callback)
    if not exchange.acknowledged:
        if _is_late(callback, case.run.now_ms()):
            case.run.kept(RefusedLate).bodies.add(callback.body)
        raise RefusedLeaveError(exchange)
    if exchange is not first:
        case.run.flaky.add(first)
    return exchange


def _is_late(callback: CallbackRequest, now_ms: int) -> bool:
    """Whether the event of *callback* happened a while ago."""
    return bool(now_ms - json.loads(callback.body or b"{}").get("EventTime", now_ms) > _LATE_MS)


def need_enters(case: Case) -> None:
    """An order of events needs enters with an EventTime of ours, and people who are told apart."""
    settings = case.run.settings
    if case.run.access.enter is not None or settings.members:
        raise NotJudgedError("needs members of its own, who enter by callbacks with their EventTime")


def side_by_side(case: Case, do: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """What *do* gives for each of *items*, which are of different rooms: a few at a time, if the target is slow."""
    at_once = min(case.run.line.lanes // _LANES_LEFT, case.run.access.at_once)
    if at_once <= 1:
        return [do(one) for one in items]
    with ThreadPoolExecutor(at_once, thread_name_prefix="roomhook-rooms") as pool:
        return list(pool.map(do, items))


def leave_draft(case: Case, room: str, accounts: Sequence[str], **fields: Any) -> CallbackDraft:
    """A leave of *accounts* from *room*, by the first of them."""
    return case.leave(
        **{"RoomId": room, "MemberList_Account": list(accounts), "Operator_Account": accounts[0], **fields}
    )


def enter(case: Case, room: str, accounts: Sequence[str], event_time: int) -> None:
    """Let *accounts* enter *room*, by one callback if the target takes lists; raises ``NotJudgedError`` if it fails."""
    _must_enter(case.bring_in(accounts, room, event_time=event_time, together=True))


def send_event(case: Case, room: str, event: Enter | Leave, people: dict[str, str], began_ms: int) -> Exchange | None:
    """Let *event* happen in *room*; *people* gives the account behind each name. Gives the exchange of a leave."""
    accounts = [people[one] for one in event.who]
    at = began_ms + event.at
    if isinstance(event, Enter):
        _must_enter(case.bring_in(accounts, room, event_time=at, **dict(event.fields)))
        return None
    fields = {name: people.get(value, value) if isinstance(value, str) else value for name, value in event.fields}
    draft = leave_draft(case, room, accounts, EventTime=at, **fields)
    return deliver(case, case.build(draft), owed=fields.get("Reason") is not ABSENT)


def play(
    case: Case, episodes: Sequence[Episode], *, ago_ms: int = BEGAN_AGO_MS, began_ms: int | None = None
) -> tuple[str, set[str]]:
    """Play all *episodes* in one room, then look once; what went wrong is played again alone before it is blamed.

    Gives the room, and who must be in it. The first event's EventTime is *ago_ms* ago, or *began_ms*. Raises
    ``NotJudgedError`` for episodes with a leave that is refused, when the others have been judged.
    """
    room, parts = case.room(), [_cast(case, one) for one in episodes]
    began = case.run.ids.next_event_time() - ago_ms if began_ms is None else began_ms
    before = [people[one] for episode, people in zip(episodes, parts, strict=True) for one in episode.before]
    _enter_before(case, room, before, began)
    refused: dict[Episode, RefusedLeaveError] = {}
    for number, (episode, people) in enumerate(zip(episodes, parts, strict=True)):
        try:
            for event in episode.events:
                send_event(case, room, event, people, began + _APART_MS * number)
        except RefusedLeaveError as error:
            if error.exchange.hung or len(episodes) == 1:
                raise
            refused[episode] = error
    played = [each for each in zip(episodes, parts, strict=True) if each[0] not in refused]
    expected = {people[one] for episode, people in played for one in episode.inside}
    everybody = {account for _, people in played for account in people.values()}
    members = case.settled(room, expected, among=everybody if refused else None, quick=True)
    wrong = [episode for episode, people in played if members & set(people.values()) != expected & set(people.values())]
    _play_alone(case, wrong[:MOST_REPEATED], began)
    if refused and not case.findings:
        raise NotJudgedError(_untold(refused, len(played)))
    return room, expected


def _cast(case: Case, episode: Episode) -> dict[str, str]:
    """A new account for each name; that of a name with a comma is the accounts of its parts, joined by one."""
    accounts = {name: case.account() for name in episode.people if "," not in name}
    return {name: ",".join(accounts[part] for part in name.split(",")) for name in episode.people}


def _untold(refused: dict[Episode, RefusedLeaveError], applied: int) -> str:
    """Which of the episodes were refused, that *applied* others went well, and the first answer."""
    named = [f"{episode.what.removeprefix('after ')} ({error})" for episode, error in refused.items()]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    rest = f"; {applied} other{'s are' if applied > 1 else ' is'} as {'they' if applied > 1 else 'it'} must be"
    return f"{', '.join(named[:_MOST_NAMED])}{more}{rest if applied else ''}"


def _enter_before(case: Case, room: str, accounts: Sequence[str], began_ms: int) -> None:
    """Let *accounts* enter a second before *began_ms*, by few callbacks if the target takes them."""
    entering, at = list(accounts), began_ms - _BEFORE_MS
    if case.run.access.by_list and accounts:
        for first in range(0, len(accounts), _MOST_LISTED):
            case.bring_in(accounts[first : first + _MOST_LISTED], room, event_time=at, together=True)
        inside = case.settled(room, set(accounts), among=set(accounts), quick=True)
        entering = [one for one in accounts if one not in inside]
    if entering:
        _must_enter(case.bring_in(entering, room, event_time=at))


def _must_enter(failed: Exchange | None) -> None:
    if failed is not None:
        raise NotJudgedError(f"{ENTER_COMMAND} was not acknowledged: {failed.judgement.breaches[0].actual}")


def _play_alone(case: Case, episodes: Sequence[Episode], began_ms: int) -> None:
    """Blame those of *episodes* that go wrong again, each in a room of its own, beside a bystander if it allows one."""
    played: list[tuple[Episode, str, Exchange | None, set[str]]] = []
    for episode in episodes:
        room, bystanders = case.room(), [] if episode.alone else [case.account()]
        people = _cast(case, episode)
        before = [*bystanders, *(people[one] for one in episode.before)]
        if before and case.bring_in(before, room, event_time=began_ms - _BEFORE_MS) is not None:
            continue
        if len(before) > _MANY and blame_unlisted(case, room, before):
            continue
        shown: Exchange | None = None
        for event in episode.events:
            shown = send_event(case, room, event, people, began_ms) or shown
        played.append((episode, room, shown, {*bystanders, *(people[one] for one in episode.inside)}))
    until = time.monotonic() + case.run.settings.settle_s
    for episode, room, shown, expected in played:
        members = case.settled(room, expected, until=until)
        if members != expected:
            blame_state(case, room, shown, expected, members, episode.what)


def blame_unlisted(case: Case, room: str, entered: Sequence[str]) -> bool:
    """Whether some who *entered* a *room* that nobody has left are not listed there in the end: that is the finding.

    It is none if they move up when somebody leaves: then the probe gives a page at a time, and they are inside.
    """
    members = case.settled(room, set(entered))
    missing = sorted(set(entered) - members)
    if missing and members:
        leaver = min(members)
        deliver(case, case.build(leave_draft(case, room, [leaver])))
        if case.settled(room, members - {leaver}) & set(missing):
            return False
    if missing:
        case.note(
            f"{are(missing)} not listed in {room}, though {len(entered)} had entered it and nobody had left",
            expected=f"{listed(entered)} in the room",
            actual=f"{listed(members)} in the room",
        )
    return bool(missing)


def blame_state(  # noqa: PLR0917 (who was where, and when)
    case: Case, room: str, exchange: Exchange | None, expected: Collection[str], members: Collection[str], when: str
) -> None:
    """Add the finding that *members* are in *room* where *expected* must be, *when* something had happened."""
    left, gone = sorted(set(members) - set(expected)), sorted(set(expected) - set(members))
    parts = [f"{are(left)} still in {room}"] if left else []
    parts += [f"{are(gone)} gone from {room}"] if gone else []
    breach = Violation("", f"{listed(expected)} in the room", f"{listed(members)} in the room")
    case.blame(exchange, f"{when}, {' and '.join(parts)}", breach, hint=_settles_later(case, room, set(expected)))


@dataclass
class _LaterLook:
    """Whether a room was looked at once more, much later: once a run is enough."""

    taken: bool = False


def _settles_later(case: Case, room: str, expected: set[str]) -> str:
    """A hint if the effect shows after all when one waits a little longer."""
    later = case.run.kept(_LaterLook)
    if later.taken:
        return ""
    later.taken = True
    case.run.pause(_LATER_S)
    if case.settled(room, expected) != expected:
        return ""
    return f"The effect shows later: say --settle {2 * case.run.settings.settle_s + _LATER_S:g}, or apply it sooner."
