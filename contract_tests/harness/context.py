"""What cases ask of a run: ids, sending, and what has been seen so far."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast

from roomhook.contract_tests.harness.baseline import CallbackBuilder, NotJudgedError, RunIds, TargetLostError
from roomhook.contract_tests.harness.records.ledger import EffectLedger
from roomhook.contract_tests.harness.records.observations import FlakyAnswers, Observations
from roomhook.contract_tests.harness.records.trail import Trail
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import Finding, Summary
from roomhook.contract_tests.transport.client import KeptConnection
from roomhook.contract_tests.transport.concurrent import send_by_threads, send_together
from roomhook.contract_tests.transport.patient_client import PatientClient
from roomhook.contract_tests.transport.probe import EnterMembers, Probe, RoomAccess
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl

__all__ = ["Loss", "RunContext"]

_REPEATS: Final = 2
_REPEATS_IF_FLAKY: Final = 5

_Kept = TypeVar("_Kept")


@dataclass(frozen=True, slots=True)
class Loss:
    """Why nothing more can be sent.

    ``exchange`` is the callback that showed it, or None if it was not the target; ``suspects`` are the requirements
    whose cases may have done the harm, and ``explained`` says that a finding of one of them tells of it already.
    """

    why: str
    exchange: Exchange | None = None
    suspects: tuple[str, ...] = ()
    explained: bool = False

    def __str__(self) -> str:
        return f"{self.why}, since {', '.join(self.suspects)}" if self.suspects else self.why


class RunContext:
    """The state that the cases of one run share; *clock* gives s since the epoch, *sleep* waits s.

    *on_exchange* gets every exchange as it ends, from the thread that sent it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] = time.sleep,
        probe: Probe | None = None,
        enter: EnterMembers | None = None,
        on_exchange: Callable[[Exchange], object] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.access = RoomAccess.of(settings, probe=probe, enter=enter)
        self.ids = RunIds(settings.seed, clock)
        self.line = PatientClient(settings, clock=clock, pause=sleep, on_exchange=on_exchange)
        self.observations = Observations(
            coding_allowed=any(name.lower() == "accept-encoding" for name, _ in settings.headers)
        )
        self.flaky = FlakyAnswers()
        self.unacknowledged: list[Exchange] = []
        self.findings: Callable[[], Iterable[Finding]] = tuple
        """Gives the findings of the cases that have been judged."""
        self.summary = Summary()
        self.trail = Trail()
        self.loss: Loss | None = None
        self.ledger: EffectLedger | None = None
        """Where valid leaves are watched for their effects, if they are."""
        self._kept: dict[type[Any], Any] = {}
        self._lock = threading.Lock()

    # What is known

    @property
    def url(self) -> CallbackUrl:
        """The target's callback URL."""
        return CallbackUrl.parse(self.settings.target)

    @property
    def pause(self) -> Callable[[float], object]:
        """Waits so many s."""
        return self.line.pause

    def pause_between(self, seconds: float) -> None:
        """Wait between two parts of what is sent; raises ``TargetLostError`` if nothing may be sent after it."""
        self.line.pause(seconds)
        if self.loss:
            raise TargetLostError(self.lost)

    @property
    def lost(self) -> str:
        """Why nothing more can be judged, or an empty string."""
        return str(self.loss) if self.loss else ""

    @property
    def repeats(self) -> int:
        """How often a valid callback that failed is sent again, alone, before it is blamed."""
        return _REPEATS_IF_FLAKY if self.flaky else _REPEATS

    def now_ms(self) -> int:
        """The present time, ms since the epoch."""
        return self.ids.now_ms()

    def patience_ms(self, count: int) -> float:
        """How long *count* callbacks at once may take a target that handles one at a time."""
        return self.settings.give_up_ms + 8000 + 3 * count * self.line.latency_ms

    def builder(self, case: str) -> CallbackBuilder:
        """What builds the callbacks of *case*, a requirement id."""
        return CallbackBuilder(self.settings, self.ids, case)

    def kept(self, kind: type[_Kept]) -> _Kept:
        """The run's one object of *kind*, made when it is first needed: what the checks of a group share."""
        with self._lock:
            if kind not in self._kept:
                self._kept[kind] = kind()
            return cast("_Kept", self._kept[kind])

    # Sending

    def send(
        self, callback: CallbackRequest, *, connection: KeptConnection | None = None, patience_ms: float | None = None
    ) -> Exchange:
        """Send *callback* and look at its answer; raises ``TargetLostError`` when nothing more can be judged."""
        if self.loss:
            raise TargetLostError(self.lost)
        exchange = self.line.send(callback, connection=connection, patience_ms=patience_ms)
        self.observe(exchange)
        if self.line.broken:
            self.lose(exchange, self.line.broken)
        return exchange

    def send_together(
        self, callbacks: Sequence[CallbackRequest], *, patience_ms: float, lenient: bool = False
    ) -> list[Exchange]:
        """Send all *callbacks* at once, each on a connection of its own; the answers in the same order.

        *lenient* reads answers as generously as those to lone callbacks are read, and sends less at one moment. Raises
        ``NotJudgedError`` where a proxy stands between.
        """
        if self.settings.proxy:
            raise NotJudgedError("callbacks that must arrive together can't go through --proxy")
        send = send_by_threads if lenient else send_together
        exchanges = send(self.line.client, self.settings, callbacks, give_up_ms=patience_ms)
        for exchange in exchanges:
            self.line.on_exchange(exchange)
            self.observe(exchange)
        return exchanges

    def observe(self, exchange: Exchange) -> None:
        """Look at the form of an answer, whatever it was to."""
        if exchange.acknowledged:
            self.trail.acknowledged(exchange.elapsed_ms)
        if self.ledger is not None:
            self.ledger.observe(exchange)
        self.flaky.look_at(exchange)
        self.observations.look_at(exchange)

    def count_valid(self, exchange: Exchange, *, in_crowd: bool = False) -> None:
        """Count a valid callback into the two axes of the summary.

        One that is late or refused by a rate limit *in_crowd*, beside many others at once, is the subject of the
        crowd's own requirements.
        """
        with self._lock:
            self.summary.count_valid(exchange)
            excused = exchange.late or exchange.status == HTTPStatus.TOO_MANY_REQUESTS
            if not exchange.acknowledged and not (in_crowd and excused):
                self.unacknowledged.append(exchange)

    def lose(self, exchange: Exchange, why: str) -> None:
        """Note that the target is lost, as *exchange* shows; what was noted first stays."""
        with self._lock:
            self.loss = self.loss or Loss(why, exchange, self.trail.suspects, self.trail.explained)

    def stop(self, why: str) -> None:
        """Send nothing more, for a reason that is not the target's."""
        with self._lock:
            self.loss = self.loss or Loss(why)
