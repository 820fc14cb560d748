"""Options of ``roomhook traffic`` made into the traffic they ask for; a mistake is one line that names the remedy."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from roomhook.cli.shared.options import naming
from roomhook.errors import ConfigurationError
from roomhook.schemas.loader import schema
from roomhook.simulator.protocol.identifiers import LONGEST_ACCOUNT, LONGEST_ROOM_ID, read_ids
from roomhook.simulator.rooms.people import stems
from roomhook.simulator.traffic.generator import FIXED_START_MS, TrafficRequest
from roomhook.simulator.traffic.population import MAX_GROUPS
from roomhook.simulator.traffic.scenario import Scenario, from_document, read_document
from roomhook.simulator.util.durations import parse_duration
from roomhook.suggestions import did_you_mean

__all__ = ["TrafficOptions", "parse_range", "parse_shard", "traffic_from"]

_PHASE_OPTIONS: Final = ("profile", "members", "duration", "mix", "platforms", "stay", "size_tail")
_EXAMPLES: Final = {"platforms": "Android=60,iOS=40", "kick_by": "owner=2,rest=1"}
_EXAMPLE: Final = "leave=90,kicked=10"
_EARLIEST_MS: Final = 1_000_000_000_000
_LATEST_MS: Final = 9_999_999_999_999
"""EventTime has 13 digits (protocol.md 3.1)."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 (what is counted from it has been brought to UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficOptions:
    """What stands on the command line, as text where a person writes text; None is what was not given.

    ``phase`` has the options that are parameters of a phase, ``params`` those given as NAME=VALUE, and ``backend`` the
    habits of the Room backend, each by the name that it has in a scenario file.
    """

    phase: Mapping[str, Any]
    params: tuple[str, ...] = ()
    backend: Mapping[str, Any]
    scenario: Path | None = None
    rooms: str | None = None
    people: Path | None = None
    events: int | None = None
    with_enter: bool = False
    locales: tuple[str, ...] = ()
    mixed_languages: bool = False
    start: str | None = None
    shard: tuple[int, int] = (1, 1)
    speed: float | None = None


def traffic_from(asked: TrafficOptions, *, seed: int, sending: bool = False) -> TrafficRequest:
    """The traffic that is *asked* for; raises ``ConfigurationError``.

    Without --start, the world begins now if its callbacks are for *sending*, and at a fixed moment if they are not.
    """
    room_ids = _room_ids(asked.rooms)
    people = read_ids(asked.people, "--people", LONGEST_ACCOUNT) if asked.people else ()
    start_ms, offset_ms = _start(asked.start or ("now" if sending else None))
    scenario = _scenario(asked, room_ids, people)
    _refuse_late_end(scenario, start_ms, asked.speed or 1.0)
    _refuse_empty_shard(scenario, asked.shard)
    with naming("--locale"):
        for locale in asked.locales:
            stems(locale)
    return TrafficRequest(
        scenario=scenario,
        seed=seed,
        start_ms=start_ms,
        offset_ms=offset_ms,
        limit=asked.events,
        with_enter=asked.with_enter,
        rooms=room_ids,
        people=people,
        locales=asked.locales,
        mixed_languages=asked.mixed_languages,
        shard=asked.shard,
        speed=asked.speed or 1.0,
    )


def parse_range(text: str) -> list[str]:
    """The two ends of a range of time such as ``90s-110s``; raises ``ConfigurationError``."""
    ends = text.split("-")
    try:
        if len(ends) == 2 and all(parse_duration(end) >= 0 for end in ends):
            return ends
    except ConfigurationError:
        pass
    raise ConfigurationError(f"--heartbeat {text!r} is no range; write it as 90s-110s")


def parse_shard(text: str | None) -> tuple[int, int]:
    """Which part of how many ``--shard 1/4`` asks for, without it the whole; raises ``ConfigurationError``."""
    if text is None:
        return 1, 1
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigurationError(f"--shard {text!r} is no part of the rooms; write it as 1/4, 2/4, 3/4 or 4/4")
    return int(match[1]), int(match[2])


