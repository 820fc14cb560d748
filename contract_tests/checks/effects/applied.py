"""Every acknowledged leave of the whole run must have taken its members, and nobody else, out of the room."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from roomhook.contract_tests.checks.effects.later import blame_late_leaves, enter_other_rooms
from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.effects import deliver
from roomhook.contract_tests.harness.records.ledger import WatchedLeave, entered_ms, happened_before, near_twin
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.naming import are, listed
from roomhook.contract_tests.model.register import Level, load_register
from roomhook.contract_tests.transport.probe import SetupError
from roomhook.simulator.protocol.response_check import Violation

__all__: list[str] = []

_GROUPS: Final = frozenset(
    ["type", "members", "count", "reason", "id", "operator", "time", "url", "http", "packet", "duplicate"]
)
"""The groups whose cases send valid leaves, for a run in which none of them is selected."""
_MOST_REPEATED: Final = 12
"""So many leaves without their effect are repeated alone to name the value; more tell nothing new."""
_MANY: Final = 10
_MOST_NAMED: Final = 4
"""So many leaves that end alike are named beside the first."""
_FORGOTTEN: Final = "forgotten"
_REMEMBERED_MS: Final = 86_400_000
"""How far back an App backend must remember: a delivery that is a day late is none."""
_BY_TYPE: Final = {"Kicked": "effect.kicked", "Expired": "effect.expired"}
_ROOMS_APART: Final = ["effect.rooms-apart", "effect.rooms-apart.signs", "effect.rooms-apart.folded"]
_ACCOUNTS_APART: Final = [one.replace("rooms", "accounts") for one in _ROOMS_APART]
_USUAL: Final = re.compile("u[a-z0-9]{9}")
"""An account that the suite made up and no case has changed."""


@dataclass
class _Sweep:
    """The leaves without their effect, by one look at all the rooms; None before it."""

    found: list[WatchedLeave] | None = None


@dataclass(frozen=True)
class _Missing:
    """What is wrong after a leave: the ``kind``, in words, and who is listed where who should be."""

    kind: str
    text: str
    expected: str
    actual: str
    exchange: Exchange


@check("effect.applied", "effect.applied.variants")
def applied(case: Case) -> None:
    """One look at every room that a valid leave was acknowledged for; what is wrong there is repeated alone."""
    case.needs("effect.leave")
    run = case.run
    if run.ledger is None:
        raise NotJudgedError("effects are watched only for members and rooms of the suite's own")
    if not run.ledger.due():
        for one in load_register().values():
            if one.group in _GROUPS:
                case.judge(one)
    by_cause: dict[tuple[str, str], list[tuple[WatchedLeave, _Missing]]] = defaultdict(list)
    must = case.requirement.level is Level.MUST
    suspects = [leave for leave in _without_effect(case) if (_level(leave) is Level.MUST) == must]
    for leave, missing in _confirmed(case, [leave for leave in suspects if not _explained(case, leave)]):
        group = load_register()[leave.requirement].group if missing.kind != _FORGOTTEN else ""
        by_cause[missing.kind, group].append((leave, missing))
    for found in by_cause.values():
        _blame(case, found)
    if must:
        blame_late_leaves(case)


def _blame(case: Case, found: Sequence[tuple[WatchedLeave, _Missing]]) -> None:
    first, missing = found[0]
    others = list(dict.fromkeys(_named(leave) for leave, _ in found[1:] if _named(leave) != _named(first)))
    more = f" and {len(others) - _MOST_NAMED} others" if len(others) > _MOST_NAMED + 1 else ""
    also = f"; the same goes for {', '.join(others[:_MOST_NAMED] if more else others)}{more}" if others else ""
    case.blame(
        missing.exchange,
        f"{_named(first)} was acknowledged, but {missing.text}{also}",
        Violation("", missing.expected, missing.actual),
        sent_by=tuple(dict.fromkeys(leave.requirement for leave, _ in found)),
    )


def _named(leave: WatchedLeave) -> str:
    return f"{leave.what} ({leave.requirement})" if leave.what else f"a leave of {leave.requirement}"


def _level(leave: WatchedLeave) -> Level:
    """What the pages leave open is no MUST: neither a value that need not be acknowledged, nor an unusual id."""
    level = load_register()[leave.requirement].level
    plain = all(one.isascii() and one.isalnum() for one in leave.people) and leave.room.isascii()
    return Level.MUST if level is Level.MUST and plain else Level.SHOULD


def _explained(case: Case, leave: WatchedLeave) -> bool:
    """Whether a requirement of its own has found the same already."""
    fields = leave.draft.fields
    causes = [_BY_TYPE.get(str(fields.get("Type")), "effect.leave")]
    causes += ["effect.all-members"] if len(leave.leaving) > 1 else []
    causes += ["effect.duplicate", "effect.duplicate-parallel"] if leave.requirement.startswith("duplicate.") else []
    causes += ["effect.kick-twenty"] if len(leave.leaving) >= _MANY else []
    causes += ["effect.punctuation", *_ROOMS_APART] if leave.odd_room else []
    causes += [] if all(_USUAL.fullmatch(one) for one in leave.leaving) else _ACCOUNTS_APART
    causes += ["effect.parallel-leaves"] if leave.requirement.startswith(("http.parallel", "duplicate.p")) else []
    return any(case.judge(load_register()[one]).findings for one in causes)


def _without_effect(case: Case) -> Sequence[WatchedLeave]:
    """The watched leaves whose rooms are not as they must be once the time to settle is over."""
    sweep, ledger = case.run.kept(_Sweep), case.run.ledger
    if sweep.found is None:
        assert ledger is not None
        wrong = _wrong(case, ledger.due())
        if wrong:
            case.run.pause(case.run.settings.settle_s)
            wrong = _wrong(case, wrong)
        sweep.found = wrong
    return sweep.found


def _wrong(case: Case, leaves: Sequence[WatchedLeave]) -> list[WatchedLeave]:
    """Those of *leaves* whose room is not as it must be; each room is looked at once."""
    rooms = {leave.room: leave for leave in leaves}
    with ThreadPoolExecutor(case.run.access.at_once, thread_name_prefix="roomhook-sweep") as pool:
        members = dict(zip(rooms, pool.map(lambda one: _listed(case, one), rooms.values()), strict=True))
    return [leave for leave in leaves if not _is_as_due(leave, members[leave.room])]


def _is_as_due(leave: WatchedLeave, members: set[str]) -> bool:
    """Whether *members* has nobody who left and everybody who stays; MemberCount has a requirement of its own."""
    stay = set() if "MemberCount" in leave.draft.fields else set(leave.staying) - members
    return not stay and not members & set(leave.leaving)


def _listed(case: Case, leave: WatchedLeave) -> set[str]:
    """Who is in the room of *leave*, or who must be if the probe can't ask for it: then nothing is known."""
    probe = case.run.access.probe
    assert probe is not None
    try:
        return probe(leave.room)
    except SetupError as error:
        if leave.odd_room:
            return set(leave.staying)
        case.run.access.set_up_failed(str(error))
        raise NotJudgedError(str(error)) from None


