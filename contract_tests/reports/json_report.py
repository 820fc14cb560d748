"""The report as one JSON document, as schemas/report.schema.json has it: written, and read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from roomhook.contract_tests.reports.run_report import RunReport
from roomhook.errors import ConfigurationError, SchemaError
from roomhook.schemas import loader

__all__ = ["load", "render"]


def render(report: RunReport) -> str:
    """The document, indented, with a final line feed."""
    return json.dumps(msgspec.to_builtins(report), indent=2, ensure_ascii=False) + "\n"


def load(path: Path) -> RunReport:
    """The report in the file at *path*.

    Raises ``ConfigurationError`` for a file that can't be read, and ``SchemaError`` for one that holds no report.
    """
    try:
        document: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise _foreign(path, "it is not JSON") from None
    if not isinstance(document, dict) or document.get("kind") != "check":
        raise _foreign(path, "it is some other JSON")
    problems = loader.problems("report", document)
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise _foreign(path, f"{problems[0]}{more}")
    return msgspec.convert(document, RunReport)


def _foreign(path: Path, why: str) -> SchemaError:
    return SchemaError(f"{path} is no report of this version: {why}; make one with 'roomhook check URL --report json'")
