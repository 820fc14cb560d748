"""The command line as a whole: help, exit codes, one line for every mistake, a quick start."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import types
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import NoReturn

import pytest
import typer
from typer.core import TyperCommand

from roomhook.cli.main import COMMANDS, command_line, main
from roomhook.cli.shared.config import SHARED, keys_of
from roomhook.errors import ConfigurationError, RoomhookError, UnreachableError

HEAVY = (
    "faker",
    "gevent",
    "hypothesis",
    "jsonschema",
    "locust",
    "msgspec",
    "pydantic",
    "pytest",
    "requests",
    "starlette",
)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def roomhook(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m roomhook`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "roomhook", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def install(monkeypatch: pytest.MonkeyPatch, run: Callable[[], None]) -> None:
    """Make *run* a command named ``probe``."""
    module = types.ModuleType("roomhook_probe")
    module.app = typer.Typer(add_completion=False)  # type: ignore[attr-defined]
    module.app.command()(run)
    monkeypatch.setitem(sys.modules, "roomhook_probe", module)
    monkeypatch.setitem(COMMANDS, "probe", ("roomhook_probe", "A probe."))


@pytest.mark.parametrize("asked", [["--help"], ["-h"], []])
def test_help_lists_every_command_in_groups(capsys: pytest.CaptureFixture[str], asked: list[str]) -> None:
    assert main(asked) == (0 if asked else 2)
    out = "".join(capsys.readouterr())
    assert re.findall(r"^(\w+):$", out, re.MULTILINE) == ["Start", "Test", "Simulate", "Reference", "Options"]
    assert max(map(len, out.splitlines())) <= 80
    for name in COMMANDS:
        assert f"\n  {name} " in out
    assert "ROOMHOOK_<OPTION>" in out


def test_without_arguments_help_is_shown_and_nothing_has_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Usage: roomhook" in capsys.readouterr().err


def test_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("roomhook 0.")


@pytest.mark.parametrize("name", list(COMMANDS))
class TestEveryCommand:
    def test_has_help(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([name, "--help"]) == 0
        assert f"Usage: roomhook {name}" in capsys.readouterr().out

    def test_lists_many_options_in_groups_and_shows_no_type_of_the_code(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([name, "-h"]) == 0
        out = capsys.readouterr().out
        groups = re.findall(r"^([A-Z][\w ]+):$", out, re.MULTILINE)
        assert not re.search(r"<list|<str|<int|<float|<path|\[\[|x[<>]=", out)
        if out.count("\n  --") > 15:
            assert len(groups) > 3
            assert out.partition("Other options:")[2].count("\n  --") <= 2

    def test_breaks_no_word_and_no_example(
        self, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        assert main([name, "-h"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert not [line for line in lines if line.rstrip().endswith("-") or len(line) > 80]
        for number, line in enumerate(lines):
            if line.strip().startswith("Example: "):
                assert not lines[number + 1].strip(), line

    def test_explains_each_of_its_options_and_reads_it_from_the_environment(self, name: str) -> None:
        group = command_line()
        command = group.get_command(group.make_context("roomhook", ["--help"], resilient_parsing=True), name)
        assert command is not None
        for parameter in getattr(command, "params", []):
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert parameter.help, f"{name} --{parameter.name} has no help"
                names = [option.removeprefix("--") for option in parameter.opts if option.startswith("--")]
                assert parameter.envvar == [f"ROOMHOOK_{one.replace('-', '_').upper()}" for one in names]

    def test_has_a_key_in_the_file_for_each_option_of_its_help_and_no_other(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([name, "-h"]) == 0
        rows = "\n".join(line for line in capsys.readouterr().out.splitlines() if line.startswith("  -"))
        shown = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", re.sub(r"   .*", "", rows))) - {"help"}
        group = command_line()
        command = group.get_command(group.make_context("roomhook", ["-h"], resilient_parsing=True), name)
        assert isinstance(command, TyperCommand)
        keys = {key for key, one in keys_of(command).items() if one.parameter.param_type_name == "option"}
        assert keys == shown

    def test_says_in_one_line_that_an_option_does_not_exist(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main([name, "--no-such-option"]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert f"'roomhook {name} --help'" in err


def test_every_key_at_the_top_of_the_file_belongs_to_several_commands() -> None:
    group = command_line()
    context = group.make_context("roomhook", ["-h"], resilient_parsing=True)
    commands = [group.get_command(context, name) for name in COMMANDS]
    owned = Counter(key for one in commands if isinstance(one, TyperCommand) for key in keys_of(one))
    assert not [key for key in SHARED if owned[key] < 2]


def test_no_command_loads_pydantic_to_read_its_options() -> None:
    script = (
        "import sys; from roomhook.cli.main import main; "
        "main(['fire', 'leave', 'http://127.0.0.1:9/', '--dry-run', '--count', '5', '--print', 'curl']); "
        "print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_mistyped_command_is_one_line_that_names_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chekc"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "did you mean check?" in err
    assert main(["frobnicate"]) == 2
    assert "'roomhook --help'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigurationError("mend it"), 2), (UnreachableError("start it"), 3), (RoomhookError("ours"), 4)],
)
def test_an_error_of_ours_is_its_line_and_its_code(
    error: RoomhookError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> NoReturn:
        raise error

    install(monkeypatch, run)
    assert main(["probe"]) == code
    assert capsys.readouterr().err == f"roomhook: {error}\n"


def test_a_crash_is_one_line_and_the_traceback_is_there_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> NoReturn:
        raise KeyError("lost\nfor good")

    install(monkeypatch, run)
    monkeypatch.delenv("ROOMHOOK_DEBUG", raising=False)
    assert main(["probe"]) == 4
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "our own error: KeyError" in err
    assert "ROOMHOOK_DEBUG=1" in err
    monkeypatch.setenv("ROOMHOOK_DEBUG", "1")
    assert main(["probe"]) == 4
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert "our own error: KeyError" in err.splitlines()[-1]


def test_an_interrupted_command_ends_as_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> NoReturn:
        raise KeyboardInterrupt

    install(monkeypatch, run)
    assert main(["probe"]) == 130


@pytest.mark.parametrize("command", ["schema leave", "requirements", "errata", "explain ack", "report {report}"])
def test_a_reader_who_leaves_early_is_no_error(command: str) -> None:
    report = Path(__file__).parents[2] / "schemas" / "examples" / "valid" / "report" / "violates-with-one-finding.json"
    with subprocess.Popen(
        [sys.executable, "-m", "roomhook", *(one.format(report=report) for one in command.split())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    "arguments",
    ["--version", "--help", "schema leave", "traffic --seed 7 --events 2", "traffic --seed 7 --events 20000"],
)
def test_a_full_disk_is_one_line_and_no_error_of_ours(arguments: str) -> None:
    command = f"{quote(sys.executable)} -m roomhook {arguments} > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "roomhook: the output can't be written: No space left on device; make room, or write it elsewhere\n"
    )


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_output_that_can_not_be_written_is_one_line(
    reason: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> NoReturn:
        raise OSError(reason, os.strerror(reason))

    install(monkeypatch, run)
    assert main(["probe"]) == 2
    assert capsys.readouterr().err.startswith(f"roomhook: the output can't be written: {os.strerror(reason)};")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_mistake_that_can_not_be_told_keeps_its_exit_code() -> None:
    command = f"{quote(sys.executable)} -m roomhook chekc 2> /dev/full"
    assert subprocess.run(command, shell=True, timeout=60, check=False).returncode == 2


def test_a_closed_stdout_is_written_to_in_vain() -> None:
    for arguments in ("--version", "traffic --seed 7 --events 2"):
        command = f"{quote(sys.executable)} -m roomhook {arguments} >&-"
        done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("number", ["-1", "0", "", "12x", "1.5", "99999999999999999999999"])
@pytest.mark.parametrize("command", ["check", "fire", "traffic", "listen", "backend", "load", "serve"])
def test_a_number_that_can_be_no_sdkappid_is_refused(
    command: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"fire": ["leave", "http://127.0.0.1:9/"], "listen": [], "serve": [], "backend": []}
    assert main([command, *arguments.get(command, ["http://127.0.0.1:9/"]), "--sdkappid", number]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "--sdkappid" in err


@pytest.mark.parametrize("number", ["1", "1400000001", "20000000001", "001400000001"])
def test_any_likely_sdkappid_is_taken(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fire", "leave", "http://127.0.0.1:9/", "--dry-run", "--sdkappid", number]) == 0
    assert f"SdkAppid={int(number)}&" in capsys.readouterr().out


def test_the_module_is_the_console_script() -> None:
    done = roomhook("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("roomhook 0.")


def test_windows_gets_one_line_and_no_traceback() -> None:
    script = "import sys; sys.platform = 'win32'; from roomhook.cli.entry import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "WSL" in done.stderr


def test_exit_codes_reach_the_shell() -> None:
    assert roomhook("fire", "leave", "nonsense").returncode == 2
    assert roomhook("fire", "leave", "http://nowhere.invalid/").returncode == 3


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from roomhook.cli.main import main; main(['--help']); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_is_there_within_0_4_seconds() -> None:
    """In the processor's time, which is what is left of the wall clock's on a machine with nothing else to do.

    The best of five, since other work on the machine takes its share of the processor's caches.
    """

    def taken() -> float:
        before = os.times()
        roomhook("--help")
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(taken() for _ in range(5)) <= 0.4
