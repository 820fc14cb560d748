"""Options from the environment and from ``roomhook.toml`` or ``[tool.roomhook]``, as defaults beneath the command line.

The order is: command line, then ``ROOMHOOK_<OPTION>`` in the environment, then the file, then the default that
``--help`` shows. In the file, keys at the top level hold for every command that has such an option; a table named after
a command holds for that command alone. ``roomhook.toml`` in the current folder hides the table in ``pyproject.toml``.

Every name comes from the long option: ``--report-dir`` is ``report-dir`` in the file (``report_dir`` will do) and
``ROOMHOOK_REPORT_DIR`` in the environment. An argument is known in its command's table by its name in the usage line.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperArgument, TyperOption

from roomhook.errors import ConfigurationError
from roomhook.simulator.util.limits import read_bounded
from roomhook.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from typer.core import TyperCommand

__all__ = ["SHARED", "Key", "configure", "keys_of", "source_of"]

SHARED: Final = (
    "sdkappid",
    "token",
    "deadline",
    "timeout",
    "seed",
    "header",
    "cacert",
    "cert",
    "insecure",
    "proxy",
    "allow-host",
    "report-dir",
    "format",
)
"""The keys that may stand at the top level of the file, because several commands have such an option."""

_FILES: Final = ("roomhook.toml", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class Key:
    """A name in the file: the parameter it sets, and whether it is the opposite of a flag, as ``--no-x`` is."""

    parameter: TyperArgument | TyperOption
    opposite: bool = False


def keys_of(command: TyperCommand) -> dict[str, Key]:
    """Every name that the file may use for *command*, in the order of its help."""
    found: dict[str, Key] = {}
    for parameter in command.params:
        if isinstance(parameter, TyperArgument):
            found[parameter.display_name_raw.lower()] = Key(parameter)
        elif isinstance(parameter, TyperOption):
            found |= {name: Key(parameter) for name in _long_names(parameter.opts)}
            found |= {name: Key(parameter, opposite=True) for name in _long_names(parameter.secondary_opts)}
    return found


def configure(
    name: str, command: TyperCommand, commands: Collection[str], other: Callable[[str], TyperCommand]
) -> dict[str, Any]:
    """Prepare *command*, called *name*, for the environment; return the file's values for it, by parameter.

    *commands* are the names of all, of which *other* gets one. Raises ``ConfigurationError`` for a file that cannot be
    read, or that holds a key which neither this command nor all commands share.
    """
    for parameter in command.params:
        if isinstance(parameter, TyperOption):
            parameter.envvar = [f"ROOMHOOK_{_underscored(one).upper()}" for one in _long_names(parameter.opts)]
            parameter.show_envvar = False  # the overview says it once for all
    file = _find()
    if file is None:
        return {}
    path, table = file
    _refuse_unknown(path.name, table, commands, other)
    return _values(path.name, table, name, keys_of(command))


def source_of(parameter: Any, context: Any) -> str:
    """Where the value of *parameter* came from, as an ending for a complaint about it; empty for the command line."""
    source = context.get_parameter_source(parameter.name) if context and parameter else None
    if source is not None and source.name == "ENVIRONMENT":
        variable = next(one for one in parameter.envvar if os.environ.get(one))
        return f" (from {variable} in the environment)"
    file = _find() if source is not None and source.name == "DEFAULT_MAP" else None
    return f" (from {file[0].name})" if file else ""


def _long_names(options: Collection[str]) -> list[str]:
    return [one.removeprefix("--") for one in options if one.startswith("--")]


def _refuse_unknown(
    file: str, table: dict[str, Any], commands: Collection[str], other: Callable[[str], TyperCommand]
) -> None:
    for key, value in table.items():
        if isinstance(value, dict) and key in commands:
            continue
        if not isinstance(value, dict) and _dashed(key) in SHARED:
            continue
        hint = did_you_mean(_dashed(key), [*SHARED, *commands])
        if not isinstance(value, dict):
            owners = [one for one in commands if _dashed(key) in keys_of(other(one))]
            hint = f"; it belongs in [{owners[0]}]" if owners else hint
        known = "" if hint else f"; it may hold {', '.join([*SHARED, *(f'[{one}]' for one in commands)])}"
        raise ConfigurationError(f"{file}: unknown key {key!r}{hint}{known}")


def _values(file: str, table: dict[str, Any], name: str, keys: dict[str, Key]) -> dict[str, Any]:
    """The values in *table* for the command *name*, by parameter, its own before the shared ones."""
    own = {_dashed(key): value for key, value in table.get(name, {}).items()}
    for key in own:
        if key not in keys:
            hint = did_you_mean(key, keys) or f"; it may hold {', '.join(keys) or 'nothing'}"
            raise ConfigurationError(f"{file}: [{name}] has no option {key!r}{hint}")
    shared = {_dashed(key): value for key, value in table.items() if not isinstance(value, dict)}
    found: dict[str, Any] = {}
    for key, value in [*((key, value) for key, value in shared.items() if key in keys), *own.items()]:
        parameter = keys[key].parameter
        typed = _as_typed(value, repeatable=parameter.multiple or parameter.nargs == -1)
        found[parameter.name] = not typed if keys[key].opposite and isinstance(typed, bool) else typed
    return found


def _find() -> tuple[Path, dict[str, Any]] | None:
    ours, everybodys = map(Path, _FILES)
    document = _read(ours)
    if document is not None:
        return ours, document
    tools = (_read(everybodys) or {}).get("tool")
    table = tools.get("roomhook") if isinstance(tools, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigurationError(f"{everybodys}: tool.roomhook is not a table; begin it with [tool.roomhook]")
    return everybodys, table


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(read_bounded(path).decode("utf-8-sig"))  # editors on Windows write a byte order mark
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name} can't be read: {error}") from None
    except (ValueError, RecursionError) as error:  # besides what is not TOML, numbers of thousands of digits
        if path.name == "pyproject.toml":
            return None  # somebody else's file, perhaps a template; their own tools report it
        raise ConfigurationError(f"{path.name} is not TOML: {error}") from None


def _as_typed(value: Any, *, repeatable: bool) -> Any:
    """*value* as it would stand on a command line, where all but flags is text, so that one parser reads it."""
    if repeatable:
        return [_as_typed(one, repeatable=False) for one in (value if isinstance(value, list) else [value])]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _dashed(key: str) -> str:
    return key.replace("_", "-")


def _underscored(key: str) -> str:
    return key.replace("-", "_")
