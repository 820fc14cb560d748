"""The scenario: phases of traffic and the behaviour of the Room backend, from a file or from options, by one schema."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from roomhook.errors import ConfigurationError, SchemaError
from roomhook.schemas.loader import problems, schema
from roomhook.simulator.rooms.behaviour import BackendBehaviour
from roomhook.simulator.traffic.profiles import Phase, Profile, defaults
from roomhook.simulator.util.durations import parse_duration
from roomhook.simulator.util.limits import read_bounded
from roomhook.suggestions import did_you_mean

__all__ = ["Backend", "ReasonStyle", "Scenario", "from_document", "read_document"]

_DURATIONS: Final = frozenset({"duration", "every", "fill", "sweep", "stay", "owner_grace"})
_PAUSES: Final = frozenset({"fill", "sweep", "owner_grace"})
"""Those that may be 0."""

_WHERE: Final = re.compile(r"\$\.(?:phase\[\d+\]|backend)\.(\w+)(.*)")


class ReasonStyle(StrEnum):
    """Reason of a Leave and of an Expired, which no page states; a Kicked always has one (protocol.md 7.5)."""

    TEXT = "text"
    EMPTY = "empty"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Backend:
    """The behaviour of the simulated Room backend."""

    behaviour: BackendBehaviour = field(default_factory=BackendBehaviour)
    reason: ReasonStyle = ReasonStyle.TEXT


@dataclass(frozen=True, slots=True)
class Scenario:
    """Phases one after another, of which only the last may have no end, and the behaviour of the Room backend."""

    phases: tuple[Phase, ...]
    backend: Backend = field(default_factory=Backend)


def read_document(path: Path) -> dict[str, Any]:
    """The TOML document in the file *path*; raises ``ConfigurationError`` if there is none."""
    try:
        return tomllib.loads(read_bounded(path).decode("utf-8-sig"))  # editors on Windows begin a file with a BOM
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the scenario {path} can't be read: {error}") from None
    except (ValueError, RecursionError) as error:  # besides what is no TOML, numbers of thousands of digits
        raise ConfigurationError(f"the scenario {path} is not TOML: {error}") from None


def from_document(document: Mapping[str, Any], name: str, options: Mapping[str, str] | None = None) -> Scenario:
    """The scenario in *document*; raises ``SchemaError``, which says in one line what is wrong in *name*.

    Where a key stands for an option, as *options* has it (``{"rooms": "--rooms"}``), it is the option that is wrong.
    """
    options = options or {}
    _refuse_unknown_keys(document, schema("scenario"), name, "the top level", options)
    for given in (document.get("defaults", {}), *document.get("phase", ())):
        _refuse_bad_durations(given, name, options)
    for path, value in _infinities(document, "$"):
        raise SchemaError(f"{_place(path, name, options)}: must be a finite number, not {value}")
    for problem in problems("scenario", document)[:1]:
        place = _place(problem.path, "", options)
        raise SchemaError(
            f"{place}: {problem.message} (not {problem.value})"
            if place.startswith("-")
            else f"{name}: {problem}; see `roomhook schema scenario`"
        )
    common = document.get("defaults", {})
    phases = tuple(_phase({**common, **given}) for given in document["phase"])
    return Scenario(phases, _backend(document.get("backend", {}), name, options))


def _place(path: str, name: str, options: Mapping[str, str]) -> str:
    """The place of the JSON *path* for the user: the option that they gave, or *name*."""
    match = _WHERE.fullmatch(path)
    if match is None or match[1] not in options:
        return f"{name}: {path}"
    inside = match[2].lstrip(".")
    return f"{options[match[1]]} ({inside})" if inside else options[match[1]]


def _infinities(found: Any, path: str) -> Iterator[tuple[str, float]]:
    """The NaN and infinite numbers, with their JSON paths: a schema's bounds do not refuse NaN."""
    if isinstance(found, float) and not math.isfinite(found):
        yield path, found
    elif isinstance(found, Mapping):
        for key, value in found.items():
            yield from _infinities(value, f"{path}.{key}")
    elif isinstance(found, list):
        for index, value in enumerate(found):
            yield from _infinities(value, f"{path}[{index}]")


def _phase(given: Mapping[str, Any]) -> Phase:
    durations = {key: parse_duration(value) for key, value in given.items() if key in _DURATIONS}
    return msgspec.convert(defaults(Profile(given["profile"]), {**given, **durations}), Phase)


def _backend(given: Mapping[str, Any], name: str, options: Mapping[str, str]) -> Backend:
    habits = dict(given)
    style = ReasonStyle(habits.pop("reason", ReasonStyle.TEXT))
    if "heartbeat" in habits:
        soonest, latest = (parse_duration(text) for text in habits.pop("heartbeat"))
        if soonest > latest:
            where = options.get("heartbeat", f"{name}: heartbeat")
            raise ConfigurationError(f"{where} is to name the soonest first, as in 90s and 110s")
        habits["heartbeat_ms"] = (soonest, latest)
    return Backend(msgspec.convert(habits, BackendBehaviour), style)


def _refuse_bad_durations(given: Any, name: str, options: Mapping[str, str]) -> None:
    """Raise ``SchemaError`` for an invalid duration, in plainer words than the schema's pattern."""
    for key in sorted(_DURATIONS & set(given)) if isinstance(given, dict) else ():
        where, written = options.get(key, f"{name}: {key}"), given[key]
        if isinstance(written, str | int | float) and not isinstance(written, bool):
            try:
                lasts = parse_duration(written)
            except ConfigurationError as error:
                raise SchemaError(f"{where}: {error}") from None
            if not lasts and key not in _PAUSES:
                raise SchemaError(f"{where}: must be above 0, not {written!r}; write it as 90s, 10m or 1h30m")


def _refuse_unknown_keys(
    found: Any, rules: Mapping[str, Any], name: str, where: str, options: Mapping[str, str]
) -> None:
    """Raise ``SchemaError`` for the first key that the schema *rules* does not know, and name those that it knows."""
    if isinstance(found, list):
        for number, one in enumerate(found, 1):
            _refuse_unknown_keys(one, rules.get("items", {}), name, f"{where} {number}", options)
    elif isinstance(found, dict) and "properties" in rules:
        known = rules["properties"]
        for key, value in found.items():
            if key not in known:
                hint = did_you_mean(key, known) or ";"
                place = options.get(where, name)
                raise SchemaError(f"{place}: unknown key {key!r} in {where}{hint} it may hold {', '.join(known)}")
            _refuse_unknown_keys(value, known[key], name, key, options)
