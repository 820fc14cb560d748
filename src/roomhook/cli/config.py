"""Options from ``roomhook.toml`` or ``[tool.roomhook]`` in ``pyproject.toml``, as defaults beneath the command line.

The order is: command line, then ``ROOMHOOK_*`` in the environment, then the file, then the default in ``--help``. Keys at
the top level hold for every command that has such an option; a table named after a command holds for that command.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roomhook.schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from typer._click import Command

__all__ = ["default_map", "refuse_unknown_keys"]

_SHARED = ("sdkappid", "token", "deadline", "seed", "header", "cacert", "cert", "insecure", "proxy", "allow_host")
_FILE_KEY = "__file__"


def default_map(folder: Path | None = None) -> dict[str, Any] | None:
    """The file's options as Typer's default map, or None without a file; raises ``ConfigurationError`` for a bad one."""
    from roomhook.cli.main import COMMANDS

    where = folder or Path.cwd()
    for path in (where / "roomhook.toml", where / "pyproject.toml"):
        table = _read(path)
        if table is None:
            continue
        options = _underscored(table)
        shared = {key: value for key, value in options.items() if not isinstance(value, dict)}
        for key in (*shared, *options):
            if key not in _SHARED and key not in COMMANDS:
                known = ", ".join(name.replace("_", "-") for name in (*_SHARED, *COMMANDS))
                raise ConfigurationError(f"{path.name}: unknown key {key.replace('_', '-')!r}; it may hold {known}")
        return {command: {_FILE_KEY: path.name, **shared, **options.get(command, {})} for command in COMMANDS}
    return None


def refuse_unknown_keys(defaults: MutableMapping[str, Any] | None, name: str, command: Command) -> None:
    """Raise ``ConfigurationError`` if the file's table for the command *name* holds a key that is none of its options."""
    table = (defaults or {}).get(name, {})
    known = {parameter.name for parameter in getattr(command, "params", []) if parameter.name}
    for key in table:
        if key not in known and key not in _SHARED and key != _FILE_KEY and not hasattr(command, "commands"):
            options = ", ".join(sorted(one.replace("_", "-") for one in known - {"help"}))
            where = f"{table[_FILE_KEY]}: [{name}]"
            raise ConfigurationError(f"{where} has no option {key.replace('_', '-')!r}; it may hold {options}")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name} can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        if path.name == "pyproject.toml":
            return None  # somebody else's file, perhaps a template; their own tools will tell them
        raise ConfigurationError(f"{path.name} is not TOML: {error}") from None
    if path.name == "pyproject.toml":
        table = document.get("tool", {}).get("roomhook")
        return table if isinstance(table, dict) else None
    return document


def _underscored(table: dict[str, Any]) -> dict[str, Any]:
    return {
        key.replace("-", "_"): _underscored(value) if isinstance(value, dict) else value for key, value in table.items()
    }
