"""The journals of a run with several processes: ``run.db`` becomes ``run.1-of-2.db`` and ``run.2-of-2.db``."""

from __future__ import annotations

import glob
import re
from pathlib import Path

__all__ = ["journals_of", "parts_there", "whole_of"]


def journals_of(journal: Path, parts: int) -> list[Path]:
    """The journals that so many processes make of *journal*: itself, if it is but one."""
    names = (f"{journal.stem}.{part}-of-{parts}{journal.suffix}" for part in range(1, parts + 1))
    return [journal] if parts == 1 else [journal.with_name(name) for name in names]


def parts_there(journal: Path) -> list[Path]:
    """The existing journals of the parts of *journal*, in order; none if there are none."""
    pattern = f"{glob.escape(journal.stem)}.*-of-*{glob.escape(journal.suffix)}"
    there = [one for one in journal.parent.glob(pattern) if whole_of(one) == journal]
    return sorted(there, key=lambda one: int(one.stem.rpartition(".")[2].partition("-")[0]))


def whole_of(part: Path) -> Path | None:
    """The journal whose part *part* is, by its name; None if the name is not that of a part."""
    match = re.fullmatch(r"(.+)\.\d+-of-\d+", part.stem)
    return part.with_name(match[1] + part.suffix) if match else None
