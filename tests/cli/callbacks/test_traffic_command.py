"""``roomhook traffic``: options, files, pipes and complaints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from roomhook.cli.main import main
from roomhook.simulator.rooms.people import stems


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ROOMHOOK_")]:
        monkeypatch.delenv(name)


def written(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> list[dict[str, Any]]:
    assert main(["traffic", "--seed", "7", *arguments]) == 0
    captured = capfdbinary.readouterr()
    assert captured.err == b""
    return [json.loads(line) for line in captured.out.splitlines()]


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["traffic", "--seed", "7", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_a_line_has_the_time_the_url_parameters_and_the_packet(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (line,) = written(capfdbinary, "--events", "1")
    assert list(line) == ["time", "parameters", "packet"]
    assert list(line["parameters"]) == ["CallbackCommand", "ClientIP", "OptPlatform"]
    assert line["time"] == line["packet"]["EventTime"]
    assert line["packet"]["CallbackCommand"] == line["parameters"]["CallbackCommand"] == "Room.CallbackAfterMemberLeave"


def test_a_seed_that_we_choose_is_told_and_repeats_the_run(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["traffic", "--events", "20"]) == 0
    first = capfdbinary.readouterr()
    seed = first.err.split()[1].decode()
    assert main(["traffic", "--events", "20", "--seed", seed]) == 0
    assert capfdbinary.readouterr().out == first.out


def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    command = f"{quote(sys.executable)} -m roomhook traffic --seed 1 --events 1000000 | head -n 2"
    done = subprocess.run(command, shell=True, capture_output=True, timeout=60, check=False)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == b""


def test_rooms_and_people_come_from_files(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    (tmp_path / "rooms.txt").write_text("alpha\n\n beta \n방\n")
    (tmp_path / "people.txt").write_text("".join(f"user{number}\n" for number in range(60)))
    lines = written(
        capfdbinary, "--rooms", "rooms.txt", "--people", "people.txt", "--profile", "steady", "--events", "400"
    )
    assert {line["packet"]["RoomId"] for line in lines} == {"alpha", "beta", "방"}
    accounts = {account for line in lines for account in line["packet"]["MemberList_Account"]}
    assert accounts <= {f"user{number}" for number in range(60)}
    assert len(accounts) > 40


def test_members_rooms_and_duration_say_how_much(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = written(capfdbinary, "--profile", "dissolve", "--rooms", "3", "--members", "30", "--duration", "1m")
    assert sorted(Counter(line["packet"]["RoomId"] for line in lines).values()) == [10, 10, 10]


def test_enters_come_before_the_leaves_of_the_same_people(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = written(capfdbinary, "--profile", "dissolve", "--members", "20", "--with-enter")
    assert [line["packet"]["Type"] for line in lines] == ["Enter"] * 20 + ["Leave"] * 20


def test_mix_platforms_and_stay_are_options_and_param_reaches_the_rest(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    options = ("--profile", "steady", "--mix", "kicked=1", "--platforms", "Web=1", "--stay", "30s", "--size-tail", "0")
    lines = written(capfdbinary, *options, "--param", "kick_by=rest=1", "--param", "owner_ends=0", "--events", "300")
    kicks = [line for line in lines if line["packet"]["Type"] == "Kicked"]
    assert len(kicks) > 150
    assert {line["packet"]["Operator_Account"] for line in kicks} == {"administrator"}
    assert {line["parameters"]["OptPlatform"] for line in lines} == {"Web", "RESTAPI"}


def test_start_is_the_first_moment(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    options = ("--profile", "steady", "--events", "1")
    for text, start in (("2026-03-01T12:00:00+08:00", 1_772_337_600_000), ("2026-03-01T04:00:00", 1_772_337_600_000)):
        (line,) = written(capfdbinary, *options, "--start", text)
        assert start <= line["time"] < start + 60_000
    (line,) = written(capfdbinary, *options, "--start", "now")
    assert abs(line["time"] - time.time() * 1000) < 120_000


def test_speed_waits_for_the_time_and_compresses_it(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    begun = time.monotonic()
    lines = written(capfdbinary, "--profile", "steady", "--duration", "2m", "--speed", "240x")
    assert 0.2 < time.monotonic() - begun < 20
    assert 0 < lines[-1]["time"] - lines[0]["time"] <= 500


def test_names_come_from_the_locales_that_are_asked_for(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = written(capfdbinary, "--locale", "ko_KR", "--profile", "dissolve", "--members", "5")
    accounts = {line["packet"]["Operator_Account"].rstrip("0123456789") for line in lines}
    assert accounts <= set(stems("ko_KR"))


def test_a_scenario_is_played_and_habits_on_the_command_line_win(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    (tmp_path / "two.toml").write_text(
        '[[phase]]\nprofile = "outage"\nshare = 1\n'
        '[[phase]]\nprofile = "dissolve"\n'
        '[backend]\nexpired_operator = "system"\n'
    )
    lines = written(capfdbinary, "--scenario", "two.toml", "--expired-operator", "empty")
    assert {line["packet"]["Type"] for line in lines} == {"Expired", "Leave"}
    assert {line["packet"]["Operator_Account"] for line in lines if line["packet"]["Type"] == "Expired"} == {""}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--param", "mebmers=5"), "--param 'mebmers' is no parameter of a phase; did you mean members? there are"),
        (("--param", "reenter"), "--param 'reenter' is not NAME=VALUE"),
        (("--mix", "left=1"), "unknown key 'left' in mix; it may hold leave, kicked, expired"),
        (("--mix", "leave"), "mix 'leave' is no list of weights; write it as leave=90,kicked=10"),
        (("--stay", "long"), "stay: 'long' is not a duration; write it as 90s, 10m or 1h30m"),
        (("--heartbeat", "90s"), "--heartbeat '90s' is no range; write it as 90s-110s"),
        (("--start", "soon"), "--start 'soon' is no moment; write it as 2026-01-02T18:00:00+08:00 or now"),
        (("--shard", "3/2"), "--shard '3/2' is no part of the rooms; write it as 1/4"),
        (("--speed", "fast"), "--speed 'fast' is no speed; write it as 60x, 0.5x or max"),
        (("--rooms", "0"), "rooms: must be at least 1"),
        (("--rooms", "none.txt"), "--rooms none.txt can't be read"),
        (("--people", "long.txt"), "--people long.txt, line 2: an id has at most 32 bytes"),
        (("--people", "twice.txt"), "--people twice.txt, line 3: 'a' is already in line 1"),
        (("--people", "empty.txt"), "--people empty.txt has no ids; write one per line"),
        (("--scenario", "none.toml"), "the scenario none.toml can't be read"),
        (("--scenario", "none.toml", "--members", "5"), "--members and --scenario exclude each other"),
        (("--scenario", "none.toml", "--rooms", "5"), "--rooms and --scenario exclude each other"),
        (("--scenario", "none.toml", "--param", "a=5"), "--param and --scenario exclude each other"),
        (("--profile", "morning"), "Invalid value for '--profile'"),
        (("--members", "0"), "Invalid value for '--members'"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "long.txt").write_text("a\n" + "b" * 33)
    (tmp_path / "twice.txt").write_text("a\nb\na\n")
    (tmp_path / "empty.txt").write_text("\n")
    assert says in complaint(capsys, *arguments)


def test_a_shard_without_a_seed_is_refused_since_its_other_parts_would_be_of_another_world(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["traffic", "--shard", "1/2"]) == 2
    assert "--shard 1/2 is a part of one world: give all its parts the same --seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--mix", "leave=nan"), "--mix (leave): must be a finite number, not nan"),
        (("--mix", "leave=inf"), "--mix (leave): must be a finite number, not inf"),
        (("--mix", "leave=1e308,kicked=1e308"), "--mix (leave): must be at most 1000000000"),
        (("--size-tail", "nan"), "'--size-tail': 'nan' is not a number"),
        (("--param", "reenter=nan"), "--param reenter: must be a finite number, not nan"),
        (("--param", "stay_sigma=nan"), "--param stay_sigma: must be a finite number, not nan"),
        (("--param", "flow=nan"), "--param flow: must be a finite number, not nan"),
        (("--param", f"flow={'9' * 5000}"), "--param flow: must be a number, not a string"),
        (("--stay", "0s"), "--stay: must be above 0, not '0s'; write it as 90s"),
        (("--stay", "0.1ms"), "--stay: must be above 0"),
        (("--param", "stay=0.0001"), "--param stay: must be above 0"),
        (("--duration", "0s"), "--duration: must be above 0"),
    ],
)
def test_numbers_that_are_none_and_times_of_nothing_are_refused_before_the_first_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert says in complaint(capsys, "--events", "50", *arguments)


@pytest.mark.parametrize(
    "moment",
    [
        "1960-01-01",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+08:00",
        "2001-09-09T01:46:39.999Z",
        "9999-12-31T23:59:59-08:00",
    ],
)
def test_a_start_that_no_event_time_can_tell_is_refused(capsys: pytest.CaptureFixture[str], moment: str) -> None:
    said = complaint(capsys, "--events", "50", "--start", moment)
    assert "give one from 2001-09-09T01:46:40Z to 2286-11-20T17:46:39Z" in said


def test_rooms_that_would_outlive_event_time_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "--start", "2286-11-20T17:00:00Z", "--duration", "1h")
    assert "beyond 2286-11-20T17:46:39Z" in said


def test_the_first_moment_that_event_time_can_tell_is_fine(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert len(written(capfdbinary, "--events", "50", "--start", "2001-09-09T01:46:40Z")) == 50


@pytest.mark.parametrize(
    ("profile", "options"),
    [("dissolve", ()), ("outage", ("--param", "share=1")), ("kick-wave", ("--param", "share=1"))],
)
def test_a_sweep_of_nothing_empties_a_room_as_fast_as_can_be(
    capfdbinary: pytest.CaptureFixture[bytes], profile: str, options: tuple[str, ...]
) -> None:
    lines = written(capfdbinary, "--profile", profile, "--members", "101", "--param", "sweep=0s", *options)
    gone = [account for line in lines for account in line["packet"]["MemberList_Account"]]
    assert len(gone) >= 100
    if profile != "outage":  # heartbeats expire when they do
        assert lines[-1]["time"] - lines[0]["time"] <= 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--rooms", "0"), "roomhook: --rooms: must be at least 1: how many rooms there are"),
        (("--rooms", "9999999"), "roomhook: --rooms: must be at most 1000000"),
        (("--size-tail", "-1"), "roomhook: --size-tail: must be at least 0"),
        (("--mix", "leave=-1"), "roomhook: --mix (leave): must be at least 0"),
        (("--param", "share=2"), "roomhook: --param share: must be at most 1"),
        (("--param", "mix=leave"), "roomhook: --param mix 'leave' is no list of weights"),
        (("--administrator", ""), "'--administrator': it is empty"),
        (("--heartbeat", "110s-90s"), "roomhook: --heartbeat is to name the soonest first"),
        (("--heartbeat", "-1s"), "roomhook: --heartbeat '-1s' is no range; write it as 90s-110s"),
        (("--heartbeat", "90s-soon"), "roomhook: --heartbeat '90s-soon' is no range; write it as 90s-110s"),
        (("--platforms", "ios=1"), "roomhook: --platforms: unknown key 'ios' in platforms; did you mean iOS"),
        (("--platforms", "Foo=1"), "it may hold Android, iOS, Windows, Web, Mac, macOS, iPad, Unknown, RESTAPI"),
        (("--mix", "leave=1,leave=2"), "roomhook: --mix 'leave=1,leave=2' has leave twice; give it one weight"),
    ],
)
def test_a_bad_value_is_told_by_the_name_of_its_option(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    said = complaint(capsys, *arguments)
    assert says in said
    assert "$" not in said
    assert "schema" not in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--shard", "300/400"), "--shard 300/400: 100 rooms can be divided into at most 100 parts; write 1/100 to"),
        (("--rooms", "5000", "--shard", "1/257"), "5000 rooms can be divided into at most 256 parts"),
        (("--profile", "dissolve", "--shard", "1/2"), "1 room can be divided into at most 1 part; leave it out"),
    ],
)
def test_a_shard_that_can_hold_no_room_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    assert says in complaint(capsys, *arguments)


@pytest.mark.parametrize("wrong", ["3/2", "foo", "0/4", f"1/{'9' * 5000}"])
def test_a_bad_shard_is_told_before_the_missing_seed(capsys: pytest.CaptureFixture[str], wrong: str) -> None:
    assert main(["traffic", "--shard", wrong]) == 2
    assert "is no part of the rooms; write it as 1/4" in capsys.readouterr().err


def test_a_byte_order_mark_is_no_part_of_an_id_or_a_scenario(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    (tmp_path / "rooms.txt").write_text("alpha\r\n", encoding="utf-8-sig")
    (tmp_path / "people.txt").write_text("ann\r\nbob\r\n", encoding="utf-8-sig")
    lines = written(
        capfdbinary, "--rooms", "rooms.txt", "--people", "people.txt", "--profile", "dissolve", "--members", "2"
    )
    assert {line["packet"]["RoomId"] for line in lines} == {"alpha"}
    assert {line["packet"]["MemberList_Account"][0] for line in lines} == {"ann", "bob"}
    (tmp_path / "one.toml").write_text('[[phase]]\r\nprofile = "dissolve"\r\nmembers = 3\r\n', encoding="utf-8-sig")
    assert len(written(capfdbinary, "--scenario", "one.toml")) == 3


def test_options_come_from_the_file_and_the_environment_too(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "roomhook.toml").write_text("[traffic]\nprofile = 'dissolve'\nmembers = 4\n")
    monkeypatch.setenv("ROOMHOOK_DISSOLUTION", "kicked")
    lines = written(capfdbinary)
    assert [line["packet"]["Type"] for line in lines] == ["Kicked"] * 4
