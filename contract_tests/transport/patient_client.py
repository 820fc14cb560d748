"""The line to the target: one callback after the other, patient with a target that restarts or that limits the rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.transport.client import Client, Connection, Exchange
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome

__all__ = ["HUNG_IN_A_ROW", "PatientClient"]

HUNG_IN_A_ROW: Final = 3
"""So many callbacks without an answer break the line."""
_COMEBACK_S: Final = 2.0
"""How long a target that refuses connections is given to come back, as a supervisor restarts it."""
_BACK_OFF_S: Final = 1.0
_MOST_BACK_OFFS: Final = 10
_SHORTEST_GAP_S: Final = 0.005
_LONGEST_GAP_S: Final = 0.1


class PatientClient:
    """Sends callbacks; *clock* and *pause* are in s.

    ``broken`` says why nothing more can be sent, and is empty until then; ``comebacks`` counts how often the target has
    refused connections and come back.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float], pause: Callable[[float], object]) -> None:
        self.client = Client(
            headers=settings.headers,
            cacert=settings.cacert,
            insecure=settings.insecure,
            cert=settings.cert,
            proxy=settings.proxy,
        )
        self.broken = ""
        self.comebacks = 0
        self._settings = settings
        self._clock = clock
        self._pause = pause
        self._hung = 0
        self._back_offs = 0
        self._gap_s = 0.0
        self._sent_at = 0.0

    def send(
        self, callback: CallbackRequest, *, connection: Connection | None = None, patience_ms: float | None = None
    ) -> Exchange:
        """The exchange that becomes of *callback*, at last; it may break the line."""
        exchange = self.attempt(callback, connection=connection, patience_ms=patience_ms)
        if exchange.outcome is DeliveryOutcome.REFUSED:
            exchange = self._after_comeback(callback, exchange)
        if exchange.status == HTTPStatus.TOO_MANY_REQUESTS:
            exchange = self._more_slowly(callback, exchange)
        self.record_hang(exchange)
        return exchange

    def attempt(
        self, callback: CallbackRequest, *, connection: Connection | None = None, patience_ms: float | None = None
    ) -> Exchange:
        """Send *callback* once, whatever comes of it."""
        self._pause(max(0.0, self._gap_s - (time.monotonic() - self._sent_at)))
        self._sent_at = time.monotonic()
        give_up_ms = patience_ms or self._settings.give_up_ms
        sender = connection or self.client
        return sender.send(callback, deadline_ms=self._settings.deadline_ms, give_up_ms=give_up_ms)

    def record_hang(self, exchange: Exchange) -> None:
        """Count *exchange* if it hung; so many in a row break the line."""
        self._hung = self._hung + 1 if exchange.hung else 0
        if self._hung >= HUNG_IN_A_ROW:
            patience_s = self._settings.give_up_ms / 1000
            self.broken = f"{HUNG_IN_A_ROW} callbacks in a row got no answer within {patience_s:g} s"

    def _after_comeback(self, callback: CallbackRequest, exchange: Exchange) -> Exchange:
        """The first exchange after the target accepts connections again; if it stays away, the line is broken."""
        end = self._clock() + _COMEBACK_S
        while self._clock() < end:
            self._pause(0.1)
            exchange = self.attempt(callback)
            if exchange.outcome is not DeliveryOutcome.REFUSED:
                self.comebacks += 1
                return exchange
        self.broken = "the target accepts no connections any more"
        return exchange

    def _more_slowly(self, callback: CallbackRequest, exchange: Exchange) -> Exchange:
        """The answer of a target that limits the rate: nothing promises that it gets hundreds of callbacks a second."""
        while exchange.status == HTTPStatus.TOO_MANY_REQUESTS and self._back_offs < _MOST_BACK_OFFS:
            self._back_offs += 1
            self._gap_s = min(max(2 * self._gap_s, _SHORTEST_GAP_S), _LONGEST_GAP_S)
            self._pause(_BACK_OFF_S)
            exchange = self.attempt(callback)
        return exchange
