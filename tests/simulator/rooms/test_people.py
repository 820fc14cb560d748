"""Fake people: within the documented limits, in many scripts, and the same from the same seed."""

from __future__ import annotations

import importlib
import ipaddress
import re
import unicodedata
from typing import get_args

import pytest

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_url import PLATFORMS
from roomhook.simulator.rooms.people import (
    ADDRESSES,
    PLATFORM_SHARES,
    REASONS,
    People,
    ReasonKind,
    address,
    draw_stems,
    language,
    names,
    shipped_locales,
    stems,
    weighted,
)

KINDS: tuple[ReasonKind, ...] = get_args(ReasonKind)


def described(people: People) -> list[str]:
    one_of_each = (people.account, people.room_id, people.client_ip, people.platform)
    return [make() for make in one_of_each for _ in range(20)] + [people.reason(kind) for kind in KINDS]


def test_the_same_seed_gives_the_same_people_and_another_seed_others() -> None:
    assert described(People(7)) == described(People(7))
    assert described(People(7)) != described(People(8))


def test_accounts_and_room_ids_are_new_each_time_and_within_the_limits() -> None:
    people = People(1)
    accounts = [people.account() for _ in range(2000)]
    rooms = [people.room_id() for _ in range(2000)]
    assert len(set(accounts)) == len(set(rooms)) == 2000
    assert all(re.fullmatch(r"[a-z]+[0-9]+", account) and len(account) <= 32 for account in accounts)
    assert all(re.fullmatch(r"[a-z0-9-]+", room) and len(room) <= 48 for room in rooms)


def test_every_address_is_public_and_there_are_as_many_as_promised() -> None:
    assert all(ipaddress.IPv4Address(address(number)).is_global for number in range(0, ADDRESSES, 7))
    assert len({address(number) for number in range(ADDRESSES)}) == ADDRESSES


def test_platforms_are_the_documented_ones_by_their_shares() -> None:
    assert set(PLATFORM_SHARES) < set(PLATFORMS)
    assert "RESTAPI" not in PLATFORM_SHARES
    spread = weighted({"Web": 3, "iOS": 1}, 256)
    assert (len(spread), spread.count("Web")) == (256, 192)


@pytest.mark.parametrize("kind", ["Leave", "Kicked", "Expired", "Dissolved"])
def test_reasons_come_in_many_scripts_and_fit_in_1000_bytes(kind: ReasonKind) -> None:
    every = language(shipped_locales()).reasons[kind]
    assert len(every) == REASONS
    assert all(len(reason.encode()) <= 1000 for reason in every)
    text = "".join(every)
    for script in (r"[一-鿿]", r"[가-힣]", r"[ء-ي]", r"[\u0e01-\u0e30]", r"[\u0430-\u044f]"):
        assert re.search(script, text), script


@pytest.mark.parametrize("locale", shipped_locales())
def test_the_reasons_of_a_language_use_its_script_alone(locale: str) -> None:
    scripts = {script for kind in KINDS for reason in language((locale,)).reasons[kind] for script in _scripts(reason)}
    assert len(scripts) <= (3 if locale == "ja_JP" else 1), scripts


def test_emoji_are_among_the_reasons_beyond_the_basic_plane() -> None:
    assert any(ord(letter) > 0xFFFF for reason in language(("en_US",)).reasons["Leave"] for letter in reason)


def test_a_kick_always_has_a_reason() -> None:
    assert all(all(language((locale,)).reasons["Kicked"]) for locale in shipped_locales())


@pytest.mark.parametrize("locale", shipped_locales())
def test_the_shipped_names_are_fakers(locale: str) -> None:
    """Whatever its release: each changes the lists a little."""
    provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
    lists = repr([getattr(provider, name) for name in dir(provider) if "first_name" in name])
    assert sum(f"'{name}'" in lists for name in names(locale)) >= 0.8 * len(names(locale))


@pytest.mark.parametrize("locale", shipped_locales())
def test_accounts_begin_alike_whether_shipped_or_drawn_from_faker(locale: str) -> None:
    for found in (stems(locale), draw_stems(locale)):
        assert len(set(found)) == len(found) >= 1
        assert all(re.fullmatch("[a-z]{4,12}", stem) for stem in found)


def test_a_locale_beyond_the_shipped_ones_is_drawn_from_faker() -> None:
    assert "sv_SE" not in shipped_locales()
    assert len(names("sv_SE")) == 24
    assert stems("sv_SE") != ("user",)


@pytest.mark.parametrize("locale", shipped_locales())
def test_accounts_in_every_locale_begin_with_a_name_in_ascii(locale: str) -> None:
    assert len(stems(locale)) == 24
    assert re.fullmatch(r"[a-z]{4,12}[0-9]+", People(3, (locale,)).account())


def test_an_unknown_locale_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigurationError, match=r"no locale 'xx_XX'.*ja_JP"):
        names("xx_XX")


def _scripts(text: str) -> set[str]:
    """The scripts of the letters of *text*, by the first word of their Unicode names."""
    letters = (unicodedata.name(letter).split(maxsplit=1)[0].split("-")[0] for letter in text if letter.isalpha())
    return {"CJK" if one in {"CJK", "FULLWIDTH"} else one for one in letters}
