"""ARCHITECTURE.md shows every folder, names files that exist, and stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
TREE = PAGE.split("```text")[1].split("```")[0]
PACKAGES = sorted(
    path.parent.relative_to(ROOT)
    for folder in ("src/roomhook", "simulator", "contract_tests", "loadtests", "schemas")
    for path in (ROOT / folder).rglob("__init__.py")
)


def test_the_page_is_short() -> None:
    assert len(PAGE.splitlines()) <= 200


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_the_tree_shows_every_folder(package: Path) -> None:
    assert re.search(rf"\b{re.escape(package.name)}\b", TREE)


def test_the_table_of_features_names_files_that_exist() -> None:
    rows = re.findall(r"^\| .+ \| `([^`]+)` \|$", PAGE, re.MULTILINE)
    assert len(rows) >= 20
    assert [name for name in rows if not (ROOT / name).is_file()] == []
