"""The recording App backend: it accepts what is documented, refuses the rest with a reason, and loses nothing."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from listener_packets import LEAVE, NOW_S, answered, fired, inspected, packet, query
from listener_process import running_listener

from roomhook.cli.main import main
from roomhook.errors import ConfigurationError
from roomhook.schemas.loader import problems, schema
from roomhook.simulator.journal.reader import Filters, reading
from roomhook.simulator.journal.writer import ReceivedCallbackJournal
from roomhook.simulator.listener.answers import parse_answer
from roomhook.simulator.listener.server import Listener
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.request_check import CallbackValidator
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.transport.target import Target


def test_a_documented_callback_is_taken_and_described() -> None:
    found = inspected()
    assert (found.problem, found.command, found.room, found.type) == (None, LEAVE, "rid-123", "Leave")
    assert (found.members, found.operator, found.member_count) == (("user1",), "user1", 20)


@pytest.mark.parametrize(
    ("target", "body", "said"),
    [
        (query(SdkAppid="1400000002"), packet(), "SdkAppid is '1400000002'; ours is 1400000001"),
        (b"/callback", packet(), "SdkAppid is missing"),
        (query(OptPlatform="Toaster"), packet(), "OptPlatform"),
        (query(ClientIP="300.1.1.1"), packet(), "ClientIP"),
        (query(contenttype="xml"), packet(), "contenttype"),
        (query() + b"&Extra=1", packet(), "Extra"),
        (query() + b"&SdkAppid=1400000002", packet(), "SdkAppid stands there twice"),
        (query(), packet(MemberCount="20"), "$.MemberCount: must be an integer"),
        (query(), packet(Reason=...), "Reason"),
        (query(), packet(Level=3), "Level"),
        (query(), packet(RoomId=""), "$.RoomId"),
        (query(), packet(EventTime=1670574414), "$.EventTime"),
        (query(), packet(Type="Displaced"), "$.Type"),
        (query(), packet(MemberList_Account=[]), "$.MemberList_Account"),
        (query(), packet(CallbackCommand="Room.CallbackAfterMemberEnter"), "$.CallbackCommand"),
        (query(CallbackCommand="Room.CallbackAfterCreateRoom"), packet(), "$.CallbackCommand"),
        (query(CallbackCommand="Room.CallbackAfterNothing"), packet(), "must be one of"),
        (query(), b"not json", "not JSON"),
        (query(), b"\xff\xfe", "not JSON"),
        (query(), b"[" * 100_000, "not JSON"),
        (query(), b"[]", "packet: $"),
    ],
)
def test_what_is_not_documented_is_refused_with_its_reason(target: bytes, body: bytes, said: str) -> None:
    found = inspected(target, body)
    assert found.problem is not None
    assert said in found.problem
    assert "\n" not in found.problem
    assert found.natural_key is None


def test_signatures_are_checked_when_there_is_a_token() -> None:
    assert inspected(query("t0ken"), token="t0ken").problem is None
    assert "missing" in (inspected(token="t0ken").problem or "")
    assert "is not sha256" in (inspected(query("other"), token="t0ken").problem or "")
    assert "100 s off" in (inspected(query("t0ken", NOW_S - 100), token="t0ken").problem or "")
    assert "no time" in (inspected(query("t0ken", RequestTime="soon"), token="t0ken").problem or "")


def test_lenient_takes_what_a_receiver_must_tolerate_and_no_more() -> None:
    loose = packet(Type="Displaced", Reason=..., Operator_Account="", Sequence=7)
    assert (
        inspected(query(OptPlatform="Toaster", ClientIP="2001:db8::1") + b"&New=1", loose, lenient=True).problem is None
    )
    assert inspected(query(), packet(MemberCount="20"), lenient=True).problem is not None
    assert inspected(query(SdkAppid="1"), loose, lenient=True).refusal == "app-id"


def test_the_quick_way_takes_nothing_that_the_schemas_refuse() -> None:
    """Random mutations of a valid callback: whenever no problem is found, both schemas agree, and the reverse."""
    random = Random(11)
    values = [
        "",
        "x",
        "x" * 33,
        "x" * 49,
        0,
        -1,
        20,
        20.0,
        20.5,
        True,
        None,
        [],
        ["a"],
        [""],
        ["a", 1],
        {},
        1670574414123,
        10**13,
    ]
    names = list(json.loads(packet()))
    for _ in range(1500):
        changes = {random.choice([*names, "Extra"]): random.choice([*values, ...]) for _ in range(random.randint(0, 2))}
        body = packet(**changes)
        assert (inspected(body=body).problem is None) == (not problems("leave", json.loads(body))), body


def test_retries_share_their_natural_key_and_other_events_do_not() -> None:
    one = inspected(body=packet(MemberList_Account=["b", "a"]))
    same = inspected(query("t", NOW_S + 5), packet(MemberList_Account=["a", "b"], MemberCount=3))
    assert one.natural_key == same.natural_key
    keys = {
        inspected(body=packet(**change)).natural_key
        for change in ({}, {"RoomId": "r"}, {"EventTime": 1670574414124}, {"Type": "Kicked"})
    }
    assert len(keys) == 4
    assert inspected(body=packet(MemberCount=20.0)).natural_key == inspected().natural_key


@pytest.mark.parametrize(
    "wrong", ["", "okay", "status:", "status:99", "status:abc", "delay:soon", "ok:3", "delay", "status:2000"]
)
def test_an_unknown_way_to_answer_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="is none of ok, fail"):
        parse_answer(wrong)


async def outcomes(answer: str, count: int = 3, **options: Any) -> list[tuple[DeliveryOutcome, tuple[str, ...]]]:
    listener = Listener(CallbackValidator("1400000001", lambda: NOW_S), parse_answer(answer))
    host, port = await listener.start("127.0.0.1", 0)
    target = Target(CallbackUrl.parse(f"http://{host}:{port}/"), 1400000001)
    event = CallbackEvent(NOW_S * 1000, LEAVE, "203.0.113.7", "iOS", packet())
    async with Sender(target, **options) as sender:
        found = [await sender.send(target.request(event, NOW_S)) for _ in range(count)]
    await listener.stop()
    assert listener.counts["received"] >= count
    return [(one.result.outcome, one.result.breaches) for one in found]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("ok", (DeliveryOutcome.DELIVERED, ())),
        ("fail", (DeliveryOutcome.DELIVERED, ("ack.ok",))),
        ("status:200", (DeliveryOutcome.DELIVERED, ())),
        ("status:503", (DeliveryOutcome.HTTP_STATUS, ("ack.status",))),
        ("status:204", (DeliveryOutcome.HTTP_STATUS, ("ack.status",))),
        ("delay:60ms", (DeliveryOutcome.DELIVERED, ())),
        pytest.param("delay:3s", (DeliveryOutcome.TIMEOUT, ("ack.deadline",)), marks=pytest.mark.long),
        ("garbage", (DeliveryOutcome.NOT_HTTP, ("ack.status",))),
    ],
)
def test_it_answers_as_it_is_told(answer: str, expected: tuple[DeliveryOutcome, tuple[str, ...]]) -> None:
    assert run_loop(outcomes(answer, deadline_ms=1500)) == [expected] * 3


def test_it_stands_what_any_client_does_and_journals_it(tmp_path: Path) -> None:
    path = tmp_path / "arrived.db"

    async def main() -> list[bytes]:
        listener = Listener(
            CallbackValidator("1400000001", lambda: NOW_S), parse_answer("ok"), ReceivedCallbackJournal(path, {})
        )
        _, port = await listener.start("127.0.0.1", 0)
        line = b"POST " + query() + b" HTTP/1.1\r\nHost: x\r\n"
        plain = line + b"Content-Length: %d\r\n\r\n%b" % (len(packet()), packet())
        chunked = line + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(packet()), packet())
        requests = [
            plain,
            plain + plain,  # pipelined
            chunked,
            line + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%b" % (len(packet()), packet()),
            line.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Content-Length: %d\r\n\r\n%b" % (len(packet()), packet()),
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01 hello TLS\r\n\r\n",
            b"\r\n\r\n" + plain + b"\r\n" + plain,  # blank lines before requests
            chunked + plain + chunked.replace(b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n") + plain,
            plain.replace(b"Host: x", b"Connection: Upgrade\r\nUpgrade: h2c\r\nHost: x"),
        ]
        answers = []
        for request in requests:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            cut = request.find(b"\r\n\r\n") + 4 if b"Expect:" in request else 40
            for piece in (request[:cut], request[cut:]):
                writer.write(piece)
                await asyncio.sleep(0.01)
            writer.write_eof()
            answers.append(await reader.read())
            writer.close()
        await listener.stop()
        return answers

    answers = run_loop(main())
    assert [answer.count(b"HTTP/1.1 200") for answer in answers] == [1, 2, 1, 1, 1, 0, 0, 2, 4, 1]
    assert b"100 Continue" in answers[3]
    assert b" 405 " in answers[5]
    assert b" 400 " in answers[6]
    with reading(path) as reader:
        summary = reader.summary()
        rows = list(reader.rows(Filters()))
        events = list(reader.events(Filters(state="delivered")))
    assert (summary["received"], summary["distinct"], summary["invalid"], summary["duplicates"]) == (15, 1, 2, 12)
    assert {event.body for event in events} == {packet()}
    assert rows[1]["request"] == rows[0]["request"]
    assert [row for row in rows if row["problem"]][-1]["problem"].startswith("not HTTP")
    assert all(row["request"].startswith("POST ") for row in rows if not row["problem"])


@pytest.mark.parametrize("length", [b"16777217", b"99999999999", b"9" * 18])
@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
def test_a_body_that_would_be_too_large_is_refused_before_it_comes(
    tmp_path: Path, expect: bytes, length: bytes
) -> None:
    path = tmp_path / "arrived.db"
    answer = run_loop(answered(expect + b"Content-Length: " + length + b"\r\n\r\n", path))
    assert answer.startswith(b"HTTP/1.1 413 Content Too Large\r\n")
    assert b"larger than 16777216 bytes" in answer
    with reading(path) as reader:
        (row,) = reader.rows(Filters(state="failed"))
    assert row["problem"] == "the request is larger than 16777216 bytes"


def test_a_long_length_inside_a_body_is_no_header(tmp_path: Path) -> None:
    body = b"\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n"
    head = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = run_loop(answered(head + body, tmp_path / "arrived.db"))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_listener_describes_its_own_id_and_token(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("listen", "backend"):
        assert main([command, "--help"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "SDKAppID to accept; refuse callbacks for any other." in said
        assert "Refuse callbacks that are not signed with this token." in said


def test_a_request_without_a_type_is_counted_under_a_question_mark(tmp_path: Path) -> None:
    path = tmp_path / "arrived.db"
    with running_listener("--journal", str(path), "--lenient", "--count", "4") as listener:
        for kind in ("Leave", "", ..., "\x1b[2J"):
            fired(listener.url, packet(Type=kind))
        _, said = listener.process.communicate(timeout=10)
    assert "\x1b" not in said
    with reading(path) as reader:
        types = reader.summary()["types"]
    assert types["?"] == 2
    assert "" not in types


def test_a_head_without_end_or_beyond_the_limit_is_refused_by_431(tmp_path: Path) -> None:
    for head in (b"A: " + b"b" * 70_000, b"a: b\r\n" * 12_000, b"A: " + b"b" * 66_000 + b"\r\n\r\n"):
        answer = run_loop(answered(head, tmp_path / f"{len(head)}.db"))
        assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("name", ["create", "destroy", "update", "seat"])
def test_the_other_callbacks_of_the_family_are_taken_as_documented(name: str) -> None:
    document = schema(name)["examples"][0]
    found = inspected(query(CallbackCommand=document["CallbackCommand"]), json.dumps(document).encode())
    assert (found.problem, found.command) == (None, document["CallbackCommand"])
    assert found.room


def test_a_url_is_read_alike_again_and_whatever_its_length() -> None:
    long_path = b"/" + b"x" * 600
    for path in (b"/callback?tenant=a&", b"/callback?", b"/callback?", long_path + b"?"):
        right, wrong = (one.replace(b"/callback?tenant=a&", path) for one in (query(), query(SdkAppid="1")))
        assert inspected(right).problem is None
        assert "ours is 1400000001" in str(inspected(wrong).problem)
        assert "twice" in str(inspected(right + b"&OptPlatform=iOS").problem)
        assert "extra" in str(inspected(right + b"&extra=1").problem)


def test_a_durable_listener_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    head = b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    run_loop(answered(head, tmp_path / "quick.db"))
    assert not synced
    run_loop(answered(head, tmp_path / "sure.db", durable=True))
    assert synced


def test_durable_needs_a_journal(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["listen"], ["traffic", "http://127.0.0.1:9/"]):
        assert main([*command, "--durable"]) == 2
        assert "--durable needs a --journal" in capsys.readouterr().err
