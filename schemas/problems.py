"""What is wrong with a document, in words a person can act on: path, value, rule, and the gravest first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from roomhook.suggestions import closest

if TYPE_CHECKING:
    from jsonschema import ValidationError

__all__ = ["Problem", "explained"]

_RANKS: Final = {"const": 0, "required": 1, "dependentRequired": 1, "type": 2, "additionalProperties": 4}
"""A wrong constant (another callback altogether) explains the rest; a field too many explains nothing."""

_OTHER_RANK: Final = 3
_LONGEST_VALUE: Final = 100
_ARTICLES: Final = {"array": "an array", "integer": "an integer", "object": "an object", "null": "null"}
_BOUNDS: Final = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One point in which a document departs from its schema.

    ``path`` is a JSON path from the document's root, ``$``; ``value`` is what stands there as JSON, shortened, or empty
    if nothing stands there; ``rule`` is the schema's keyword and its value; ``message`` says it in words.
    """

    path: str
    value: str
    rule: str
    message: str

    def __str__(self) -> str:
        """One line: ``$.MemberCount: must be an integer, not a string (value "20", rule type: integer)``."""
        value = f"value {self.value}, " if self.value else ""
        return f"{self.path}: {self.message} ({value}rule {self.rule})"


@dataclass(frozen=True, slots=True)
class _Error:
    """What matters of a validator's error: the ``value`` at ``path`` breaks ``keyword``: ``rule`` of ``schema``."""

    path: tuple[str | int, ...]
    value: Any
    keyword: str
    rule: Any
    schema: Any
    message: str

    @property
    def rank(self) -> tuple[int, int]:
        """The lower, the better it explains what is wrong."""
        return _RANKS.get(self.keyword, _OTHER_RANK), len(self.path)


def explained(errors: Iterable[ValidationError]) -> list[Problem]:
    """The validator's *errors* as problems, one for each path, the best explanation first."""
    found = [
        _Error(tuple(one.absolute_path), one.instance, str(one.validator), one.validator_value, one.schema, one.message)
        for one in errors
    ]
    by_path: dict[str, Problem] = {}
    for error in sorted(found, key=lambda error: error.rank):
        for problem in _problems(error):
            by_path.setdefault(problem.path, problem)
    return list(by_path.values())


def _problems(error: _Error) -> Iterator[Problem]:
    """Validators report all of an object's unknown fields in one error, and a missing one at the object's own path."""
    if error.keyword == "required":
        missing = [name for name in error.rule if name not in error.value]
        yield from (_absent(error, name, "required", f"is missing{_misspelled(name, error)}") for name in missing)
    elif error.keyword == "dependentRequired":
        pairs = [(one, name) for one in error.rule if one in error.value for name in error.rule[one]]
        yield from (
            _absent(error, name, f"dependentRequired: {one}", f"is missing: {one} never comes without it")
            for one, name in pairs
            if name not in error.value
        )
    elif error.keyword == "additionalProperties":
        unknown = [name for name in error.value if name not in error.schema["properties"]]
        yield from (
            Problem(_path([*error.path, name]), _shown(error.value[name]), error.keyword, "is not a known field")
            for name in unknown
        )
    else:
        yield Problem(_path(error.path), _shown(error.value), _rule(error), _message(error))


def _absent(error: _Error, name: str, rule: str, message: str) -> Problem:
    return Problem(_path([*error.path, name]), "", rule, message)


def _message(error: _Error) -> str:
    rule = error.rule
    match error.keyword:
        case "type":
            return f"must be {_types(rule)}, not {_types(_type_name(error.value))}"
        case "const":
            return f"must be {_shown(rule)}"
        case "enum":
            return f"must be {'one of ' if len(rule) > 1 else ''}{', '.join(_shown(one) for one in rule)}"
        case "minLength" | "minItems" if rule == 1:
            return "must not be empty"
        case "minLength" | "minItems" | "maxLength" | "maxItems":
            unit = "characters" if error.keyword.endswith("Length") else "items"
            bound = "at least" if error.keyword.startswith("min") else "at most"
            return f"must have {bound} {rule} {unit}, and has {len(error.value)}"
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            return f"must be {_BOUNDS[error.keyword]} {rule}: {_meaning(error.schema)}"
        case "pattern":
            return f"must be {_meaning(error.schema)}"
        case "not":
            return str(rule["description"])
        case "anyOf":
            return str(error.schema["description"])
        case _:
            return error.message


def _rule(error: _Error) -> str:
    """The keyword and its value, but for values that the message gives anyway or that are schemas themselves."""
    if error.keyword in {"const", "enum", "anyOf", "not"}:
        return error.keyword
    return f"{error.keyword}: {' | '.join(error.rule) if isinstance(error.rule, list) else error.rule}"


def _meaning(schema: Any) -> str:
    """The first sentence of the field's description, which says what a bare number or pattern is about."""
    sentence = str(schema["description"]).partition(". ")[0].rstrip(".")
    return f"{sentence[0].lower()}{sentence[1:]}"


def _misspelled(name: str, error: _Error) -> str:
    known = error.schema.get("properties", error.value)
    found = closest(name, [key for key in error.value if key not in known], limit=1)
    return f"; is {found[0]} a misspelling of it?" if found else ""


def _types(names: str | Sequence[str]) -> str:
    each = [names] if isinstance(names, str) else names
    return " or ".join(_ARTICLES.get(name, f"a {name}") for name in each)


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "fraction" if isinstance(value, float) and not value.is_integer() else "number")


def _path(keys: Iterable[str | int]) -> str:
    """``$.MemberList_Account[0]``; a key that is no plain word stands in brackets, as in ``$["not-judged"]``."""
    return "$" + "".join(
        f".{key}" if isinstance(key, str) and re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII) else f"[{_shown(key)}]"
        for key in keys
    )


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    text = text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate can't be printed
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
