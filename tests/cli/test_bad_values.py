"""Every option of every command refuses every bad value: exit code 2, and one line that names the option."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import pytest
from typer.core import TyperCommand

from roomhook.cli.main import COMMANDS, command_line, main
from roomhook.cli.shared.config import keys_of
from roomhook.cli.shared.values import choices_of

URL: Final = "http://127.0.0.1:9/callback"
ARGUMENTS: Final = {
    "check": [URL],
    "load": [URL],
    "fire": ["leave", URL],
    "traffic": [URL],
    "replay": ["events.ndjson", URL],
    "report": ["report.json"],
    "journal": ["run.db"],
    "explain": ["ack.ok"],
}
INTEGERS: Final = ("", " 5 ", "1_000", "\u0665", "0x10", "five", "1.5", "9" * 24, "nan", "-" + "9" * 19, "\udcff")
NUMBERS: Final = ("", " 2", "1_0", "\u0662", "two", "nan", "inf", "-inf", "1e999", "2s", "\udcff")
CHOICES: Final = ("", "nonsense", "ÄÖÜ", "a,b", "\udcff")
PATHS: Final = ("", "x" * 300, "loop", "\udcff")
TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "only": ("", "zzz", "app-id.*.x"),
    "exclude": ("", "zzz"),
    "exec": ("",),
    "probe": ("", "nonsense", "ftp://127.0.0.1/{RoomId}", "http://127.0.0.1:99999/{RoomId}"),
    "probe-pointer": ("members",),
    "probe-command": ("", "ls 'x"),
    "enter-command": ("", "ls 'x"),
    "header": ("", "nonsense", "X: a\r\nY: b", "localhost:99999", "X: \N{SNOWMAN}"),
    "proxy": ("", "nonsense", "socks5://127.0.0.1:1", "http://127.0.0.1:99999"),
    "duration": ("", "soon", "2026-01-01", "-1s", "9" * 20 + "h", "\u0665s"),
    "rate": ("", "fast", "0/s", "-1/s", "nan/s", "\u0665/s", "1_000/s"),
    "rooms": ("", "0x10", "0", "-1", "99999999999", "no-such-file", "1_000"),
    "fail-if": ("", "p99", "p99>", "zzz>1", "p99>nan"),
    "set": ("", "nonsense"),
    "add": ("", "nonsense"),
    "mix": ("", "leave", "leave=x", "leave=nan", "zzz=1", "leave=-1"),
    "platforms": ("", "iOS", "iOS=x", "zzz=1"),
    "stay": ("", "soon", "2026-01-01", "-1s"),
    "param": ("", "nonsense", "zzz=1", "reenter=x"),
    "locale": ("", "xx_YY"),
    "start": ("", "soon", "1999-01-01", "2026-99-01"),
    "shard": ("", "0/4", "5/4", "x", "\u0665/9"),
    "speed": ("", "0x", "-1x", "fast", "nan", "\u0665x"),
    "heartbeat": ("", "x", "110-90", "-1-2"),
    "max-late": ("", "x", "-1s"),
    "duplicate": ("", "200%", "x", "-1%", "nan"),
    "reorder": ("", "200%", "x"),
    "delay": ("", "x", "2s-1s"),
    "listen": ("", "8000", "127.0.0.1:99999", "x:y", "127.0.0.1:\u0665"),
    "rest-ip": ("", "nonsense"),
    "answer": ("", "nonsense", "status:9", "delay:x"),
    "broken": ("", "zzz"),
    "callback": ("", "nonsense"),
    "forward": ("", "nonsense"),
    "commands": ("", "nonsense"),
    "outcome": ("", "nonsense"),
    "requirement": ("", "zzz"),
    "state": ("", "nonsense"),
    "allow-host": ("",),
    "administrator": ("",),
    "remove": ("",),
    "content-type": ("", "a\nb"),
    "secret-key": ("",),
    "auth": ("",),
}
FREE: Final = {"room", "member", "operator", "reason", "platform", "client-ip", "contenttype", "token"}
"""Options that send whatever they are given: bad values are what they are for."""
NEEDS: Final = {
    ("traffic", "max-late"): ["--rate", "5/s"],
    ("traffic", "delay"): ["--rate", "5/s"],
    ("replay", "max-late"): ["--rate", "5/s"],
    ("replay", "delay"): ["--rate", "5/s"],
}


@cache
def commands() -> dict[str, TyperCommand]:
    group = command_line()
    context = group.make_context("roomhook", ["-h"], resilient_parsing=True)
    found = {name: group.get_command(context, name) for name in COMMANDS}
    return {name: one for name, one in found.items() if isinstance(one, TyperCommand)}


def cases() -> Iterator[Any]:
    for name, command in commands().items():
        for key, one in keys_of(command).items():
            if one.parameter.param_type_name != "option" or one.opposite:
                continue
            yield pytest.param(name, key, id=f"{name} --{key}")


def bad_values(key: str, annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    if choices_of(annotation):
        return CHOICES
    if annotation is str:
        return ("\udcff",) if key in FREE else (*TEXTS[key], "\udcff")
    return {int: INTEGERS, float: NUMBERS, Path: PATHS, bool: ()}[annotation]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    Path("events.ndjson").touch()


@pytest.mark.parametrize(("command", "key"), list(cases()))
def test_a_bad_value_is_one_line_that_names_its_option(
    command: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parameter = keys_of(commands()[command])[key].parameter
    for value in bad_values(key, parameter.type_descriptor.annotation):
        arguments = [*ARGUMENTS.get(command, []), *NEEDS.get((command, key), []), f"--{key}={value}"]
        code = main([command, *arguments])
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1), f"{value!a}: {err}"
        assert any(option in err for option in parameter.opts), f"{value!a}: {err}"


def test_a_working_folder_that_was_deleted_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    try:
        assert main(["fire", "leave", URL, "--dry-run", "--seed", "7"]) == 0
        capsys.readouterr()
        for arguments in (["traffic", "--events", "1", "--journal", "x.db", URL], ["init"]):
            assert main([arguments[0], *arguments[1:]]) in {2, 3}
            assert capsys.readouterr().err.count("our own error") == 0
    finally:
        os.chdir(tmp_path)
