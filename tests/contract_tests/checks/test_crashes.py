# ruff: noqa: ARG002 (a variant ignores what the reference would look at)
"""A handler that crashes without an answer is told from a target that closes the connection on purpose."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, HangUpError, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, RefusedCallback
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import Finding, RunFinished

MAY_BE_REFUSED: Final = ("type.unknown", "reason", "operator.empty", "command", "bad")


def findings(variant: Variant, **options: Any) -> list[Finding]:
    with listening(variant) as url:
        finished = list(run_suite(Settings(url, SDKAPPID, only=MAY_BE_REFUSED, **options)))[-1]
    assert isinstance(finished, RunFinished)
    return [one for case in finished.cases for one in case.findings]


class Panics(Variant):
    """Drops the connection when the handler crashes, as Go's net/http does."""

    async def answer(self, callback: IncomingCallback, method: str, path: str) -> Response:
        try:
            return await super().answer(callback, method, path)
        except RefusedCallback:
            raise
        except Exception as error:
            raise HangUpError from error


class TrustsItsInput(Panics):
    """Reads each field of a packet without a look at its type."""

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        packet = json.loads(callback.body)
        if packet["CallbackCommand"].endswith("Leave"):
            known = {"Leave": 1, "Kicked": 2, "Expired": 3}[packet["Type"]]
            _ = packet["Reason"].strip(), packet["EventTime"] + packet["MemberCount"] + known
            _ = packet["RoomId"].strip(), packet["MemberList_Account"][0].strip(), packet["Operator_Account"][0]
        return super().read(callback)


class LooksUpTheCommand(Panics):
    """Crashes on a command that has no handler."""

    def check_command(self, callback: IncomingCallback, command: str) -> None:
        super().check_command(callback, command)
        _ = {"Room.CallbackAfterMemberLeave": 1, "Room.CallbackAfterMemberEnter": 2}[command]


class ClosesOnPurpose(TrustsItsInput):
    """Closes the connection on whatever it refuses, a foreign SdkAppid included."""

    def refuse(self, refusal: RefusedCallback) -> Response:
        raise HangUpError


def test_each_crash_without_an_answer_is_a_finding() -> None:
    found = {one.requirement.id: one for one in findings(TrustsItsInput())}
    assert {"type.unknown", "reason.absent", "operator.empty", "bad.empty", "bad.text", "bad.null"} <= set(found)
    assert {"bad.field-missing.room-id", "bad.field-type.event-time", "bad.field-type.reason"} <= set(found)
    assert {one.requirement.level for one in found.values()} <= {"SHOULD", "INFO"}
    assert found["bad.null"].actual == "it closed the connection without an answer"
    assert found["bad.null"].hint == "Your handler seems to have crashed: look at your app's log."


def test_a_crash_on_another_command_is_a_finding() -> None:
    assert {one.requirement.id for one in findings(LooksUpTheCommand())} == {"command.unknown", "command.sibling"}


@pytest.mark.parametrize("kind", [Variant, ClosesOnPurpose])
def test_a_target_that_refuses_by_closing_does_not_crash(kind: type[Variant]) -> None:
    assert findings(kind()) == []
