"""The ``roomhook`` command: finds a command's module, runs it, and turns a mistake into one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from roomhook.cli.shared import config
from roomhook.cli.shared.command import RoomhookCommand, adopt, help_text
from roomhook.cli.shared.secrets import without_secrets
from roomhook.errors import ConfigurationError, RoomhookError
from roomhook.palette import Style
from roomhook.simulator.util.signals import ignore_signals, treat_as_interrupt
from roomhook.suggestions import did_you_mean

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter, Parameter

__all__ = ["COMMANDS", "command_line", "main"]

_GROUPS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "Start": {
        "demo": ("roomhook.cli.demo", "See an App backend, simulated rooms and the contract suite."),
        "init": ("roomhook.cli.project.init", "Write a roomhook.toml for your app, and a CI recipe."),
    },
    "Test": {
        "check": ("roomhook.cli.contract.check", "Run the contract suite against your App backend."),
        "report": ("roomhook.cli.contract.report", "Compare JSON reports of several runs or backends."),
        "load": ("roomhook.cli.load.load", "Load-test your App backend, with thresholds for CI."),
        "selftest": ("roomhook.cli.contract.selftest", "Check that the suite catches every broken backend."),
    },
    "Simulate": {
        "fire": ("roomhook.cli.callbacks.fire", "Send one callback and show request and response."),
        "traffic": ("roomhook.cli.callbacks.traffic", "Send or print the callbacks of simulated rooms."),
        "replay": ("roomhook.cli.callbacks.replay", "Send recorded callbacks again, byte for byte."),
        "serve": ("roomhook.cli.serve.serve", "Run a mock Room backend with the documented REST API."),
        "listen": ("roomhook.cli.callbacks.listen", "Receive, validate and record callbacks."),
        "backend": ("roomhook.cli.contract.backend", "Run the reference App backend, or a broken one."),
        "journal": ("roomhook.cli.callbacks.journal", "Summarise, filter and export a journal."),
    },
    "Reference": {
        "requirements": ("roomhook.cli.contract.requirements", "List what an App backend must do."),
        "explain": ("roomhook.cli.contract.explain", "Explain a requirement: why, source, how to fix."),
        "schema": ("roomhook.cli.reference.schema", "Print JSON Schemas, or validate documents."),
        "errata": ("roomhook.cli.reference.errata", "List what the vendor's pages contradict or omit."),
    },
}

COMMANDS: Final = {name: command for group in _GROUPS.values() for name, command in group.items()}
"""Every command: its module, imported only when it runs (a quick start), and its line in the overview."""

_EPILOG: Final = """Exit codes: 0 pass, 1 fail, 2 bad option or file, 3 target unreachable, 4 error in Roomhook.

Set any option also as ROOMHOOK_<OPTION> in the environment, in roomhook.toml, or in [tool.roomhook] of pyproject.toml.
"""
_INTERRUPTED: Final = 130
_OUR_OWN_ERROR: Final = 4
_BROKEN_PIPE: Final = 141
_UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""A disk, quota or file that is full, or a terminal that is gone."""


