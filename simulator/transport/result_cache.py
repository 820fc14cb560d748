"""Results of responses by their bytes, kept for the next response with the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import ACK_MUST, Response, Violation, check_response
from roomhook.simulator.transport.attempt import AttemptResult

__all__ = ["ResultCache", "requirement_ids"]

_MOST_KNOWN: Final = 256
_LONGEST_KNOWN: Final = 4096
_MUST: Final = frozenset(ACK_MUST)

_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


class ResultCache:
    """Judges whole answers that came in time; *deadline_ms* is only named in what a verdict expects.

    Results depend only on the bytes. ``known`` has those of answers that came in one piece on a connection that stays
    open: such bytes need no parsing. At most 256 answers of 4 KiB are kept.
    """

    def __init__(self, deadline_ms: float) -> None:
        self.known: dict[bytes, AttemptResult] = {}
        self._deadline_ms = deadline_ms
        self._verdicts: dict[tuple[int, bytes], tuple[DeliveryOutcome, tuple[str, ...]]] = {}

    def result_of(self, received: bytes, status: int, body: bytes, *, reusable: bool) -> AttemptResult:
        """The result of a complete response; *reusable*: it arrived in one piece, and may be ``known`` from now on."""
        kind = status, body
        verdict = self._verdicts.get(kind)
        if verdict is None:
            judgement = check_response(Response(status, (), body, 0), deadline_ms=self._deadline_ms)
            verdict = judgement.outcome, requirement_ids(judgement.breaches)
            _keep(self._verdicts, kind, verdict, len(body))
        result = AttemptResult(*verdict, received=received, status=status, body=body, complete=True)
        if reusable:
            _keep(self.known, received, result, len(received))
        return result


def requirement_ids(breaches: Iterable[Violation]) -> tuple[str, ...]:
    """The sorted ids of the requirements on every response that *breaches* name."""
    return tuple(sorted({breach.requirement for breach in breaches} & _MUST))


def _keep(known: dict[_Key, _Kept], key: _Key, value: _Kept, size: int) -> None:
    if size <= _LONGEST_KNOWN:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[key] = value
