"""``roomhook listen`` as a process of its own, as a user has it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["RunningListener", "clean_environment", "running_listener"]


@dataclass(frozen=True)
class RunningListener:
    """``url`` is the first line that it printed."""

    process: subprocess.Popen[str]
    url: str


def clean_environment() -> dict[str, str]:
    """This process's environment without our options in it."""
    return {key: value for key, value in os.environ.items() if not key.startswith("ROOMHOOK_")}


@contextmanager
def running_listener(*options: str) -> Generator[RunningListener]:
    """Start it with *options* on a free port and stop it by SIGTERM."""
    command = [sys.executable, "-m", "roomhook", "listen", "--listen", "127.0.0.1:0", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=clean_environment()) as process:
        assert process.stdout is not None
        try:
            yield RunningListener(process, process.stdout.readline().strip())
        finally:
            process.terminate()
