"""The first callbacks of a run: patient with a target that starts cold, and soon sure of one that never answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from threading import Thread
from typing import Final

from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.transport.patient_client import HUNG_IN_A_ROW

__all__ = ["WarmUp", "warm_up"]

_MORE: Final = HUNG_IN_A_ROW - 1


@dataclass(frozen=True)
class WarmUp:
    """How a warm-up ended: the first callback that came to more than silence, or else all that hung.

    ``first_ms`` is how long the very first one took, or has been waited for in vain.
    """

    exchanges: Sequence[Exchange]
    first_ms: float


def warm_up(send: Callable[[float], Exchange], *, patience_ms: float, give_up_ms: float) -> WarmUp:
    """Send one callback until it comes to more than silence, for *patience_ms* at most.

    *send* sends one callback and waits so many ms. As long as there is no answer, two more follow the first: the last
    of them has *give_up_ms* left, so that the silence of all three is known when the first one's patience is over.
    Whatever has reached the target is through, or has hung for *give_up_ms*, before anything else is sent.
    """
    step_ms = max(0.0, patience_ms - give_up_ms) / _MORE
    started = time.monotonic()
    under_way: list[Future[Exchange]] = []
    for number in range(HUNG_IN_A_ROW):
        under_way.append(_begun(send, patience_ms - number * step_ms))
        if wait(under_way, step_ms / 1000 if number < _MORE else None, FIRST_COMPLETED).done:
            break
    exchanges = _through(under_way)
    if all(one.connected for one in exchanges):
        wait(under_way, give_up_ms / 1000)
        exchanges = _through(under_way)
    first = under_way[0]
    first_ms = first.result().elapsed_ms if first.done() else (time.monotonic() - started) * 1000
    return WarmUp([one for one in exchanges if not one.hung][:1] or exchanges, first_ms)


def _through(under_way: Sequence[Future[Exchange]]) -> list[Exchange]:
    return [one.result() for one in under_way if one.done()]


def _begun(send: Callable[[float], Exchange], patience_ms: float) -> Future[Exchange]:
    """The exchange to come, from a thread that nobody has to wait for: Ctrl-C ends a run at once."""
    coming: Future[Exchange] = Future()

    def run() -> None:
        try:
            coming.set_result(send(patience_ms))
        except BaseException as error:  # noqa: BLE001 (raised where the result is asked for)
            coming.set_exception(error)

    Thread(target=run, name="roomhook-warm-up", daemon=True).start()
    return coming
