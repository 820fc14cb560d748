"""Runs locust for ``roomhook load``, shows its progress, and stops it in order on Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final
from urllib.parse import urlsplit

import msgspec
import typer

from roomhook.cli.load.live_panel import panel
from roomhook.cli.shared.terminal import live_panel
from roomhook.errors import ConfigurationError, RoomhookError
from roomhook.loadtests.results.progress import INTERRUPTED, PROGRESS_FD, LoadProgress
from roomhook.loadtests.workload.settings import LoadSettings

__all__ = ["LoadResult", "LocustRun"]

_CODES: Final = frozenset({0, 1, 2, 4, INTERRUPTED})
_OURS: Final = 4
_LOG_LINES: Final = 5
_LOOK_S: Final = 0.5
_AT_ONCE: Final = 1 << 16
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOG: Final = "locust.log"
_REPORTS: Final = {"--verdict-html": "load.html", "--verdict-json": "load.json", "--verdict-junit": "load.xml"}


@dataclass(frozen=True)
class LoadResult:
    """Exit code, table of verdicts (or why there is none), and the content of ``load.json``, if it was written."""

    code: int
    table: str
    document: str | None


@dataclass
class LocustRun:
    """One run of locust with *arguments* and *settings*, *seconds* long; its reports and log end up in *folder*.

    Until the end they are in a private folder, so that simultaneous runs stay apart. Locust runs in its own session and
    gets only the signals that we forward. *web* is the address of locust's web UI, if it is open.
    """

    arguments: Sequence[str]
    settings: LoadSettings = field(repr=False)
    folder: Path
    seconds: float
    title: str
    web: str | None = None
    _process: subprocess.Popen[bytes] | None = None
    _interrupted: bool = False
    _twice: bool = False

    def finish(self) -> LoadResult:
        """Run locust until it ends.

        Raises ``ConfigurationError`` or ``RoomhookError`` with locust's message if it failed.
        """
        for name in (*_REPORTS.values(), _LOG):
            (self.folder / name).unlink(missing_ok=True)  # old reports must not look like this run's
        with TemporaryDirectory(prefix=".load-", dir=self.folder, ignore_cleanup_errors=True) as made:
            private = Path(made)
            try:
                with self._interruptible():
                    table = self._run(private)
                    assert self._process is not None
                    code = self._process.wait()
                return self._result(private, code, table)
            finally:
                for name in (*_REPORTS.values(), _LOG):
                    with suppress(FileNotFoundError):
                        (private / name).replace(self.folder / name)

    def _result(self, private: Path, code: int, table: str) -> LoadResult:
        if table:
            document = private / _REPORTS["--verdict-json"]
            written = document.read_text(encoding="utf-8") if document.exists() else None
            return LoadResult(code if code in _CODES else _OURS, table, written)
        if self._interrupted:
            return LoadResult(
                INTERRUPTED, "ended at once" if self._twice else "interrupted before the first callback", None
            )
        raise _explained((private / _LOG).read_text(encoding="utf-8", errors="replace"), self.folder / _LOG, code)

    def _run(self, private: Path) -> str:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)  # locust must not block on its reader
        reports = [word for option, name in _REPORTS.items() for word in (option, str(private / name))]
        with os.fdopen(reading, "rb") as lines, (private / _LOG).open("wb") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603 (our own interpreter and arguments)
                    _command([*self.arguments, *reports]),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env={**_environment(), PROGRESS_FD: str(writing)},
                    cwd=private,
                    pass_fds=[writing],
                    start_new_session=True,
                )
            finally:
                os.close(writing)
            assert self._process.stdin is not None
            with suppress(BrokenPipeError), self._process.stdin as settings:
                settings.write(msgspec.json.encode(self.settings))  # with secrets, which arguments would show to `ps`
            if self._interrupted:
                self._pass_on()  # the signal came during the start
            return self._follow(lines)

    def _follow(self, lines: IO[bytes]) -> str:
        """Show each line of progress; returns the table from the last one."""
        if self.web is not None:
            return self._follow_web(lines)
        table = ""
        with live_panel() as show:
            show(lambda _: f"starting locust: {self.title}")
            for line in self._until_it_ends(lines):
                now = msgspec.json.decode(line, type=LoadProgress)
                table = now.table or table
                if not now.table:
                    title = "ending in order; Ctrl-C again ends at once" if self._interrupted else self.title
                    show(partial(panel, now, title, self.seconds))
        return table

    def _follow_web(self, lines: IO[bytes]) -> str:
        """Say where the web UI is as soon as it is up; returns the table from the last line."""
        table, told = "", False
        for line in self._until_it_ends(lines):
            if not told and _answers(self.web):
                typer.echo(f"locust's web UI with your options: {self.web}  (press Start there)", err=True)
                typer.echo("Ctrl-C here ends it and prints the verdict", err=True)
                told = True
            table = msgspec.json.decode(line, type=LoadProgress).table or table
        return table

    def _until_it_ends(self, lines: IO[bytes]) -> Iterator[bytes]:
        """Each line until locust ends; a worker that outlives its master may keep the pipe open."""
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
        """Stop locust in order on the first signal, at once on the second; leave none of its processes behind."""
        wanted = [each for each in _SIGNALS if each == signal.SIGINT or signal.getsignal(each) is not signal.SIG_IGN]
        before = {each: signal.signal(each, self._interrupt) for each in wanted}
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
        """Kill locust's remaining processes; there are none after an orderly end."""
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _answers(url: str | None) -> bool:
    """Whether something listens at *url*."""
    place = urlsplit(url or "")
    try:
        socket.create_connection((str(place.hostname), place.port or 80), timeout=_LOOK_S).close()
    except OSError:
        return False
    return True


def _command(arguments: Sequence[str]) -> list[str]:
    locustfile = importlib.util.find_spec("roomhook.loadtests.locustfile")
    assert locustfile is not None
    assert locustfile.origin is not None
    return [sys.executable, "-P", "-m", "locust", "-f", str(Path(locustfile.origin).resolve()), *arguments]


def _environment() -> dict[str, str]:
    """The environment without LOCUST_* (meant for other locustfiles) and ROOMHOOK_* (passed as arguments)."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("LOCUST_", "ROOMHOOK_"))}


def _explained(log: str, path: Path, code: int) -> RoomhookError:
    """The error for a locust that ended without a verdict: our own message from its *log*, else its last lines."""
    lines = log.splitlines()
    for line in lines:
        if line.startswith("roomhook: "):
            return ConfigurationError(line.removeprefix("roomhook: "))
    tail = " | ".join(line.strip() for line in lines[-_LOG_LINES:] if line.strip())
    return RoomhookError(f"locust ended with exit code {code} and no verdict: {tail} (full log: {path})")
