"""Our commands on typer's: options in named groups, plain type names, values read by ``values``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from typer._click.exceptions import MissingParameter
from typer._click.formatting import HelpFormatter
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from roomhook.cli.shared.option_groups import OPTION_GROUPS, group_of
from roomhook.cli.shared.values import choices_of, convert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typer._click import Context, Parameter

__all__ = ["RoomhookArgument", "RoomhookCommand", "RoomhookOption", "adopt", "help_text"]


_MOST_WITHOUT_GROUPS: Final = 12
"""A help with more options than this lists them in groups."""
_HYPHEN: Final = "\ue000"
"""Stands for a hyphen while help is wrapped, so that no file name or option is broken."""


class _Formatter(HelpFormatter):
    """Wraps help between words only."""

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", _HYPHEN))

    def write_dl(self, rows: Sequence[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().write_dl([(name, text.replace("-", _HYPHEN)) for name, text in rows], *args, **kwargs)

    def getvalue(self) -> str:
        return super().getvalue().replace(_HYPHEN, "-")


def help_text(command: TyperCommand | TyperGroup, ctx: Context) -> str:
    """The help of *command*, wrapped for the terminal."""
    formatter = _Formatter(width=ctx.terminal_width, max_width=ctx.max_content_width)
    command.format_help(ctx, formatter)
    return formatter.getvalue().rstrip("\n")


class RoomhookOption(TyperOption):
    """An option; in the environment a repeatable one has a value a line."""

    def process_value(self, ctx: Context, value: Any) -> Any:  # noqa: D102 (the base class's)
        value = convert(self, value)
        return value if self.callback is None else self.callback(ctx, self, value)

    def split_envvar_value(self, rv: str) -> list[str]:
        """One value a line: a header holds blanks, so typer's own splitting would tear it."""
        return [line.strip() for line in rv.splitlines() if line.strip()]

    def value_from_envvar(self, ctx: Context) -> Any:  # noqa: D102 (the base class's)
        found = self.resolve_envvar_value(ctx)
        return self.split_envvar_value(found) if found is not None and self.multiple else found

    def display_type(self, ctx: Context) -> str:  # noqa: ARG002, D102 (the base class's signature)
        return self.metavar or _type_name(self)

    def get_error_hint(self) -> str:  # noqa: D102 (the base class's)
        return f"'{self.opts[0]}'"

    def _get_number_range_help_str(self) -> str | None:
        return _range(self.min, self.max)


class RoomhookArgument(TyperArgument):
    """An argument, shown in capitals: ``URL``, ``[URL]`` or ``FILE...``."""

    def process_value(self, ctx: Context, value: Any) -> Any:
        """The converted *value*; raises the base class's error for a missing one."""
        value = convert(self, value)
        if self.required and self.value_is_missing(value):
            raise MissingParameter(ctx=ctx, param=self)
        return value if self.callback is None else self.callback(ctx, self, value)

    def get_help_record(self, ctx: Context) -> tuple[str, str] | None:  # noqa: D102 (the base class's)
        record = super().get_help_record(ctx)
        if record is None:
            return None
        choices = f" {_type_name(self)}" if choices_of(self.type_descriptor.annotation) else ""
        return f"{self.display_name_raw}{choices}", re.sub(r"\s*\[required\]$", "", record[1])

    @property
    def display_name_raw(self) -> str:  # noqa: D102 (the base class's)
        return re.sub(r"[\[\].]", "", self.metavar or self.name.upper())

    def _usage_display_name(self) -> str:
        name = self.display_name_raw + ("..." if self.nargs != 1 else "")
        return name if self.required else f"[{name}]"


class RoomhookCommand(TyperCommand):
    """A command whose help lists its options in groups, if they are many."""

    def get_help(self, ctx: Context) -> str:  # noqa: D102 (the base class's)
        return help_text(self, ctx)

    def get_params(self, ctx: Context) -> list[Parameter]:
        """All parameters, with the option for help, which typer adds late."""
        found = super().get_params(ctx)
        adopt(found)
        return found

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Arguments first, then the groups of options, and what has no group at the end."""
        arguments = [one for one in self.get_params(ctx) if isinstance(one, TyperArgument)]
        options = [one for one in self.get_params(ctx) if isinstance(one, TyperOption)]
        grouped = len(options) > _MOST_WITHOUT_GROUPS
        rest = "Other options" if grouped else "Options"
        sections: dict[str, list[TyperArgument | TyperOption]] = {"Arguments": list(arguments)}
        sections |= {name: [] for name in OPTION_GROUPS} | {rest: []}
        for option in options:
            sections[(grouped and group_of(option.opts)) or rest].append(option)
        for name, members in sections.items():
            rows = [row for row in (one.get_help_record(ctx) for one in members) if row is not None]
            if rows:
                with formatter.section(name):
                    formatter.write_dl(rows)


def adopt(parameters: Iterable[Parameter]) -> None:
    """Make *parameters*, built by typer from a function's, ours."""
    for parameter in parameters:
        if isinstance(parameter, TyperOption):
            parameter.__class__ = RoomhookOption
        elif isinstance(parameter, TyperArgument):
            parameter.__class__ = RoomhookArgument


def _type_name(parameter: TyperOption | TyperArgument) -> str:
    annotation = parameter.type_descriptor.annotation
    inner = getattr(annotation, "__args__", (annotation,)) if parameter.multiple else (annotation,)
    choices = choices_of(inner[0])
    if choices:
        return "|".join(str(getattr(one, "value", one)) for one in choices)
    return {int: "N", float: "X"}.get(inner[0], "TEXT")


def _range(least: float | None, most: float | None) -> str | None:
    if least is None:
        return None if most is None else f"at most {most:,}"
    return f"at least {least:,}" if most is None else f"{least:,} to {most:,}"
