"""The table of broken App backends, by the requirement that each breaks."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.backends import (
    broken_ack,
    broken_bad,
    broken_effect,
    broken_fuzz,
    broken_http,
    broken_packet,
    broken_sign,
    broken_url,
)
from roomhook.contract_tests.backends.registry import Broken, declared
from roomhook.contract_tests.register import load_register

__all__ = ["BROKEN", "GROUPS"]

GROUPS: Final = (
    broken_ack,
    broken_packet,
    broken_url,
    broken_http,
    broken_bad,
    broken_sign,
    broken_effect,
    broken_fuzz,
)
"""The modules that declare them, which importing them does."""

_DECLARED: Final = declared()

BROKEN: Final[dict[str, Broken]] = {one: _DECLARED[one] for one in load_register() if one in _DECLARED}
"""Every broken App backend, by requirement id, in the register's order."""
