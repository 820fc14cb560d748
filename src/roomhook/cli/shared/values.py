"""Turns the text of an option or argument into its value, and refuses in plain words what cannot be one."""

from __future__ import annotations

import errno
import math
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typer.core import TyperArgument, TyperOption

__all__ = ["choices_of", "convert"]

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_TRUTH: Final = {
    **dict.fromkeys(("1", "true", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("0", "false", "no", "off", "f", "n"), False),
}
_MAY_BE_EMPTY: Final = frozenset(
    {"--room", "--member", "--operator", "--reason", "--platform", "--client-ip", "--contenttype"}
    | {"--token", "--probe-pointer"}
)
"""Options whose empty text says something, or that have an error line of their own; elsewhere it is a slip."""
_NO_FILE: Final = frozenset({errno.ENAMETOOLONG, errno.ELOOP})


def convert(parameter: TyperArgument | TyperOption, value: Any) -> Any:
    """The value of *parameter* from the command line, the environment or the file, or its default.

    Numbers have ASCII digits only, at most 18 before the point: no blanks, no ``1_000``, no ``nan``. A choice that is
    repeatable also takes several values in one text, separated by commas. Raises ``typer.BadParameter``.
    """
    annotation: Any = parameter.type_descriptor.annotation
    if get_origin(annotation) is list:
        (annotation,) = get_args(annotation)
    if not (parameter.multiple or parameter.nargs == -1):
        return None if value is None else _one(parameter, annotation, value)
    if value is None:
        return ()
    if isinstance(value, str):
        value = [value]
    if choices_of(annotation):
        value = [part.strip() if isinstance(part, str) else part for one in value for part in _parts(one)]
    return [_one(parameter, annotation, one) for one in value]


def choices_of(annotation: Any) -> Sequence[Any]:
    """The values that *annotation* admits, if it is an enum or a ``Literal``; else none."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(annotation)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _parts(value: Any) -> list[Any]:
    return value.split(",") if isinstance(value, str) else [value]


def _one(parameter: TyperArgument | TyperOption, annotation: Any, value: Any) -> Any:
    choices = choices_of(annotation)
    if choices:
        return _choice(parameter, choices, value)
    if annotation is bool:
        return _truth(value)
    if isinstance(value, annotation) and not isinstance(value, str):
        return value
    if not isinstance(value, str):
        raise typer.BadParameter(f"{_shown(value)} is not {_named(annotation)}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise typer.BadParameter("it has bytes that are not UTF-8")
    if "\0" in value:
        raise typer.BadParameter("it has a NUL character")
    if annotation in {int, float}:
        return _number(parameter, annotation, value)
    if not value and not _MAY_BE_EMPTY & set(parameter.opts):
        raise typer.BadParameter("it is empty; leave the option out, or give it a value")
    return _path(value) if annotation is Path else value


def _number(parameter: TyperArgument | TyperOption, kind: type, text: str) -> float:
    if not (_INTEGER if kind is int else _NUMBER).fullmatch(text):
        raise typer.BadParameter(f"{_shown(text)} is not {_named(kind)}")
    number = int(text) if kind is int else float(text)
    least, most = parameter.min, parameter.max
    if not math.isfinite(number) or (least is not None and number < least) or (most is not None and number > most):
        bounds = [f"at least {least:,}"] if least is not None else []
        bounds += [f"at most {most:,}"] if most is not None else []
        raise typer.BadParameter(f"{_shown(text)} is out of range: give {' and '.join(bounds) or 'a finite number'}")
    return number


def _choice(parameter: TyperArgument | TyperOption, choices: Sequence[Any], value: Any) -> Any:
    exact = parameter.type_descriptor.case_sensitive
    for choice in choices:
        name = choice.value if isinstance(choice, Enum) else choice
        if value is choice or value == name or (not exact and str(value).lower() == str(name).lower()):
            return choice
    names = ", ".join(str(one.value if isinstance(one, Enum) else one) for one in choices)
    raise typer.BadParameter(f"{_shown(value)} is not one of {names}")


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _TRUTH.get(str(value).lower())
    if found is None:
        raise typer.BadParameter(f"{_shown(value)} is neither true nor false")
    return found


def _path(text: str) -> Path:
    path = Path(text)
    try:
        path.stat()
    except OSError as error:
        if error.errno in _NO_FILE:
            raise typer.BadParameter(f"{_shown(text)} cannot be a file: {error.strerror}") from None
    return path


def _named(annotation: Any) -> str:
    return {int: "a whole number of up to 18 digits", float: "a number", Path: "a file name"}.get(annotation, "text")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
