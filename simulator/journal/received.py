"""The listener's journal: every request, written before it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from roomhook.simulator.journal.file import JournalFile
from roomhook.simulator.journal.records import ReceivedRecord
from roomhook.simulator.protocol.request_check import ValidationResult

__all__ = ["ReceivedCallback", "ReceivedCallbackJournal"]


class ReceivedCallback(NamedTuple):
    """A request as it arrived: ``received_us`` since the epoch, ``head`` with its blank line, ``body`` unchunked."""

    received_us: int
    peer: str
    head: bytes
    body: bytes
    inspected: ValidationResult
    answer: bytes


class ReceivedCallbackJournal(JournalFile):
    """Creates a listener's journal in *path*, or continues it; raises ``ConfigurationError`` if that is not possible.

    With *durable*, records also survive a crash of the machine.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], *, durable: bool = False) -> None:
        super().__init__(path, "listener", options=options, resume=path.exists(), durable=durable)

    def write(self, receipts: Sequence[ReceivedCallback]) -> None:
        """Write *receipts* in one piece, which survives ``kill -9``; raises ``JournalError`` if that fails."""
        answers = {answer: number for number, answer in enumerate({one.answer for one in receipts})}
        rows = [
            (
                one.received_us,
                one.peer,
                one.head,
                one.body,
                found.natural_key,
                found.command,
                found.room,
                found.type,
                found.problem,
                answers[one.answer],
            )
            for one in receipts
            for found in (one.inspected,)
        ]
        self.append(ReceivedRecord(self.run, list(answers), rows))
