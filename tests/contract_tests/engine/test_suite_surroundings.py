"""Targets that are unreachable, still starting, far away, on another clock, or have rooms of their own."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from email.utils import formatdate
from typing import Any

import pytest
from starlette.responses import Response
from suite_runs import QUICK, TOKEN, against, failed, run, verdict
from variant_server import SDKAPPID, Variant, listening

from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, RefusedCallback
from roomhook.contract_tests.engine import opening
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, Verdict
from roomhook.simulator.protocol.packets import ENTER_COMMAND, ResponsePacket

pytestmark = pytest.mark.long


# Reaching the target


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "no-such-host.invalid"])
def test_an_unreachable_target_is_no_finding(host: str) -> None:
    finished = run(f"http://{host.format(port=free_port())}/")
    assert finished.summary.outcome is RunOutcome.UNREACHABLE
    assert finished.summary.outcome.exit_code == 3
    assert not finished.cases


def test_a_server_that_speaks_no_tls_is_unreachable_by_https() -> None:
    with listening(Variant()) as url:
        assert run(url.replace("http", "https", 1)).summary.outcome is RunOutcome.UNREACHABLE


class StillStarting(Variant):
    """A gateway answers for it at first."""

    async def handle(self, callback: IncomingCallback) -> Response:
        return Response(status_code=502) if self.requests < 4 else await super().handle(callback)


def test_a_target_that_is_still_starting_is_waited_for() -> None:
    assert failed(against(StillStarting(), wait_for_s=10, only=("ack", "type"))) == set()


class StillLoading(Variant):
    """Takes connections, and answers once it has loaded."""

    async def handle(self, callback: IncomingCallback) -> Response:
        if self.requests == 1:
            await asyncio.sleep(2)
        return await super().handle(callback)


def test_a_target_that_listens_but_does_not_answer_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_WARM_UP_MS", 100)
    finished = against(StillLoading(), wait_for_s=10, deadline_ms=300, only=("type",))
    assert failed(finished) == set()
    assert finished.summary.undelivered == {}


def test_a_target_that_does_not_listen_yet_is_waited_for() -> None:
    port = free_port()
    result: list[RunFinished] = []
    waiting = threading.Thread(
        target=lambda: result.append(run(f"http://127.0.0.1:{port}/callback", wait_for_s=20, only=("type",)))
    )
    waiting.start()
    time.sleep(0.3)
    with listening(Variant(), port=port):
        waiting.join()
    assert failed(result[0]) == set()
    assert result[0].count(Verdict.PASS) == 4


# What the user knows about the target


class Recording(Variant):
    def __init__(self, token: str | None = None) -> None:
        super().__init__(token)
        self.packets: list[dict[str, Any]] = []

    def read(self, callback: IncomingCallback) -> MemberEvent | None:
        event = super().read(callback)
        self.packets.append(json.loads(callback.body))
        return event


def test_members_enter_the_room_before_they_leave_it() -> None:
    variant = Recording()
    assert failed(against(variant, enter_first=True, only=("type", "members", "http.parallel", "duplicate"))) == set()
    here: set[tuple[str, str]] = set()
    for packet in variant.packets[1:]:  # the first is the warm-up
        members = {(packet["RoomId"], one) for one in packet["MemberList_Account"]}
        if packet["CallbackCommand"] == ENTER_COMMAND:
            here |= members
        else:
            assert members <= here


def test_a_named_room_and_members_are_used_and_no_others() -> None:
    variant = Recording()
    finished = against(variant, room="standup", members=("ann", "bob"), exclude=(*QUICK, "bad.no-echo"))
    assert failed(finished) == set()
    valid = [one for one in variant.packets if one.get("Reason") == "left the room"]
    assert {one["RoomId"] for one in valid} == {"standup"}
    assert {account for one in valid for account in one["MemberList_Account"]} == {"ann", "bob"}
    assert verdict(finished, "members.twenty") is Verdict.NOT_JUDGED
    assert verdict(finished, "id.room-max") is Verdict.NOT_JUDGED


class Silent(Variant):
    def refuse(self, refusal: RefusedCallback) -> Response:
        return self.acknowledge() if refusal.code <= 2 else super().refuse(refusal)


def test_silent_refusals_are_not_judged_without_a_probe() -> None:
    finished = against(Silent(TOKEN), token=TOKEN, refusal="silent", only=("app-id", "sign"))
    assert failed(finished) == set()
    assert verdict(finished, "app-id.wrong") is verdict(finished, "sign.wrong") is Verdict.NOT_JUDGED
    assert verdict(finished, "sign.valid") is verdict(finished, "app-id.recovers") is Verdict.PASS


def test_silence_without_the_option_is_found_and_the_finding_names_the_option() -> None:
    finished = against(Silent(), only=("app-id.wrong",))
    assert failed(finished) == {"app-id.wrong"}
    assert "--refusal silent" in finished.cases[0].findings[0].fix


def test_a_clock_that_is_known_to_differ_is_followed() -> None:
    assert failed(against(Variant(TOKEN, clock_ahead_s=200), token=TOKEN, clock_skew_s=200, only=("sign",))) == set()
    assert failed(against(Variant(TOKEN, clock_ahead_s=200), token=TOKEN, only=("sign", "ack.ok"))) == {"ack.ok"}


class Dated(Variant):
    def respond(self, packet: ResponsePacket) -> Response:
        response = super().respond(packet)
        response.headers["Date"] = formatdate(self.clock(), usegmt=True)
        return response


def test_a_clock_that_differs_is_hinted_at() -> None:
    finished = against(Dated(TOKEN, clock_ahead_s=200), token=TOKEN)
    assert failed(finished) == {"ack.ok"}
    fix = next(case.findings[0].fix for case in finished.cases if case.findings)
    assert re.match(r"Its Date header is \+(199|200|201) s off the RequestTime", fix)
    assert "--clock-skew" in fix


def test_sdkappid_is_what_the_target_is_told() -> None:
    variant = Variant()
    variant.sdkappid = "20001234"
    with listening(variant) as url:
        for sdkappid, found in ((SDKAPPID, {"ack.ok"}), (20001234, set[str]())):
            finished = list(run_suite(Settings(url, sdkappid, only=("app-id", "ack"))))[-1]
            assert isinstance(finished, RunFinished)
            assert failed(finished) == found


def test_two_suites_at_once_do_not_disturb_each_other() -> None:
    variant = Variant()
    results: list[RunFinished] = []
    with listening(variant) as url:
        threads = [threading.Thread(target=lambda: results.append(run(url))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [failed(one) for one in results] == [set(), set()]


class Distant(Variant):
    """Takes 150 ms over a callback; keeps which cases it has seen at the same time."""

    delay_s = 0.15

    def __init__(self) -> None:
        super().__init__()
        self.present: list[str] = []
        self.companies: set[frozenset[str]] = set()

    async def answer(self, callback: IncomingCallback, method: str, path: str) -> Response:
        named = re.search(rb'"RoomId":"rh-[a-z2-9]{4}-([a-z.-]+)-', callback.body)
        case = named[1].decode() if named else ""
        self.present.append(case)
        self.companies.add(frozenset(self.present))
        try:
            return await super().answer(callback, method, path)
        finally:
            self.present.remove(case)


class Near(Distant):
    delay_s = 0


class Single(Distant):
    alone = True


FEW_CASES = ("count", "reason", "bad.null", "bad.text", "bad.field-type.type")


def test_a_distant_target_is_sent_several_cases_at_a_time_and_judged_alike() -> None:
    variant = Distant()
    finished = against(variant, only=FEW_CASES)
    assert failed(finished) == set()
    assert finished.count(Verdict.PASS) == len(finished.cases) == 13
    assert max(len(company) for company in variant.companies) > 1
    assert not any("bad.null" in company and "count.one" in company for company in variant.companies)


@pytest.mark.parametrize("kind", [Near, pytest.param(Single, marks=pytest.mark.exhaustive)])
def test_cases_share_no_target_that_is_quick_or_that_takes_one_callback_at_a_time(kind: type[Distant]) -> None:
    variant = kind()
    assert failed(against(variant, only=FEW_CASES)) == set()
    assert max(len(company) for company in variant.companies) == 1
