"""The App backends in other stacks: their script, the table of the page, and three that are started."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
STACKS: Final = ROOT / "examples" / "stacks"
NAMES: Final = sorted(script.parent.name for script in STACKS.glob("*/install.sh"))
PAGE: Final = (ROOT / "docs" / "stacks.md").read_text(encoding="utf-8")
LONGEST: Final = 120
"""Lines of one source file: the JDK has no JSON binding, and Go checks each error."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stacks_check", STACKS / "check.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_has_a_clean_row_for_every_stack() -> None:
    rows = re.findall(r"^\| \[([\w-]+)\]\(\S+\) \| (\w+) \| (\w+) \|", PAGE, re.MULTILINE)

    assert rows == [(name, "conforms", "none") for name in NAMES]


def test_the_pages_give_the_true_number_of_stacks() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert f" {len(NAMES)} stacks" in readme
    assert f"each of the {len(NAMES)} stacks" in PAGE


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_is_short_and_says_how_it_is_installed_and_started(name: str) -> None:
    kinds = {".py", ".js", ".ts", ".java", ".php", ".go"}
    ours = (
        path for path in STACKS.joinpath(name).rglob("*") if not {"node_modules", ".venv", "dist"} & set(path.parts)
    )
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in ours if path.suffix in kinds}

    assert (STACKS / name / "run.sh").is_file()
    assert {file: length for file, length in lengths.items() if length > LONGEST} == {}


def test_a_row_is_replaced_or_added_in_the_order_of_names(script: ModuleType) -> None:
    row = "| [{0}](../examples/stacks/{0}) | conforms |"
    page = f"before\n\n{row.format('express')}\n{row.format('koa')}\n\nafter {row.format('x')}\n"

    written = script.with_row(page, "go", row.format("go"))
    assert written == page.replace(row.format("koa"), f"{row.format('go')}\n{row.format('koa')}")
    again = script.with_row(written, "koa", row.format("koa") + " none |")
    assert again.count("[koa]") == 1
    assert "| conforms | none |" in again


def test_a_stack_whose_programs_are_missing_is_skipped_with_the_reason(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "HERE", tmp_path)
    (tmp_path / "cobol").mkdir()
    (tmp_path / "cobol" / "install.sh").write_text("echo 'cobol is missing'; exit 75\n")

    assert script.judged("cobol") == ("skipped: cobol is missing | | | ", True)


def test_a_stack_that_does_not_start_fails_with_its_last_output(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "HERE", tmp_path)
    (tmp_path / "cobol").mkdir()
    (tmp_path / "cobol" / "install.sh").write_text("")
    (tmp_path / "cobol" / "run.sh").write_text("echo 'no such program: cobc'; exit 1\n")

    assert script.judged("cobol") == ("does not start: no such program: cobc | | | ", False)


@pytest.mark.exhaustive
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["flask-rq", "koa", "nestjs"])
def test_a_stack_conforms_with_a_probe(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(STACKS / name, tmp_path / name, ignore=shutil.ignore_patterns("node_modules", ".venv", "dist"))
    monkeypatch.setattr(script, "HERE", tmp_path)

    row, passes = script.judged(name)
    if row.startswith("skipped"):
        pytest.skip(row)

    assert passes, row
    assert row.startswith("conforms | none |")
