"""Whole runs of the suite against a variant, and what they found."""

from __future__ import annotations

from typing import Any

from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, Verdict

__all__ = ["QUICK", "TOKEN", "against", "failed", "message", "parameter", "run", "verdict"]

TOKEN = "xxxxyyyy"
QUICK = ("http.idle", "http.slow-body", "http.split-head", "http.burst", "url.https")


def run(url: str, **options: Any) -> RunFinished:
    finished = list(run_suite(Settings(url, SDKAPPID, **{"exclude": QUICK, **options})))[-1]
    assert isinstance(finished, RunFinished)
    return finished


def against(variant: Variant, **options: Any) -> RunFinished:
    with listening(variant) as url:
        return run(url, **options)


def failed(finished: RunFinished) -> set[str]:
    """The ids of what failed or warned; pytest shows the rest of the run where a test fails."""
    for case in finished.cases:
        for finding in case.findings:
            print(case.verdict, case.requirement.id, finding.message, "|", finding.actual)  # noqa: T201
    print(finished.summary)  # noqa: T201
    return {case.requirement.id for case in finished.cases if case.verdict in {Verdict.FAIL, Verdict.WARN}}


def message(finished: RunFinished, requirement: str) -> str:
    return next(case.findings[0].message for case in finished.cases if case.requirement.id == requirement)


def verdict(finished: RunFinished, requirement: str) -> Verdict:
    return next(case.verdict for case in finished.cases if case.requirement.id == requirement)


def parameter(callback: IncomingCallback, name: str) -> str | None:
    return dict(callback.parameters).get(name)
