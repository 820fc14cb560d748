"""The register of what the vendor's pages contradict, leave unknown or get wrong, and what Roomhook chose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import msgspec

from roomhook.errors import ConfigurationError
from roomhook.schemas.loader import FOLDER
from roomhook.suggestions import did_you_mean

__all__ = ["Errata", "Erratum", "ErratumKind", "Statement", "Touches", "load", "select"]

ErratumKind = Literal["contradiction", "unknown", "slip"]
"""Pages disagree, no page says, or a page errs on its face."""


class Statement(msgspec.Struct, frozen=True):
    """What one page says, in our words, and its address."""

    text: str
    source: str


class Touches(msgspec.Struct, frozen=True):
    """What depends on a choice: ids of requirements (a trailing ``.*`` stands for all below) and options."""

    requirements: tuple[str, ...]
    options: tuple[str, ...]


class Erratum(msgspec.Struct, frozen=True):
    """One entry; ``protocol`` names the places in protocol.md, rows of section 6 and items of section 7 by number."""

    id: str
    title: str
    kind: ErratumKind
    area: str
    protocol: tuple[str, ...]
    statements: tuple[Statement, ...]
    chosen: str
    why: str
    touches: Touches


class Errata(msgspec.Struct, frozen=True):
    """The register or a part of it; ``areas`` are headings by key, in the order in which to list them."""

    areas: dict[str, str]
    errata: tuple[Erratum, ...]


@cache
def load() -> Errata:
    """The whole register, by area."""
    return msgspec.json.decode((FOLDER / "errata.json").read_bytes(), type=Errata)


def select(ids: Sequence[str]) -> Errata:
    """The entries *ids* in that order, or all without any; raises ``ConfigurationError`` for an unknown id."""
    register = load()
    if not ids:
        return register
    by_id = {one.id: one for one in register.errata}
    for wanted in ids:
        if wanted not in by_id:
            hint = did_you_mean(wanted, by_id) or "; 'roomhook errata' lists them all"
            raise ConfigurationError(f"there is no erratum {wanted!r}{hint}")
    found = tuple(by_id[one] for one in ids)
    used = {one.area for one in found}
    return Errata({key: heading for key, heading in register.areas.items() if key in used}, found)
