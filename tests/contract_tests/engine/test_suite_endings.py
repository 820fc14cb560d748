"""Runs that end early: a target that hangs, goes away, dies of bad input, or is spoilt by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response
from suite_runs import TOKEN, against, failed, message, parameter, verdict
from variant_server import HangUpError, Variant

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback
from roomhook.contract_tests.engine import opening
from roomhook.contract_tests.model.verdicts import RunOutcome, Verdict

pytestmark = pytest.mark.long


# Targets that hang, go away, or spoil


class Hangs(Variant):
    """Answers *answers* callbacks and no more."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.answers = answers

    async def handle(self, callback: IncomingCallback) -> Response:
        if self.requests > self.answers:
            await asyncio.sleep(60)
        return await super().handle(callback)


def test_three_hung_callbacks_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_WARM_UP_MS", 100)
    variant = Hangs(0)
    finished = against(variant, deadline_ms=100)
    assert failed(finished) == {"ack.deadline"}
    assert variant.requests == 3


def test_a_target_that_hangs_later_says_since_when() -> None:
    finished = against(Hangs(20), deadline_ms=100)
    assert failed(finished) == {"ack.deadline"}
    assert finished.summary.detail.startswith("3 callbacks in a row got no answer within 1.15 s, since ")
    assert verdict(finished, "type.kicked") is Verdict.PASS
    assert verdict(finished, "bad.alive") is Verdict.NOT_JUDGED


class GoesAway(Variant):
    """Takes no connections any more once ``leaves`` says so."""

    def __init__(self, leaves: Callable[[IncomingCallback], bool], back_after_s: float | None = None) -> None:
        super().__init__()
        self.leaves = leaves
        self.back_after_s = back_after_s
        self.restarts = 0

    async def handle(self, callback: IncomingCallback) -> Response:
        assert self.server is not None
        if self.leaves(callback):
            host, port = self.server.sockets[0].getsockname()
            self.server.close()
            if self.back_after_s is not None:
                self.coming_back = asyncio.create_task(self._come_back(host, port, self.back_after_s))
            raise HangUpError
        return await super().handle(callback)

    async def _come_back(self, host: str, port: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self.restarts += 1
        self.server = await asyncio.start_server(self.connected, host, port)


def test_a_target_that_goes_away_ends_the_run_with_a_finding() -> None:
    variant = GoesAway(lambda _: False)
    variant.leaves = lambda _: variant.requests > 30
    finished = against(variant)
    assert failed(finished) == {"ack.status"}
    assert finished.summary.outcome is RunOutcome.VIOLATES
    assert "accepts no connections any more" in finished.summary.detail


@pytest.mark.parametrize("callback", range(1, 9))
def test_a_target_that_one_of_the_first_callbacks_kills_is_a_finding_and_no_error_of_ours(callback: int) -> None:
    variant = GoesAway(lambda _: False)
    variant.leaves = lambda _: variant.requests >= callback
    finished = against(variant)
    assert failed(finished) == {"ack.status"}
    assert finished.summary.outcome is RunOutcome.VIOLATES


def test_a_target_that_the_first_callback_kills_while_it_is_waited_for_is_told_from_one_that_was_never_there() -> None:
    finished = against(GoesAway(lambda _: True), wait_for_s=0.5)
    assert finished.summary.outcome is RunOutcome.UNREACHABLE
    assert "took a callback before and it closed the connection without an answer" in finished.summary.detail


def test_a_target_that_bad_input_kills_is_not_alive() -> None:
    finished = against(GoesAway(lambda callback: callback.body == b"null"))
    assert failed(finished) == {"bad.alive"}
    assert "bad.null" in message(finished, "bad.alive")


def test_a_target_that_bad_input_kills_and_that_is_restarted_is_not_alive_either() -> None:
    variant = GoesAway(lambda callback: callback.body == b"null", back_after_s=0.4)
    finished = against(variant, only=("ack", "bad.null", "bad.alive"))
    assert failed(finished) == {"bad.alive"}
    assert variant.restarts >= 2
    assert message(finished, "bad.alive") == "the target was gone for a while after the body null"


def of_another_command(callback: IncomingCallback) -> bool:
    return b'"Room.CallbackAfterSomethingNew"' in callback.body


def test_a_target_that_another_command_kills_is_blamed_for_that() -> None:
    finished = against(GoesAway(of_another_command))
    assert failed(finished) == {"command.alive"}
    assert "command.unknown" in message(finished, "command.alive")


def test_a_target_that_another_command_kills_and_that_is_restarted_is_judged_to_the_end() -> None:
    finished = against(GoesAway(of_another_command, back_after_s=0.4), only=("ack", "command", "packet"))
    assert failed(finished) == {"command.alive"}
    unknown = "the unknown command Room.CallbackAfterSomethingNew"
    assert message(finished, "command.alive") == f"the target was gone for a while after {unknown}"
    assert verdict(finished, "packet.whitespace") is Verdict.PASS


class Spoilt(Variant):
    """Answers 500 for ever after a body that is no JSON."""

    spoilt = False

    def parse(self, body: bytes, kind: type[Any]) -> Any:
        self.spoilt = self.spoilt or body[:1] not in {b"{", b""}
        return super().parse(body, kind)

    async def handle(self, callback: IncomingCallback) -> Response:
        return Response(status_code=500) if self.spoilt else await super().handle(callback)


class HangsUpEverAfter(Spoilt):
    """Closes every connection after a body that is no JSON, which is a refusal as good as any."""

    async def handle(self, callback: IncomingCallback) -> Response:
        if self.spoilt:
            raise HangUpError
        return await super().handle(callback)


@pytest.mark.parametrize("only", [("bad",), ("bad.alive",)])
def test_a_dead_target_passes_nothing_by_refusing_everything(only: tuple[str, ...]) -> None:
    finished = against(HangsUpEverAfter(), only=only)
    assert failed(finished) == {"bad.alive"}
    assert finished.count(Verdict.PASS) <= 2


class DiesOfAWrongSign(Variant):
    dead = False

    async def handle(self, callback: IncomingCallback) -> Response:
        self.dead = self.dead or parameter(callback, "Sign") == "0" * 64
        if self.dead:
            raise HangUpError
        return await super().handle(callback)


@pytest.mark.parametrize("only", [("sign", "http.half-request"), ("sign",), ("sign.wrong", "sign.missing")])
def test_a_target_that_dies_while_it_refuses_is_found_dead(only: tuple[str, ...]) -> None:
    finished = against(DiesOfAWrongSign(TOKEN), token=TOKEN, only=(*only, "ack"))
    assert failed(finished) == {"ack.status"}
    assert "sign.wrong" in message(finished, "ack.status")


def test_a_spoilt_target_is_blamed_for_what_spoilt_it_and_for_nothing_after() -> None:
    finished = against(Spoilt())
    assert failed(finished) == {"bad.alive"}
    assert "even the baseline callback is not acknowledged any more" in message(finished, "bad.alive")
