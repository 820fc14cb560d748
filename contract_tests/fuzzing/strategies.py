"""What generated callbacks depart in from the baseline: valid values that nobody thinks of, and values just not valid.

Valid is what the page and the documented limits allow and no page disputes; a near-miss is what the schema
``leave.accepted`` forbids. Simpler values come first everywhere, since that is the way in which Hypothesis makes a
failing one smaller.
"""

from __future__ import annotations

import itertools
import json
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from roomhook.contract_tests.harness.drafts import ABSENT, CallbackDraft
from roomhook.schemas import loader

__all__ = ["Mutation", "MutationSource", "described", "everything", "near_misses", "valid_topics"]

_ALPHANUMERIC: Final = string.ascii_lowercase + string.ascii_uppercase + string.digits
_PUNCTUATION: Final = "-_.,:;@#%&+=!?$^~|()[]{}<>"
"""With letters and digits, what a page lists for ids (protocol.md 4, IDs); no space, which people trim."""
_SPECIAL: Final = f"{_PUNCTUATION}'\"\\/`*\n\t\r\b\f\x01\x1f\x7f"
"""What means something to a parser, in a Reason; NUL is left to reason.nul, since no page says that it may come."""

_LARGEST_COUNT: Final = 2**53 - 1
"""The largest integer that every JSON parser keeps exactly (RFC 8259, 6); the page says no more than Integer."""
_CORNERS: Final = sorted({0, 1, *(2**bits + more for bits in (7, 8, 15, 16, 24, 31, 32, 52) for more in (-1, 0, 1))})
_MOST_OTHERS: Final = 49
_LONGEST_REASON: Final = 1000
_LONGEST_ROOM: Final = 48
_LONGEST_ACCOUNT: Final = 32
_OLDEST_EVENT_MS: Final = 60_000
"""As old as an event may be and still be news to everybody: what is older, or ahead, is disputed (time.old)."""
_PLATFORMS: Final = ("iOS", "Android", "Web", "Windows", "iPad", "RESTAPI", "Unknown")
_SHOWN: Final = 60
"""Characters of a value that are shown in a sentence."""

_VALID_PACKET: Final[Mapping[str, Any]] = {
    "CallbackCommand": "Room.CallbackAfterMemberLeave",
    "Operator_Account": "user1",
    "RoomId": "rid-123",
    "MemberCount": 20,
    "Type": "Leave",
    "MemberList_Account": ["user1"],
    "Reason": "xxxx",
    "EventTime": 1670574414123,
}


