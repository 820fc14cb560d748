"""The check at the end of every test run: what a test leaves behind fails the run."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from left_behind import nothing_left_behind


@contextmanager
def process(_: Path) -> Iterator[None]:
    """One that belongs to nobody any more, as its parent has ended."""
    orphan = ["sh", "-c", "sleep 100 >/dev/null 2>&1 & echo $!"]
    done = subprocess.run(orphan, capture_output=True, text=True, check=True, start_new_session=True)
    yield
    os.kill(int(done.stdout), 9)


def port(_: Path) -> closing[socket.socket]:
    return closing(socket.create_server(("127.0.0.1", 0)))


@contextmanager
def temporary_file(_: Path) -> Iterator[None]:
    with tempfile.NamedTemporaryFile():
        yield


@contextmanager
def file_deep_in_the_checkout(root: Path) -> Iterator[None]:
    (root / "docs" / "images").mkdir(parents=True)
    (root / "docs" / "images" / "left.svg").touch()
    yield


@pytest.mark.parametrize(
    ("leave", "said"),
    [
        (process, r"process \d+: sleep 100"),
        (port, "port addr"),
        (temporary_file, "file .*/temporary/tmp"),
        (file_deep_in_the_checkout, "file .*/docs/images/left.svg"),
    ],
)
def test_what_is_left_behind_is_named(
    leave: Callable[[Path], AbstractContextManager[Any]], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TESTS_STARTED_BY", "TMPDIR"):
        monkeypatch.setenv(name, os.environ[name])
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    root, temporary = tmp_path / "root", tmp_path / "temporary"
    root.mkdir()
    temporary.mkdir()
    check = nothing_left_behind(root, temporary, patience_s=0)
    check.__enter__()
    with leave(root), pytest.raises(AssertionError, match=said):
        check.__exit__(None, None, None)
