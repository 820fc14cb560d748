"""What a test run leaves behind: processes, listening ports, and files in the temporary folder or beside the code."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

__all__ = ["nothing_left_behind"]

_MARK: Final = "TESTS_STARTED_BY"
_PATIENCE_S: Final = 10.0
_HELPER: Final = "multiprocessing.resource_tracker"
"""A process of Python's own that ends with the one that started it."""
_KEPT: Final = "pytest-of-"
"""The folders that pytest itself keeps for whoever looks into a failure; tests start it too."""


@contextmanager
def nothing_left_behind(root: Path, temporary: Path) -> Iterator[None]:
    """Fail unless all that starts from here on is gone at the end.

    That is each process that inherits this one's environment or is its child, each port that this process listens on,
    each file that something makes in the *temporary* folder, and each new entry of the folder *root*.
    """
    mark = f"{os.getpid()}-{time.time_ns()}"
    os.environ[_MARK] = mark
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    entries = {path.name for path in root.iterdir()}
    yield
    end = time.monotonic() + _PATIENCE_S
    while (left := _left(mark, root, temporary, entries)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left, "left behind:\n" + "\n".join(left)


def _left(mark: str, root: Path, temporary: Path, entries: set[str]) -> list[str]:
    found = [f"process {each.pid}: {' '.join(_command(each))[:300]}" for each in _processes(mark)]
    ports = psutil.Process().net_connections("inet")
    found += [f"port {each.laddr}" for each in ports if each.status == psutil.CONN_LISTEN]
    found += [f"file {path}" for path in temporary.iterdir() if not path.name.startswith(_KEPT)]
    found += [
        f"file {root / name}"
        for name in {path.name for path in root.iterdir()} - entries
        if name != "build" and not name.startswith(".")
    ]
    return found


def _processes(mark: str) -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    heirs = [
        each for each in psutil.process_iter() if each.pid != os.getpid() and _environment(each).get(_MARK) == mark
    ]
    return [
        each
        for each in {*children, *heirs}
        if each.is_running() and each.status() != psutil.STATUS_ZOMBIE and _HELPER not in " ".join(_command(each))
    ]


def _environment(process: psutil.Process) -> dict[str, str]:
    with suppress(psutil.Error):
        found: dict[str, str] = process.environ()
        return found
    return {}


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        found: list[str] = process.cmdline()
        return found
    return []