@dataclass(frozen=True)
class Mutation:
    r"""Where one generated callback departs from the baseline.

    ``fields`` and ``params`` are those of a ``CallbackDraft``. ``others`` leave together with the baseline's member,
    who is ``last`` in the list or first. ``age_ms`` is the age of the event, ``whole`` cuts it to the second.
    ``escaped`` writes the packet in ASCII with ``\u`` escapes.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    last: bool = False
    age_ms: int | None = None
    whole: bool = False
    escaped: bool = False

    def __or__(self, more: Mutation) -> Mutation:
        """Both departures at once; *more* wins where they differ."""
        return Mutation(
            {**self.fields, **more.fields},
            {**self.params, **more.params},
            self.others + more.others,
            self.last or more.last,
            self.age_ms if more.age_ms is None else more.age_ms,
            self.whole or more.whole,
            self.escaped or more.escaped,
        )

    def simpler(self) -> Iterator[Mutation]:
        """Departures in one thing less, or by a smaller number, that are as valid as this one."""
        for name, value in self.fields.items():
            rest = {key: one for key, one in self.fields.items() if key != name}
            if not self._needs(name):
                yield replace(self, fields=rest)
            if isinstance(value, int) and value > 0:
                steps = (value >> bits for bits in range(1, value.bit_length() + 1))
                yield from (replace(self, fields={**rest, name: value - (step or 1)}) for step in steps)
        for name in self.params:
            yield replace(self, params={key: one for key, one in self.params.items() if key != name})
        plain: dict[str, Any] = {"others": (), "last": False, "age_ms": None, "whole": False}
        plain |= {"escaped": False} if _is_unicode(self.fields.get("Reason")) else {}
        yield from (replace(self, **{name: value}) for name, value in plain.items() if getattr(self, name) != value)
        yield from (replace(self, others=tuple(one for one in self.others if one != other)) for other in self.others)

    def _needs(self, name: str) -> bool:
        """Whether another field depends on *name*: who does not kick is the one who leaves."""
        accounts = {"Operator_Account", "MemberList_Account"}
        if name == "Type":
            return "Operator_Account" in self.fields
        return name in accounts and accounts <= self.fields.keys()

    def draft(self, member: str, now_ms: int) -> CallbackDraft:
        """The departure as a draft, with *member* as the baseline's; *now_ms* since the epoch."""
        fields = dict(self.fields)
        if self.others:
            fields["MemberList_Account"] = [*self.others, member] if self.last else [member, *self.others]
            fields.setdefault("Operator_Account", member)
        if self.age_ms is not None:
            then = now_ms - self.age_ms
            fields["EventTime"] = then // 1000 * 1000 if self.whole else then
        draft = CallbackDraft(fields, dict(self.params))
        return draft.sent_as(body=_in_ascii) if self.escaped else draft


@dataclass(frozen=True)
class MutationSource:
    """One thing to depart in: where its values come from, how many of the packets (``share``) are spent on each source.

    Once one of ``moot_after`` has failed, this one would only find the same again.
    """

    sources: tuple[SearchStrategy[Mutation], ...]
    share: int = 1
    moot_after: tuple[str, ...] = ()


def valid_topics(member: str, room: str, *, rooms: bool = True, people: bool = True) -> dict[str, MutationSource]:
    """What a valid leave may depart in, one at a time.

    *member* is the baseline's, *room* begins every RoomId. Without *rooms* or *people* these stay the baseline's: the
    target knows no others.
    """
    account = _ids(_LONGEST_ACCOUNT)
    topics = {
        "Reason": MutationSource((st.builds(_reason, _text(), st.booleans()),), share=4),
        "a long Reason": MutationSource(
            (st.integers(0, _LONGEST_REASON).map(lambda length: _field("Reason", "x" * length)),)
        ),
        "MemberCount": MutationSource(
            (
                st.integers(0, _LARGEST_COUNT).map(lambda count: _field("MemberCount", count)),
                st.sampled_from(_CORNERS).map(lambda count: _field("MemberCount", count)),
            ),
            share=4,
        ),
        "EventTime": MutationSource((st.builds(_event_time, st.integers(0, _OLDEST_EVENT_MS), st.booleans()),)),
        "Type": MutationSource(
            (st.sampled_from(("Leave", "Kicked", "Expired")).map(lambda kind: _field("Type", kind)),)
        ),
        "OptPlatform": MutationSource(
            (st.sampled_from(_PLATFORMS).map(lambda name: Mutation(params={"OptPlatform": name})),)
        ),
        "ClientIP": MutationSource((_addresses().map(lambda address: Mutation(params={"ClientIP": address})),)),
    }
    if rooms:
        topics["RoomId"] = MutationSource(
            (_ids(_LONGEST_ROOM - len(room)).map(lambda end: _field("RoomId", room + end)),), share=3
        )
    if people:
        others = st.lists(account.filter(lambda one: one != member), min_size=1, max_size=3, unique=True)
        topics |= {
            "many members": MutationSource(
                (st.integers(0, _MOST_OTHERS).map(lambda count: _crowd(member, count)),), share=3
            ),
            "names of members": MutationSource((st.builds(_named, others, st.booleans()),), share=3),
            "Operator_Account": MutationSource((account.map(_kicked_by),), moot_after=("names of members",)),
            "one person": MutationSource((account.map(_alone),), moot_after=("names of members", "Operator_Account")),
        }
    return topics


