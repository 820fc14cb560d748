"""The options of a mock Room backend with their errata, for the page of settings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, NamedTuple

from roomhook.schemas import errata
from roomhook.schemas.errata import Erratum
from roomhook.simulator.room_backend.state.options import BackendOptions

__all__ = ["ERRATA_BESIDE", "FixedOption", "errata_beside", "fixed_options"]

ERRATA_BESIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "url": ("url-protocol", "url-characters", "url-with-a-query", "activation-delay", "where-to-configure"),
    "commands": ("update-room-info-name", "unknown-command-names"),
    "token": ("room-token", "token-length", "sign-window"),
    "faults": ("order", "duplicates-are-unmarked"),
    "delivery": ("retries", "retry-contents", "deadline", "what-is-delivered", "failed-callback"),
}
"""Ids of errata by part of the page."""


class FixedOption(NamedTuple):
    """An option that is chosen when the Room backend starts: its name, its value in words, and its errata."""

    name: str
    value: str
    errata: tuple[Erratum, ...]


@cache
def errata_beside() -> dict[str, tuple[Erratum, ...]]:
    """The errata of ``ERRATA_BESIDE``."""
    known = {one.id: one for one in errata.load().errata}
    return {part: tuple(known[one] for one in ids) for part, ids in ERRATA_BESIDE.items()}


def fixed_options(options: BackendOptions) -> list[FixedOption]:
    """The options of the command line, with the errata that name them."""
    behaviour = options.behaviour
    low, high = (one / 1000 for one in behaviour.heartbeat_ms)
    empty_ms = options.auto_destroy_ms
    values = {
        "heartbeat": f"{low:g}-{high:g} s",
        "member-count": str(behaviour.member_count),
        "expired-operator": str(behaviour.expired_operator),
        "bulk-kick": str(behaviour.bulk_kick),
        "dissolution": str(behaviour.dissolution),
        "destroy-order": str(options.destroy_order),
        "auto-destroy": "never" if empty_ms is None else f"{empty_ms / 1000:g} s",
        "empty-seat": str(options.empty_seat),
        "room-type": options.room_type,
        "rest-ip": options.rest_ip,
        "administrator": behaviour.administrator,
        "in-flight": str(options.in_flight),
        "lenient": "yes" if options.lenient else "no",
    }
    return [FixedOption(f"--{name}", value, _touching(f"roomhook serve --{name}")) for name, value in values.items()]


@cache
def _touching(option: str) -> tuple[Erratum, ...]:
    return tuple(one for one in errata.load().errata if option in one.touches.options)
