"""Accounts and rooms that differ in little: each way of taking them for one is found, and told by its first cause."""

from __future__ import annotations

import html
import re
import unicodedata
import urllib.parse
from collections.abc import Callable
from typing import Final

import pytest
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import MemberEvent
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished

pytestmark = pytest.mark.long

APART: Final = ("effect.accounts-apart*", "effect.rooms-apart*")


class Keyed(Variant):
    """Keeps rooms and accounts by a key, and shows whom it has by the name that came first."""

    def __init__(
        self, room_key: Callable[[str], str] = str, account_key: Callable[[str], str] = str, *, longest: int = 999
    ) -> None:
        super().__init__()
        self.room_key, self.account_key, self.longest = room_key, account_key, longest
        self.rooms: dict[str, dict[str, str]] = {}

    async def apply(self, event: MemberEvent) -> None:
        event.member_list_account = event.member_list_account[: self.longest]
        await super().apply(event)

    def enter(self, event: MemberEvent) -> None:
        inside = self.rooms.setdefault(self.room_key(event.room_id), {})
        for account in event.member_list_account:
            inside.setdefault(self.account_key(account), account)

    def leave(self, event: MemberEvent) -> None:
        for account in event.member_list_account:
            self.rooms.get(self.room_key(event.room_id), {}).pop(self.account_key(account), None)

    def members(self, room: str) -> list[str]:
        return list(self.rooms.get(self.room_key(room), {}).values())


class Pattern(Keyed):
    """Takes a RoomId for an SQL LIKE pattern where people leave."""

    def leave(self, event: MemberEvent) -> None:
        alike = re.compile(re.escape(event.room_id).replace("_", ".").replace("%", ".*"))
        for room, inside in self.rooms.items():
            if alike.fullmatch(room):
                for account in event.member_list_account:
                    inside.pop(account, None)


class Prefix(Keyed):
    """Takes a RoomId for a regular expression that the names of rooms begin with, where people ask who is inside."""

    def members(self, room: str) -> list[str]:
        inside = (people for name, people in self.rooms.items() if re.match(room, name))
        return [one for people in inside for one in people.values()]


class EscapesWhatItKeeps(Keyed):
    """Escapes a RoomId as HTML where it keeps it, and not where people ask who is inside."""

    def members(self, room: str) -> list[str]:
        return list(self.rooms.get(room, {}).values())


