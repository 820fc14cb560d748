"""An App backend written for another family of callbacks is told which, and what to change; a good one never is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from roomhook.contract_tests.api.app_server import served
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.engine.other_families import CHAT_GROUPS, ENGINE_EVENTS, LEGACY_ROOMKIT, OtherCallbackApi
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import CaseJudged, RunFinished, Verdict

Handler = Callable[[dict[str, Any], dict[str, str]], tuple[str, dict[str, Any]]]


def wsgi(handle: Handler) -> Callable[..., Iterable[bytes]]:
    """A WSGI app around *handle*, which takes the packet and the headers and gives status line and answer."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {
            key.removeprefix("HTTP_").lower(): value for key, value in environ.items() if key.startswith("HTTP_")
        }
        status, answer = handle(json.loads(body), headers)
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    return app


def engine_lenient(_packet: dict[str, Any], _headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    return "200 OK", {"code": 0}


def engine_strict(packet: dict[str, Any], headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    if "sdkappid" in headers and packet.get("EventType") == 104:
        return "200 OK", {"code": 0, "msg": "ok"}
    return "400 Bad Request", {"error": "no event"}


def legacy(_packet: dict[str, Any], _headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    return "200 OK", {"ErrorCode": 0, "ErrorMessage": "Success"}


def chat_groups(packet: dict[str, Any], _headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    if packet["CallbackCommand"].startswith("Group.CallbackAfterMemberExit"):
        return "200 OK", {"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}
    return "200 OK", {"ActionStatus": "FAIL", "ErrorCode": 1, "ErrorInfo": "unknown command"}


def knows_no_room(packet: dict[str, Any], _headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    if packet.get("CallbackCommand") == "Room.CallbackAfterMemberLeave":
        return "200 OK", {"ActionStatus": "FAIL", "ErrorCode": 4, "ErrorInfo": "no such room"}
    return "200 OK", {"ActionStatus": "OK", "ErrorCode": 0, "ErrorInfo": ""}


def plainly_broken(_packet: dict[str, Any], _headers: dict[str, str]) -> tuple[str, dict[str, Any]]:
    return "500 Internal Server Error", {"error": "database"}


def family_of(target: str) -> CaseJudged:
    finished = list(run_suite(Settings(target, only=("ack",))))[-1]
    assert isinstance(finished, RunFinished)
    return next(case for case in finished.cases if case.requirement.id == "ack.family")


@pytest.mark.parametrize(
    ("handle", "family"),
    [
        (engine_lenient, ENGINE_EVENTS),
        (engine_strict, ENGINE_EVENTS),
        (legacy, LEGACY_ROOMKIT),
        (chat_groups, CHAT_GROUPS),
    ],
)
def test_backend_for_another_family_is_told_which_and_what_to_change(handle: Handler, family: OtherCallbackApi) -> None:
    with served(wsgi(handle)) as target:
        judged = family_of(target)

    assert judged.verdict is Verdict.INFO
    assert family.name in judged.findings[0].actual
    assert judged.findings[0].fix.startswith(family.change)


@pytest.mark.parametrize("handle", [knows_no_room, plainly_broken])
def test_backend_that_fails_for_other_reasons_is_not_suspected(handle: Handler) -> None:
    with served(wsgi(handle)) as target:
        assert family_of(target).verdict is Verdict.NOT_JUDGED


@pytest.mark.parametrize("name", [None, "ack.extra", "app-id.packet", "type.leave"])
def test_backend_for_this_family_is_never_suspected(name: str | None) -> None:
    with BackendServer() as server:
        assert not family_of(server.url(name)).findings
