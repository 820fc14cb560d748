"""Options from the environment and from ``roomhook.toml`` or ``[tool.roomhook]``, as defaults beneath the command line.

The order is: command line, then ``ROOMHOOK_<OPTION>`` in the environment, then the file, then the default that
``--help`` shows. In the file, keys at the top level hold for every command that has such an option; a table named after
a command holds for that command alone. ``roomhook.toml`` in the current folder hides the table in ``pyproject.toml``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from roomhook.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

    from typer._click import Command
    from typer.core import TyperArgument, TyperOption

__all__ = ["SHARED", "configure", "source_of"]

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
    "format",
)
"""The keys that may stand at the top level of the file, because several commands have such an option."""


def configure(name: str, command: Command, commands: Collection[str], folder: Path | None = None) -> dict[str, Any]:
    """Prepare the command *name* to read the environment and return the file's values for it, ``{}`` without a file.

    Raises ``ConfigurationError`` for a file that can't be read, or that holds a key which no command of *commands*, or
    not this one, knows.
    """
    parameters: dict[str, TyperArgument | TyperOption] = {
        parameter.name: parameter for parameter in getattr(command, "params", []) if parameter.name != "help"
    }
    for key, parameter in parameters.items():
        if parameter.envvar is None and parameter.param_type_name == "option":
            parameter.envvar = f"ROOMHOOK_{key.upper()}"
            parameter.show_envvar = False  # the overview says it once for all
        if parameter.multiple:
            parameter.split_envvar_value = _lines  # type: ignore[assignment]
    file = _find(folder or Path.cwd())
    if file is None:
        return {}
    path, table = file
    options = _options(path.name, table, name, commands, parameters)
    return {key: _as_typed(value, repeatable=parameters[key].multiple) for key, value in options.items()}


def source_of(parameter: Any, context: Any) -> str:
    """Where the value of *parameter* came from, as an ending for a complaint about it; empty for the command line."""
    source = context.get_parameter_source(parameter.name) if context and parameter else None
    if source is not None and source.name == "ENVIRONMENT":
        return f" (from {parameter.envvar} in the environment)"
    file = _find(Path.cwd()) if source is not None and source.name == "DEFAULT_MAP" else None
    return f" (from {file[0].name})" if file else ""


def _options(
    file: str, table: dict[str, Any], name: str, commands: Collection[str], parameters: Collection[str]
) -> dict[str, Any]:
    """The values in *table* for the command *name*, by parameter, its own before the shared ones."""
    for key, value in table.items():
        if key in commands and isinstance(value, dict):
            continue
        if key not in SHARED or isinstance(value, dict):
            known = ", ".join([*SHARED, *(f"[{command}]" for command in commands)])
            raise ConfigurationError(f"{file}: unknown key {key!r}; it may hold {known}")
    shared = {_underscored(key): value for key, value in table.items() if not isinstance(value, dict)}
    own = {_underscored(key): value for key, value in table.get(name, {}).items()}
    for key in own:
        if key not in parameters:
            known = ", ".join(sorted(one.replace("_", "-") for one in parameters)) or "nothing"
            raise ConfigurationError(f"{file}: [{name}] has no option {key.replace('_', '-')!r}; it may hold {known}")
    return {**{key: value for key, value in shared.items() if key in parameters}, **own}


def _find(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    path = folder / "roomhook.toml"
    document = _read(path)
    if document is not None:
        return path, document
    path = folder / "pyproject.toml"
    tools = (_read(path) or {}).get("tool")
    table = tools.get("roomhook") if isinstance(tools, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path.name}: tool.roomhook is no table; begin it with [tool.roomhook]")
    return path, table


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows begin a file with a BOM
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name} can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        if path.name == "pyproject.toml":
            return None  # somebody else's file, perhaps a template; their own tools will tell them
        raise ConfigurationError(f"{path.name} is not TOML: {error}") from None


def _lines(value: str) -> list[str]:
    """A repeatable option's values, one a line: a header holds spaces, so that Typer's own splitting would tear it."""
    return [line.strip() for line in value.splitlines() if line.strip()]


def _as_typed(value: Any, *, repeatable: bool) -> Any:
    """*value* as it would stand on a command line, where all but flags is text, so that one parser judges it."""
    if repeatable:
        return [_as_typed(one, repeatable=False) for one in (value if isinstance(value, list) else [value])]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _underscored(key: str) -> str:
    return key.replace("-", "_")
