"""The listener's journal: every request, written before it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from roomhook.simulator.journal.file import JournalFile
from roomhook.simulator.journal.records import ReceivedRecord
from roomhook.simulator.journal.schema import refuse_folder
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


class ReceivedCallbackJournal:
    """Writes requests in batches; they survive ``kill -9``, and with *durable* also a crash of the machine."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    @classmethod
    def open(cls, path: Path, options: Mapping[str, Any], *, durable: bool = False) -> Self:
        """Create a journal in *path*, or continue a listener's journal there."""
        refuse_folder(path)
        file = JournalFile(path, "listener", resume=path.exists(), durable=durable)
        file.begin_run("listener", None, "", options)
        return cls(file)

    def write(self, receipts: Sequence[ReceivedCallback]) -> None:
        """Write *receipts* in one piece; raises ``JournalError`` if that fails."""
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
        self._file.append(ReceivedRecord(self._file.run, list(answers), rows))

    def close(self) -> None:
        """End the run; raises ``JournalError`` if the journal has been deleted."""
        self._file.close()
