"""Where checks register under their requirement ids, and where the suite finds them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from roomhook.contract_tests.harness.case import Case

__all__ = ["GROUPS", "Check", "check", "load_checks"]

Check = Callable[["Case"], None]
"""Judges one requirement: adds findings to the case, or raises ``NotJudgedError``."""

GROUPS: Final = (
    "baseline",
    "steady",
    "packets",
    "large",
    "urls",
    "app_id",
    "http",
    "commands",
    "bad_input",
    "duplicates",
    "signatures",
    "effects.members",
    "effects.unchanged",
    "effects.order",
    "effects.two_rooms",
    "effects.concurrency",
    "effects.apart",
    "effects.applied",
    "tls",
    "fuzz",
)
"""The modules of this package that hold checks."""

_checks: dict[str, Check] = {}


def check(*ids: str) -> Callable[[Check], Check]:
    """Register the decorated function for the requirements *ids*."""

    def register(function: Check) -> Check:
        for one in ids:
            if one in _checks:
                raise ValueError(f"two checks for {one}")
            _checks[one] = function
        return function

    return register


def load_checks() -> Mapping[str, Check]:
    """All checks by requirement id."""
    for group in GROUPS:
        importlib.import_module(f"roomhook.contract_tests.checks.{group}")
    return _checks
