"""Defects of App backends that act on callbacks which must change nothing, and remember those that they refuse."""

from __future__ import annotations

import time
from typing import Final

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished
from roomhook.simulator.protocol.packets import LEAVE_COMMAND

pytestmark = pytest.mark.long

TOKEN: Final = "xxxxyyyy"


def messages(variant: Variant, *only: str) -> dict[str, str]:
    """What is found, by requirement, with the message of its first finding."""
    with listening(variant) as url:
        run = SuiteRun(
            Settings(url, SDKAPPID, token=variant.token, only=only, settle_s=0.1),
            probe=lambda room: set(variant.members(room)),
            sleep=lambda seconds: time.sleep(min(seconds, 0.05)),
        )
        finished = list(run.events())[-1]
    assert isinstance(finished, RunFinished)
    return {case.requirement.id: case.findings[0].message for case in finished.cases if case.findings}


# Sign


class VerifiesLeaves(Variant):
    """Verifies Sign only where the URL names a leave."""

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        if callback.values("CallbackCommand") == [LEAVE_COMMAND]:
            super().check_sign(callback, token)

    def check_command(self, callback: IncomingCallback, command: str) -> None:
        """Goes by the packet."""


class NeverStops(Variant):
    """Refuses a wrong or stale Sign, and goes on with the packet."""

    async def handle(self, callback: IncomingCallback) -> Response:
        response = await super().handle(callback)
        if b'"FAIL"' in bytes(response.body) and callback.values("Sign"):
            event = self.read(callback)
            if event is not None:
                await self.apply(event)
        return response


class RemembersSigns(Variant):
    """Does not look at a Sign again that was right once."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__(token)
        self.right: set[str] = set()

    def check_sign(self, callback: IncomingCallback, token: str) -> None:
        if not self.right & set(callback.values("Sign")):
            super().check_sign(callback, token)
            self.right |= set(callback.values("Sign"))


def test_a_sign_that_counts_for_a_leave_in_the_url_only_is_found_by_what_is_changed_without_it() -> None:
    found = messages(VerifiesLeaves(TOKEN), "sign", "effect.leave", "effect.sign")
    assert set(found) == {"effect.sign"}
    assert found["effect.sign"].startswith("after an unsigned leave under an enter in the URL, an unsigned enter, ")


def test_what_is_refused_for_its_sign_and_done_all_the_same_is_named() -> None:
    found = messages(NeverStops(TOKEN), "effect.sign")
    assert found["effect.sign"].startswith("after a leave with a wrong Sign, a leave with a RequestTime 90 s ago, ")


def test_a_sign_that_was_right_once_is_not_right_beside_another_request_time() -> None:
    found = messages(RemembersSigns(TOKEN), "sign.time-swapped")
    said = "the Sign of an acknowledged callback beside another RequestTime was acknowledged"
    assert found == {"sign.time-swapped": said}


def test_a_backend_that_verifies_first_changes_nothing() -> None:
    assert messages(Variant(TOKEN), "sign", "effect.sign", "effect.app-id", "effect.command", "effect.bad-input") == {}
