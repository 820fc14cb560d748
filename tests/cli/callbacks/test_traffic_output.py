"""``roomhook traffic`` without a URL: CSV, the page about the traffic; and the plan that is shown before sending."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from counting_target import counting_target

from roomhook.cli.callbacks.traffic_output import CSV_COLUMNS
from roomhook.cli.main import main

ARGUMENTS = ("traffic", "--seed", "7", "--profile", "steady", "--rooms", "3", "--members", "30", "--duration", "20m")


def written(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> bytes:
    assert main([*ARGUMENTS, *arguments]) == 0
    return capfdbinary.readouterr().out


def test_csv_has_a_row_for_each_callback_that_ndjson_has(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    packets = [json.loads(line)["packet"] for line in written(capfdbinary).splitlines()]
    table = list(csv.DictReader(io.StringIO(written(capfdbinary, "--format", "csv").decode(), newline="")))
    assert tuple(table[0]) == CSV_COLUMNS
    assert len(table) == len(packets) > 20
    for row, packet in zip(table, packets, strict=True):
        assert (row["room"], row["reason"], row["type"]) == (packet["RoomId"], packet["Reason"], packet["Type"])
        assert row["members"].split(" ") == packet["MemberList_Account"]
        assert row["time"].startswith("2026-01-02T18:")


def test_the_page_shows_the_traffic_and_ndjson_still_goes_to_stdout(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    folder = tmp_path / "report"
    lines = written(capfdbinary, "--with-enter", "--report", "html", "--report-dir", str(folder)).splitlines()
    page = (folder / "traffic.html").read_text(encoding="utf-8")
    assert f"{len(lines):,} callbacks in" in page
    for heading in ("Callbacks per minute", "Check-out methods", "Platforms", "Largest size of each room", "Stays"):
        assert heading in page
    assert "up to 1 min" in page
    assert page.count("<rect") > 15


def test_without_entering_the_page_says_how_to_see_stays(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    written(capfdbinary, "--report", "html", "--report-dir", str(tmp_path))
    assert "--with-enter" in (tmp_path / "traffic.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--report", "json"], "--report json is about sending"),
        (["--report", "html", "--report-dir", "/dev/null/x"], "--report-dir /dev/null/x"),
        (["http://127.0.0.1:9/", "--format", "csv"], "--format csv writes callbacks instead of sending them"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(
    arguments: list[str], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*ARGUMENTS, *arguments]) == 2
    error = capfd.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        (["--duration", "1m"], "plan: 1m of steady traffic in 1s at 60x"),
        (["--speed", "max"], "plan: 20m of steady traffic, as fast as the target answers"),
        (["--rate", "500/s"], "plan: 20m of steady traffic, at 500/s"),
        (["--speed", "max", "--events", "5"], "plan: 5 callbacks of steady traffic, as fast as the target answers"),
    ],
)
def test_the_plan_is_shown_before_the_first_callback(
    arguments: list[str], plan: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with counting_target() as target:
        main([*ARGUMENTS, target.url, *arguments])
    assert capfd.readouterr().err.startswith(plan)
