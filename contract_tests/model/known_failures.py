"""Known failures: the file that lists them, and what a known failure makes of a verdict."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from roomhook.contract_tests.model.register import Level, load_register
from roomhook.errors import ConfigurationError, SchemaError
from roomhook.schemas import loader
from roomhook.suggestions import did_you_mean

if TYPE_CHECKING:
    from roomhook.contract_tests.model.verdicts import CaseJudged

__all__ = ["KnownFailure", "apply_known_failures", "load_known"]

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
        text = path.read_text(encoding="utf-8-sig")
        document = _as_json(tomllib.loads(text))
    except OSError as error:
        raise ConfigurationError(
            f"--known {path} can't be read: {error.strerror or error}; name the file that lists the known failures"
        ) from None
    except ValueError as error:
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


def apply_known_failures(judged: CaseJudged, known: Sequence[KnownFailure], today: date) -> CaseJudged:
    """*judged* in the light of the *known* failures: tolerated, or failed for an entry that must go.

    What was not judged stays so: neither a failure nor a pass has been seen.
    """
    from roomhook.contract_tests.model.verdicts import Finding, Verdict  # noqa: PLC0415 (its Settings hold known failures)

    entry = next((one for one in known if one.id == judged.requirement.id), None)
    if entry is None or judged.verdict is Verdict.NOT_JUDGED:
        return judged
    if judged.findings and today <= entry.until:
        reason = f"{entry.reason} (known until {entry.until}, {entry.place})"
        return replace(judged, verdict=Verdict.KNOWN, reason=reason)
    passes = not judged.findings
    advice = f'Delete the entry [[known]] id = "{entry.id}" that begins in line {entry.line} of {entry.file}'
    finding = Finding(
        replace(judged.requirement, fix=f"{advice}." if passes else f"{advice}, or agree on a later date."),
        "a known failure passes" if passes else "a known failure has expired",
        f"a failure, as {entry.place} says" if passes else f"no failure after {entry.until}, as {entry.place} says",
        "a pass" if passes else f"a failure on {today}",
    )
    return replace(judged, verdict=Verdict.FAIL, findings=(finding, *judged.findings))


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
