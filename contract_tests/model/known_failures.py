"""The file that lists known failures."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from roomhook.contract_tests.model.register import Level, load_register
from roomhook.errors import ConfigurationError, SchemaError
from roomhook.schemas import loader
from roomhook.simulator.util.limits import read_bounded
from roomhook.suggestions import did_you_mean

__all__ = ["KnownFailure", "load_known"]

_HEADER: Final = re.compile(r"\s*\[\[\s*known\s*\]\]")
_WHERE: Final = re.compile(r"\$\.known\[(\d+)\]\.?")


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A requirement that may fail, up to and including the day ``until`` (UTC); ``line`` is its first in ``file``."""

    id: str
    reason: str
    until: date
    file: str
    line: int

    @property
    def place(self) -> str:
        """Where the entry stands, as ``roomhook-known.toml:7``."""
        return f"{self.file}:{self.line}"


def load_known(path: Path) -> tuple[KnownFailure, ...]:
    """The entries of the TOML file at *path*, held to ``schemas/known.schema.json``.

    Raises ``ConfigurationError`` for a file that can't be read and ``SchemaError`` for one that says what it can't.
    """
    try:
        text = read_bounded(path).decode("utf-8-sig")
        document = _as_json(tomllib.loads(text))
    except OSError as error:
        raise ConfigurationError(
            f"--known {path} can't be read: {error.strerror or error}; name the file that lists the known failures"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"--known {path} is not TOML: {error}") from None
    lines = _lines(text)
    problems = loader.problems("known", document)
    if problems:
        raise _foreign(path, lines, problems[0])
    found: dict[str, KnownFailure] = {}
    for number, table in enumerate(document.get("known", [])):
        entry = _entry(table, str(path), _line(lines, number))
        if entry.id in found:
            raise SchemaError(f"{entry.place}: {entry.id} is in line {found[entry.id].line} already; keep one of them")
        found[entry.id] = entry
    return tuple(found.values())


def _entry(table: dict[str, Any], file: str, line: int) -> KnownFailure:
    requirement = load_register().get(table["id"])
    if requirement is None:
        hint = did_you_mean(table["id"], load_register()) or "; 'roomhook requirements' lists them"
        raise SchemaError(f"{file}:{line}: no requirement is named {table['id']!r}{hint}")
    if requirement.level is Level.INFO:
        raise SchemaError(f"{file}:{line}: {requirement.id} is INFO and never fails a run; delete the entry")
    try:
        until = date.fromisoformat(table["until"])
    except ValueError:
        raise SchemaError(f"{file}:{line}: until: there is no day {table['until']}") from None
    return KnownFailure(requirement.id, table["reason"], until, file, line)


def _foreign(path: Path, lines: list[int], problem: loader.Problem) -> SchemaError:
    """The *problem* with the line of the entry that has it, instead of the entry's number."""
    where = _WHERE.match(problem.path)
    if where is None:
        return SchemaError(f"{path}: {problem}; it holds tables [[known]] with id, reason and until")
    text = str(problem)[where.end() :]
    return SchemaError(f"{path}:{_line(lines, int(where[1]))}: {text}; 'roomhook schema known' tells what it may hold")


def _lines(text: str) -> list[int]:
    """The line of each entry's header, from 1; TOML itself tells no lines."""
    return [number for number, line in enumerate(text.splitlines(), 1) if _HEADER.match(line)]


def _line(lines: list[int], number: int) -> int:
    """The line of the entry with this *number*, from 0; the file's first for entries written without headers."""
    return lines[number] if number < len(lines) else 1


def _as_json(node: Any) -> Any:
    """*node* of TOML as JSON has it: a date is its text."""
    if isinstance(node, dict):
        return {key: _as_json(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_as_json(one) for one in node]
    return node.isoformat() if hasattr(node, "isoformat") else node
