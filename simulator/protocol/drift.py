"""Where recorded callbacks differ from the documents: unknown fields, missing ones, other types, unlisted values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl

from roomhook.schemas import errata
from roomhook.schemas.loader import validator
from roomhook.simulator.protocol.request_check import SCHEMA_NAMES

if TYPE_CHECKING:
    from jsonschema import ValidationError

__all__ = ["Drift", "find_drift"]

_LONGEST_EXAMPLE: Final = 80
_INDEX: Final = re.compile(r"\[\d+\]")
_KINDS: Final = {
    "additionalProperties": "unknown field",
    "required": "missing field",
    "dependentRequired": "missing field",
    "type": "other type",
    "enum": "unlisted value",
    "const": "unlisted value",
}


class _Difference(NamedTuple):
    command: str
    place: str
    kind: str
    field: str


@dataclass
class Drift:
    """One kind of difference: its place (``url`` or ``packet``), the number of times, and an example.

    ``erratum`` is the id of the erratum about the field, or "".
    """

    command: str
    place: str
    kind: str
    field: str
    count: int = 0
    example: str = ""
    erratum: str = ""


def find_drift(callbacks: Iterable[tuple[str, bytes]]) -> list[Drift]:
    """The differences between *callbacks* (query and body) and the sent schemas, the most frequent first."""
    found: dict[_Difference, Drift] = {}
    for query, body in callbacks:
        for difference, example in _differences(query, body):
            drift = found.get(difference)
            if drift is None:
                drift = found[difference] = Drift(*difference, erratum=_erratum(difference))
                drift.example = example[:_LONGEST_EXAMPLE]
            drift.count += 1
    return sorted(found.values(), key=lambda one: (-one.count, one.command, one.place, one.field))


def _differences(query: str, body: bytes) -> Iterator[tuple[_Difference, str]]:
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    command = parameters.get("CallbackCommand", "?")
    for error in validator("url").iter_errors(parameters):
        yield from _described(command, "url", error)
    try:
        packet = json.loads(body)
    except (ValueError, RecursionError):
        yield _Difference(command, "packet", "not JSON", "$"), body[:_LONGEST_EXAMPLE].decode(errors="backslashreplace")
        return
    schema = SCHEMA_NAMES.get(command)
    if schema is None:
        yield _Difference(command, "packet", "unknown command", "CallbackCommand"), command
        return
    for error in validator(schema).iter_errors(packet):
        yield from _described(command, "packet", error)


def _described(command: str, place: str, error: ValidationError) -> Iterator[tuple[_Difference, str]]:
    path = _INDEX.sub("[]", error.json_path)
    kind = _KINDS.get(str(error.validator), "other value")
    instance: Any = error.instance
    if kind == "unknown field" and isinstance(instance, dict):
        rules = error.schema if isinstance(error.schema, dict) else {}
        for name in instance.keys() - rules.get("properties", {}).keys():
            yield _Difference(command, place, kind, f"{path}.{name}"), json.dumps(instance[name], ensure_ascii=False)
    elif kind == "missing field" and isinstance(instance, dict):
        for name in error.validator_value if isinstance(error.validator_value, list) else ():
            if name not in instance:
                yield _Difference(command, place, kind, f"{path}.{name}"), ""
    else:
        yield _Difference(command, place, kind, path), json.dumps(instance, ensure_ascii=False)


def _erratum(difference: _Difference) -> str:
    """The entry of the errata that names the field, if any."""
    name = re.split(r"[.\[]", difference.field.rstrip("[]"))[-1]
    if name == "$":
        return ""
    word = re.compile(rf"\b{re.escape(name)}\b")
    for entry in errata.load().errata:
        if word.search(" ".join([entry.title, entry.chosen, *(one.text for one in entry.statements)])):
            return entry.id
    return ""