def everything(topics: Mapping[str, MutationSource]) -> SearchStrategy[Mutation]:
    """Departures in any number of *topics* at once; "one person" leaves alone and so takes no part."""
    sources = {name: st.one_of(*topic.sources) for name, topic in topics.items() if name != "one person"}
    return st.fixed_dictionaries({}, optional=sources).map(
        lambda drawn: _merged(drawn[name] for name in sources if name in drawn)
    )


def near_misses(member: str) -> dict[str, MutationSource]:
    """What is just no valid leave, by the field that departs; *member* is the baseline's."""
    wrong: dict[str, SearchStrategy[Any]] = {
        "CallbackCommand": st.one_of(st.just(""), _ids(40)),
        "Operator_Account": _long(_LONGEST_ACCOUNT),
        "RoomId": st.one_of(st.just(""), _long(_LONGEST_ROOM)),
        "MemberCount": st.one_of(st.integers(-(2**70), -1), st.integers(0, 2**64).map(str)),
        "Type": st.just(""),
        "MemberList_Account": _member_lists(member),
        "Reason": st.nothing(),
        "EventTime": st.one_of(
            st.integers(0, 10**12 - 1), st.integers(10**13, 2**70), st.integers(-(2**70), -1), st.integers(0).map(str)
        ),
    }
    topics = {name: MutationSource((_forbidden(name, values),)) for name, values in wrong.items()}
    return {
        **topics,
        "half a surrogate pair": MutationSource((st.builds(_half_a_pair, _text(), _surrogates(), _text()),)),
    }


def described(draft: CallbackDraft, member: str) -> str:
    """What *draft* departs in, as ``MemberCount = 2147483648``; *member* is the baseline's."""
    fields = {name: value for name, value in draft.fields.items() if (name, value) != ("Operator_Account", member)}
    in_order = {name: fields[name] for name in _VALID_PACKET if name in fields}
    return ", ".join(_described(name, value) for name, value in {**in_order, **draft.params}.items()) or "nothing"


def _described(name: str, value: Any) -> str:
    if value is ABSENT:
        return f"no {name}"
    if isinstance(value, list) and len(value) > 4:
        return f"{name} of {len(value)} items"
    text = json.dumps(value)
    if isinstance(value, str) and len(text) > _SHOWN:
        return f"{name} of {len(value)} characters ({text[:20]}…)"
    return f"{name} = {text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'}"


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _character() -> SearchStrategy[str]:
    """Any Unicode: as often beyond the Basic Multilingual Plane as within it, in ASCII, or of meaning to parsers."""
    return st.one_of(
        st.sampled_from(f"{_ALPHANUMERIC} "),
        st.sampled_from(_SPECIAL),
        st.one_of(st.integers(0xA0, 0xD7FF), st.integers(0xE000, 0xFFFD)).map(chr),
        st.integers(0x10000, 0x10FFFF).map(chr),
    )


def _text() -> SearchStrategy[str]:
    pieces = [st.lists(_character(), max_size=12) for _ in range(3)]
    return st.one_of(_pieces(*pieces), _some_of(_SPECIAL))


def _ids(most: int) -> SearchStrategy[str]:
    """Ids of 1 to *most* bytes: anything, some of all punctuation, or long."""
    character = st.sampled_from(_ALPHANUMERIC + _PUNCTUATION)
    third = most // 3
    pieces = [st.lists(character, max_size=size) for size in (third, third, most - 2 * third)]
    return st.one_of(
        _pieces(*pieces).filter(bool),
        _some_of(_PUNCTUATION).filter(bool),
        st.integers(1, most).map(lambda length: "x" * length),
    )