class _LazyGroup(TyperGroup):
    """Imports a command's module when that command is asked for, and prints the overview without importing any."""

    def get_help(self, ctx: Context) -> str:
        return help_text(self, ctx)

    def get_params(self, ctx: Context) -> list[Parameter]:
        found = super().get_params(ctx)
        adopt(found)
        return found

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 (the base class's signature)
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = _load(cmd_name)
        defaults = config.configure(cmd_name, command, COMMANDS, _load)
        ctx.default_map = {**(ctx.default_map or {}), cmd_name: defaults}
        return command

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS) or "; 'roomhook --help' lists them all"
            raise ConfigurationError(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # typer would end with 1
            _drop(sys.stdout)
            raise typer.Exit(_BROKEN_PIPE) from None
        except KeyboardInterrupt:  # typer would end with 130 and say nothing
            raise typer.Abort from None

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """The commands before the options: they are what a reader looks for."""
        for group, commands in _GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(
                    [(f"{name:{max(map(len, COMMANDS))}}", line) for name, (_, line) in commands.items()]
                )
        with formatter.section("Options"):
            formatter.write_dl([row for one in self.get_params(ctx) if (row := one.get_help_record(ctx))])


def _load(name: str) -> TyperCommand:
    """The command *name*, as its module declares it."""
    command = typer.main.get_command(importlib.import_module(COMMANDS[name][0]).app)
    assert isinstance(command, TyperCommand)
    command.name = name
    command.__class__ = RoomhookCommand
    adopt(command.params)
    return command


def command_line() -> TyperGroup:
    """The group of all commands, for the console script and for tests."""
    app = typer.Typer(
        cls=_LazyGroup,
        rich_markup_mode=None,
        epilog=_EPILOG,
        no_args_is_help=True,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "color": _forced_color(),
        },
    )

    @app.callback()
    def _root(
        *,
        version: Annotated[
            bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_version)
        ] = False,
    ) -> None:
        """Play the Room backend of Tencent RTC and test your App backend behind Room.CallbackAfterMemberLeave.

        New here? Run 'roomhook demo', then 'roomhook init' in the folder of your app.
        """

    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line on *argv* (default ``sys.argv[1:]``) and return its exit code."""
    if argv is None:
        treat_as_interrupt()
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # packets hold any letter, and some terminals only ASCII
    code = _run(arguments)
    if code == _INTERRUPTED:
        # If Ctrl-C interrupted an exec() of text, as dataclasses use when they are imported, Python dies of SIGINT at
        # its end although the interrupt was caught; the next exec() forgets that.
        exec("")  # noqa: S102
    code = _flushed(sys.stdout) or code
    if argv is None:
        ignore_signals()  # while Python ends; the exit code is decided
    return code


def _run(arguments: list[str]) -> int:
    try:
        result: Any = command_line()(args=arguments, prog_name="roomhook", standalone_mode=False)
    except typer.TyperException as error:
        return _usage_error(error, arguments)
    except RoomhookError as error:
        _complain(without_secrets(str(error), arguments, os.environ))
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        _complain("interrupted", warning=True)
        return _INTERRUPTED
    except MemoryError:
        _complain("there is not enough memory; ask for less, or give a smaller file")
        return ConfigurationError.exit_code
    except Exception as error:  # noqa: BLE001 (told in one line)
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            return _unwritable(error)
        debug = bool(os.environ.get("ROOMHOOK_DEBUG"))
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        hint = "please report it" if debug else "ROOMHOOK_DEBUG=1 shows where; please report it"
        if debug:
            _say(without_secrets(traceback.format_exc().rstrip("\n"), arguments, os.environ))
        _complain(without_secrets(f"our own error: {what} ({hint})", arguments, os.environ))
        return _OUR_OWN_ERROR
    return result if isinstance(result, int) else 0


def _usage_error(error: typer.TyperException, arguments: Sequence[str]) -> int:
    """One line that says what is wrong and where to look."""
    if type(error).__name__ == "NoArgsIsHelpError":
        _say(error.format_message())
        return ConfigurationError.exit_code
    command = f"roomhook {arguments[0]}" if arguments and arguments[0] in COMMANDS else "roomhook"
    message = " ".join(error.format_message().split()).rstrip(".")
    source = config.source_of(getattr(error, "param", None), getattr(error, "ctx", None))
    _complain(without_secrets(f"{message}{source}. See '{command} --help'.", arguments, os.environ))
    return ConfigurationError.exit_code


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import version

    typer.echo(f"roomhook {version('roomhook')}")
    raise typer.Exit


def _complain(text: str, *, warning: bool = False) -> None:
    """Write *text*, which says why the command ends, to stderr."""
    from roomhook.cli.shared.terminal import complaint

    _say(complaint(text, Style.WARNING if warning else Style.BAD))


def _forced_color() -> bool | None:
    """What lets typer pass on the colours that FORCE_COLOR asked for; else it takes them out for files and pipes."""
    return True if os.environ.get("FORCE_COLOR") else None


def _say(line: str) -> None:
    """Write *line* to stderr, if that can be written."""
    try:
        typer.echo(line, err=True, color=_forced_color())
    except OSError:
        _drop(sys.stderr)


def _open_what_is_closed() -> None:
    """Let what is written to a stream that was closed before we were started (``>&-``) go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (for good)


def _flushed(stream: TextIO) -> int | None:
    """Write what is left for *stream*, as the interpreter would do too late for us; an exit code if that can't be."""
    try:
        stream.flush()
    except BrokenPipeError:
        _drop(stream)
        return _BROKEN_PIPE
    except OSError as error:
        return _unwritable(error)
    return None


def _unwritable(error: OSError) -> int:
    _drop(sys.stdout)
    _complain(f"the output can't be written: {error.strerror}; make room, or write it elsewhere")
    return ConfigurationError.exit_code


def _drop(stream: TextIO) -> None:
    """Keep the interpreter from complaining when it flushes what can't be written."""
    with suppress(OSError):  # no descriptor of its own, as in a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
