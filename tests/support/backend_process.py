"""``roomhook backend`` as a process of its own, as a user has it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["BackendProcess", "running_backend"]


@dataclass(frozen=True)
class BackendProcess:
    """A running server of all backends: ``url`` is the first line that it printed."""

    process: subprocess.Popen[str]
    url: str

    def target(self, broken: str | None = None) -> str:
        """The callback URL of the reference, or of a broken backend."""
        origin = self.url.removesuffix("/callback")
        return f"{origin}/broken/{broken}" if broken else f"{origin}/reference"


@contextmanager
def running_backend(*options: str, token: str | None = None) -> Generator[BackendProcess, None, None]:
    """Start it with *options* and stop it by SIGTERM."""
    command = [sys.executable, "-m", "roomhook", "backend", "--listen", "127.0.0.1:0", *options]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ROOMHOOK_")}
    if token is not None:
        environment["ROOMHOOK_TOKEN"] = token
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            yield BackendProcess(process, process.stdout.readline().strip())
        finally:
            process.terminate()
            process.wait(10)
