"""The table of broken App backends, by the requirement that each breaks."""

from __future__ import annotations

from typing import Final

from roomhook.contract_tests.app_backends.broken import ack as broken_ack
from roomhook.contract_tests.app_backends.broken import bad_input as broken_bad
from roomhook.contract_tests.app_backends.broken import effects as broken_effect
from roomhook.contract_tests.app_backends.broken import effects_of_order as broken_order
from roomhook.contract_tests.app_backends.broken import effects_of_values as broken_values
from roomhook.contract_tests.app_backends.broken import fuzz as broken_fuzz
from roomhook.contract_tests.app_backends.broken import http as broken_http
from roomhook.contract_tests.app_backends.broken import packets as broken_packet
from roomhook.contract_tests.app_backends.broken import signatures as broken_sign
from roomhook.contract_tests.app_backends.broken import urls as broken_url
from roomhook.contract_tests.app_backends.broken.registry import Broken, declared
from roomhook.contract_tests.model.register import load_register

__all__ = ["BROKEN", "GROUPS"]

GROUPS: Final = (
    broken_ack,
    broken_packet,
    broken_url,
    broken_http,
    broken_bad,
    broken_sign,
    broken_effect,
    broken_order,
    broken_values,
    broken_fuzz,
)
"""The modules that declare them, which importing them does."""

_DECLARED: Final = declared()

BROKEN: Final[dict[str, Broken]] = {one: _DECLARED[one] for one in load_register() if one in _DECLARED}
"""Every broken App backend, by requirement id, in the register's order."""
