"""The references of sending and journals: every option is in them, and every query runs."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import typer

from roomhook.cli.main import COMMANDS, main
from roomhook.simulator.journal.schema import OUTCOMES, create

DOCS = Path(__file__).parents[2] / "docs"
SENDING = (DOCS / "reference-sending.md").read_text(encoding="utf-8")
JOURNAL = (DOCS / "reference-journal.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"```sql\n(.*?)```", JOURNAL, re.DOTALL)


def options(command: str) -> set[str]:
    module: Any = importlib.import_module(COMMANDS[command][0])
    parameters: Any = typer.main.get_command(module.app).params
    return {one for parameter in parameters for one in parameter.opts if one.startswith("--")} - {"--help"}


@pytest.mark.parametrize(("command", "page"), [("replay", SENDING), ("listen", SENDING), ("journal", JOURNAL)])
def test_every_option_is_in_its_reference(command: str, page: str) -> None:
    assert {option for option in options(command) if f"`{option}" not in page} == set()


def test_the_options_of_sending_are_those_of_traffic_too() -> None:
    assert options("replay") - {"--only-failed", "--refresh"} <= options("traffic")


def test_the_line_that_is_shown_is_the_first_of_that_command(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = re.findall(r"```json\n(.*\n)```", (DOCS / "reference-traffic.md").read_text(encoding="utf-8"))
    assert main(["traffic", "--events", "1", "--seed", "7"]) == 0
    assert capsys.readouterr().out == line


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_run(tmp_path: Path, query: str) -> None:
    connection = create(tmp_path / "run.db", "sender")
    connection.execute(query).fetchall()
    connection.close()


@pytest.mark.parametrize(("kind", "heading"), [("sender", "### Of a sender"), ("listener", "### Of a listener")])
def test_the_tables_are_those_of_the_reference(tmp_path: Path, kind: Any, heading: str) -> None:
    connection = create(tmp_path / "run.db", kind)
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    section = JOURNAL.partition(heading)[2].partition("\n### ")[0]
    for (table,) in rows:
        assert f"`{table}`" in section
        columns = [column[1] for column in connection.execute(f"PRAGMA table_info({table})")]
        where = section if table in {"events", "attempts", "deliveries", "received"} else JOURNAL
        if table not in {"ends", "outcomes"}:
            assert {column for column in columns if f"`{column}`" not in where} == set(), table
    connection.close()


def test_the_outcomes_are_all_named_and_keep_their_codes() -> None:
    assert all(f"`{outcome}`" in JOURNAL for outcome in OUTCOMES)
    assert [str(outcome) for outcome in OUTCOMES] == [
        "in-doubt",
        "delivered",
        "http-status",
        "not-json",
        "incomplete",
        "timeout",
        "refused",
        "dns",
        "tls",
        "reset",
        "closed",
        "not-http",
    ]
