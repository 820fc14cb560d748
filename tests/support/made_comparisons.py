"""Comparisons of made-up runs: several backends side by side, and one backend over time."""

from __future__ import annotations

from pathlib import Path

import msgspec
from made_runs import document, failing, passing, unreachable

from roomhook.contract_tests.reports.comparison import Comparison, compare
from roomhook.contract_tests.reports.run_report import RunReport

ANOTHER = "http://127.0.0.1:8001/callback"


def at(day: int, report: RunReport) -> RunReport:
    return msgspec.structs.replace(report, started=f"2026-11-{day:02}T09:30:00.000+00:00")


def elsewhere(report: RunReport) -> RunReport:
    return msgspec.structs.replace(report, target=ANOTHER)


def backends() -> Comparison:
    runs = [
        ("flask", document(passing())),
        ("django", elsewhere(document(failing()))),
        ("down", document(unreachable())),
    ]
    return compare([(Path(f"reports/{name}/roomhook.json"), report) for name, report in runs])


def over_time() -> Comparison:
    days = [at(3, document(passing())), at(1, document(passing())), at(2, document(failing()))]
    return compare([(Path(f"{number}.json"), report) for number, report in enumerate(days)])
