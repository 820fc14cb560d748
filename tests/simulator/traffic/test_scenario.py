"""A scenario: phases in a TOML file, held to a schema, each with the defaults of its profile."""

from __future__ import annotations

import re
from collections import Counter
from math import inf, nan
from pathlib import Path
from typing import Any

import msgspec
import pytest

from roomhook.errors import ConfigurationError
from roomhook.schemas.loader import problems, schema
from roomhook.simulator.protocol.packets import decode_leave
from roomhook.simulator.rooms.behaviour import BackendBehaviour, ExpiredOperator
from roomhook.simulator.traffic.generator import FIXED_START_MS, TrafficRequest, events
from roomhook.simulator.traffic.profiles import Phase, Profile, defaults
from roomhook.simulator.traffic.scenario import Backend, ReasonStyle, Scenario, from_document, read_document
from roomhook.simulator.util.durations import parse_duration
from roomhook.simulator.util.limits import MOST

MINUTE = 60_000

FRIDAY = """
[defaults]
rooms = 20
members = 400

[[phase]]
profile = "steady"
duration = "10m"

[[phase]]
profile = "outage"
duration = "4m"
share = 1.0
reenter = 0

[[phase]]
profile = "dissolve"
duration = "2m"
rooms = 5

[backend]
expired_operator = "system"
"""


def friday(tmp_path: Path) -> Scenario:
    path = tmp_path / "friday.toml"
    path.write_text(FRIDAY)
    return from_document(read_document(path), path.name)


def test_phases_take_their_own_parameters_before_the_common_ones_before_their_profiles(tmp_path: Path) -> None:
    steady, outage, dissolve = friday(tmp_path).phases
    assert (steady.rooms, steady.members, steady.duration, steady.flow) == (20, 400, 10 * MINUTE, 1)
    assert (outage.share, outage.recover, outage.flow) == (1, 0, 0)
    assert (dissolve.rooms, dissolve.members) == (5, 400)


def test_phases_follow_one_another_in_the_same_rooms(tmp_path: Path) -> None:
    by_phase: list[Counter[str]] = [Counter(), Counter(), Counter()]
    rooms: list[set[str]] = [set(), set(), set()]
    for event in events(TrafficRequest(scenario=friday(tmp_path), seed=1)):
        minute = (event.time_ms - FIXED_START_MS) // MINUTE
        phase = 0 if minute < 10 else 1 if minute < 14 else 2
        packet = decode_leave(event.body)
        by_phase[phase][packet.type] += 1
        rooms[phase].add(packet.room_id)
        if packet.type == "Expired":
            assert packet.operator_account == "@TIM#SYSTEM"
    assert by_phase[0]["Leave"] > 50
    assert by_phase[1]["Expired"] > 200
    assert by_phase[2]["Leave"] > by_phase[2]["Expired"]
    assert rooms[0] & rooms[1]


def test_rooms_follow_from_members_and_members_from_rooms() -> None:
    def of(profile: str, **given: Any) -> tuple[int, int]:
        (phase,) = from_document({"phase": [{"profile": profile, **given}]}, "test").phases
        return phase.rooms, phase.members

    assert of("evening") == (100, 1000)
    assert of("steady", rooms=7) == (7, 70)
    assert of("steady", members=500) == (50, 500)
    assert of("steady", members=5) == (1, 5)
    assert of("dissolve") == (1, 200)
    assert of("dissolve", rooms=3) == (3, 600)
    assert of("dissolve", members=30) == (1, 30)