def _confirmed(case: Case, suspects: Sequence[WatchedLeave]) -> Iterator[tuple[WatchedLeave, _Missing]]:
    """What goes wrong when *suspects* are repeated alone, or what went wrong for good the first time."""
    if not suspects:
        return
    lost_in_parallel = bool(case.judge(load_register()["effect.parallel-leaves"]).findings)
    copies = [(leave, _of_new_people(case, leave)) for leave in suspects[:_MOST_REPEATED]]
    repeated = [(leave, copy, _repeated(case, copy)) for leave, copy in copies]
    until = time.monotonic() + case.run.settings.settle_s
    right: list[tuple[WatchedLeave, WatchedLeave]] = []
    for leave, copy, again in repeated:
        missing = again if isinstance(again, _Missing) else None
        if isinstance(again, _Again):
            members = case.settled(again.room, set(copy.staying), until=until)
            missing = None if _is_as_due(copy, members) else _missing(copy, again.room, members, again.exchange)
            right += [] if missing else [(leave, replace(copy, room=again.room, exchange=again.exchange))]
        if missing is None and not lost_in_parallel:
            missing = _once(case, leave)
        if missing is not None:
            yield leave, missing
    yield from _forgotten(case, right)


def _forgotten(
    case: Case, right: Sequence[tuple[WatchedLeave, WatchedLeave]]
) -> Iterator[tuple[WatchedLeave, _Missing]]:
    """Those leaves whose rooms are without who stayed, though all is right in the rooms of their copies at first.

    It is a finding if it happens again to the copies when other rooms have been entered.
    """
    suspects = [each for each in right if _USUAL.fullmatch(each[0].leaving[0]) and _are_gone(case, each[0])]
    if not suspects or (
        case.requirement.level is not Level.MUST and case.judge(load_register()["effect.applied"]).findings
    ):
        return
    others = enter_other_rooms(case)
    again = [each for each in suspects if _are_gone(case, each[1])]
    if again:
        case.run.pause(case.run.settings.settle_s)
    for leave, copy in again:
        members = _listed(case, copy)
        gone = set(copy.staying) - members
        if gone:
            text = (
                f"{are(gone)} gone from {copy.room}, who were listed there after it and have not left: it happens when"
                f" many other rooms are used, here {others}{'' if members else ', or when the app restarts'}"
            )
            expected, actual = f"{listed(copy.staying)} in the room", f"{listed(members)} in the room"
            assert copy.exchange is not None
            yield leave, _Missing(_FORGOTTEN, text, expected, actual, copy.exchange)


