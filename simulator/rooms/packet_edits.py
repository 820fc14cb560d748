"""Changes to a packet by hand: set a field, add one, remove one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.packets import Packet, encode

__all__ = ["Edits", "assignment"]

_URL_OPTIONS: Final = {
    "sdkappid": "--sdkappid",
    "contenttype": "--contenttype",
    "clientip": "--client-ip",
    "optplatform": "--platform",
    "sign": "--token",
    "requesttime": "--token",
}
"""URL parameters, which are not fields of the packet, and the option for each."""


@dataclass(frozen=True, slots=True)
class Edits:
    """Fields that are *replaced* in place, *added* at the end (both ``FIELD=VALUE``) and *removed*, in this order."""

    replaced: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def body(self, packet: Packet) -> bytes:
        """*packet* with these changes as UTF-8 JSON; without changes, exactly the bytes of its encoding.

        Raises ``ConfigurationError``, which names the remedy, for an impossible edit and for text that is not UTF-8.
        """
        try:
            plain = encode(packet)
        except UnicodeEncodeError:
            raise ConfigurationError("a field is not UTF-8; put the body into a file and send it with --raw") from None
        return plain if self == Edits() else _to_bytes(self.apply(json.loads(plain)))

    def apply(self, fields: dict[str, Any]) -> dict[str, Any]:
        """*fields* with these changes; raises ``ConfigurationError`` if a field is missing, or exists already."""
        changed = dict(fields)
        for name, value in map(assignment, self.replaced):
            _require(changed, name, f"to add it, say --add {name}=…")
            changed[name] = value
        for name, value in map(assignment, self.added):
            if name in changed:
                raise ConfigurationError(f"the packet has a field {name!r} already: to change it, say --set {name}=…")
            changed[name] = value
        for name in self.removed:
            _require(changed, name, "it can't be removed")
            del changed[name]
        return changed


def assignment(text: str) -> tuple[str, Any]:
    """Name and value of ``FIELD=VALUE``; the value is JSON if it parses, else text.

    Raises ``ConfigurationError`` for a text without ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigurationError(
            f"--set or --add {text!r} is not FIELD=VALUE, as in MemberCount=0 or 'Reason=gone home'"
        )
    try:
        return name, json.loads(value, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return name, value


def _to_bytes(fields: dict[str, Any]) -> bytes:
    """*fields* as JSON without white space; half a surrogate pair, which UTF-8 cannot hold, stays escaped."""
    try:
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(fields, separators=(",", ":")).encode()


def _require(fields: dict[str, Any], name: str, remedy: str) -> None:
    if name in fields:
        return
    if option := _URL_OPTIONS.get(name.lower()):
        raise ConfigurationError(f"{name} is a parameter of the URL and no field of the packet: use {option}")
    near = next((field for field in fields if field.lower() == name.lower()), None)
    if near:
        raise ConfigurationError(f"the packet has no field {name!r}, but {near!r}: mind the case")
    raise ConfigurationError(f"the packet has no field {name!r}, only {', '.join(fields)}: {remedy}")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
