"""Requirements on near twins: accounts and rooms that differ in little are two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case
from roomhook.contract_tests.harness.effects import MOST_REPEATED, blame_state, deliver, leave_draft, side_by_side
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.register import load_register

__all__: list[str] = []


@dataclass(frozen=True, slots=True)
class _Twins:
    """An id, and others that a careless backend takes for it; ``how`` says by which carelessness."""

    how: str
    one: str
    others: tuple[str, ...]
    implied_by: str = ""
    """The carelessness that takes these for one as well, so that both tell the same."""

    @property
    def all(self) -> tuple[str, ...]:
        """All of them."""
        return (self.one, *self.others)


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


def _words(_: str, longest: int) -> Iterator[_Twins]:
    """Letters and digits that a loose comparison, a parser or a language takes for something else."""
    yield _Twins("read as a number in scientific notation", "1e5", ("100000", "10e4"))
    yield _Twins("read as a hexadecimal number", "0x1f", ("31",))
    yield _Twins("taken for nothing", "0", ("00",))
    if longest == _LONGEST_ROOM:
        yield _Twins("taken for nothing", "null", ("none", "nil", "undefined"))
    else:  # accounts share a room: none may be another's twin, in whatever case
        for word, other in (("null", "nil"), ("undefined", "undefineds"), ("None", "nones")):
            yield _Twins("taken for nothing", word, (other,))
    yield _Twins("taken for a truth value", "true", ("yes", "on", "1"))
    yield _Twins("taken for a truth value", "false", ("no", "off"))
    yield _Twins("taken for no number", "NaN", ("inf",))


def _signs(base: str, longest: int) -> Iterator[_Twins]:
    """With signs that mean something to a database, a pattern, a list, a path or a language."""
    rooms = longest == _LONGEST_ROOM
    for number, sign in enumerate(_SIGNS_OF_ROOMS if rooms else _SIGNS):
        own = base if rooms else f"{base}{number}"  # rooms may share twins, since each has a leaver of its own
        how = _MEANINGS.get(sign, "cut, split or stripped at it")
        yield _Twins(f"{how}: {sign}", f"{own}{sign}a", (f"{own}{sign}b", f"{own}z{sign}a", f"{own}a", f"{own}xa"))
    yield _Twins(_BY_GLOB, f"{base}[a-f]", (f"{base}e", f"{base}b"))
    yield _Twins("given another sign in a path or key", f"{base}q/b", (f"{base}q_b", f"{base}q-b", f"{base}q:b"))
    yield _Twins("given another sign in a path or key", f"{base}w:b", (f"{base}w_b", f"{base}w-b"))
    yield _Twins("normalised as a path", f"{base}p/./b", (f"{base}p/b", f"{base}p//b"))
    yield _Twins("taken for what objects have", "__proto__", ("constructor",))
    if not rooms:
        yield _Twins("compared by their beginning", f"{base}n", tuple(f"{base}n{sign}p" for sign in "#-:/@_."))


def _decoded(base: str, _: int) -> Iterator[_Twins]:
    """What comes out of JSON as it is and needs no further decoding."""
    yield _Twins("decoded as a URL", f"{base}%61", (f"{base}a",))
    yield _Twins("decoded as a form", f"{base}+b", (f"{base} b",))
    yield _Twins("decoded as HTML", f"{base}&lt;b", (f"{base}<b",))
    yield _Twins("decoded as a string of a language", f"{base}\\u0061", (f"{base}a", f"{base}\\a", f"{base}\\\\u0061"))
    digits = str(int(base.encode().hex(), 16))[-10:]
    yield _Twins("taken for a telephone number", f"+861{digits}", (f"861{digits}",))


def _folded(base: str, longest: int) -> Iterator[_Twins]:
    """What a database may take for one by its collation, which no page forbids."""
    yield _Twins("compared without case", f"{base}Ab", (f"{base}aB", f"{base}ab"))
    yield _Twins("trimmed", f"{base}b ", (f"{base}b",))
    yield _Twins("compared without accents", f"{base}e", (f"{base}\u00e9",))
    yield _Twins("put into one Unicode normal form", f"{base}c\u0327", (f"{base}\u00e7",))
    yield _Twins("compared without case beyond ASCII", f"{base}\u00df", (f"{base}ss",))
    yield _Twins("taken for an address", f"{base}@Ab", (f"{base}@aB",), "compared without case")
    yield _Twins("kept in Latin-1", f"{base}\u4f1a", (f"{base}\u8bae", f"{base}?"))
    if longest == _LONGEST_ROOM:
        long = base + "\u4f1a" * ((longest - len(base)) // 3 - 1)
        yield _Twins("encoded and cut to a part", f"{long}\u7532", (f"{long}\u4e59",), "kept in Latin-1")
    yield _Twins("put into one width", f"{base}7", (f"{base}\uff17",))
    yield _Twins("stripped of what is invisible", f"{base}\u200bz", (f"{base}z",))
    yield _Twins(
        "cut to the Basic Multilingual Plane",
        f"{base}\U0001f600",
        (f"{base}\U0001f601", f"{base}\ufffd"),
        "kept in Latin-1",
    )


_BY_GLOB: Final = "compared by a glob"
_LONGEST_ACCOUNT: Final = 32
_LONGEST_ROOM: Final = 48
_LISTED: Final = 8
"""How many leave by one callback at first: that saves most callbacks."""
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
    if case.run.access.by_list:
        kinds = _taken_for_one(case, kinds, at_once=_LISTED)
    _repeat(case, _first_causes(_taken_for_one(case, kinds, at_once=1)))


def _first_causes(suspects: Sequence[_Twins]) -> Sequence[_Twins]:
    """The first few of *suspects*, without those that another one implies: more tell nothing new."""
    known = {one.how for one in suspects}
    return [one for one in suspects if one.implied_by not in known][:MOST_REPEATED]


def _taken_for_one(case: Case, kinds: Sequence[_Twins], *, at_once: int) -> list[_Twins]:
    """Those of *kinds* with whom something goes wrong, or can't be told, when so many *at_once* enter and leave a room.

    One at a time, those whose callbacks are not acknowledged are passed over: that is a matter of the answer.
    """
    room, inside, left = case.room(), list[_Twins](), list[_Twins]()
    for some in _together(kinds, at_once):
        everybody = dict.fromkeys(account for twins in some for account in twins.all)
        if case.bring_in(list(everybody), room, together=True) is None:
            inside += some
    for some in _together(inside, at_once):
        if case.send_valid(case.build(leave_draft(case, room, [twins.one for twins in some]))).acknowledged:
            left += some
    expected = {other for one in inside for other in one.others} | {one.one for one in inside if one not in left}
    members = case.settled(room, expected, quick=True)
    untold = [one for one in kinds if one not in left] if at_once > 1 else []
    return untold + [one for one in left if one.one in members or not members.issuperset(one.others)]


def _together(kinds: Sequence[_Twins], at_once: int) -> Iterator[Sequence[_Twins]]:
    """*kinds* in lists of *at_once*; numbers in lists of their own, since a list of numbers may be read as such."""
    for _, alike in groupby(kinds, key=lambda one: one.one.isdigit()):
        some = list(alike)
        yield from (some[first : first + at_once] for first in range(0, len(some), at_once))


def _repeat(case: Case, wrong: Sequence[_Twins]) -> None:
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
    for one in ("effect.leave", "effect.accounts-apart", "effect.two-rooms"):
        case.needs(one)
    if case.requirement.id != "effect.rooms-apart":  # plain RoomIds have no punctuation
        case.needs("id.punctuation")
        if case.judge(load_register()["effect.punctuation"]).findings:
            raise NotJudgedError("skipped because effect.punctuation failed")
    _need_own(case)
    base = f"r{case.run.ids.run}{case.account()[-4:]}"
    kinds = [twins for kind in _ROOMS[case.requirement.id] for twins in kind(base, _LONGEST_ROOM)]
    separators = _SEPARATORS[case.requirement.id]
    unjudged: list[NotJudgedError] = []
    parts = [
        partial(_leave_one_room, case, twins) for twins in _first_causes(_taken_for_one_room(case, kinds, unjudged))
    ]
    parts += [partial(_leave_beside_a_like_key, case, f"{base}k", separator) for separator in separators]
    for part in parts:
        try:
            part()
        except NotJudgedError as error:  # the probe may not be able to ask for such a room
            unjudged.append(error)
    if unjudged:
        case.settled(case.room(), set())  # raises if the probe does not answer for an ordinary room either
    if len(unjudged) == len(kinds) + len(separators):
        raise unjudged[0]


@dataclass(frozen=True)
class _Neighbourhood:
    """Rooms that differ in little: each has a member of its ``own``, and one in ``common`` with each of its twins."""

    own: dict[str, str]
    common: dict[_Twins, str]

    @classmethod
    def of(cls, case: Case, kinds: Sequence[_Twins]) -> _Neighbourhood:
        """The rooms of *kinds*, with new accounts."""
        rooms = dict.fromkeys(room for twins in kinds for room in twins.all)
        return cls({room: case.account() for room in rooms}, {twins: case.account() for twins in kinds})

    def people(self, room: str) -> set[str]:
        """Who enters *room*."""
        return {self.own[room], *(account for twins, account in self.common.items() if room in twins.all)}

    def of_twins(self, twins: _Twins) -> set[str]:
        """Who enters the rooms of *twins*, but for those who do so because of others."""
        return {self.common[twins], *(self.own[room] for room in twins.all)}


def _taken_for_one_room(case: Case, kinds: Sequence[_Twins], unjudged: list[NotJudgedError]) -> list[_Twins]:
    """Those of *kinds* with whom something is wrong after all of them were played at once, with one look at each room.

    *unjudged* gets why others can't be told.
    """
    town = _Neighbourhood.of(case, kinds)
    everybody = {*town.own.values(), *town.common.values()}  # others may be in a room of such a name

    def enter(room: str) -> bool:
        return case.bring_in(sorted(town.people(room)), room, together=True) is None

    def leave(twins: _Twins) -> bool:
        return case.send_valid(case.build(leave_draft(case, twins.one, [town.common[twins]]))).acknowledged

    def wrong_in(room: str) -> set[str] | NotJudgedError:
        expected = {account for account in town.people(room) if (room, account) not in gone}
        try:
            return case.settled(room, expected, among=everybody, until=until) ^ expected
        except NotJudgedError as error:
            return error

    entered = dict(zip(town.own, side_by_side(case, enter, town.own), strict=True))
    inside = [twins for twins in kinds if all(entered[room] for room in twins.all)]
    acknowledged = side_by_side(case, leave, inside)
    left = [twins for twins, has_left in zip(inside, acknowledged, strict=True) if has_left]
    gone = {(twins.one, town.common[twins]) for twins in left}
    until = time.monotonic() + min(case.run.settings.settle_s, case.run.access.usual_s)
    looks = dict(zip(town.own, side_by_side(case, wrong_in, town.own), strict=True))
    untold = {room: look for room, look in looks.items() if isinstance(look, NotJudgedError)}
    wrong = {room: look for room, look in looks.items() if not isinstance(look, NotJudgedError)}
    unjudged += [next(untold[one] for one in twins.all if one in untold) for twins in left if untold.keys() & twins.all]
    suspects = [twins for twins in left if any(wrong.get(one, set()) & town.of_twins(twins) for one in twins.all)]
    # Last those whose own members are not listed, since it may be the probe that asks for another room.
    return sorted(suspects, key=lambda twins: any(town.own[one] in wrong.get(one, ()) for one in twins.all))


def _leave_one_room(case: Case, twins: _Twins) -> None:
    """The same with these alone: blame what goes wrong again."""
    town = _Neighbourhood.of(case, [twins])
    both = town.common[twins]
    if any(case.bring_in([both, account], room, together=True) is not None for room, account in town.own.items()):
        return
    exchange = case.send_valid(case.build(leave_draft(case, twins.one, [both])))
    if not exchange.acknowledged:
        return
    for room, account in town.own.items():
        expected = {account} if room == twins.one else {both, account}
        members = case.settled(room, expected, among=town.of_twins(twins))
        if account not in members:
            _blame_strangers(case, room, twins, members, town)
            return
        if members != expected:
            others = ", ".join(repr(one) for one in twins.others)
            when = f"after {both} left {twins.one!r}, beside {others} (are they {twins.how}?)"
            blame_state(case, room, exchange, expected, members, when)
            return


def _blame_strangers(case: Case, room: str, twins: _Twins, members: set[str], town: _Neighbourhood) -> None:
    """Blame a *room* that lists people of several others and not its own, if no probe can have asked for another room.

    One that changes the name on its way asks for one other room; a command may expand a pattern itself.
    """
    entered = {other: account for other, account in town.own.items() if other != room and account in members}
    if len(entered) > 1 and twins.how == _BY_GLOB and case.run.settings.probe:
        strangers, others = ", ".join(entered.values()), ", ".join(repr(one) for one in entered)
        own = town.own[room]
        case.note(
            f"the probe lists {strangers} in {room!r}, who entered {others}, and not {own}, who did"
            f" (are they {twins.how}?)",
            expected=f"{own} in the room",
            actual=f"{strangers} in the room",
        )


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