def test_a_wave_lasts_for_one_period_of_itself() -> None:
    (phase,) = from_document({"phase": [{"profile": "kick-wave", "every": "7m"}]}, "test").phases
    assert phase.duration == 7 * MINUTE


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"phase": [{"profile": "steady"}], "phases": 1}, "unknown key 'phases' in the top level; did you mean phase?"),
        ({"phase": [{"profile": "steady", "mebmers": 5}]}, "unknown key 'mebmers' in phase 1; did you mean members?"),
        ({"phase": [{"profile": "steady", "mix": {"left": 5}}]}, "unknown key 'left' in mix"),
        ({"phase": [{"profile": "steady"}], "backend": {"operator": ""}}, "unknown key 'operator' in backend"),
    ],
)
def test_an_unknown_key_is_refused_in_one_line_that_names_the_known_ones(
    document: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        from_document(document, "friday.toml")
    line = str(error.value)
    assert line.startswith(f"friday.toml: {complaint}")
    assert "it may hold" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, r"\$\.phase: is missing"),
        ({"phase": []}, r"\$\.phase: must not be empty"),
        ({"phase": [{}]}, r"\$\.phase\[0\]\.profile: is missing"),
        ({"phase": [{"profile": "morning"}]}, "must be one of .*evening"),
        ({"phase": [{"profile": "steady", "members": "many"}]}, "must be an integer, not a string"),
        ({"phase": [{"profile": "steady", "share": 2}]}, "must be at most 1"),
        ({"phase": [{"profile": "steady", "stay": "long"}]}, "stay: 'long' is not a duration; write it as 90s"),
        ({"phase": [{"profile": "steady", "stay": 0}]}, r"stay: must be above 0"),
        ({"phase": [{"profile": "steady", "stay": "0s"}]}, r"stay: must be above 0, not '0s'"),
        ({"phase": [{"profile": "steady", "flow": nan}]}, r"\$\.phase\[0\]\.flow: must be a finite number, not nan"),
        (
            {"phase": [{"profile": "steady", "mix": {"leave": nan, "kicked": 10}}]},
            r"friday\.toml: \$\.phase\[0\]\.mix\.leave: must be a finite number, not nan",
        ),
        (
            {"phase": [{"profile": "steady"}], "defaults": {"share": inf}},
            r"\$\.defaults\.share: must be a finite number",
        ),
        ({"phase": [{"profile": "steady", "platforms": {"Foo": 1}}]}, "unknown key 'Foo' in platforms; it may hold"),
        ({"phase": [{"profile": "steady", "recover": 1}]}, r"recover: must be at most 0\.95"),
        ({"phase": [{"profile": "steady"}], "backend": {"heartbeat": ["9s", "8s"]}}, "name the soonest first"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused_in_one_line(document: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as error:
        from_document(document, "friday.toml")
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_or_no_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        read_document(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[[phase]\n")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        read_document(tmp_path / "bad.toml")


def test_a_number_of_thousands_of_digits_is_refused_like_what_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(f"[[phase]]\nprofile = 'steady'\nrooms = {'9' * 5000}\n")
    with pytest.raises(ConfigurationError, match="is not TOML"):
        read_document(tmp_path / "long.toml")


def test_the_platforms_of_a_scenario_are_the_documented_ones() -> None:
    documented = schema("url")["properties"]["OptPlatform"]["enum"]
    for part in (schema("scenario")["properties"]["phase"]["items"], schema("scenario")["properties"]["defaults"]):
        assert sorted(part["properties"]["platforms"]["properties"]) == sorted(documented)


def test_schema_defaults_and_reference_name_the_same_parameters() -> None:
    rules = schema("scenario")["properties"]
    parameters = rules["phase"]["items"]["properties"]
    assert tuple(parameters) == Phase.__struct_fields__
    assert [name for name in parameters if name != "profile"] == list(rules["defaults"]["properties"])
    (phase,) = from_document({"phase": [{"profile": "dissolve"}]}, "test").phases
    for name, rule in parameters.items():
        if "default" in rule:
            (stated,) = from_document({"phase": [{"profile": "dissolve", name: rule["default"]}]}, "test").phases
            assert getattr(stated, name) == getattr(phase, name), name
    reference = (Path(__file__).parents[3] / "docs" / "reference-traffic.md").read_text(encoding="utf-8")
    for name in (*parameters, *rules["backend"]["properties"], *Profile):
        assert re.search(rf"`{name}`", reference), name


def test_the_backend_table_settles_what_the_pages_leave_open() -> None:
    habits = {"expired_operator": "empty", "heartbeat": ["10s", 20], "reason": "absent", "administrator": "root"}
    found = from_document({"phase": [{"profile": "steady"}], "backend": habits}, "test").backend
    assert found.reason is ReasonStyle.ABSENT
    assert found.behaviour == BackendBehaviour(
        expired_operator=ExpiredOperator.EMPTY, heartbeat_ms=(10_000, 20_000), administrator="root"
    )
    assert from_document({"phase": [{"profile": "steady"}]}, "test").backend == Backend()


def test_every_profile_has_a_default_for_every_parameter() -> None:
    for profile in Profile:
        assert isinstance(msgspec.convert(defaults(profile, {}), Phase), Phase)
        assert not problems("scenario", {"phase": [{"profile": profile}]})


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90_000),
        ("1h30m", 5_400_000),
        ("250ms", 250),
        ("1.5m", 90_000),
        ("2d", 172_800_000),
        (3, 3000),
        ("0.5", 500),
    ],
)
def test_durations_are_written_as_people_write_them(text: str | float, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize("text", ["", "s", "10 parsecs", "-5s", "1h-2m", "5x"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write it as 90s, 10m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "9" * 400, "9" * 400 + "d"])
def test_a_duration_that_nobody_lives_to_see_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="longer than a hundred years"):
        parse_duration(text)


def test_more_rooms_or_people_than_were_measured_are_refused_by_schema_and_profile_alike() -> None:
    for name in ("rooms", "members"):
        assert schema("scenario")["properties"]["phase"]["items"]["properties"][name]["maximum"] == MOST
    assert defaults(Profile.STEADY, {"rooms": 100_000})["members"] == MOST
    with pytest.raises(ConfigurationError, match=r"2,000,000 people are too many: .* as in 100,000 rooms of 10"):
        defaults(Profile.STEADY, {"rooms": 200_000})
    with pytest.raises(ConfigurationError, match="too many"):
        defaults(Profile.DISSOLVE, {"rooms": MOST + 1, "members": 1})
