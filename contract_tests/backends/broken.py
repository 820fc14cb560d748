"""The table of broken App backends, by the requirement that each breaks."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.backends import broken_ack
from roomhook.contract_tests.backends.registry import Broken, declared

__all__ = ["BROKEN", "GROUPS"]

GROUPS: Final = (broken_ack,)
"""The modules that declare them; importing a module fills the table."""

BROKEN: Final[dict[str, Broken]] = declared()
"""Every broken App backend, by requirement id."""
