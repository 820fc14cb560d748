"""The listener's journal: every request that arrived, written before it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from roomhook.simulator.journal.schema import refuse_folder
from roomhook.simulator.journal.writer import JournalFile
from roomhook.simulator.protocol.request_check import ValidationResult

__all__ = ["ReceivedCallback", "ReceivedCallbackJournal"]

_MOST_ANSWERS: Final = 1024
"""Different answers that are known by their id; refusals quote what arrived, so there may be any number."""


class ReceivedCallback(NamedTuple):
    """A request as it arrived: ``received_us`` since the epoch, ``head`` with its blank line, ``body`` unchunked."""

    received_us: int
    peer: str
    head: bytes
    body: bytes
    inspected: ValidationResult
    answer: bytes


class ReceivedCallbackJournal:
    """Writes receipts in batches; what has been written survives ``kill -9``."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._answers: dict[bytes, int] = {}
        self._last_answer: int = file.connection.execute("SELECT coalesce(max(id), 0) FROM answers").fetchone()[0]

    @classmethod
    def open(cls, path: Path, options: Mapping[str, Any]) -> Self:
        """A new journal in *path*, or more of one that a listener has begun there."""
        refuse_folder(path)
        file = JournalFile(path, "listener", resume=path.exists())
        file.begin_run("listener", None, "", options)
        return cls(file)

    def write(self, receipts: Sequence[ReceivedCallback]) -> None:
        """Write *receipts* in one transaction."""
        run = self._file.run
        with self._file.writing(len(receipts)) as connection:
            rows = [
                (
                    run,
                    one.received_us,
                    one.peer,
                    one.head,
                    one.body,
                    one.inspected.natural_key,
                    one.inspected.command,
                    one.inspected.room,
                    one.inspected.type,
                    one.inspected.problem,
                    self._answers.get(one.answer) or self._new_answer(one.answer),
                )
                for one in receipts
            ]
            connection.executemany(
                "INSERT INTO received"
                " (run, received_us, peer, head, body, natural_key, command, room, type, problem, answer)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                rows,
            )

    def close(self) -> None:
        """End the run."""
        self._file.close()

    def _new_answer(self, answer: bytes) -> int:
        self._last_answer += 1
        if len(self._answers) >= _MOST_ANSWERS:
            self._answers.clear()
        self._answers[answer] = self._last_answer
        self._file.connection.execute("INSERT INTO answers VALUES (?,?)", (self._last_answer, answer))
        return self._last_answer
