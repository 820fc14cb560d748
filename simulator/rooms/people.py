"""Fake people: accounts, addresses, platforms and reasons in their language, all from one seed.

Accounts use letters, digits and ``-`` within the documented limits (protocol.md 4, IDs). Names and
beginnings of accounts were drawn once from Faker and are shipped (``people.json``): Faker's lists change between
releases, and the same seed must give the same bytes. Other locales are drawn from the installed Faker.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar, get_args

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.simulator.rooms.room_ids import ROOM_PREFIXES, room_id
from roomhook.simulator.util.random_stream import RandomStream

if TYPE_CHECKING:
    from faker import Faker

__all__ = [
    "ADDRESSES",
    "NETWORKS",
    "PLATFORM_SHARES",
    "REASONS",
    "Language",
    "People",
    "ReasonKind",
    "address",
    "draw_names",
    "draw_stems",
    "language",
    "names",
    "network",
    "shipped_locales",
    "stems",
    "weighted",
]

T = TypeVar("T")

PLATFORM_SHARES: Final[Mapping[str, float]] = {
    "Android": 38,
    "iOS": 30,
    "Windows": 10,
    "Web": 10,
    "Mac": 5,
    "iPad": 5,
    "Unknown": 2,
}
"""Shares of OptPlatform among members; RESTAPI is a server and comes with kicks (protocol.md 1.2)."""

ADDRESSES: Final = 1 << 16
"""The number of public addresses; people behind one carrier share them."""

NETWORKS: Final = 1 << 12
"""The number of networks those addresses are in, one /16 each."""

_FIRST_OCTETS: Final = (1, 14, 27, 36, 42, 49, 58, 61, 66, 77, 84, 93, 101, 110, 121, 210)
"""Each starts a block of public addresses only."""

_NAMES_PER_LOCALE: Final = 24

REASONS: Final = 256
"""How many reasons of each kind a language has, with repetitions."""

ReasonKind = Literal["Leave", "Kicked", "Expired", "Dissolved"]
"""The kinds of Reason: check-out methods, and the end of the room."""


class People:
    """Generates people of one room for single callbacks: the same *seed* gives the same people in the same order.

    Accounts and room ids are unique within one instance. All people have the language of one locale, drawn from
    *locales* (default: the shipped ones).
    """

    def __init__(self, seed: int, locales: Sequence[str] = ()) -> None:
        self._random = RandomStream(seed, "people")
        self._language = language((self._random.choice(tuple(locales) or shipped_locales()),))
        self._made = 0

    def account(self) -> str:
        """A UserID of at most 32 bytes, ASCII letters and digits, such as ``yusuf1417``."""
        return f"{self._random.choice(self._language.stems)}{self._number()}"

    def room_id(self) -> str:
        """A RoomId of at most 48 bytes, such as ``meeting-2093``."""
        return room_id(self._random.below(len(ROOM_PREFIXES)), self._number())

    def reason(self, kind: ReasonKind) -> str:
        """A Reason for *kind*, sometimes empty."""
        return self._random.choice(self._language.reasons[kind])

    def client_ip(self) -> str:
        """A public IPv4 address."""
        return address(self._random.below(ADDRESSES))

    def platform(self) -> str:
        """An OptPlatform, as common as in ``PLATFORM_SHARES``."""
        return weighted(PLATFORM_SHARES, 256)[self._random.below(256)]

    def _number(self) -> int:
        """A unique number: a count and three random digits, so that it looks random."""
        self._made += 1
        return self._made * 1000 + self._random.below(1000)


def address(number: int) -> str:
    """The public IPv4 address with this *number* (0 to ``ADDRESSES`` - 1); neighbouring numbers share a network."""
    first = _FIRST_OCTETS[number >> 12 & 15]
    scrambled = number * 40503 & 0xFFFF
    return f"{first}.{number >> 4 & 255}.{scrambled >> 8}.{1 + (scrambled & 255) % 254}"


def network(client_ip: str) -> int:
    """The number (0 to ``NETWORKS`` - 1) of the network of a generated address."""
    first, second, _ = client_ip.split(".", 2)
    return _FIRST_OCTETS.index(int(first)) << 8 | int(second)


def weighted(shares: Mapping[T, float], length: int) -> list[T]:
    """*length* keys of *shares*, each as often as its share says; empty if all shares are 0."""
    whole = sum(shares.values())
    if not whole:
        return []
    found: list[T] = []
    running = 0.0
    for key, share in shares.items():
        running += share
        found += [key] * (round(running / whole * length) - len(found))
    return found


class Language(NamedTuple):
    """Names and sentences of people of one or more locales.

    Accounts start with one of ``stems``. Each tuple of ``reasons`` has ``REASONS`` entries, so a smaller number selects
    one.
    """

    stems: tuple[str, ...]
    reasons: Mapping[ReasonKind, tuple[str, ...]]


class _Shipped(msgspec.Struct):
    """Content of ``people.json``: names and account stems by locale, reasons by language and kind.

    Reasons under the language "" fit every language; ``{name}`` in a reason is replaced by a name.
    """

    faker: str
    names: dict[str, tuple[str, ...]]
    accounts: dict[str, tuple[str, ...]]
    reasons: dict[str, dict[ReasonKind, tuple[str, ...]]]


@cache
def _shipped() -> _Shipped:
    return msgspec.json.decode(
        resources.files("roomhook.simulator.rooms").joinpath("people.json").read_bytes(), type=_Shipped
    )


def shipped_locales() -> tuple[str, ...]:
    """The locales whose names are shipped."""
    return tuple(_shipped().names)


@cache
def names(locale: str) -> tuple[str, ...]:
    """Names in *locale*, shipped or drawn from Faker; raises ``ConfigurationError`` for an unknown locale."""
    return _shipped().names.get(locale) or draw_names(locale)


@cache
def stems(locale: str) -> tuple[str, ...]:
    """Stems of accounts in *locale*: 4 to 12 ASCII letters; raises ``ConfigurationError`` as ``names`` does."""
    return _shipped().accounts.get(locale) or draw_stems(locale)


def draw_names(locale: str) -> tuple[str, ...]:
    """Names in *locale* from the installed Faker, always the same for the same release of it."""
    fake = _faker(locale)
    return tuple(fake.first_name() for _ in range(_NAMES_PER_LOCALE))


def draw_stems(locale: str) -> tuple[str, ...]:
    """Beginnings of accounts in *locale*: user names from the installed Faker, without digits and punctuation.

    ``user`` if Faker has none in ASCII letters.
    """
    fake = _faker(locale)
    drawn = (_letters(fake.user_name()) for _ in range(20 * _NAMES_PER_LOCALE))
    return tuple(dict.fromkeys(stem for stem in drawn if 4 <= len(stem) <= 12))[:_NAMES_PER_LOCALE] or ("user",)


@cache
def language(locales: tuple[str, ...]) -> Language:
    """Names and reasons of one locale, or of several mixed; raises ``ConfigurationError`` for an unknown locale."""
    return Language(
        tuple(dict.fromkeys(stem for locale in locales for stem in stems(locale))),
        {kind: _reasons(kind, locales) for kind in get_args(ReasonKind)},
    )


def _reasons(kind: ReasonKind, locales: tuple[str, ...]) -> tuple[str, ...]:
    """``REASONS`` reasons of *kind* in random order, at most 1000 bytes each, with names of the same locale."""
    shipped, random = _shipped().reasons, RandomStream(len(locales), f"reasons/{kind}/{','.join(locales)}")
    texts = [
        (text, names(locale))
        for locale in locales
        for text in (*shipped[""][kind], *(shipped.get(locale) or shipped.get(locale[:2]) or shipped["en"])[kind])
    ]
    picked = [texts[len(texts) * (2 * index + 1) // (2 * REASONS)] for index in range(REASONS)]
    drawn = (text.format(name=random.choice(people)) for text, people in random.shuffled(picked))
    return tuple(map(sys.intern, drawn))  # each text once, since a packet takes longer the more memory is read for it


def _faker(locale: str) -> Faker:
    from faker import Faker  # noqa: PLC0415 (33 ms, and the shipped names do without)

    try:
        fake = Faker(locale)
    except AttributeError:
        known = ", ".join(shipped_locales())
        raise ConfigurationError(f"Faker has no locale {locale!r}; use one such as {known}") from None
    fake.seed_instance(60734)
    return fake


def _letters(name: str) -> str:
    """The ASCII letters of *name* in lower case."""
    return "".join(letter for letter in name.lower() if letter.isascii() and letter.isalpha())
