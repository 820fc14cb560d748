"""The JSON Schema of ``roomhook.toml``, made from the options of all commands."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from roomhook.cli.shared.config import SHARED, Key, keys_of
from roomhook.cli.shared.values import choices_of

if TYPE_CHECKING:
    from typer.core import TyperCommand

__all__ = ["config_schema"]


def config_schema(commands: Mapping[str, TyperCommand]) -> dict[str, Any]:
    """The schema (draft 2020-12): shared keys at the top, a table for each of *commands*."""
    tables = {name: keys_of(command) for name, command in commands.items()}
    shared = {name: next(keys[name] for keys in tables.values() if name in keys) for name in SHARED}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "roomhook.toml, and [tool.roomhook] in pyproject.toml",
        "description": "Options of Roomhook: shared ones at the top, those of one command in a table of its name.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **_properties(shared),
            **{
                name: {
                    "description": (commands[name].help or "").partition("\n")[0],
                    "type": "object",
                    "additionalProperties": False,
                    "properties": _properties(keys),
                }
                for name, keys in tables.items()
            },
        },
    }


def _properties(keys: Mapping[str, Key]) -> dict[str, Any]:
    return {name: _property(key) for name, key in keys.items()}


def _property(key: Key) -> dict[str, Any]:
    parameter = key.parameter
    annotation: Any = parameter.type_descriptor.annotation
    several = get_origin(annotation) is list
    one = _type(get_args(annotation)[0] if several else annotation, parameter.min, parameter.max)
    about = {"description": parameter.help} if parameter.help else {}
    return {**about, **({"anyOf": [one, {"type": "array", "items": one}]} if several else one)}


def _type(annotation: Any, least: float | None, most: float | None) -> dict[str, Any]:
    choices = choices_of(annotation)
    if choices:
        return {"enum": [one.value if isinstance(one, Enum) else one for one in choices]}
    if annotation is bool:
        return {"type": "boolean"}
    if annotation in {int, float}:
        bounds = {"minimum": least, "maximum": most}
        kind = "integer" if annotation is int else "number"
        return {"type": kind, **{name: bound for name, bound in bounds.items() if bound is not None}}
    return {"type": "string"} if annotation is Path else {"type": ["string", "number"]}
