"""The contract suite as pytest holds it: one open run a session, judged requirement by requirement."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.known_failures import load_known
from roomhook.contract_tests.model.register import Requirement
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import CaseJudged, RunOutcome, Verdict
from roomhook.contract_tests.reports.labels import LABELS, NO_ANSWERS
from roomhook.contract_tests.reports.run_report import found
from roomhook.contract_tests.reports.text import finding_lines
from roomhook.errors import RoomhookError
from roomhook.simulator.protocol.callback_request import masked_url

__all__ = ["PytestRun", "failure_text", "settings_from"]


def settings_from(config: pytest.Config) -> Settings:
    """The ``--room-*`` options as settings; raises ``pytest.UsageError`` for bad ones."""

    def option(name: str) -> Any:
        return config.getoption(f"--room-{name}")

    def path(name: str) -> Path | None:
        return Path(option(name)) if option(name) else None

    if not option("target"):
        raise pytest.UsageError(
            "the contract tests need your callback URL: --room-target http://127.0.0.1:8000/callback"
        )
    seed = option("seed")
    try:
        return Settings(
            target=option("target"),
            sdkappid=option("sdkappid"),
            token=option("token") or os.environ.get("ROOMHOOK_TOKEN") or None,
            deadline_ms=option("deadline") * 1000,
            strict=option("strict"),
            refusal=option("refusal"),
            seed=random.SystemRandom().randrange(1_000_000) if seed is None else seed,
            only=option("only"),
            exclude=option("exclude"),
            headers=[_header(line) for line in option("header")],
            cacert=path("cacert"),
            insecure=option("insecure"),
            cert=path("cert"),
            proxy=option("proxy"),
            wait_for_s=option("wait-for"),
            enter_first=option("enter-first"),
            room=option("room"),
            members=option("member"),
            fuzz=option("fuzz"),
            known=load_known(Path(option("known"))) if option("known") else (),
        )
    except RoomhookError as error:
        raise pytest.UsageError(str(error)) from None


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise pytest.UsageError(f"--room-header {line!r} is not 'Name: value', as in 'X-Api-Key: abc'")
    return name.strip(), value.strip()


class PytestRun:
    """A run that is opened when the first requirement is judged, so that collecting tests sends nothing."""

    def __init__(self, settings: Settings) -> None:
        try:
            self._run = SuiteRun(settings)
            self.requirements = self._run.wanted()
        except RoomhookError as error:
            raise pytest.UsageError(str(error)) from None
        self._open = False
        self._seen: list[CaseJudged] = []

    @property
    def judged_any(self) -> bool:
        """Whether any requirement got a verdict."""
        return any(case.verdict is not Verdict.NOT_JUDGED for case in self._seen)

    def judge(self, requirement: Requirement) -> CaseJudged:
        """The verdict on *requirement*; ends the session at once if the target is unreachable."""
        if not self._open:
            self._run.open()
            self._open = True
        if self._run.summary.outcome is RunOutcome.UNREACHABLE:
            pytest.exit(f"roomhook: {self._why_unreachable()}", returncode=pytest.ExitCode.TESTS_FAILED)
        judged = self._run.verdict_on(requirement)
        self._seen.append(judged)
        return judged

    def _why_unreachable(self) -> str:
        target = self._run.settings.target
        return self._run.summary.detail.replace(target, masked_url(target))

    def summary_lines(self) -> list[str]:
        """The two axes, and what was found without failing."""
        summary, settings = self._run.summary, self._run.settings
        judged = summary.judged_answers
        answers = f"{summary.compliant} of {judged} answers to them" if judged else NO_ANSWERS
        lines = [
            f"target {masked_url(settings.target)} (your App backend), seed {settings.seed}",
            f"delivered: {summary.delivered} of {summary.sent} valid callbacks",
            f"compliant: {answers}",
        ]
        for case in self._seen:
            if case.verdict is Verdict.KNOWN:
                lines.append(f"{LABELS[case.verdict]} {case.requirement.id}: {case.reason}")
            elif case.verdict in {Verdict.WARN, Verdict.INFO}:
                lines += [f"{LABELS[case.verdict]} {case.requirement.id}: {one.message}" for one in case.findings]
        return lines


def failure_text(judged: CaseJudged) -> str:
    """The findings of *judged* as the text report prints them."""
    return "\n".join(line for finding in judged.findings for line in finding_lines(found(finding, judged.verdict)))
