"""What README, ARCHITECTURE and CONTRIBUTING say can be done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from roomhook.cli.main import COMMANDS, command_line, main

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def options_of(name: str) -> set[str]:
    group = command_line()
    command = group.get_command(group.make_context("roomhook", [], resilient_parsing=True), name)
    assert command is not None
    return {option for parameter in command.params for option in parameter.opts}


def test_the_table_lists_every_command() -> None:
    assert sorted(re.findall(r"^\| `roomhook (\S+?)[ `]", README, re.MULTILINE)) == sorted(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_and_option_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for line in re.findall(r"roomhook ([a-z]+(?: [^`\n]*)?)", text):
        name = line.split()[0]
        options = re.findall(r"(?<!\S)--[a-z][a-z-]+", re.sub("'[^']*'", "", line))
        if name in COMMANDS:
            assert set(options) <= options_of(name), line
        else:
            assert not options, line


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert link.startswith("https://") or (ROOT / link).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_and_file_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in re.findall(r"(?:`|^)make ([a-z- ]+)", text, re.MULTILINE):
        assert set(line.split()) <= targets, line
    for path in re.findall(r"`((?:tests|schemas|contract_tests|docs|src|simulator)/[\w./]+)`", text):
        assert (ROOT / path).exists(), path


def test_the_configuration_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "roomhook.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["check", "http://127.0.0.1:9/", "--list"]) == 0, capsys.readouterr().err
