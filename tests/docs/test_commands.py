"""Every command line in the README and the docs runs as it stands, from the folder that the text names."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backend_process import BackendProcess, running_backend

from roomhook.cli.main import COMMANDS, command_line
from roomhook.contract_tests.transport.target_process import free_port

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "docs/howto-collections.md",
    "docs/howto-fuzz.md",
    "docs/howto-known-failures.md",
    "docs/howto-load-test.md",
    "docs/reference-journal.md",
    "docs/reference-sending.md",
    "docs/reference-traffic.md",
)
ALL_PAGES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))] + ["README.md"]
QUICKER = {"--duration 10s": "--duration 2s", "'p99>200ms'": "'p99>20s'", "--fuzz 2000": "--fuzz 200"}
"""What a command line is run with instead, so that it takes no longer than it must and passes on a busy machine."""
ENDS = {"|", "||", ">", ">>", "&", "&&", ";", "(", ")", "<"}
"""What ends the arguments of a command in a shell."""
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[list[str], str]]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [(match["info"].split(), match["text"]) for match in FENCE.finditer(text)]


def commands() -> Iterator[Any]:
    for page in PAGES:
        for number, (info, text) in enumerate(blocks(page)):
            if info and info[0] == "sh" and "skip" not in info:
                marks = [
                    pytest.mark.long,
                    *([] if page == "README.md" and text.split()[1] != "load" else [pytest.mark.exhaustive]),
                ]
                yield pytest.param(page, number, id=f"{page} {text.split()[1]} {number}", marks=marks)


@pytest.fixture(scope="module")
def backend() -> Iterator[BackendProcess]:
    with running_backend() as running:
        yield running


@pytest.mark.parametrize(("page", "number"), list(commands()))
def test_a_command_line_runs_as_it_stands(page: str, number: int, backend: BackendProcess, tmp_path: Path) -> None:
    for info, text in blocks(page):
        if len(info) == 2 and info[0] == "toml":
            (tmp_path / info[1]).write_text(text, encoding="utf-8")
    info, text = blocks(page)[number]
    if "folder=app" in info:
        shutil.copytree(ROOT / "examples" / "fastapi", tmp_path, dirs_exist_ok=True)
    if "load" in info and importlib.util.find_spec("locust") is None:
        pytest.skip("locust is not installed")
    for tool in (word.removeprefix("needs=") for word in info if word.startswith("needs=")):
        if shutil.which(tool) is None and importlib.util.find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed")
    script = text.replace("127.0.0.1:8000", backend.url.removeprefix("http://").removesuffix("/callback"))
    script = script.replace("127.0.0.1:8001", f"127.0.0.1:{free_port()}")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ROOMHOOK_", "GITHUB_"))}
    for stands, quick in QUICKER.items():
        script = script.replace(stands, quick)
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=tmp_path,
        env={**environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    expected = next((int(word.removeprefix("exit=")) for word in info if word.startswith("exit=")), 0)
    assert done.returncode == expected, f"{script}\n{done.stdout}\n{done.stderr}"


def roomhook_lines(page: str) -> Iterator[list[str]]:
    """The arguments of each roomhook command in the blocks of *page*."""
    for info, text in blocks(page):
        if info and info[0] not in {"sh", "console", "yaml"}:
            continue
        for line in text.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line.replace("…", ""), posix=True, punctuation_chars=True)
            lexer.whitespace_split, lexer.commenters = True, "#"
            try:
                words = list(lexer)
            except ValueError:  # a text that is no command, with an apostrophe
                continue
            for start in (number for number, word in enumerate(words) if word == "roomhook"):
                rest = words[start + 1 :]
                found = rest[: next((number for number, word in enumerate(rest) if word in ENDS), len(rest))]
                if found and found[0] in COMMANDS:
                    yield found


@pytest.mark.parametrize("page", ALL_PAGES)
def test_every_roomhook_command_line_of_a_page_is_accepted(page: str) -> None:
    group = command_line()
    root = group.make_context("roomhook", [], resilient_parsing=True)
    for name, *arguments in roomhook_lines(page):
        command = group.get_command(root, name)
        assert command is not None
        with command.make_context(name, list(arguments), parent=root) as context:
            assert context.params, (name, arguments)


def test_the_pages_have_command_lines_to_look_at() -> None:
    assert sum(len(list(roomhook_lines(page))) for page in ALL_PAGES) > 40


@pytest.mark.parametrize("page", ALL_PAGES)
def test_no_page_installs_roomhook_from_an_index_where_it_is_not(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert not re.search(r"pip install (-U )?'?roomhook\b", text)


def test_the_pictures_of_the_front_page_are_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r'(?:srcset|src)="([^"]+)"', text) + re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert len(pictures) == 4
    assert all((ROOT / one).stat().st_size < 150_000 for one in pictures)
