"""Progress on a terminal: it says what is going on, also while nothing happens."""

from __future__ import annotations

import time
from io import StringIO

import pytest

from roomhook.cli.shared.terminal import counts_text, fitted, ticking_line


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_of_progress_is_redrawn_while_nothing_happens_and_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = Terminal()
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    with ticking_line(every_s=0.01) as show:
        show("3 of 9  http.idle")
        end = time.monotonic() + 30
        while stderr.getvalue().count("0 s  3 of 9  http.idle") < 3:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert stderr.getvalue().endswith("\r\x1b[K")


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with ticking_line(every_s=0.01) as show:
        show("3 of 9")
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_a_line_is_folded_between_words_and_a_count_stays_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomhook.cli.shared.terminal.text_width", lambda: 30)
    lines = fitted(f"attempts  30: {counts_text({'delivered': 20, 'timeout': 10})}", 10).splitlines()
    assert lines == ["attempts  30: delivered 20,", "          timeout 10"]
    assert fitted("", 4) == ""
