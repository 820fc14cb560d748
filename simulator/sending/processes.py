"""Runs one job in several processes, each with its share of rooms, rate and connections and its own journal."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from roomhook.errors import ConfigurationError, RoomhookError, UnreachableError
from roomhook.simulator.journal.part_names import journals_of
from roomhook.simulator.sending.session import (
    EventSource,
    JobResult,
    ProgressSnapshot,
    SendJob,
    carry_out,
    seldom_collecting,
)
from roomhook.simulator.sending.stats import SendStats
from roomhook.simulator.transport.sender import run_loop
from roomhook.simulator.util.signals import SIGNALS, ignore_signals, treat_as_interrupt

__all__ = ["carry_out_together"]

_ERRORS: Final = {kind.exit_code: kind for kind in (RoomhookError, ConfigurationError, UnreachableError)}


def carry_out_together(
    order: SendJob, sources: list[EventSource], watch: Callable[[ProgressSnapshot], object] | None = None
) -> JobResult:
    """Carry out *order* with a process for each of *sources*; the result has the sum of their counts.

    Raises the first error that ended a process, and ``KeyboardInterrupt`` after a second signal. Passes signals on.
    """
    parts = len(sources)
    context = multiprocessing.get_context("spawn")
    running: dict[Any, BaseProcess] = {}
    resource_tracker.ensure_running()  # it would unblock signals when the first process starts
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, SIGNALS
    )  # the processes inherit that, until they can end in order
    for part, source in enumerate(sources, 1):
        ours, theirs = context.Pipe(duplex=False)
        process: BaseProcess = context.Process(
            target=_work, args=(theirs, _share(order, part, parts), source), daemon=True
        )
        process.start()
        theirs.close()
        running[ours] = process
    interrupted = _pass_on_signals(list(running.values()))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    latest: dict[Any, ProgressSnapshot] = {}
    finished: list[SendStats] = []
    error: RoomhookError | KeyboardInterrupt | None = None
    try:
        while running:
            for each in wait(list(running)):
                connection: Any = each
                message = _received(connection)
                if isinstance(message, ProgressSnapshot):
                    latest[connection] = message
                    continue
                running.pop(connection).join()
                connection.close()
                if isinstance(message, SendStats):
                    finished.append(message)
                else:
                    if error is None and not interrupted["happened"]:  # a second signal would not wait
                        for process in running.values():
                            process.terminate()
                    error = error or message
            if watch and latest:
                watch(_together(list(latest.values())))
    finally:
        _forget_signals(interrupted)
    if error is not None:
        raise error
    total = SendStats()
    total.add(finished)
    total.mode = order.mode
    return JobResult(total, bool(interrupted["happened"]))


def _share(order: SendJob, part: int, parts: int) -> SendJob:
    own = order.connections // parts + (part <= order.connections % parts)
    return replace(
        order,
        rate=None if order.rate is None else order.rate / parts,
        connections=max(1, own),
        seed=order.seed * parts + part,
        journal=None if order.journal is None else journals_of(order.journal, parts)[part - 1],
    )


def _work(connection: Any, order: SendJob, source: EventSource) -> None:
    """Work of each process: report progress, then the tally or the error."""
    os.setpgrp()  # a terminal's Ctrl-C reaches the first process, which passes it on once
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # forget the one that came before we had a group of our own
    signal.signal(signal.SIGINT, signal.default_int_handler)
    treat_as_interrupt()

    gone = False

    def tell(message: object) -> None:
        nonlocal gone
        try:
            connection.send(message)
        except BrokenPipeError:  # the first process is dead: end in order, so that the journal does
            if not gone:  # a second signal would not wait for what is in flight
                gone = True
                signal.raise_signal(signal.SIGTERM)

    last: object = KeyboardInterrupt()
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        try:
            with seldom_collecting():
                ended = run_loop(carry_out(order, source, tell))
            if ended.error is not None:
                raise ended.error
            last = ended.tally
        except RoomhookError as error:
            last = error.exit_code, str(error)
        ignore_signals()
    tell(last)
    connection.close()


def _received(connection: Any) -> ProgressSnapshot | SendStats | RoomhookError | KeyboardInterrupt:
    try:
        message = connection.recv()
    except EOFError:
        return RoomhookError("a sending process died; if there is a --journal, --resume goes on with it")
    if isinstance(message, tuple):
        code, text = message
        return _ERRORS.get(code, RoomhookError)(text)
    assert isinstance(message, ProgressSnapshot | SendStats | KeyboardInterrupt)
    return message


def _together(watches: list[ProgressSnapshot]) -> ProgressSnapshot:
    tally = SendStats()
    tally.add([watch.tally for watch in watches])
    alive = [watch.alive for watch in watches if watch.alive is not None]
    return ProgressSnapshot(
        tally,
        sum(watch.in_flight for watch in watches),
        sum(watch.waiting for watch in watches),
        sum(alive) if alive else None,
        max(watch.elapsed_s for watch in watches),
        any(watch.stopping for watch in watches),
    )


def _pass_on_signals(processes: list[BaseProcess]) -> dict[str, Any]:
    """Stop the processes in order on a signal, and remember it."""
    state: dict[str, Any] = {"happened": False, "before": {}}

    def passed(*_: object) -> None:
        state["happened"] = True
        for process in processes:
            if process.is_alive():
                process.terminate()

    for each in SIGNALS:
        state["before"][each] = signal.signal(each, passed)
    return state


def _forget_signals(state: dict[str, Any]) -> None:
    for each, before in state["before"].items():
        signal.signal(each, before)
