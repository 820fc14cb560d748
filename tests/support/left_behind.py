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
_OF_TOOLS: Final = frozenset({"build", "node_modules", "__pycache__"})
_HELPER: Final = "multiprocessing.resource_tracker"
"""A process of Python's own that ends with the one that started it."""
_KEPT: Final = "pytest-of-"
"""The folders that pytest itself keeps for whoever looks into a failure; tests start it too."""


@contextmanager
def nothing_left_behind(root: Path, temporary: Path, *, patience_s: float = 10.0) -> Iterator[None]:
    """Fail unless all that starts from here on is gone *patience_s* after the end.

    That is each process that inherits this one's environment or is its child, each port that this process listens on,
    each file that something makes in the *temporary* folder, and each new file at any depth of the folder *root*.
    """
    mark = f"{os.getpid()}-{time.time_ns()}"
    os.environ[_MARK] = mark
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    entries = _files(root)
    yield
    end = time.monotonic() + patience_s
    while (left := _left(mark, root, temporary, entries)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left, "left behind:\n" + "\n".join(left)


def _left(mark: str, root: Path, temporary: Path, entries: set[str]) -> list[str]:
    found = [f"process {each.pid}: {' '.join(_command(each))[:300]}" for each in _processes(mark)]
    ports = psutil.Process().net_connections("inet")
    found += [f"port {each.laddr}" for each in ports if each.status == psutil.CONN_LISTEN]
    found += [f"file {path}" for path in temporary.iterdir() if not path.name.startswith(_KEPT)]
    return found + [f"file {root / name}" for name in sorted(_files(root) - entries)]


def _files(root: Path) -> set[str]:
    """What *root* holds, as paths below it, without what tools keep there: hidden folders, ``build`` and bytecode."""
    found: set[str] = set()
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _OF_TOOLS]
        found.update(str((Path(folder) / name).relative_to(root)) for name in files)
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