class Skips(Keyed):
    """Takes an account of this name for none at all where people leave."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def leave(self, event: MemberEvent) -> None:
        event.member_list_account = [one for one in event.member_list_account if one != self.name]
        super().leave(event)


class AllDevices(Keyed):
    """Takes out with an account all that begin with it and a number sign."""

    def leave(self, event: MemberEvent) -> None:
        inside = self.rooms.get(event.room_id, {})
        begin = tuple(f"{one}#" for one in event.member_list_account)
        event.member_list_account += [one for one in inside if one.startswith(begin)]
        super().leave(event)


def found(variant: Variant, *only: str) -> dict[str, list[str]]:
    """The messages of what a run over *only* these, or over all near twins, finds, by requirement."""
    with listening(variant) as url:
        settings = Settings(url, SDKAPPID, settle_s=0.2, only=only or APART)
        finished = list(SuiteRun(settings, probe=lambda room: set(variant.members(room))).events())[-1]
    assert isinstance(finished, RunFinished)
    return {case.requirement.id: [one.message for one in case.findings] for case in finished.cases if case.findings}


def hows(messages: list[str]) -> list[str]:
    return [re.sub(r".*\(are they ([^:?)]*).*", r"\1", one) for one in messages]


def test_names_that_are_kept_as_they_are_pass() -> None:
    assert found(Keyed()) == {}


@pytest.mark.parametrize("longest", [1, 4])
def test_an_app_backend_that_takes_only_the_first_of_a_list_is_not_blamed_here(longest: int) -> None:
    assert found(Keyed(longest=longest)) == {}


@pytest.mark.parametrize("places", ["rooms", "accounts"])
def test_a_collation_without_case_is_told_once(places: str) -> None:
    variant = Keyed(room_key=str.lower) if places == "rooms" else Keyed(account_key=str.lower)
    said = found(variant)
    assert {one: hows(messages) for one, messages in said.items()} == {
        f"effect.{places}-apart.folded": ["compared without case"]
    }


def latin_1(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")


def without_accents(text: str) -> str:
    return "".join(one for one in unicodedata.normalize("NFD", text) if not unicodedata.combining(one))


@pytest.mark.parametrize(
    ("key", "how"),
    [
        (str.strip, "trimmed"),
        pytest.param(latin_1, "kept in Latin-1", marks=pytest.mark.exhaustive),
        pytest.param(without_accents, "compared without accents", marks=pytest.mark.exhaustive),
        pytest.param(
            lambda one: unicodedata.normalize("NFC", one),
            "put into one Unicode normal form",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_a_fold_of_rooms_and_of_accounts_is_named_by_what_it_does(key: Callable[[str], str], how: str) -> None:
    for variant, requirement in (
        (Keyed(account_key=key), "effect.accounts-apart.folded"),
        (Keyed(room_key=key), "effect.rooms-apart.folded"),
    ):
        assert how in hows(found(variant, requirement)[requirement])


@pytest.mark.parametrize(
    ("key", "how"),
    [
        (lambda one: one.split(":")[0], "cut, split or stripped at it"),
        pytest.param(lambda one: one.replace("-", ""), "cut, split or stripped at it", marks=pytest.mark.exhaustive),
        (lambda one: one.replace("/./", "/").replace("//", "/"), "normalised as a path"),
        (lambda one: one.replace("/", "_"), "given another sign in a path or key"),
        pytest.param(
            lambda one: one.replace(":", "_"), "given another sign in a path or key", marks=pytest.mark.exhaustive
        ),
    ],
)
def test_a_sign_that_means_something_is_found_in_rooms(key: Callable[[str], str], how: str) -> None:
    said = found(Keyed(key))
    assert how in hows(said["effect.rooms-apart.signs"])
    assert set(said) == {"effect.rooms-apart.signs"}


def test_a_room_that_is_compared_by_like_is_found() -> None:
    said = found(Pattern(), "effect.rooms-apart.signs")
    assert hows(said["effect.rooms-apart.signs"]) == ["compared by SQL LIKE", "compared by SQL LIKE"]


def test_rooms_whose_names_begin_alike_are_told_apart_also_where_their_punctuation_is_not() -> None:
    assert set(found(Prefix(), "effect.rooms-apart")) == {"effect.rooms-apart"}


@pytest.mark.parametrize(
    ("key", "how"),
    [
        (lambda one: str(int(float(one))) if one.isdigit() and len(one) > 15 else one, "read as a number, which loses"),
        pytest.param(
            lambda one: one[: 40 if one.startswith("r") else 24],
            "cut to a part of their length",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            lambda one: {"null": "", "none": "", "nil": ""}.get(one, one),
            "taken for nothing",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_plain_names_are_never_one(key: Callable[[str], str], how: str) -> None:
    for variant, requirement in (
        (Keyed(account_key=key), "effect.accounts-apart"),
        (Keyed(room_key=key), "effect.rooms-apart"),
    ):
        assert any(one.startswith(how) for one in hows(found(variant, requirement)[requirement]))


def national(account: str) -> str:
    return account.lstrip("+") if account[1:].isdigit() else account


@pytest.mark.parametrize(
    ("variant", "requirement", "how"),
    [
        (lambda: Skips("None"), "effect.accounts-apart", "taken for nothing"),
        (lambda: Skips("undefined"), "effect.accounts-apart", "taken for nothing"),
        (lambda: Skips("NaN"), "effect.accounts-apart", "taken for no number"),
        (AllDevices, "effect.accounts-apart.signs", "compared by their beginning"),
        (lambda: Keyed(account_key=national), "effect.accounts-apart.signs", "taken for a telephone number"),
        (
            lambda: Keyed(account_key=lambda one: one.replace("\\\\", "\\")),
            "effect.accounts-apart.signs",
            "decoded as a string of a language",
        ),
        (
            lambda: Keyed(lambda room: urllib.parse.quote(room, safe="")[:100]),
            "effect.rooms-apart.folded",
            "encoded and cut to a part",
        ),
    ],
)
def test_a_rare_carelessness_is_named(variant: Callable[[], Variant], requirement: str, how: str) -> None:
    assert how in hows(found(variant(), requirement)[requirement])


def test_a_room_id_that_is_escaped_where_it_is_kept_is_told() -> None:
    said = found(EscapesWhatItKeeps(lambda room: html.escape(room, quote=False)), "effect.punctuation")
    assert "(is HTML escaped?)" in said["effect.punctuation"][0]


@pytest.mark.parametrize("decode", [html.unescape, urllib.parse.unquote, urllib.parse.unquote_plus])
def test_a_probe_that_decodes_room_ids_is_no_finding(decode: Callable[[str], str]) -> None:
    variant = Variant()
    variant.members = lambda room: Variant.members(variant, decode(room))  # type: ignore[method-assign]
    assert found(variant, "effect.punctuation", "effect.rooms-apart*") == {}
