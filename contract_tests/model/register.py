"""The register of requirements on an App backend, read from ``requirements.toml``: look up, select, resolve."""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.suggestions import did_you_mean

__all__ = [
    "Level",
    "Requirement",
    "RequirementSource",
    "load_glossary",
    "load_groups",
    "load_options",
    "load_register",
    "load_series",
    "load_sources",
    "planned",
    "select",
]


class Level(StrEnum):
    """How much a requirement weighs in the verdict."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    INFO = "INFO"

    @property
    def meaning(self) -> str:
        """What the level stands for and what a breach does to the verdict."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Level.MUST: "stated by the documents, or the acknowledgement of a valid callback, or opted into by you. "
    "A breach fails the run.",
    Level.SHOULD: "follows from documented variants, from pages that disagree, or from how the real sender can behave. "
    "A breach is a warning, and fails the run only with --strict.",
    Level.INFO: "worth knowing. It never fails a run, and you need not change anything.",
}

_NEEDS: Final = {
    "": "",
    "token": "the callback token (ROOMHOOK_TOKEN)",
    "https": "a target that is reached by https",
    "probe": "a probe that tells who is in a room",
    "fuzz": "--fuzz N: packets are generated only for those who ask for them",
}


@dataclass(frozen=True, slots=True)
class RequirementSource:
    """Where a requirement is written: a page with addresses and its own date, or a kind of reasoning without any."""

    key: str
    title: str
    addresses: tuple[str, ...] = ()
    date: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that an App backend owes.

    ``text`` is the duty as a sentence, ``case`` what is sent and what passes, ``needs`` what must be given before it
    can be judged ("", "token", "https", "probe" or "fuzz"), ``options`` what changes how it is judged.
    """

    id: str
    level: Level
    text: str
    why: str
    case: str
    fix: str
    source: tuple[str, ...]
    needs: str = ""
    options: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The part of the id before the first dot."""
        return self.id.partition(".")[0]

    @property
    def series(self) -> str:
        """What else its case sends, where one request alone does not repeat it; otherwise empty."""
        return next((text for ids, text in load_series().items() if fnmatchcase(self.id, ids)), "")

    @property
    def condition(self) -> str:
        """What ``needs`` asks for, in words; empty if the requirement can always be judged."""
        return _NEEDS[self.needs]

    @property
    def sources(self) -> tuple[RequirementSource, ...]:
        """The keys in ``source``, resolved."""
        known = load_sources()
        return tuple(known[key] for key in self.source)

    def to_dict(self) -> dict[str, Any]:
        """Everything about the requirement, as values that JSON knows."""
        about = load_options()
        return {
            "id": self.id,
            "level": self.level.value,
            "group": self.group,
            "text": self.text,
            "why": self.why,
            "case": self.case,
            "fix": self.fix,
            "needs": self.needs,
            "options": {option: about[option] for option in self.options},
            "sources": [asdict(source) for source in self.sources],
        }


@cache
def load_register() -> Mapping[str, Requirement]:
    """Every requirement by id, in the order in which the suite runs them."""
    found = msgspec.convert(_document()["requirement"], list[Requirement])
    return MappingProxyType({requirement.id: requirement for requirement in found})


@cache
def load_sources() -> Mapping[str, RequirementSource]:
    """Every source by its key, as ``page``, ``OV-CHAT`` or ``protocol.md 1.3``."""
    found = {key: {"key": key, **about} for key, about in _document()["sources"].items()}
    return MappingProxyType(msgspec.convert(found, dict[str, RequirementSource]))


def load_groups() -> Mapping[str, str]:
    """What each group is about, in the register's order."""
    return MappingProxyType(_document()["groups"])


def load_series() -> Mapping[str, str]:
    """What else is sent by the cases that need more than one request, by glob on ids."""
    return MappingProxyType(_document()["series"])


def load_glossary() -> Mapping[str, str]:
    """What the terms of the ``case`` texts mean."""
    return MappingProxyType(_document()["terms"])


def load_options() -> Mapping[str, str]:
    """What the options do that change how a requirement is judged."""
    return MappingProxyType(_document()["options"])


def select(only: Sequence[str] = (), exclude: Sequence[str] = ()) -> tuple[Requirement, ...]:
    """The requirements that *only* names (all, if empty) less those that *exclude* names, in the register's order.

    An entry is an id, a glob on ids (``sign.*``) or the beginning of ids up to a dot (``app-id``, ``url.platform``), or
    several of these separated by commas. Raises ``ConfigurationError`` for one that matches nothing, and when nothing
    is left.
    """
    register = load_register()
    left = (_named(only) if only else set(register)) - _named(exclude)
    if not left:
        raise ConfigurationError(f"no requirement is left once {', '.join(exclude)} is excluded; exclude less")
    return tuple(requirement for requirement in register.values() if requirement.id in left)


def planned(only: Sequence[str] = (), exclude: Sequence[str] = (), *, fuzz: bool = False) -> tuple[Requirement, ...]:
    """What a run judges: as ``select``, but of ``fuzz.*`` nothing unless *fuzz* or *only* asks for it."""
    chosen = select(only, exclude)
    return chosen if fuzz or only else tuple(one for one in chosen if one.needs != "fuzz")


def _named(entries: Sequence[str]) -> set[str]:
    parts = [part.strip() for entry in entries for part in entry.split(",") if part.strip()]
    if entries and not parts:
        raise ConfigurationError("an empty list of requirements; name ids, groups or globs, as in ack.status,sign.*")
    return {one for part in parts for one in _ids(part)}


def _ids(entry: str) -> set[str]:
    """The ids that one *entry* names: an id means itself only, even where it begins other ids."""
    register = load_register()
    if entry in register:
        return {entry}
    ids = {one for one in register if fnmatchcase(one, entry) or one.startswith(f"{entry}.")}
    if not ids:
        groups = dict.fromkeys(requirement.group for requirement in register.values())
        hint = did_you_mean(entry, [*groups, *register]) or "; 'roomhook requirements' lists them"
        raise ConfigurationError(f"no requirement is named {entry!r}{hint}")
    return ids


@cache
def _document() -> dict[str, Any]:
    file = importlib.resources.files("roomhook.contract_tests.model").joinpath("requirements.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))
