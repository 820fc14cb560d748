"""One event to be delivered to one callback URL, and streams of such deliveries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, count, islice
from typing import Final

import msgspec

from roomhook.simulator.protocol.callback_event import CallbackEvent

__all__ = ["NO_DELIVERY", "Delivery", "blocks", "numbered"]

_BLOCK: Final = 64
"""Events taken from a stream at once, in a fraction of a millisecond."""


class Delivery(msgspec.Struct, gc=False):
    """One event for one callback URL; ``number`` counts its attempts.

    ``first_ns`` is the start of the first attempt that was not delivered (ns, monotonic).
    """

    id: int
    event: CallbackEvent
    number: int = 0
    first_ns: int = 0
    delivered: bool = False
    failed: bool = False


NO_DELIVERY: Final = Delivery(0, CallbackEvent(0, "", "", "", b""))
"""The delivery of a request that belongs to no run."""


def numbered(events: Iterable[CallbackEvent], first_id: int = 1) -> Iterator[Delivery]:
    """*events* as deliveries with ids from *first_id*, for runs without a journal.

    They are taken in blocks: rooms that live for a while and a sender that sends for a while each find their data in
    the processor's cache.
    """
    ids = count(first_id)
    return chain.from_iterable(map(Delivery, ids, block) for block in blocks(events, _BLOCK))


def blocks(events: Iterable[CallbackEvent], size: int) -> Iterator[list[CallbackEvent]]:
    """*events* in lists of *size*; if *events* raises, the last list has the events before the error."""
    source = iter(events)
    while True:
        block: list[CallbackEvent] = []
        try:
            block.extend(islice(source, size))
        except Exception:
            if block:
                yield block
            raise
        if not block:
            return
        yield block
