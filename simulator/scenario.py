"""The scenario: phases of traffic and the habits of the Room backend, from a file or from options, by one schema."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from roomhook.schemas.errors import ConfigurationError, SchemaError
from roomhook.schemas.loader import problems, schema
from roomhook.schemas.suggestions import did_you_mean
from roomhook.simulator.durations import parse_duration
from roomhook.simulator.profiles import Phase, Profile, defaults
from roomhook.simulator.rooms import Dialect

__all__ = ["Backend", "ReasonStyle", "Scenario", "from_document", "read_document"]

_DURATIONS: Final = frozenset({"duration", "every", "fill", "sweep", "stay", "owner_grace"})


class ReasonStyle(StrEnum):
    """Reason of a Leave and of an Expired, which no page states; a Kicked always has one (protocol.md 7.5)."""

    TEXT = "text"
    EMPTY = "empty"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Backend:
    """The habits of the Room backend that is played."""

    dialect: Dialect = field(default_factory=Dialect)
    reason: ReasonStyle = ReasonStyle.TEXT


@dataclass(frozen=True, slots=True)
class Scenario:
    """Phases one after another, of which only the last can be without an end, and the backend that tells of them."""

    phases: tuple[Phase, ...]
    backend: Backend = field(default_factory=Backend)


def read_document(path: Path) -> dict[str, Any]:
    """The TOML document in the file *path*; raises ``ConfigurationError`` if there is none."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the scenario {path} can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the scenario {path} is not TOML: {error}") from None


def from_document(document: Mapping[str, Any], name: str) -> Scenario:
    """The scenario in *document*; raises ``SchemaError``, which says in one line what is wrong in *name*."""
    _refuse_unknown_keys(document, schema("scenario"), name, "the top level")
    for given in (document.get("defaults", {}), *document.get("phase", ())):
        _refuse_bad_durations(given, name)
    for problem in problems("scenario", document)[:1]:
        raise SchemaError(f"{name}: {problem}; see `roomhook schema scenario`")
    common = document.get("defaults", {})
    phases = tuple(_phase({**common, **given}) for given in document["phase"])
    return Scenario(phases, _backend(document.get("backend", {}), name))


def _phase(given: Mapping[str, Any]) -> Phase:
    durations = {key: parse_duration(value) for key, value in given.items() if key in _DURATIONS}
    return msgspec.convert(defaults(Profile(given["profile"]), {**given, **durations}), Phase)


def _backend(given: Mapping[str, Any], name: str) -> Backend:
    habits = dict(given)
    style = ReasonStyle(habits.pop("reason", ReasonStyle.TEXT))
    if "heartbeat" in habits:
        soonest, latest = (parse_duration(text) for text in habits.pop("heartbeat"))
        if soonest > latest:
            raise ConfigurationError(f"{name}: heartbeat is to name the soonest first, as in 90s and 110s")
        habits["heartbeat_ms"] = (soonest, latest)
    return Backend(msgspec.convert(habits, Dialect), style)


def _refuse_bad_durations(given: Any, name: str) -> None:
    """Raise ``SchemaError`` for text that is no duration, in plainer words than the schema's pattern has for it."""
    for key in _DURATIONS & set(given) if isinstance(given, dict) else ():
        if isinstance(given[key], str):
            try:
                parse_duration(given[key])
            except ConfigurationError as error:
                raise SchemaError(f"{name}: {key}: {error}") from None


def _refuse_unknown_keys(found: Any, rules: Mapping[str, Any], name: str, where: str) -> None:
    """Raise ``SchemaError`` for the first key that the schema *rules* does not know, and name those that it knows."""
    if isinstance(found, list):
        for number, one in enumerate(found, 1):
            _refuse_unknown_keys(one, rules.get("items", {}), name, f"{where} {number}")
    elif isinstance(found, dict) and "properties" in rules:
        known = rules["properties"]
        for key, value in found.items():
            if key not in known:
                hint = did_you_mean(key, known) or ";"
                raise SchemaError(f"{name}: unknown key {key!r} in {where}{hint} it may hold {', '.join(known)}")
            _refuse_unknown_keys(value, known[key], name, key)
