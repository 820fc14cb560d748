"""The page about Python, as its reader types it."""

from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference-python.md"


def test_every_example_of_the_python_page_gives_what_the_page_shows() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.REPORT_NDIFF)
    assert failed == 0
    assert tried > 15
