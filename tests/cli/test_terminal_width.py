"""What commands print on terminals of several widths: folded between words, and nothing cut."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest
from counting_target import counting_target

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_a_terminal(columns: int, *arguments: str, cwd: Path, code: int = 0) -> list[str]:
    """The lines that roomhook shows on a terminal of so many *columns*, without its progress lines.

    With a *code* other than 0, the lines on stderr are among them.
    """
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    left_out = {"CI", "COLUMNS", "NO_COLOR", "ROOMHOOK_SEED"}
    environment = {key: value for key, value in os.environ.items() if key not in left_out} | {"TERM": "xterm-256color"}
    command = [sys.executable, "-m", "roomhook", *arguments]
    process = subprocess.Popen(
        command, stdin=end, stdout=end, stderr=end if code else subprocess.DEVNULL, env=environment, cwd=cwd
    )
    os.close(end)
    shown = b""
    with suppress(OSError):  # Linux says so when the other end is closed
        while part := os.read(terminal, 65536):
            shown += part
    os.close(terminal)
    assert process.wait(timeout=60) == code, shown
    return _ESCAPES.sub("", shown.decode().replace("\r\n", "\n")).splitlines()


def too_long(lines: list[str], columns: int) -> list[str]:
    """The lines that the terminal itself would break; an address or a body stays whole, to be copied."""
    return [one for one in lines if len(one) > columns and not re.search(r"https?://|--data-raw|CallbackCommand", one)]


@pytest.mark.exhaustive
@pytest.mark.long
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_tables_of_a_sending_run_and_its_journal_fit(tmp_path: Path, columns: int) -> None:
    with counting_target() as target:
        wave = ("--profile", "dissolve", "--members", "20", "--rate", "500/s", "--journal", "run.db", "--seed", "7")
        sent = on_a_terminal(columns, "traffic", target.url, *wave, cwd=tmp_path)
        kept = on_a_terminal(columns, "journal", "run.db", cwd=tmp_path)
    assert too_long(sent, columns) == too_long(kept, columns) == []
    shown = " ".join(" ".join(sent).split())
    for named in ("p99.9", "(from the intended moment)", "20 delivered + 0 failed + 0 unsent", "by more than 2 ms"):
        assert named in shown


@pytest.mark.exhaustive
@pytest.mark.long
def test_the_table_of_a_load_test_fits(tmp_path: Path) -> None:
    with counting_target() as target:
        lines = on_a_terminal(60, "load", target.url, "--duration", "1s", "--rate", "50/s", cwd=tmp_path)
    assert too_long(lines, 60) == []
    assert any("noncompliant>0" in one for one in lines)


@pytest.mark.exhaustive
@pytest.mark.long
def test_the_demo_fits(tmp_path: Path) -> None:
    lines = on_a_terminal(60, "demo", "--seed", "7", cwd=tmp_path)
    assert too_long(lines, 60) == []
    assert any("CONFORMS" in one for one in lines)
    assert "MemberList_Account" in " ".join(lines)


@pytest.mark.long
@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("check --list --only ack,bad", 0),
        ("backend --list", 0),
        ("schema", 0),
        ("requirements --only effect", 0),
        ("explain effect.rooms-apart.folded", 0),
        ("errata", 0),
        ("check http://127.0.0.1:8000/callback --probe http://127.0.0.1:8000/rooms/x --sdkappid 1400000001", 2),
        ("traffic --profile evening --rooms 0 --speed 60x --duration 3h --with-enter --format csv --limit 3", 2),
        ("traffic http://127.0.0.1:1/x --duration 5m", 3),
    ],
)
def test_lists_and_error_lines_are_folded_between_words(columns: int, line: str, code: int, tmp_path: Path) -> None:
    shown = on_a_terminal(columns, *line.split(), cwd=tmp_path, code=code)
    assert shown
    assert too_long(shown, columns) == []
