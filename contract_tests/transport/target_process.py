"""A target that we start ourselves: ``--exec 'CMD {port}'`` runs for as long as the suite does."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Final, Self

from roomhook.errors import ConfigurationError, UnreachableError
from roomhook.simulator.util.signals import StopSignal, handling_stop_signals, holding_back_interrupts

__all__ = ["TargetProcess", "free_port"]

_STOP_S: Final = 5.0
_LAST_LINES: Final = 20
_ACCESS: Final = re.compile(
    r"\b(?:POST|GET|PUT|DELETE|HEAD|OPTIONS|PATCH) /\S*(?: HTTP/[0-9.]+\b|.* [1-5][0-9][0-9]\b)"
    r"|\bcode [1-5][0-9][0-9], message "
)
"""A line of an access log, or what Python's http.server adds to it."""
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


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
    which a CI server cancels a job, and SIGHUP raise ``StopSignal``, but not before the command can be stopped.
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
        self._signals = ExitStack()
        self._cancelled: int | None = None

    def __enter__(self) -> Self:
        self._signals.enter_context(handling_stop_signals(self._end))
        try:
            with holding_back_interrupts():
                process = self._process = subprocess.Popen(  # noqa: S602 (the user's own command line, as in a shell)
                    self._command,
                    shell=True,
                    stdin=subprocess.DEVNULL,
                    stdout=self._output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, "PORT": str(self._port)},
                )
            self._leave_if_cancelled()
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
        """Raise, except during the start: a process that is not yet known could not be stopped."""
        self._cancelled = number
        self._leave_if_cancelled()

    def _leave_if_cancelled(self) -> None:
        if self._cancelled is not None and self._process is not None:
            raise StopSignal(self._cancelled)

    @property
    def last_lines(self) -> str:
        """The end of what the command has printed so far, without lines that only log a request."""
        self._output.seek(0)
        text = _COLOUR.sub("", self._output.read().decode(errors="backslashreplace"))
        return "\n".join([line for line in text.splitlines() if not _ACCESS.search(line)][-_LAST_LINES:])

    @property
    def crashed(self) -> bool:
        """Whether the command has ended by itself."""
        return self._process is not None and self._process.poll() is not None

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
        self._signals.close()

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


def _signal_all(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
