"""The register of requirements on an App backend, read from ``requirements.toml``: look up and select."""

from __future__ import annotations

import difflib
import importlib.resources
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from roomhook.schemas.errors import ConfigurationError

__all__ = ["NEEDS", "Level", "Requirement", "Source", "load_register", "load_sources", "select"]


class Level(StrEnum):
    """How much a requirement weighs in the verdict."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    INFO = "INFO"

    @property
    def meaning(self) -> str:
        """What the level stands for, and what a breach does to the verdict."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Level.MUST: "the documents state it, it is the acknowledgement of a valid callback, or you opted in. "
    "A breach fails the run (exit code 1).",
    Level.SHOULD: "it follows from documented variants, drift between pages, or how the real sender can behave. "
    "A breach is reported, and fails the run only with --strict.",
    Level.INFO: "worth knowing, nobody's duty. It never fails a run.",
}

NEEDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "": "",
        "token": "judged only when you give the callback token (--token or ROOMHOOK_TOKEN)",
        "https": "judged only when the target's URL starts with https://",
        "probe": "judged only with a probe that tells who is in a room",
    }
)
"""What a requirement needs before it can be judged, as half a sentence."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a requirement is written down: a page with its addresses and its own date, or a kind of reasoning without any."""

    key: str
    title: str
    addresses: tuple[str, ...] = ()
    date: str = ""

    def __str__(self) -> str:
        """One line, addresses last: ``OV-CHAT: Webhook Overview (2024-08-09), https://…``."""
        dated = f"{self.title} ({self.date})" if self.date else self.title
        return ", ".join((f"{self.key}: {dated}", *self.addresses))


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing an App backend owes: a sentence, its weight, why it matters, how it is tested and how a breach is mended."""

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
    def sources(self) -> tuple[Source, ...]:
        """The source keys resolved to titles and addresses."""
        known = load_sources()
        return tuple(known[key] for key in self.source)


@cache
def load_register() -> Mapping[str, Requirement]:
    """Every requirement by id, in the order in which the suite runs them."""
    return MappingProxyType({entry["id"]: _requirement(entry) for entry in _document()["requirement"]})


@cache
def load_sources() -> Mapping[str, Source]:
    """Every source by its key."""
    return MappingProxyType(
        {
            key: Source(key, entry["title"], tuple(entry.get("addresses", ())), entry.get("date", ""))
            for key, entry in _document()["sources"].items()
        }
    )


def select(only: Sequence[str] = (), exclude: Sequence[str] = ()) -> tuple[Requirement, ...]:
    """The requirements that *only* names (all, if empty) without those that *exclude* names, in the register's order.

    An entry is an id, a glob on ids (``sign.*``) or the beginning of ids up to a dot (``app-id``, ``url.platform``); several
    may stand in one entry, separated by commas. Raises ``ConfigurationError`` for an entry that matches nothing, and when
    nothing is left.
    """
    register = load_register()
    wanted = _matching(only) if only else set(register)
    left = wanted - _matching(exclude)
    if not left:
        raise ConfigurationError(
            f"no requirement is left: {', '.join(exclude)} excludes all that {', '.join(only) or 'the register'} names"
        )
    return tuple(requirement for requirement in register.values() if requirement.id in left)


def _matching(entries: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for entry in entries:
        for one in [part.strip() for part in entry.split(",") if part.strip()] or [""]:
            found |= _ids(one)
    return found


def _ids(entry: str) -> set[str]:
    """The ids that one *entry* names: an id means itself only, even where it begins other ids."""
    register = load_register()
    if entry in register:
        return {entry}
    ids = {one for one in register if fnmatchcase(one, entry) or one.startswith(f"{entry}.")}
    if not ids:
        raise ConfigurationError(f"no requirement is called {entry!r}{_hint(entry)}")
    return ids


def _hint(entry: str) -> str:
    register = load_register()
    groups = dict.fromkeys(requirement.group for requirement in register.values())
    close = difflib.get_close_matches(entry.lower(), [*register, *groups], n=3, cutoff=0.6)
    close += [one for one in register if len(entry) > 2 and entry.lower() in one and one not in close][: 3 - len(close)]
    if close:
        return f"; did you mean {' or '.join((', '.join(close[:-1]), close[-1])) if close[1:] else close[0]}?"
    return "; 'roomhook requirements' lists them all"


def _requirement(entry: Mapping[str, Any]) -> Requirement:
    return Requirement(
        id=entry["id"],
        level=Level(entry["level"]),
        text=entry["text"],
        why=entry["why"],
        case=entry["case"],
        fix=entry["fix"],
        source=tuple(entry["source"]),
        needs=entry.get("needs", ""),
        options=tuple(entry.get("options", ())),
    )


@cache
def _document() -> dict[str, Any]:
    text = (
        importlib.resources.files("roomhook.contract_tests").joinpath("requirements.toml").read_text(encoding="utf-8")
    )
    return tomllib.loads(text)
