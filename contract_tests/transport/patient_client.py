"""HTTP client that waits for a target to restart and slows down for one that limits the rate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.transport.client import Client, KeptConnection
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import header

__all__ = ["HUNG_IN_A_ROW", "PatientClient"]

HUNG_IN_A_ROW: Final = 3
"""So many callbacks without an answer break the line."""
_COMEBACK_S: Final = 2.0
"""How long a target that refuses connections is given to come back, as a supervisor restarts it."""
_BACK_OFF_S: Final = 1.0
_LONGEST_BACK_OFF_S: Final = 5.0
_MOST_BACK_OFFS: Final = 30
_SHORTEST_GAP_S: Final = 0.005
_LONGEST_GAP_S: Final = 2.0


@dataclass
class _RateLimit:
    """The rate that a target allows, as learned from its 429s: ``gap_s`` between callbacks, the next at ``next_at``."""

    back_offs: int = 0
    gap_s: float = 0.0
    next_at: float = 0.0


class PatientClient:
    """HTTP client that waits for restarts and honours 429; *clock* and ``pause`` are in s.

    ``on_exchange`` gets every attempt as it ends, from the thread that made it.

    ``broken`` says why nothing more can be sent, and is empty until then; ``comebacks`` counts how often the target has
    refused connections and come back; ``latency_ms`` is how long a callback takes alone, as far as that is known, and
    ``lanes`` how many a slow target takes side by side.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float],
        pause: Callable[[float], object],
        on_exchange: Callable[[Exchange], object] = lambda _: None,
    ) -> None:
        self.client = Client(
            headers=settings.headers,
            cacert=settings.cacert,
            insecure=settings.insecure,
            cert=settings.cert,
            proxy=settings.proxy,
        )
        self.pause = pause
        self.on_exchange = on_exchange
        self.broken = ""
        self.comebacks = 0
        self.latency_ms = 0.0
        self.lanes = 1
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._hangs: list[float] = []
        self._rate = _RateLimit()

    @property
    def gap_s(self) -> float:
        """How far apart callbacks are kept, because the target limits its rate; 0 if it does not."""
        return self._rate.gap_s

    def send(
        self, callback: CallbackRequest, *, connection: KeptConnection | None = None, patience_ms: float | None = None
    ) -> Exchange:
        """Send *callback*, again where that is due, and return the last exchange; it may break the line."""
        exchange = self.attempt(callback, connection=connection, patience_ms=patience_ms)
        if exchange.outcome is DeliveryOutcome.REFUSED:
            exchange = self._after_comeback(callback, exchange)
        if exchange.status == HTTPStatus.TOO_MANY_REQUESTS:
            exchange = self._more_slowly(callback, exchange)
        self.record_hang(exchange)
        return exchange

    def attempt(
        self, callback: CallbackRequest, *, connection: KeptConnection | None = None, patience_ms: float | None = None
    ) -> Exchange:
        """Send *callback* once."""
        self._wait_for_turn()
        give_up_ms = patience_ms or self._settings.give_up_ms
        sender = connection or self.client
        exchange = sender.send(callback, deadline_ms=self._settings.deadline_ms, give_up_ms=give_up_ms)
        self.on_exchange(exchange)
        return exchange

    def record_hang(self, exchange: Exchange) -> None:
        """Count *exchange* if it hung; so many in a row break the line.

        Callbacks that hang side by side count once, since one stall holds up all that are in flight.
        """
        now = time.monotonic()
        with self._lock:
            if not exchange.hung:
                self._hangs.clear()
            elif not self._hangs or now - exchange.elapsed_ms / 1000 >= self._hangs[-1]:
                self._hangs.append(now)
            self._break_after_hangs()

    def record_silence(self, exchanges: Sequence[Exchange]) -> bool:
        """Count each of the warm-up's *exchanges* that hung, though they overlap; tell whether the line is broken."""
        with self._lock:
            self._hangs += [time.monotonic() for one in exchanges if one.hung]
            self._break_after_hangs()
        return bool(self.broken)

    def _break_after_hangs(self) -> None:
        if len(self._hangs) >= HUNG_IN_A_ROW:
            patience_s = self._settings.give_up_ms / 1000
            self.broken = f"{HUNG_IN_A_ROW} callbacks in a row got no answer within {patience_s:g} s"

    def _wait_for_turn(self) -> None:
        """Keep callbacks as far apart as a target wants that limits the rate."""
        with self._lock:
            now = time.monotonic()
            wait_s = max(0.0, self._rate.next_at - now)
            self._rate.next_at = now + wait_s + self._rate.gap_s
        if wait_s:
            self.pause(wait_s)

    def _after_comeback(self, callback: CallbackRequest, exchange: Exchange) -> Exchange:
        """The first exchange after the target accepts connections again; if it stays away, the line is broken."""
        end = self._clock() + _COMEBACK_S
        while self._clock() < end:
            self.pause(0.1)
            exchange = self.attempt(callback)
            if exchange.outcome is not DeliveryOutcome.REFUSED:
                with self._lock:
                    self.comebacks += 1
                return exchange
        self.broken = "the target accepts no connections any more"
        return exchange

    def _more_slowly(self, callback: CallbackRequest, exchange: Exchange) -> Exchange:
        """The answer of a target that limits the rate: nothing promises that it gets hundreds of callbacks a second."""
        while exchange.status == HTTPStatus.TOO_MANY_REQUESTS and self._rate.back_offs < _MOST_BACK_OFFS:
            with self._lock:
                self._rate.back_offs += 1
                self._rate.gap_s = min(max(2 * self._rate.gap_s, _SHORTEST_GAP_S), _LONGEST_GAP_S)
            self.pause(_back_off_s(exchange))
            exchange = self.attempt(callback)
        return exchange


def _back_off_s(exchange: Exchange) -> float:
    """How long to wait after a 429: what its Retry-After says, within reason."""
    text = (exchange.answer and header(exchange.answer, "Retry-After")) or ""
    wanted = float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0
    return min(max(wanted, _BACK_OFF_S), _LONGEST_BACK_OFF_S)
