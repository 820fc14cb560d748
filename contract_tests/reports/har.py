"""The exchanges of a run as HAR 1.2: every request that was judged, with its response."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import TextIO

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.simulator.protocol.har import HarWriter, har_entry

__all__ = ["ExchangeLog"]


class ExchangeLog(HarWriter):
    """Writes a HAR log to *file*; takes exchanges from any thread, as they end."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(file, version=version("roomhook"))

    def record(self, exchange: Exchange) -> None:
        """Write *exchange*, which has just ended."""
        ids = dict.fromkeys(one.requirement for one in exchange.judgement.breaches)
        told = (str(exchange.outcome), *ids, exchange.detail)
        self.add(
            har_entry(
                exchange.callback,
                exchange.answer,
                started_s=time.time() - exchange.elapsed_ms / 1000,
                elapsed_ms=exchange.elapsed_ms,
                comment="; ".join(one for one in told if one),
            )
        )
