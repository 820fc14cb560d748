"""Requirements on near twins: accounts and rooms that differ in little are two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.effects import MOST_REPEATED, blame_state, deliver, leave_draft
from roomhook.contract_tests.model.exchange import Exchange

__all__: list[str] = []


@dataclass(frozen=True, slots=True)
class _Twins:
    """An id, and others that a careless backend takes for it; ``how`` says by which carelessness."""

    how: str
    one: str
    others: tuple[str, ...]


_Kind = Callable[[str, int], Iterator[_Twins]]
"""Gives the twins around an id that is the suite's own, of at most so many bytes."""


def _plain(base: str, longest: int) -> Iterator[_Twins]:
    """Letters and digits only: no page leaves room for taking these for one."""
    digits = str(int(base.encode().hex(), 16))
    beyond, long = f"1441151{digits[-10:]}", base.ljust(longest - 1, "x")
    half = base.ljust(longest // 2 - 1, "y")
    yield _Twins("read as a number, which loses the last digits", f"{beyond}55", (f"{beyond}56", f"{beyond}54"))
    yield _Twins(
        "read as a number, which loses leading zeros", f"0{digits[-9:]}1", (f"{digits[-9:]}1", f"00{digits[-9:]}1")
    )
    yield _Twins("cut to a part of their length", f"{long}a", (f"{long}b", long))
    yield _Twins("cut to a part of their length", f"{half}a", (f"{half}b", half))
    yield _Twins("compared by a part of them", f"1{base}2", (f"1{base}", f"{base}2", f"1{base}23", f"31{base}2"))


def _words(_: str, __: int) -> Iterator[_Twins]:
    """Letters and digits that a loose comparison, a parser or a language takes for something else."""
    yield _Twins("read as a number in scientific notation", "1e5", ("100000", "10e4"))
    yield _Twins("read as a hexadecimal number", "0x1f", ("31",))
    yield _Twins("taken for nothing", "0", ("00",))
    yield _Twins("taken for nothing", "null", ("none", "nil", "undefined"))
    yield _Twins("taken for a truth value", "true", ("yes", "on", "1"))
    yield _Twins("taken for a truth value", "false", ("no", "off"))
    yield _Twins("taken for no number", "nan", ("inf",))


def _signs(base: str, longest: int) -> Iterator[_Twins]:
    """With signs that mean something to a database, a pattern, a list, a path or a language."""
    for number, sign in enumerate(_SIGNS if longest == _LONGEST_ACCOUNT else _SIGNS_OF_ROOMS):
        own = f"{base}{number}"
        how = _MEANINGS.get(sign, "cut, split or stripped at it")
        yield _Twins(f"{how}: {sign}", f"{own}{sign}a", (f"{own}{sign}b", f"{own}z{sign}a", f"{own}a", f"{own}xa"))
    yield _Twins("compared by a glob", f"{base}[a-f]", (f"{base}e",))
    yield _Twins("normalised as a path", f"{base}p/./b", (f"{base}p/b", f"{base}p//b"))
    yield _Twins("taken for what objects have", "__proto__", ("constructor",))


def _decoded(base: str, _: int) -> Iterator[_Twins]:
    """What comes out of JSON as it is and needs no further decoding."""
    yield _Twins("decoded as a URL", f"{base}%61", (f"{base}a",))
    yield _Twins("decoded as a form", f"{base}+b", (f"{base} b",))
    yield _Twins("decoded as HTML", f"{base}&lt;b", (f"{base}<b",))
    yield _Twins("decoded as a string of a language", f"{base}\\u0061", (f"{base}a", f"{base}\\a"))


def _folded(base: str, _: int) -> Iterator[_Twins]:
    """What a database may take for one by its collation, which no page forbids."""
    yield _Twins("compared without case", f"{base}Ab", (f"{base}aB", f"{base}ab"))
    yield _Twins("trimmed", f"{base}b ", (f"{base}b",))
    yield _Twins("compared without accents", f"{base}e", (f"{base}\u00e9",))
    yield _Twins("put into one Unicode normal form", f"{base}c\u0327", (f"{base}\u00e7",))
    yield _Twins("compared without case beyond ASCII", f"{base}\u00df", (f"{base}ss",))
    yield _Twins("taken for an address", f"{base}@Ab", (f"{base}@aB",))
    yield _Twins("kept in Latin-1", f"{base}\u4f1a", (f"{base}\u8bae", f"{base}?"))
    yield _Twins("put into one width", f"{base}7", (f"{base}\uff17",))
    yield _Twins("stripped of what is invisible", f"{base}\u200bz", (f"{base}z",))
    yield _Twins("cut to the Basic Multilingual Plane", f"{base}\U0001f600", (f"{base}\U0001f601", f"{base}\ufffd"))


_LONGEST_ACCOUNT: Final = 32
_LONGEST_ROOM: Final = 48
_ROOMS_AT_MOST: Final = 3
_SIGNS: Final = "_%.*-@#,:;'\"\\/|&?=!$<>{}()+^~`"
_SIGNS_OF_ROOMS: Final = "_%.-@#,:;'\\/|"
_MEANINGS: Final = {
    "_": "compared by SQL LIKE",
    "%": "compared by SQL LIKE",
    ".": "compared as a pattern",
    "*": "compared as a pattern",
}


_ACCOUNTS: Final[dict[str, tuple[_Kind, ...]]] = {
    "effect.accounts-apart": (_plain, _words),
    "effect.accounts-apart.signs": (_signs, _decoded),
    "effect.accounts-apart.folded": (_folded,),
}
_ROOMS: Final[dict[str, tuple[_Kind, ...]]] = {
    "effect.rooms-apart": (_plain, _words),
    "effect.rooms-apart.signs": (_signs,),
    "effect.rooms-apart.folded": (_folded,),
}

_SEPARATORS: Final[dict[str, tuple[str, ...]]] = {
    "effect.rooms-apart": ("",),
    "effect.rooms-apart.signs": tuple(":-_/|,.# "),
    "effect.rooms-apart.folded": (),
}
"""What RoomId and account may be joined by into one key."""


def _need_own(case: Case) -> None:
    settings = case.run.settings
    if settings.room or settings.members or case.run.access.enter is not None:
        raise NotJudgedError("needs rooms and members of its own, who enter by callbacks")


@check(*_ACCOUNTS)
def accounts_apart(case: Case) -> None:
    """Of two accounts that differ in little, one leaves a room that both are in."""
    case.needs("effect.leave")
    _need_own(case)
    base = case.account()
    kinds = [twins for kind in _ACCOUNTS[case.requirement.id] for twins in kind(base, _LONGEST_ACCOUNT)]
    if case.run.settings.probe_command:
        kinds = [one for one in kinds if one.how != "trimmed"]  # a command prints lines, whose ends mean nothing
    room = case.room()
    inside = [one for one in kinds if case.bring_in([one.one, *one.others], room, together=True) is None]
    left = [one for one in inside if case.send_valid(case.build(leave_draft(case, room, [one.one]))).acknowledged]
    expected = {other for one in inside for other in one.others} | {one.one for one in inside if one not in left}
    members = case.settled(room, expected, quick=True)
    wrong = [one for one in left if one.one in members or not members.issuperset(one.others)]
    _repeat(case, wrong[:MOST_REPEATED])


def _repeat(case: Case, wrong: list[_Twins]) -> None:
    """The same, each in a room of its own, beside a bystander."""
    repeated: list[tuple[_Twins, str, Exchange, set[str]]] = []
    for twins in wrong:
        room, bystander = case.room(), case.account()
        everybody = [bystander, twins.one, *twins.others]
        if any(case.bring_in([one], room) is not None for one in everybody):
            continue
        if bystander in case.settled(room, set(everybody), quick=True):
            exchange = deliver(case, case.build(leave_draft(case, room, [twins.one])))
            repeated.append((twins, room, exchange, {bystander, *twins.others}))
    until = time.monotonic() + case.run.settings.settle_s
    for twins, room, exchange, expected in repeated:
        members = case.settled(room, expected, until=until)
        if members != expected:
            others = ", ".join(repr(one) for one in twins.others)
            when = f"after {twins.one!r} left, beside {others} (are they {twins.how}?)"
            blame_state(case, room, exchange, expected, members, when)


@check(*_ROOMS)
def rooms_apart(case: Case) -> None:
    """Rooms that differ in little have members of their own and one in common, who leaves one of them."""
    for one in ("effect.leave", "effect.accounts-apart", "effect.two-rooms", "effect.punctuation"):
        case.needs(one)
    _need_own(case)
    base = f"r{case.run.ids.run}{case.account()[-4:]}"
    parts: list[Callable[[], None]] = [
        partial(_leave_one_room, case, twins)
        for kind in _ROOMS[case.requirement.id]
        for twins in kind(base, _LONGEST_ROOM)
    ]
    parts += [
        partial(_leave_beside_a_like_key, case, f"{base}k", separator) for separator in _SEPARATORS[case.requirement.id]
    ]
    unjudged: list[NotJudgedError] = []
    for part in parts:
        try:
            part()
        except NotJudgedError as error:  # the probe may not be able to ask for such a room
            unjudged.append(error)
    if unjudged:
        case.settled(case.room(), set())  # raises if the probe does not answer for an ordinary room either
    if parts and len(unjudged) == len(parts):
        raise unjudged[0]


def _leave_beside_a_like_key(case: Case, base: str, separator: str) -> None:
    """Two members of two rooms whose RoomId and account, joined by *separator*, are the same text."""
    end = case.account()
    pairs = [(base, f"p{separator}{end}"), (f"{base}{separator}p", end)]
    if any(case.bring_in([account], room) is not None for room, account in pairs):
        return
    (room, leaver), (other_room, other) = pairs
    exchange = case.send_valid(case.build(leave_draft(case, room, [leaver])))
    members = case.settled(other_room, {other}, among={leaver, other})
    if exchange.acknowledged and other not in members and not case.settled(room, set(), among={leaver, other}):
        joined = f"joined by {separator!r}" if separator else "joined without a separator"
        when = f"after {leaver!r} left {room!r} (are RoomId and account {joined} into one key?)"
        if case.bring_in([other], other_room) is None and other in case.settled(
            other_room, {other}, among={leaver, other}
        ):
            blame_state(case, other_room, exchange, {other}, members, when)


def _leave_one_room(case: Case, twins: _Twins) -> None:
    both = case.account()
    own = {room: case.account() for room in (twins.one, *twins.others[:_ROOMS_AT_MOST])}
    if any(case.bring_in([both, account], room, together=True) is not None for room, account in own.items()):
        return
    exchange = case.send_valid(case.build(leave_draft(case, twins.one, [both])))
    if not exchange.acknowledged:
        return
    for room, account in own.items():
        expected = {account} if room == twins.one else {both, account}
        everybody = {both, *own.values()}  # others may be in a room of such a name
        if account not in case.settled(room, expected, among=everybody, quick=True):
            return  # it may be the probe that asks for another room
        members = case.settled(room, expected, among=everybody)
        if members != expected:
            others = ", ".join(repr(one) for one in own if one != twins.one)
            when = f"after {both} left {twins.one!r}, beside {others} (are they {twins.how}?)"
            blame_state(case, room, exchange, expected, members, when)
            return