def _some_of(characters: str) -> SearchStrategy[str]:
    """Each of *characters* or not: half of them at once, so that few texts try all, and the one at fault remains."""
    chosen = st.tuples(*[st.booleans()] * len(characters))
    return chosen.map(lambda each: "".join(itertools.compress(characters, each)))


def _pieces(*pieces: SearchStrategy[list[str]]) -> SearchStrategy[str]:
    """One text of all *pieces*: lists tend to be short, and several of them make a longer text that still shrinks."""
    return st.tuples(*pieces).map(lambda drawn: "".join(character for piece in drawn for character in piece))


def _long(most: int) -> SearchStrategy[str]:
    """Text of more than *most* bytes."""
    return st.integers(most + 1, 5000).map(lambda length: "x" * length)


def _addresses() -> SearchStrategy[str]:
    octet = st.integers(0, 255)
    return st.tuples(st.integers(1, 223), octet, octet, octet).map(lambda octets: ".".join(map(str, octets)))


def _surrogates() -> SearchStrategy[str]:
    return st.integers(0xD800, 0xDFFF).map(chr)


def _anything() -> SearchStrategy[Any]:
    """Any JSON value, small."""
    numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
    scalars = st.one_of(st.none(), st.booleans(), numbers, st.lists(_character(), max_size=8).map("".join))
    keys = st.sampled_from(("id", "", "Member_Account", "__proto__", "$ne"))
    return st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(keys, scalars, max_size=2))


def _member_lists(member: str) -> SearchStrategy[list[Any]]:
    """No list members at all, or a list in which one item is no account."""
    wrong = st.one_of(_anything(), _long(_LONGEST_ACCOUNT), st.just({"Member_Account": member}))
    return st.one_of(st.just([]), wrong.map(lambda item: [member, item]), wrong.map(lambda item: [item, member]))


def _forbidden(name: str, values: SearchStrategy[Any]) -> SearchStrategy[Mutation]:
    """Packets whose field *name* is left out or wrong, so that the schema of what must be accepted forbids them."""
    forbids = loader.validator("leave.accepted")

    def is_forbidden(departure: Mutation) -> bool:
        packet = {**_VALID_PACKET, **departure.fields}
        return not forbids.is_valid({key: value for key, value in packet.items() if value is not ABSENT})

    return st.one_of(st.just(ABSENT), _anything(), values).map(lambda value: _field(name, value)).filter(is_forbidden)


# ── departures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _field(name: str, value: Any) -> Mutation:
    return Mutation({name: value})


def _reason(text: str, escaped: bool) -> Mutation:
    return Mutation({"Reason": text}, escaped=escaped)


def _event_time(age_ms: int, whole: bool) -> Mutation:
    return Mutation(age_ms=age_ms, whole=whole)


def _crowd(member: str, count: int) -> Mutation:
    return Mutation(others=tuple(f"{member}x{number}" for number in range(1, count + 1)))


def _named(others: list[str], last: bool) -> Mutation:
    return Mutation(others=tuple(others), last=last)


def _kicked_by(account: str) -> Mutation:
    """Whoever leaves by himself is the operator, so that another one kicks."""
    return Mutation({"Type": "Kicked", "Operator_Account": account})


def _alone(account: str) -> Mutation:
    return Mutation({"Operator_Account": account, "MemberList_Account": [account]})


def _half_a_pair(before: str, surrogate: str, after: str) -> Mutation:
    return Mutation({"Reason": before + surrogate + after}, escaped=True)


def _merged(departures: Iterable[Mutation]) -> Mutation:
    whole = Mutation()
    for departure in departures:
        whole |= departure
    return whole


def _is_unicode(value: Any) -> bool:
    """Whether *value*, if it is text, holds no half of a surrogate pair, so that it can be written as UTF-8."""
    return not isinstance(value, str) or not any("\ud800" <= character <= "\udfff" for character in value)


def _in_ascii(packet: dict[str, Any]) -> bytes:
    return json.dumps(packet, separators=(",", ":")).encode()
