"""The process of the fast sender: reads settings and commands, writes statistics.

Start it with ``python -m roomhook.loadtests.fast_sender.process``.

Lines of JSON. In: the settings, then ``{"users": n}`` as often as it changes, then ``{"stop": true}``; the end of input
stops too, so that no sender outlives its worker. Out: ``{"ready": true}``, then figures every half second; the last
line says ``done`` or ``error``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from roomhook.errors import ConfigurationError, RoomhookError
from roomhook.loadtests.fast_sender.sender import COLUMNS, FastSender
from roomhook.loadtests.workload.callback_stream import callbacks
from roomhook.loadtests.workload.settings import LoadSettings
from roomhook.simulator.transport.sender import Sender, run_loop

__all__ = ["main"]

_EVERY_S: Final = 0.5
_CLOSED_LOOP: Final = 10_000
_SPARE_FILES: Final = 128
_LONGEST_LINE: Final = 1 << 28


def main() -> int:
    """Serve until told to stop; errors go to the worker as one line."""
    for each in (signal.SIGINT, signal.SIGTERM):  # a terminal signals all of its processes; locust stops this one
        signal.signal(each, signal.SIG_IGN)
    try:
        run_loop(_serve())
    except RoomhookError as error:
        _say({"error": str(error)})
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


async def _serve() -> None:
    commands = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    _say({"ready": True})
    first = await commands.readline()
    if not first:
        return  # a run that never began
    settings = msgspec.json.decode(first, type=LoadSettings)
    events = callbacks(settings)
    target = settings.target()
    most = settings.connections if settings.rate else _CLOSED_LOOP
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard - _SPARE_FILES)
    async with AsyncExitStack() as stack:
        attempts = stack.enter_context(_attempts_file(settings.attempts_file))
        sender = await stack.enter_async_context(Sender(target, deadline_ms=settings.deadline_ms, connections=most))
        lane = FastSender(sender, events, settings.rate, attempts)
        gc.freeze()
        telling = loop.create_task(_tell(lane))
        listening = loop.create_task(_listen(commands, lane))
        try:
            await asyncio.wait({telling, listening}, return_when=asyncio.FIRST_COMPLETED)
            await lane.stop()
        finally:
            for task in (telling, listening):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling
        last: dict[str, Any] = {"figures": lane.drain_stats().to_dict()}
        if lane.error is not None:
            _say({**last, "error": str(lane.error) or type(lane.error).__name__})
        else:
            _say({**last, "done": True})


@contextmanager
def _attempts_file(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"--attempts {path} can't be written: {error.strerror}") from None
    with file:
        file.write(COLUMNS)
        yield file


async def _listen(commands: asyncio.StreamReader, lane: FastSender) -> None:
    """Follow commands until ``stop`` or the end of input."""
    while line := await commands.readline():
        command = msgspec.json.decode(line)
        if "users" not in command:
            return
        lane.resize(command["users"])


async def _tell(lane: FastSender) -> None:
    """Write the statistics every half second, until an internal error ends the sending."""
    while lane.error is None:
        await asyncio.sleep(_EVERY_S)
        _say({"figures": lane.drain_stats().to_dict()})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
