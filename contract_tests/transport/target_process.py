"""A target that we start ourselves: ``--exec 'CMD {port}'`` runs for as long as the suite does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from roomhook.errors import ConfigurationError, UnreachableError

__all__ = ["TargetProcess", "free_port"]

_STOP_S: Final = 5.0
_LAST_LINES: Final = 20


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class TargetProcess:
    """Starts *command* in a shell with ``{port}`` replaced (and PORT set), and stops it with all its children.

    Entering waits until *port* on loopback accepts connections, *wait_s* at most; raises ``UnreachableError`` with the
    command's last lines if it ends or never listens. A *fixed* port is the user's own: the command need not be told of
    it, and whatever listens there already would be judged in its place, which is a ``ConfigurationError``. SIGTERM, by
    which a CI server cancels a job, ends this process with the command stopped as well.
    """

    def __init__(self, command: str, port: int, *, wait_s: float, fixed: bool = False) -> None:
        if not fixed and "{port}" not in command and "$PORT" not in command:
            raise ConfigurationError(
                f"--exec {command!r} must take its port from us: write {{port}} where it belongs, or $PORT"
            )
        self._command = command.replace("{port}", str(port))
        self._port = port
        self._wait_s = wait_s
        if fixed and self._listens():
            raise ConfigurationError(
                f"something listens on port {port} already and would be judged in place of --exec: stop it, or write "
                "{port} into the URL and the command"
            )
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._process: subprocess.Popen[bytes] | None = None
        self._sigterm: Any = None
        self._cancelled = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._sigterm = signal.signal(signal.SIGTERM, self._end)
        process = subprocess.Popen(  # noqa: S602 (the user's own command line, as in a shell)
            self._command,
            shell=True,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PORT": str(self._port)},
        )
        try:
            self._process = process
            if self._cancelled:
                _end(signal.SIGTERM)
            self._await_port(process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self, number: int, _frame: object) -> None:
        """Leave, but not amid the start: what nobody knows yet, nobody could stop."""
        self._cancelled = True
        if self._process is not None:
            _end(number)

    @property
    def last_lines(self) -> str:
        """The end of what the command has printed so far."""
        self._output.seek(0)
        text = self._output.read().decode(errors="backslashreplace")
        return "\n".join(text.splitlines()[-_LAST_LINES:])

    def stop(self) -> None:
        """End the command and its children: politely, then after 5 s for good."""
        process = self._process
        if process is None:
            return
        self._process = None
        end = time.monotonic() + _STOP_S
        _signal_all(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        # The shell may be gone before what it has started, which is gone once nobody listens.
        while self._listens() and time.monotonic() < end:
            time.sleep(0.02)
        _signal_all(process, signal.SIGKILL)
        process.wait()
        if self._sigterm is not None:
            signal.signal(signal.SIGTERM, self._sigterm)

    def close(self) -> None:
        """Stop, and forget what was printed."""
        self.stop()
        self._output.close()

    def _await_port(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + self._wait_s
        while time.monotonic() < end:
            if process.poll() is not None:
                raise UnreachableError(
                    f"--exec ended with exit code {process.returncode} before it listened{self._shown()}"
                )
            if self._listens():
                return
            time.sleep(0.05)
        waited = f"after {self._wait_s:g} s (--wait-for gives it longer)"
        raise UnreachableError(f"--exec does not listen on {self._port} {waited}{self._shown()}")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("localhost", self._port), timeout=0.5).close()
        except OSError:
            return False
        return True

    def _shown(self) -> str:
        lines = self.last_lines
        return f"; its last lines:\n{lines}" if lines else "; it printed nothing"


def _end(number: int) -> NoReturn:
    """Leave in order, so that what was started is stopped; the exit code is the one that a shell shows."""
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _signal_all(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
