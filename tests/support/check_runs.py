"""``roomhook check`` as a program and in this process, for the tests of the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from roomhook.cli.main import main

__all__ = ["FEW", "PYTHON", "fails", "run"]

FEW = ("--only", "ack,type,app-id,url.https", "--deadline", "10")
"""Requirements that are judged in a moment, by a deadline that a busy machine keeps too."""


PYTHON = sys.executable


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a mistake leaves on stderr."""
    assert main(["check", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """``roomhook`` as a program of its own."""
    return subprocess.run(
        [PYTHON, "-m", "roomhook", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=60,
    )
