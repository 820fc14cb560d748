"""Defects of App backends that act on callbacks which must change nothing, and remember those that they refuse."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import pytest
from starlette.responses import Response
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, RefusedCallback
from roomhook.contract_tests.engine.suite import SuiteRun
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished
from roomhook.simulator.protocol.packets import LEAVE_COMMAND

pytestmark = pytest.mark.long

TOKEN: Final = "xxxxyyyy"


def messages(variant: Variant, *only: str, judged: tuple[str, ...] = (), **options: Any) -> dict[str, str]:
    """What is found, by requirement, with the message of its first finding; those in *judged* must have been judged."""
    with listening(variant) as url:
        run = SuiteRun(
            Settings(url, SDKAPPID, token=variant.token, only=only, settle_s=0.1, **options),
            probe=lambda room: set(variant.members(room)),
            sleep=lambda seconds: time.sleep(min(seconds, 0.05)),
        )
        finished = list(run.events())[-1]
    assert isinstance(finished, RunFinished)
    assert not [case for case in finished.cases if case.requirement.id in judged and case.reason]
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


# The same packet again, and SdkAppid


class RemembersFirst(Variant):
    """Takes for a repeat what it has refused before."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__(token)
        self.known: set[bytes] = set()

    async def handle(self, callback: IncomingCallback) -> Response:
        repeat = callback.body in self.known
        self.known.add(callback.body)
        if not repeat:
            return await super().handle(callback)
        try:
            self.check_url(callback)
        except RefusedCallback as refusal:
            return self.refuse(refusal)
        return self.acknowledge()


class FindsItsId(Variant):
    """Looks for its SdkAppid in the text of the query."""

    def check_app_id(self, callback: IncomingCallback) -> None:
        if f"SdkAppid={self.sdkappid}" not in callback.query:
            super().check_app_id(callback)


@pytest.mark.parametrize(("token", "blamed"), [(None, "effect.app-id"), (TOKEN, "effect.sign")])
def test_a_callback_that_was_refused_is_no_repeat_when_it_comes_from_who_may_send_it(
    token: str | None, blamed: str
) -> None:
    found = messages(RemembersFirst(token), blamed)
    assert "the same packet with" in found[blamed]
    assert "still in" in found[blamed]


def test_a_parameter_whose_name_only_ends_in_sdkappid_is_another_parameter() -> None:
    said = "a callback with XSdkAppid in place of SdkAppid was acknowledged"
    assert messages(FindsItsId(), "app-id.missing") == {"app-id.missing": said}


# Malformed input


class Packets(Variant):
    """Looks at the raw packet of a leave before the reference does."""

    async def handle(self, callback: IncomingCallback) -> Response:
        with suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
            packet = json.loads(callback.body)
            if packet["CallbackCommand"] == LEAVE_COMMAND:
                self.look_at(packet)
        return await super().handle(callback)

    def look_at(self, packet: dict[str, Any]) -> None:
        """What happens first."""


class ValidatesInTheLoop(Packets):
    """Removes one account after the other until one is none."""

    def look_at(self, packet: dict[str, Any]) -> None:
        if isinstance(packet["MemberList_Account"], list):
            for account in packet["MemberList_Account"]:
                self.presence.leave(packet["RoomId"], [account + ""], packet["EventTime"])


class LooksAtTypeLast(Packets):
    """Refuses a leave without Type once it is applied."""

    def look_at(self, packet: dict[str, Any]) -> None:
        if "Type" not in packet:
            self.presence.leave(packet["RoomId"], packet["MemberList_Account"], packet["EventTime"])


class NeedsLittle(Variant):
    """Reads no Type, MemberCount and Reason, and skips what is no account; that is lawful."""

    async def handle(self, callback: IncomingCallback) -> Response:
        with suppress(ValueError, TypeError):
            packet = json.loads(callback.body)
            packet |= {"Type": "Leave", "MemberCount": 1, "Reason": ""}
            if isinstance(packet["MemberList_Account"], list):
                packet["MemberList_Account"] = [one for one in packet["MemberList_Account"] if isinstance(one, str)]
            callback = replace(callback, body=json.dumps(packet).encode())
        return await super().handle(callback)


class WorkerDies(Packets):
    """Acknowledges everything, and applies nothing any more after an account that its database refuses."""

    dead = False

    def look_at(self, packet: dict[str, Any]) -> None:
        self.dead = self.dead or packet["MemberList_Account"] == ["\ud800"]

    async def apply(self, event: MemberEvent) -> None:
        if not self.dead:
            await super().apply(event)


class StaysInATransaction(Packets):
    """Answers 500 for good after an EventTime that its database refuses."""

    broken = False

    def look_at(self, packet: dict[str, Any]) -> None:
        self.broken = self.broken or packet["EventTime"] == 10**20

    async def handle(self, callback: IncomingCallback) -> Response:
        response = await super().handle(callback)
        return Response(status_code=500) if self.broken else response


@pytest.mark.parametrize(
    ("kind", "what"),
    [(ValidatesInTheLoop, "a leave of a member and a number"), (LooksAtTypeLast, "a leave without Type")],
)
def test_each_malformed_leave_that_is_refused_and_done_is_named(kind: type[Variant], what: str) -> None:
    assert messages(kind(), "effect.bad-input")["effect.bad-input"].startswith(f"after {what}, ")


def test_who_needs_few_fields_may_apply_what_they_acknowledge() -> None:
    assert messages(NeedsLittle(), "effect.bad-input", "bad.array") == {}


def test_a_worker_that_dies_of_a_value_is_found_by_the_valid_leave_after_it() -> None:
    assert "one with half a surrogate pair" in messages(WorkerDies(), "effect.bad-input")["effect.bad-input"]


def test_a_value_that_the_database_refuses_must_not_spoil_the_callbacks_after_it() -> None:
    assert "EventTime 10^20" in messages(StaysInATransaction(), "bad.alive")["bad.alive"]


@pytest.mark.parametrize("options", [{"members": ("ann", "ben", "cat")}, {"room": "room1"}], ids=["members", "room"])
def test_few_members_or_one_room_of_your_own_are_enough_to_judge_what_must_change_nothing(
    options: dict[str, Any],
) -> None:
    only = ("effect.app-id", "effect.command", "effect.bad-input")
    assert messages(Variant(), "app-id", "effect.leave", *only, judged=only, **options) == {}
