"""One order carried out by several processes, each with its share of rooms, rate and connections and a journal."""

from __future__ import annotations

import glob
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from roomhook.schemas.errors import ConfigurationError, RoomhookError, UnreachableError
from roomhook.simulator.sender import run_loop
from roomhook.simulator.session import Order, Source, Watch, carry_out, seldom_collecting
from roomhook.simulator.tally import Tally

__all__ = ["carry_out_together", "first_part", "journal_of_part"]

_ERRORS: Final = {kind.exit_code: kind for kind in (RoomhookError, ConfigurationError, UnreachableError)}


def journal_of_part(journal: Path, part: int, parts: int) -> Path:
    """Where part *part* of *parts* keeps its journal: ``run.db`` becomes ``run.1-of-2.db``."""
    return journal.with_name(f"{journal.stem}.{part}-of-{parts}{journal.suffix}")


def first_part(journal: Path) -> Path | None:
    """The first of the journals that several processes have made of *journal*, if they have."""
    return next(iter(sorted(journal.parent.glob(f"{glob.escape(journal.stem)}.1-of-*{journal.suffix}"))), None)


def carry_out_together(
    order: Order, sources: list[Source], watch: Callable[[Watch], object] | None = None
) -> tuple[Tally, bool]:
    """Carry out *order* with a process for each of *sources*; returns the sum, and whether a signal ended it early.

    Raises the first error that a process ended with. SIGINT and SIGTERM are passed on.
    """
    parts = len(sources)
    context = multiprocessing.get_context("spawn")
    running: dict[Any, BaseProcess] = {}
    for part, source in enumerate(sources, 1):
        ours, theirs = context.Pipe(duplex=False)
        process: BaseProcess = context.Process(
            target=_work, args=(theirs, _share(order, part, parts), source), daemon=True
        )
        process.start()
        theirs.close()
        running[ours] = process
    interrupted = _pass_on_signals(list(running.values()))
    latest: dict[Any, Watch] = {}
    finished: list[Tally] = []
    error: RoomhookError | None = None
    try:
        while running:
            for each in wait(list(running)):
                connection: Any = each
                message = _received(connection)
                if isinstance(message, Watch):
                    latest[connection] = message
                    continue
                running.pop(connection).join()
                connection.close()
                if isinstance(message, Tally):
                    finished.append(message)
                else:
                    error = error or message
                    for process in running.values():
                        process.terminate()
            if watch and latest:
                watch(_together(list(latest.values())))
    finally:
        _forget_signals(interrupted)
    if error is not None:
        raise error
    total = Tally()
    total.add(finished)
    total.mode = order.mode
    return total, bool(interrupted["happened"])


def _share(order: Order, part: int, parts: int) -> Order:
    own = order.connections // parts + (part <= order.connections % parts)
    return replace(
        order,
        rate=None if order.rate is None else order.rate / parts,
        connections=max(1, own),
        seed=order.seed * parts + part,
        journal=None if order.journal is None else journal_of_part(order.journal, part, parts),
    )


def _work(connection: Any, order: Order, source: Source) -> None:
    """What each process does: tell of progress, and at the end of the tally or the error."""
    os.setpgrp()  # a terminal's Ctrl-C reaches the first process, which passes it on once

    def tell(message: object) -> None:
        try:
            connection.send(message)
        except BrokenPipeError:  # the first process is dead: end in order, so that the journal does
            signal.raise_signal(signal.SIGTERM)

    try:
        with seldom_collecting():
            tally, _ = run_loop(carry_out(order, source, tell))
        tell(tally)
    except RoomhookError as error:
        tell((error.exit_code, str(error)))
    finally:
        connection.close()


def _received(connection: Any) -> Watch | Tally | RoomhookError:
    try:
        message = connection.recv()
    except EOFError:
        return RoomhookError("a sending process died; --resume goes on with its journal")
    if isinstance(message, tuple):
        code, text = message
        return _ERRORS.get(code, RoomhookError)(text)
    assert isinstance(message, Watch | Tally)
    return message


def _together(watches: list[Watch]) -> Watch:
    tally = Tally()
    tally.add([watch.tally for watch in watches])
    alive = [watch.alive for watch in watches if watch.alive is not None]
    return Watch(
        tally,
        sum(watch.in_flight for watch in watches),
        sum(watch.waiting for watch in watches),
        sum(alive) if alive else None,
        max(watch.elapsed_s for watch in watches),
    )


def _pass_on_signals(processes: list[BaseProcess]) -> dict[str, Any]:
    """Let SIGINT and SIGTERM end the processes in order, and remember that one came."""
    state: dict[str, Any] = {"happened": False, "before": {}}

    def passed(*_: object) -> None:
        state["happened"] = True
        for process in processes:
            if process.is_alive():
                process.terminate()

    for each in (signal.SIGINT, signal.SIGTERM):
        state["before"][each] = signal.signal(each, passed)
    return state


def _forget_signals(state: dict[str, Any]) -> None:
    for each, before in state["before"].items():
        signal.signal(each, before)
