"""The names that Python programs import from roomhook: what they return, and what they refuse."""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

import pytest

from roomhook import LeavePacket, RoomBackend, check, fire
from roomhook.contract_tests.api.checking import CheckOptions
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunStarted
from roomhook.errors import ConfigurationError

PACKET = LeavePacket(
    operator_account="ann",
    room_id="standup",
    member_count=2,
    type="Kicked",
    member_list_account=("bo",),
    reason="done",
    event_time=1670574414123,
)


def test_check_has_the_options_of_the_settings() -> None:
    hints = get_type_hints(Settings)
    fields = {one.name for one in dataclasses.fields(Settings)} - {"target", "probe", "exec_command", "exec_port"}
    assert get_type_hints(CheckOptions) == {name: hints[name] for name in fields}


def test_check_returns_the_report_and_tells_of_every_event() -> None:
    events: list[Any] = []
    with BackendServer() as backend:
        report = check(backend.url(), only=["ack.*"], on_event=events.append)
    assert report.conforms
    assert (type(events[0]), type(events[-1])) == (RunStarted, RunFinished)
    assert len(events) == len(report.requirements) + 2


def test_an_unreachable_target_is_a_verdict() -> None:
    report = check("http://127.0.0.1:9/")
    assert (report.conforms, report.exit_code) == (False, 3)


def test_a_bad_option_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="refusal"):
        check("http://127.0.0.1:9/", refusal="loud")
    with pytest.raises(ValueError, match="vanish"):
        fire("http://127.0.0.1:9/", "vanish")


def test_a_whole_packet_is_sent_as_it_is() -> None:
    with BackendServer() as backend:
        fired = fire(backend.url(), PACKET)
        assert fired.exchange.callback.body == (
            b'{"CallbackCommand":"Room.CallbackAfterMemberLeave","Operator_Account":"ann","RoomId":"standup",'
            b'"MemberCount":2,"Type":"Kicked","MemberList_Account":["bo"],"Reason":"done","EventTime":1670574414123}'
        )
        assert fired.acknowledged


def test_a_room_backend_logs_what_the_app_did_not_acknowledge(caplog: pytest.LogCaptureFixture) -> None:
    with BackendServer(sdkappid=1400123456) as app, RoomBackend() as backend:
        backend.callbacks_to(app.url())
        backend.room("r1").enter("ann")
    said = [one.getMessage() for one in caplog.records if one.name == "roomhook"]
    assert len(said) == 2
    assert said[1].startswith('MemberEnter was not acknowledged (ack.ok): {"ActionStatus":"FAIL",')


def test_a_room_backend_stops_with_its_block() -> None:
    with RoomBackend(start_ms=1_700_000_000_000) as backend:
        backend.room("standup", owner="ann").enter("bo")
    with pytest.raises(OSError, match="refused"):
        backend.callbacks()
