"""The one loader of JSON Schemas: by name, with their kept validators, and what is wrong with a document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from roomhook.errors import ConfigurationError
from roomhook.schemas.problems import Problem, explained
from roomhook.suggestions import did_you_mean

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

__all__ = ["FOLDER", "Problem", "example", "names", "problems", "schema", "validator"]

FOLDER: Final = Path(__file__).parent
"""Where the schemas, the examples and the errata lie."""

_SUFFIX: Final = ".schema.json"
_FIELDS: Final = "fields"
_DEFS: Final = "#/$defs/"


@cache
def names() -> tuple[str, ...]:
    """The names of all schemas that a document can be held to, in alphabetical order."""
    found = sorted(path.name.removesuffix(_SUFFIX) for path in FOLDER.glob(f"*{_SUFFIX}"))
    return tuple(name for name in found if name != _FIELDS)


def schema(name: str) -> dict[str, Any]:
    """The schema *name*, complete in itself: every reference is replaced by what it refers to.

    Raises ``ConfigurationError`` for an unknown name.
    """
    if name not in names():
        hint = did_you_mean(name, names()) or f"; there are {', '.join(names())}"
        raise ConfigurationError(f"there is no schema {name!r}{hint}")
    document = _file(name)
    return {key: value for key, value in _inlined(document, document).items() if key != "$defs"}


def example(name: str, which: str) -> dict[str, Any]:
    """A document that the schema *name* accepts: the file *which* of its examples."""
    document: dict[str, Any] = json.loads((FOLDER / "examples" / "valid" / name / f"{which}.json").read_bytes())
    return document


@cache
def validator(name: str) -> Validator:
    """The kept validator of the schema *name*; raises ``ConfigurationError`` for an unknown name."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 (80 ms that printing a schema need not pay)

    exact: type[Validator] = validators.extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
    return exact(schema(name))


def problems(name: str, document: Any) -> list[Problem]:
    """What keeps *document* (parsed JSON) from matching the schema *name*, the best explanation first.

    Raises ``ConfigurationError`` for an unknown name.
    """
    return explained(validator(name).iter_errors(document))


@cache
def _file(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}{_SUFFIX}").read_bytes())
    return document


def _inlined(node: Any, home: dict[str, Any]) -> Any:
    """*node* without references; *home* is the document that references without an address point into.

    What stands beside a ``$ref`` adds rules or describes better, so laying it over the definition means the same.
    """
    if isinstance(node, list):
        return [_inlined(one, home) for one in node]
    if not isinstance(node, dict):
        return node
    own = {key: _inlined(value, home) for key, value in node.items() if key != "$ref"}
    if "$ref" not in node:
        return own
    address, _, key = node["$ref"].partition(_DEFS)
    there = _file(_FIELDS) if address else home
    return {**_inlined(there["$defs"][key], there), **own}


def _pattern(_: Validator, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    """The keyword ``pattern`` as ECMA-262 has it, whose ``$``, unlike Python's, does not match before a line feed."""
    from jsonschema import ValidationError  # noqa: PLC0415 (see above)

    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"does not match {pattern}")
