"""The example packets of the schemas, by file."""

from __future__ import annotations

from pathlib import Path

from roomhook.schemas import loader

__all__ = ["EXAMPLES", "INVALID", "VALID", "relative"]
EXAMPLES = loader.FOLDER / "examples"

VALID = sorted(EXAMPLES.glob("valid/*/*.json"))
INVALID = sorted(EXAMPLES.glob("invalid/*/*.json"))


def relative(path: Path) -> str:
    return str(path.relative_to(EXAMPLES).with_suffix(""))
