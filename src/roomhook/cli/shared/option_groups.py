"""The headings under which ``--help`` lists the options of the larger commands."""

from __future__ import annotations

from typing import Final

__all__ = ["OPTION_GROUPS", "group_of"]

OPTION_GROUPS: Final = {
    "Identity and connection": (
        *("--sdkappid", "--secret-key", "--token", "--administrator", "--rest-ip", "--header", "--deadline"),
        *("--cacert", "--insecure", "--cert", "--proxy", "--allow-host", "--yes", "--clock-skew", "--refusal"),
    ),
    "Your app": ("--exec", "--wait-for", "--watch", "--watch-dir"),
    "What is judged": ("--only", "--exclude", "--list", "--strict", "--known", "--fuzz", "--fail-if"),
    "Proof of effects": (
        *("--probe", "--probe-pointer", "--probe-command", "--settle", "--enter-first", "--enter-command"),
    ),
    "Packet": (
        *("--room", "--member", "--operator", "--count", "--reason", "--event-time", "--platform", "--client-ip"),
        *("--contenttype", "--content-type", "--set", "--add", "--remove", "--raw", "--times"),
    ),
    "Rooms and people": (
        *("--profile", "--scenario", "--rooms", "--members", "--people", "--duration", "--events", "--mix"),
        *("--platforms", "--stay", "--size-tail", "--param", "--with-enter", "--locale", "--mixed-languages"),
        *("--max-members", "--shard"),
    ),
    "Time": ("--start", "--speed", "--clock", "--clock-start", "--heartbeat", "--auto-destroy", "--grace"),
    "Sending": (
        *("--rate", "--arrivals", "--connections", "--users", "--shape", "--engine", "--processes", "--in-flight"),
        *("--max-late", "--retry", "--duplicate", "--reorder", "--delay", "--only-failed", "--refresh"),
    ),
    "Where the documents are silent": (
        *("--expired-operator", "--member-count", "--bulk-kick", "--dissolution", "--destroy-order"),
        *("--empty-seat", "--room-type"),
    ),
    "Server": (
        *("--listen", "--callback", "--commands", "--state", "--memory", "--calls-per-second", "--lenient", "--auth"),
        *("--answer", "--forward", "--console"),
    ),
    "Output": (
        *("--journal", "--durable", "--resume", "--report", "--report-dir", "--har", "--dry-run", "--print"),
        *("--format", "--quiet", "--web", "--web-port"),
    ),
}
"""Long options by heading. A command that has an option which is not listed shows it under "Other options"."""

_GROUPS: Final = {option: group for group, options in OPTION_GROUPS.items() for option in options}


def group_of(options: list[str]) -> str | None:
    """The heading for an option with these spellings, if it has one."""
    return next((_GROUPS[one] for one in options if one in _GROUPS), None)