def _scenario(asked: TrafficOptions, room_ids: tuple[str, ...], people: tuple[str, ...]) -> Scenario:
    phase = {name: value for name, value in asked.phase.items() if value is not None}
    backend = {name: value for name, value in asked.backend.items() if value is not None}
    if asked.scenario is not None:
        given = [*phase, *(["rooms"] if asked.rooms and not room_ids else []), *(["param"] if asked.params else [])]
        if given:
            raise ConfigurationError(
                f"{_option(given[0])} and --scenario exclude each other: write {given[0]} into the file's phases"
            )
        document = read_document(asked.scenario)
        document["backend"] = {**document.get("backend", {}), **backend}
        return from_document(document, asked.scenario.name)
    settings: dict[str, Any] = {"profile": "evening"}
    options = {name: _option(name) for name in (*_PHASE_OPTIONS, *backend, "rooms")}
    settings |= {name: _value(name, value, options[name]) for name, value in phase.items()}
    params = _params(asked.params)
    settings |= params
    options |= {name: f"--param {name}" for name in params}
    if asked.rooms is not None:
        settings["rooms"] = len(room_ids) or int(asked.rooms)
        options["rooms"] = "--rooms"
    if people:
        settings.setdefault("members", len(people))
    found = from_document({"phase": [settings], "backend": backend}, "the options", options)
    if asked.events is None or "duration" in settings:
        return found
    endless = msgspec.structs.replace(found.phases[0], duration=None)
    return Scenario((endless,), found.backend)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _params(given: tuple[str, ...]) -> dict[str, Any]:
    known = schema("scenario")["properties"]["defaults"]["properties"]
    found: dict[str, Any] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise ConfigurationError(f"--param {text!r} is not NAME=VALUE, as in reenter=0.2")
        if name not in known:
            hint = did_you_mean(name, known) or ";"
            raise ConfigurationError(f"--param {name!r} is no parameter of a phase{hint} there are {', '.join(known)}")
        found[name] = _value(name, value, f"--param {name}")
    return found


def _value(name: str, text: Any, option: str) -> Any:
    """The value that *text* stands for: shares such as ``leave=90,kicked=10``, a number, or the text itself."""
    if not isinstance(text, str):
        return text
    kind = schema("scenario")["properties"]["phase"]["items"]["properties"].get(name, {}).get("type")
    if kind == "object":
        return _shares(text, option, _EXAMPLES.get(name, _EXAMPLE))
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # besides what is not TOML, numbers of thousands of digits
        return text
    return value if isinstance(value, int | float | list) else text  # no dates


def _shares(text: str, option: str, example: str) -> dict[str, float]:
    """Weights by name; raises ``ConfigurationError`` for what is no list of them, or has a name twice."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, weight = (one.strip() for one in part.partition("="))
        if name in found:
            raise ConfigurationError(f"{option} {text!r} has {name} twice; give it one weight, as in {example}")
        try:
            found[name] = float(weight)
        except ValueError:
            raise ConfigurationError(f"{option} {text!r} is no list of weights; write it as {example}") from None
    return found


def _room_ids(rooms: str | None) -> tuple[str, ...]:
    """The ids in the file that --rooms names; none if it gives a number or nothing."""
    if rooms is None or re.fullmatch(r"-?[0-9]{1,18}", rooms):
        return ()
    return read_ids(Path(rooms), "--rooms", LONGEST_ROOM_ID)


def _start(text: str | None) -> tuple[int, int]:
    """The world's first moment (ms since the epoch) and what its time of day is ahead of UTC (ms)."""
    if text is None:
        return FIXED_START_MS, 0
    if text == "now":
        return time.time_ns() // 1_000_000, 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"--start {text!r} is no moment; write it as 2026-01-02T18:00:00+08:00 or now"
        ) from None
    offset = moment.utcoffset() or timedelta()
    start_ms = (moment.replace(tzinfo=None) - _EPOCH - offset) // timedelta(milliseconds=1)
    if not _EARLIEST_MS <= start_ms <= _LATEST_MS:
        raise ConfigurationError(
            f"--start {text!r} is none that an EventTime of 13 digits can tell: "
            "give one from 2001-09-09T01:46:40Z to 2286-11-20T17:46:39Z"
        )
    return start_ms, offset // timedelta(milliseconds=1)


def _refuse_late_end(scenario: Scenario, start_ms: int, speed: float) -> None:
    lasts = sum(phase.duration or 0 for phase in scenario.phases)
    if start_ms + lasts / speed > _LATEST_MS:
        raise ConfigurationError(
            "the rooms would live beyond 2286-11-20T17:46:39Z, which no EventTime of 13 digits can tell: "
            "give an earlier --start, or a shorter --duration"
        )


def _refuse_empty_shard(scenario: Scenario, shard: tuple[int, int]) -> None:
    """A part in which no room can be is a mistake: its worker would do nothing and call that a success."""
    rooms = max(phase.rooms for phase in scenario.phases)
    most = min(rooms, MAX_GROUPS)
    part, parts = shard
    if parts > most:
        raise ConfigurationError(
            f"--shard {part}/{parts}: {rooms} room{'s' if rooms > 1 else ''} can be divided into at most "
            f"{most} part{'s' if most > 1 else ''}; "
            + (f"write 1/{most} to {most}/{most}" if most > 1 else "leave it out, or ask for more --rooms")
        )
