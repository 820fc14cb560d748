"""Fake people: accounts, room ids, addresses, platforms and multilingual reasons, all from one seed.

Accounts and room ids keep to letters, digits and ``-`` within the documented limits (protocol.md 4, IDs); reasons are
in many scripts. The names were drawn once from Faker and are shipped (``people.json``): its lists change from release
to release, and the same seed is to give the same bytes. A locale that is not shipped is drawn from the Faker installed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Final, TypeVar

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.simulator.util.random_stream import RandomStream

__all__ = [
    "ADDRESSES",
    "NETWORKS",
    "PLATFORM_SHARES",
    "ROOM_PREFIXES",
    "People",
    "address",
    "draw_names",
    "names",
    "network",
    "reasons",
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
"""How common each OptPlatform is among members; RESTAPI is a server's and comes with kicks (protocol.md 1.2)."""

ADDRESSES: Final = 1 << 16
"""How many public addresses there are; people behind one carrier share them."""

NETWORKS: Final = 1 << 12
"""How many networks those addresses are in, each with a /16 of its own."""

_FIRST_OCTETS: Final = (1, 14, 27, 36, 42, 49, 58, 61, 66, 77, 84, 93, 101, 110, 121, 210)
"""Each starts a block that is public throughout."""

_NAMES_A_LOCALE: Final = 24

ROOM_PREFIXES: Final = ("rid-", "room-", "live-", "meeting-", "class-", "standup-", "")
"""What room ids begin with, before a number of their own: none ends in a digit."""


class People:
    """People one at a time, for a single callback or a suite: the same *seed*, the same people in the same order.

    Every account and every room id is new within one instance.
    """

    def __init__(self, seed: int, locales: Sequence[str] = ()) -> None:
        self._chance = RandomStream(seed, "people")
        self._locales = tuple(locales) or shipped_locales()
        self._stems = stems(self._locales)
        self._made = 0

    def account(self) -> str:
        """A UserID of 32 bytes at most, ASCII letters and digits, such as ``yusuf1417``."""
        return f"{self._chance.choice(self._stems)}{self._number()}"

    def room_id(self) -> str:
        """A RoomId of 48 bytes at most, such as ``meeting-2093``."""
        return f"{self._chance.choice(ROOM_PREFIXES)}{self._number()}"

    def reason(self, kind: str) -> str:
        """A Reason for *kind*: ``Leave``, ``Kicked``, ``Expired`` or ``Dissolved``; in any script, at times empty."""
        return self._chance.choice(reasons(kind, self._locales))

    def client_ip(self) -> str:
        """A public IPv4 address."""
        return address(self._chance.below(ADDRESSES))

    def platform(self) -> str:
        """An OptPlatform, as common as people's are."""
        return weighted(PLATFORM_SHARES, 256)[self._chance.below(256)]

    def _number(self) -> int:
        """A number of its own: a count, with three random digits to keep it from looking like one."""
        self._made += 1
        return self._made * 1000 + self._chance.below(1000)


def address(number: int) -> str:
    """The public IPv4 address with this *number* (0 to ``ADDRESSES`` - 1); neighbouring numbers share a network."""
    first = _FIRST_OCTETS[number >> 12 & 15]
    scrambled = number * 40503 & 0xFFFF
    return f"{first}.{number >> 4 & 255}.{scrambled >> 8}.{1 + (scrambled & 255) % 254}"


def network(client_ip: str) -> int:
    """The number (0 to ``NETWORKS`` - 1) of the network to which one of our addresses belongs."""
    first, second, _ = client_ip.split(".", 2)
    return _FIRST_OCTETS.index(int(first)) << 8 | int(second)


def weighted(shares: Mapping[T, float], length: int) -> list[T]:
    """The keys of *shares*, each as often among *length* as its share has it; nothing if all shares are 0."""
    whole = sum(shares.values())
    if not whole:
        return []
    found: list[T] = []
    running = 0.0
    for key, share in shares.items():
        running += share
        found += [key] * (round(running / whole * length) - len(found))
    return found


class _Shipped(msgspec.Struct):
    """What ``people.json`` holds: names by locale, and reasons by kind, some with a place for a name."""

    faker: str
    names: dict[str, tuple[str, ...]]
    reasons: dict[str, tuple[str, ...]]


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
    """Names in *locale*, shipped or drawn from Faker; raises ``ConfigurationError`` for a locale that neither knows."""
    return _shipped().names.get(locale) or draw_names(locale)


def draw_names(locale: str) -> tuple[str, ...]:
    """Names in *locale* from the Faker installed, always the same from the same release of it."""
    from faker import Faker  # noqa: PLC0415 (33 ms, and the shipped names do without)

    try:
        fake = Faker(locale)
    except AttributeError:
        known = ", ".join(shipped_locales())
        raise ConfigurationError(f"{locale!r} is no locale of Faker's; use one such as {known}") from None
    fake.seed_instance(60734)
    return tuple(fake.first_name() for _ in range(_NAMES_A_LOCALE))


@cache
def stems(locales: tuple[str, ...]) -> tuple[str, ...]:
    """What accounts begin with: the *locales*' names as far as they fold to ASCII letters, or ``user`` if none does."""
    folded = (_folded(name) for locale in locales for name in names(locale))
    return tuple(dict.fromkeys(stem for stem in folded if 2 <= len(stem) <= 12)) or ("user",)


@cache
def reasons(kind: str, locales: tuple[str, ...]) -> tuple[str, ...]:
    """Reasons for *kind* in every script that we have, with names from *locales* in them; 1000 bytes at most each."""
    people = [name for locale in locales for name in names(locale)]
    chance = RandomStream(len(people), f"reasons/{kind}")
    return tuple(
        text.format(name=chance.choice(people))
        for text in _shipped().reasons[kind]
        for _ in range(8 if "{name}" in text else 2)
    )


def _folded(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return plain if plain.isalpha() and len(plain) == len(name) else ""