def _are_gone(case: Case, leave: WatchedLeave) -> bool:
    """Whether the room lacks somebody who stays."""
    members = _listed(case, leave)
    return not _is_as_due(leave, members) and not members & set(leave.leaving)


@dataclass(frozen=True)
class _Again:
    """A leave that was repeated alone, and whose effect is still to be looked for."""

    room: str
    exchange: Exchange


def _of_new_people(case: Case, leave: WatchedLeave) -> WatchedLeave:
    """*leave* with people who are in no other room, since a person may be in one room at a time.

    Accounts that the case has chosen stay as they are.
    """
    bystander = case.account()
    if not all(_USUAL.fullmatch(one) for one in leave.leaving):
        return replace(leave, staying=(leave.staying[0], bystander))
    new = {one: case.account() for one in leave.leaving}
    fields = dict(leave.draft.fields)
    fields["MemberList_Account"] = [new.get(one, one) for one in fields.get("MemberList_Account", leave.leaving)]
    if fields.get("Operator_Account") in new:
        fields["Operator_Account"] = new[fields["Operator_Account"]]
    people = tuple(new.values())
    staying = (near_twin(people[0], people), bystander)
    return replace(leave, draft=replace(leave.draft, fields=fields), leaving=people, staying=staying)


def _repeated(case: Case, leave: WatchedLeave) -> _Again | _Missing | None:
    """*leave* once more, of members who enter one by one; None if that tells nothing."""
    room = leave.room if leave.odd_room else case.room()
    draft = leave.draft.packet(RoomId=room)
    assert leave.exchange is not None
    at = entered_ms(draft, case.run.ids.next_event_time())
    if case.bring_in(leave.people, room, event_time=at) is not None:
        return None
    entered = case.settled(room, set(leave.people))
    if leave.odd_room and not entered:
        return None  # it may be the probe that looks for another room
    if not entered and happened_before(draft, case.run.now_ms() - _REMEMBERED_MS):
        return None  # an App backend need not believe that somebody came long ago
    unlisted = set(leave.people) - entered
    if unlisted:
        text = f"the probe does not list {listed(unlisted)} in {room}, who had entered before it"
        expected = f"{listed(leave.people)} in the room"
        return _Missing("unlisted", text, expected, listed(entered), leave.exchange)
    if leave.ahead_ms:
        draft = draft.packet(EventTime=case.run.now_ms() + leave.ahead_ms)  # it may be the lead that stops the app
    try:
        return _Again(room, deliver(case, case.build(draft)))
    except NotJudgedError:
        return None


def _once(case: Case, leave: WatchedLeave) -> _Missing | None:
    """A leave that never took effect, though a like one does: something loses effects now and then."""
    members = _listed(case, leave)
    if not members & set(leave.leaving):
        return None
    assert leave.exchange is not None
    found = _missing(leave, leave.room, members, leave.exchange)
    return _Missing(
        "now and then", f"{found.text}; sent again alone, it takes effect", found.expected, found.actual, found.exchange
    )


def _missing(leave: WatchedLeave, room: str, members: set[str], exchange: Exchange) -> _Missing:
    left, gone = sorted(members & set(leave.leaving)), sorted(set(leave.staying) - members)
    parts = list(_parts(left, gone, room))
    parts += (
        ["nobody at all is listed there (has the app restarted, or lost its state?)"] if gone and not members else []
    )
    expected, actual = f"{listed(leave.staying)} in the room", f"{listed(members)} in the room"
    return _Missing("still in" if left else "gone", " and ".join(parts), expected, actual, exchange)


def _parts(left: Sequence[str], gone: Sequence[str], room: str) -> Iterator[str]:
    for people, state in ((left, f"still in {room}"), (gone, f"gone from {room} as well")):
        if people:
            yield f"{are(people)} {state}"
