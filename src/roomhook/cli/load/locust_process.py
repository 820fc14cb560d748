"""Runs locust for ``roomhook load``, shows how it goes, and ends it in order when somebody presses Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from roomhook.cli.load.live_panel import panel
from roomhook.cli.shared.terminal import live_panel
from roomhook.errors import ConfigurationError, RoomhookError
from roomhook.loadtests.results.progress import INTERRUPTED, PROGRESS_FD, Progress

__all__ = ["LocustRun"]

_CODES: Final = frozenset({0, 1, 2, 4, INTERRUPTED})
_OURS: Final = 4
_LOG_LINES: Final = 5
_LOOK_S: Final = 0.5
_AT_ONCE: Final = 1 << 16


@dataclass
class LocustRun:
    """One locust with *arguments* that takes so many *seconds* and keeps its log in *folder*.

    It runs in a session of its own: of what a terminal sends to all its processes, locust is to hear what we pass on.
    """

    arguments: Sequence[str]
    folder: Path
    secrets: Mapping[str, str] = field(repr=False)
    seconds: float
    title: str
    _process: subprocess.Popen[bytes] | None = None
    _interrupted: bool = False
    _twice: bool = False

    def finish(self) -> tuple[int, str]:
        """Run it to its end; the exit code, and the table of verdicts or why there is none.

        Raises ``ConfigurationError`` or ``RoomhookError`` with what locust said if it failed.
        """
        with self._interruptible():
            table = self._run()
            assert self._process is not None
            code = self._process.wait()
        if table:
            return code if code in _CODES else _OURS, table
        if self._interrupted:
            return INTERRUPTED, "ended at once" if self._twice else "interrupted before anything was counted"
        raise _explained(self.folder / "locust.log", code)

    def _run(self) -> str:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)  # locust must not wait for whoever looks on
        with os.fdopen(reading, "rb") as lines, (self.folder / "locust.log").open("wb") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and arguments)
                    _command(self.arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**_environment(), **self.secrets, PROGRESS_FD: str(writing)},
                    cwd=self.folder,
                    pass_fds=[writing],
                    start_new_session=True,
                )
            finally:
                os.close(writing)
            if self._interrupted:
                self._pass_on()  # it came while locust was being started
            return self._follow(lines)

    def _follow(self, lines: IO[bytes]) -> str:
        """Show each line of progress; the table, which is in the last one."""
        table = ""
        with live_panel() as show:
            for line in self._until_it_ends(lines):
                now = msgspec.json.decode(line, type=Progress)
                table = now.table or table
                if not now.table:
                    title = "ending in order; Ctrl-C again ends at once" if self._interrupted else self.title
                    show(partial(panel, now, title, self.seconds))
        return table

    def _until_it_ends(self, lines: IO[bytes]) -> Iterator[bytes]:
        """Each line. A worker whose master has gone may hold the other end open: its end is not waited for."""
        assert self._process is not None
        rest = b""
        while True:
            ended = self._process.poll() is not None
            ready, _, _ = select.select([lines], [], [], 0 if ended else _LOOK_S)
            got = os.read(lines.fileno(), _AT_ONCE) if ready else b""
            *whole, rest = (rest + got).split(b"\n")
            yield from whole
            if not got and (ready or ended):
                return

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """SIGINT and SIGTERM end locust in order, the second of them at once; nothing of it is left behind."""
        before = {each: signal.signal(each, self._interrupt) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            self._kill()
            if self._process is not None:
                self._process.wait()
            for each, handler in before.items():
                signal.signal(each, handler)

    def _interrupt(self, *_: Any) -> None:
        if self._interrupted:
            self._twice = True
            self._kill()
        self._interrupted = True
        self._pass_on()

    def _pass_on(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)

    def _kill(self) -> None:
        """End what is left of locust's processes: none, unless the end was not in order."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _command(arguments: Sequence[str]) -> list[str]:
    locustfile = importlib.util.find_spec("roomhook.loadtests.locustfile")
    assert locustfile is not None
    assert locustfile.origin is not None
    return [sys.executable, "-P", "-m", "locust", "-f", str(Path(locustfile.origin).resolve()), *arguments]


def _environment() -> dict[str, str]:
    """What people have set for their own locust files is not meant for ours; neither are our options a second time."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("LOCUST_", "ROOMHOOK_"))}


def _explained(log: Path, code: int) -> RoomhookError:
    """Locust ended before there was a verdict: what it said, ours in our own words."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        if line.startswith("roomhook: "):
            return ConfigurationError(line.removeprefix("roomhook: "))
    tail = " | ".join(line.strip() for line in lines[-_LOG_LINES:] if line.strip())
    return RoomhookError(f"locust ended with exit code {code} and no verdict: {tail} (all of it: {log})")
