"""Files without end, pipes in the place of a journal, and files nested beyond reason are one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roomhook.cli.main import main
from roomhook.simulator.util import limits

URL = "http://127.0.0.1:9/"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(limits, "_MOST_BYTES", 1 << 20)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["fire", "leave", URL, "--raw", "/dev/zero"],
        ["traffic", URL, "--rooms", "/dev/zero"],
        ["traffic", URL, "--people", "/dev/zero"],
        ["load", URL, "--rooms", "/dev/zero"],
        ["traffic", URL, "--scenario", "/dev/zero"],
        ["check", URL, "--known", "/dev/zero"],
    ],
    ids=lambda words: f"{words[0]} {words[-2]}",
)
def test_a_file_without_end_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "can't be read" in said
    assert "it has more than 1 MiB" in said


def test_a_pipe_is_no_journal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(folder / "pipe")
    for journal in ("pipe", "/dev/null"):
        assert main(["traffic", URL, "--journal", journal]) == 2
        assert f"--journal {journal} is no file" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "seed = " + "9" * 5000], ids=["nested", "digits"])
def test_a_configuration_beyond_reason_is_one_line(folder: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "roomhook.toml").write_text(text)
    assert main(["fire", "leave", URL]) == 2
    assert "roomhook.toml is not TOML" in capsys.readouterr().err
    (folder / "roomhook.toml").rename(folder / "known.toml")
    assert main(["check", URL, "--known", "known.toml"]) == 2
    assert "--known known.toml is not TOML" in capsys.readouterr().err
