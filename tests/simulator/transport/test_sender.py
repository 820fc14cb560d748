"""The sender: every attempt ends in exactly one outcome, whatever the target does to its connections."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trustme
from scripted_server import OK_ANSWER, OK_BODY, Peer, Script, scripted, until

from roomhook.errors import ConfigurationError, UnreachableError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.callback_url import CallbackUrl, sign
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.allowed_hosts import is_this_machine, require_allowed
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.transport.connection import BufferedConnection, PlainConnection
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.transport.target import Target
from roomhook.simulator.util.defaults import LARGEST_ANSWER

EVENT = CallbackEvent(1670574414123, "Room.CallbackAfterMemberLeave", "203.0.113.7", "iOS", b'{"Type":"Leave"}')

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    return run_loop if request.param == "uvloop" else asyncio.run


def target(url: str, **options: Any) -> Target:
    return Target(CallbackUrl.parse(url), 1400000001, **options)


async def attempts(*scripts: Script, count: int = 1, **options: Any) -> list[Attempt]:
    async with scripted(*scripts) as (url, _), Sender(target(url), **options) as sender:
        return [await sender.send(sender.target.request(EVENT, 0)) for _ in range(count)]


def answering(*pieces: bytes, pause: float = 0.0) -> Script:
    """Read one request, write *pieces*, hang up."""

    async def script(peer: Peer) -> None:
        await peer.read()
        for piece in pieces:
            await peer.write(piece)
            await asyncio.sleep(pause)

    return script


def with_length(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), more, body)


WHOLE = [
    pytest.param([OK_ANSWER], id="content-length"),
    pytest.param([OK_ANSWER[:9], OK_ANSWER[9:60], OK_ANSWER[60:]], id="in-pieces"),
    pytest.param(
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n"
            + OK_BODY[:32]
            + b"\r\n12\r\n"
            + OK_BODY[32:]
            + b"\r\n0\r\n\r\n"
        ],
        id="chunked",
    ),
    pytest.param([b"HTTP/1.1 200 OK\r\n\r\n" + OK_BODY], id="until-close"),
    pytest.param([b"HTTP/1.0 200 OK\r\n\r\n" + OK_BODY], id="http-1.0"),
    pytest.param(
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 50\r\n\r\n" + OK_BODY], id="connection-close"
    ),
    pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", OK_ANSWER], id="interim-100"),
    pytest.param([b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK_ANSWER], id="interim-103-glued"),
    pytest.param([OK_ANSWER + b"rubbish after the end"], id="rubbish-after"),
]


@pytest.mark.parametrize("pieces", WHOLE)
def test_every_framing_of_a_good_answer_is_delivered_and_acknowledged(run: Run, pieces: list[bytes]) -> None:
    (attempt,) = run(attempts(answering(*pieces, pause=0.01)))
    assert (attempt.result.outcome, attempt.result.breaches, attempt.result.status) == (
        DeliveryOutcome.DELIVERED,
        (),
        200,
    )
    assert attempt.result.body == OK_BODY
    assert attempt.result.complete
    assert 0 < attempt.elapsed_ms < 2000


async def _hang(peer: Peer) -> None:
    await peer.read()
    await peer.hang()


async def _drip(peer: Peer) -> None:
    await peer.read()
    for byte in OK_ANSWER:
        await peer.write(bytes([byte]))
        await asyncio.sleep(0.01)


async def _reset_at_once(peer: Peer) -> None:
    await peer.read()
    peer.reset()


async def _reset_inside(peer: Peer) -> None:
    await peer.read()
    await peer.write(OK_ANSWER[:80])
    await asyncio.sleep(0.02)
    peer.reset()


async def _half_close(peer: Peer) -> None:
    await peer.read()
    peer.writer.write_eof()
    await peer.hang()


async def _half_close_inside(peer: Peer) -> None:
    await peer.read()
    peer.writer.write(OK_ANSWER[:80])
    peer.writer.write_eof()
    await peer.hang()


async def _endless(peer: Peer) -> None:
    await peer.read()
    await peer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await peer.write(b"x" * 65536)


FAULTS = [
    pytest.param(_hang, DeliveryOutcome.TIMEOUT, "ack.deadline", id="stalls"),
    pytest.param(_drip, DeliveryOutcome.TIMEOUT, "ack.deadline", id="drips"),
    pytest.param(_reset_at_once, DeliveryOutcome.RESET, "ack.status", id="resets"),
    pytest.param(_reset_inside, DeliveryOutcome.INCOMPLETE, "ack.complete", id="resets-inside"),
    pytest.param(answering(), DeliveryOutcome.CLOSED, "ack.status", id="hangs-up"),
    pytest.param(_half_close, DeliveryOutcome.CLOSED, "ack.status", id="half-closes"),
    pytest.param(_half_close_inside, DeliveryOutcome.INCOMPLETE, "ack.complete", id="half-closes-inside"),
    pytest.param(answering(OK_ANSWER[:80]), DeliveryOutcome.INCOMPLETE, "ack.complete", id="hangs-up-in-body"),
    pytest.param(answering(OK_ANSWER[:20]), DeliveryOutcome.INCOMPLETE, "ack.complete", id="hangs-up-in-head"),
    pytest.param(answering(b"\x16\x03\x01\x00garbage\r\n\r\n"), DeliveryOutcome.NOT_HTTP, "ack.status", id="garbage"),
    pytest.param(answering(with_length(b"<html>")), DeliveryOutcome.NOT_JSON, "ack.json", id="not-json"),
    pytest.param(answering(with_length(b"")), DeliveryOutcome.NOT_JSON, "ack.json", id="empty"),
    pytest.param(answering(with_length(OK_BODY, b"503 Busy")), DeliveryOutcome.HTTP_STATUS, "ack.status", id="status"),
    pytest.param(
        answering(with_length(b"", b"302 Found", b"Location: /\r\n")),
        DeliveryOutcome.HTTP_STATUS,
        "ack.status",
        id="redirect",
    ),
    pytest.param(
        answering(with_length(b"", b"101 Switching", b"Upgrade: x\r\nConnection: upgrade\r\n")),
        DeliveryOutcome.HTTP_STATUS,
        "ack.status",
        id="upgrade",
    ),
    pytest.param(
        answering(with_length(b'{"code":0}')), DeliveryOutcome.DELIVERED, "ack.action-status", id="other-family"
    ),
    pytest.param(_endless, DeliveryOutcome.INCOMPLETE, "ack.complete", id="endless"),
]


@pytest.mark.parametrize(("script", "outcome", "requirement"), FAULTS)
def test_every_fault_is_one_outcome_and_names_a_requirement(
    run: Run, script: Script, outcome: DeliveryOutcome, requirement: str
) -> None:
    (attempt,) = run(attempts(script, deadline_ms=250))
    assert attempt.result.outcome is outcome
    assert requirement in attempt.result.breaches
    assert attempt.elapsed_ms < 400
    assert {breach.requirement for breach in attempt.judgement(250).breaches} >= {requirement}


def test_one_connection_serves_all_callbacks_in_turn_and_a_late_answer_can_be_waited_for(run: Run) -> None:
    async def slow(peer: Peer) -> None:
        await peer.read()
        await asyncio.sleep(0.1)
        await peer.write(OK_ANSWER)
        await peer.serve()

    first, second, third = run(attempts(slow, count=3, deadline_ms=50, give_up_ms=2000))
    assert (first.result.outcome, first.result.breaches, first.result.status) == (
        DeliveryOutcome.TIMEOUT,
        ("ack.deadline",),
        200,
    )
    assert [second.reused, third.reused] == [True, True]
    assert second.delivered
    assert third.delivered


def test_a_stale_connection_costs_no_callback_and_is_recorded(run: Run) -> None:
    async def once(peer: Peer) -> None:
        await peer.read()
        await peer.write(OK_ANSWER)
        await peer.read()  # the second request is lost with the connection

    first, second = run(attempts(once, Peer.serve, count=2))
    assert (first.result.outcome, first.resent) == (DeliveryOutcome.DELIVERED, False)
    assert (second.result.outcome, second.resent) == (DeliveryOutcome.DELIVERED, True)


def test_a_connection_that_dies_every_time_is_blamed_after_one_more_try(run: Run) -> None:
    async def once(peer: Peer) -> None:
        await peer.read()
        await peer.write(OK_ANSWER)
        await peer.read()

    first, second = run(attempts(once, answering(), count=2))
    assert first.delivered
    assert (second.result.outcome, second.resent) == (DeliveryOutcome.CLOSED, True)


def test_a_second_answer_to_one_request_is_never_taken_for_the_next_ones(run: Run) -> None:
    async def double(peer: Peer) -> None:
        await peer.read()
        await peer.write(OK_ANSWER + with_length(b"of nobody", b"500 Oops")[:30])
        await peer.serve(with_length(b"of nobody", b"500 Oops"))

    first, second = run(attempts(double, Peer.serve, count=2))
    assert first.delivered
    assert second.delivered
    assert not second.reused


def test_an_answer_that_came_before_is_known_and_an_interim_one_before_it_still_not_mixed_up(run: Run) -> None:
    async def script(peer: Peer) -> None:
        for interim in (b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"", b""):
            await peer.read()
            if interim:
                await peer.write(interim)
                await asyncio.sleep(0.02)
            await peer.write(OK_ANSWER)
        await peer.read()
        await peer.write(OK_ANSWER[:70])
        await asyncio.sleep(0.02)
        await peer.write(OK_ANSWER[70:])
        await peer.serve(OK_ANSWER.replace(b'"OK"', b'"NO"'))

    found = run(attempts(script, count=7))
    assert [one.result.breaches for one in found] == [()] * 6 + [("ack.action-status",)]
    assert [one.result.received for one in found[:2]] == [OK_ANSWER] * 2
    assert found[2].result.received == b"HTTP/1.1 100 Continue\r\n\r\n" + OK_ANSWER
    assert [one.result.received for one in found[3:6]] == [OK_ANSWER] * 3
    assert all(one.result.body == OK_BODY for one in found[:6])
    heads = [one.answer.headers for one in found if one.answer is not None]
    assert heads[2] == heads[0]


def test_an_answer_without_end_is_read_no_further_than_1_mib_and_says_so(run: Run) -> None:
    async def endless(peer: Peer) -> None:
        await peer.read()
        with contextlib.suppress(ConnectionError):
            await peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                await peer.write(bytes(65536))

    (attempt,) = run(attempts(endless))
    assert (attempt.result.outcome, attempt.result.status) == (DeliveryOutcome.INCOMPLETE, 200)
    assert attempt.result.note == "read no further than 1048576 bytes"
    assert LARGEST_ANSWER < len(attempt.result.received) < 2 * LARGEST_ANSWER
    assert attempt.result.received.endswith(attempt.result.body)
    assert len(attempt.result.body) > LARGEST_ANSWER - 200


@pytest.mark.parametrize("framing", ["length", "chunked", "until-close"])
def test_a_large_answer_in_many_pieces_keeps_its_body(run: Run, framing: str) -> None:
    body = b'{"ActionStatus":"OK","ErrorInfo":"%b","ErrorCode":0}' % (b"x" * 900_000)
    parts = [body[at : at + 50_000] for at in range(0, len(body), 50_000)]
    head = b"HTTP/1.1 200 OK\r\n"
    pieces = {
        "length": [head + b"Content-Length: %d\r\n\r\n" % len(body), *parts],
        "chunked": [
            head + b"Transfer-Encoding: chunked\r\n\r\n",
            *(b"%x\r\n%b\r\n" % (len(part), part) for part in parts),
            b"0\r\n\r\n",
        ],
        "until-close": [head + b"\r\n", *parts],
    }[framing]
    (attempt,) = run(attempts(answering(*pieces)))
    assert (attempt.result.outcome, attempt.result.breaches) == (DeliveryOutcome.DELIVERED, ())
    assert attempt.result.body == body
    assert attempt.result.received == b"".join(pieces)


def test_a_request_larger_than_the_socket_takes_arrives_whole_and_the_next_does_not_overtake_it(run: Run) -> None:
    def request(body: bytes) -> bytes:
        return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    sent = [request(bytes(20_000_000)), request(b"{}"), request(b"[]")]

    async def hasty(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        await peer.write(OK_ANSWER)  # while most of the body is still on its way
        await asyncio.sleep(0.05)
        arrived.append(head + await peer.reader.readexactly(len(sent[0]) - len(head)))
        await peer.serve()

    async def main() -> list[Attempt]:
        async with scripted(hasty) as (url, requests), Sender(target(url)) as sender:
            found = [await sender.send(one) for one in sent]
            arrived.extend(requests)
            return found

    arrived: list[bytes] = []
    assert [(one.delivered, one.reused) for one in run(main())] == [(True, False), (True, True), (True, True)]
    assert arrived == sent


def test_a_target_that_goes_away_and_comes_back_fails_only_what_fell_into_the_gap(run: Run) -> None:
    async def main() -> list[DeliveryOutcome]:
        async with scripted(Peer.serve) as (url, _):
            port = CallbackUrl.parse(url).port
            sender = Sender(target(url))
            request = sender.target.request(EVENT, 0)
            found = [(await sender.send(request)).result.outcome]
        found += [(await sender.send(request)).result.outcome for _ in range(2)]
        async with scripted(Peer.serve, port=port):
            found += [(await sender.send(request)).result.outcome for _ in range(2)]
            await sender.close()
        return found

    assert run(main()) == ["delivered", "refused", "refused", "delivered", "delivered"]


def test_no_more_than_the_bounded_number_is_in_flight_and_all_are_answered(run: Run) -> None:
    most = 0
    inside = 0

    async def counting(peer: Peer) -> None:
        nonlocal most, inside
        while True:
            await peer.read()
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.005)
            inside -= 1
            await peer.write(OK_ANSWER)

    async def main() -> tuple[list[Attempt], int]:
        async with scripted(counting) as (url, _), Sender(target(url), connections=4) as sender:
            request = sender.target.request(EVENT, 0)
            return await asyncio.gather(*(sender.send(request) for _ in range(20))), sender.opened

    found, opened = run(main())
    assert [one.result.outcome for one in found] == [DeliveryOutcome.DELIVERED] * 20
    assert (most, opened) == (4, 4)


def test_closing_the_sender_ends_what_is_under_way(run: Run) -> None:
    async def main() -> Attempt:
        async with scripted(_hang) as (url, requests):
            async with Sender(target(url)) as sender:
                waiting = asyncio.ensure_future(sender.send(sender.target.request(EVENT, 0)))
                await until(lambda: bool(requests))
            return await waiting

    assert run(main()).result.outcome is DeliveryOutcome.CLOSED


def test_closing_the_sender_ends_what_has_not_begun_as_well(run: Run) -> None:
    async def main() -> list[Attempt]:
        async with scripted(_hang) as (url, _):
            async with Sender(target(url), connections=2) as sender:
                request = sender.target.request(EVENT, 0)
                waiting = [asyncio.ensure_future(sender.send(request)) for _ in range(3)]
                await asyncio.sleep(0)
            found = await asyncio.wait_for(asyncio.gather(*waiting), 5)
            assert sender.in_flight == 0
            return found

    assert [one.result.outcome for one in run(main())] == [DeliveryOutcome.CLOSED] * 3


def test_a_refused_port_and_an_unknown_name_are_told_apart(run: Run) -> None:
    async def main(url: str) -> Attempt:
        async with Sender(target(url)) as sender:
            return await sender.send(sender.target.request(EVENT, 0))

    assert run(main("http://127.0.0.1:9/")).result.outcome is DeliveryOutcome.REFUSED
    assert run(main("http://nowhere.invalid/")).result.outcome is DeliveryOutcome.DNS


def test_a_target_that_accepts_nothing_is_unreachable(run: Run) -> None:
    async def main() -> None:
        async with Sender(target("http://127.0.0.1:9/")) as sender:
            await sender.check_reachable()

    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9 refused the connection"):
        run(main())


def test_https_verifies_the_certificate(run: Run) -> None:
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server_side)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await Peer(reader, writer, []).serve()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            writer.transport.abort()

    async def main(client_side: ssl.SSLContext, *, checked: bool = False) -> list[Attempt]:
        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=server_side)
        port = server.sockets[0].getsockname()[1]
        try:
            async with Sender(target(f"https://127.0.0.1:{port}/", tls=client_side)) as sender:
                if checked:
                    await sender.check_reachable()
                return [await sender.send(sender.target.request(EVENT, 0)) for _ in range(2)]
        finally:
            server.close()
            await asyncio.sleep(0.01)

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    first, second = run(main(trusting))
    assert (first.result.outcome, second.result.outcome, second.reused) == (
        DeliveryOutcome.DELIVERED,
        DeliveryOutcome.DELIVERED,
        True,
    )
    assert [one.result.outcome for one in run(main(ssl.create_default_context()))] == [
        DeliveryOutcome.TLS,
        DeliveryOutcome.TLS,
    ]
    with pytest.raises(UnreachableError, match="name its own authority by --cacert FILE, or accept any"):
        run(main(ssl.create_default_context(), checked=True))


def test_a_buffered_connection_is_no_protocol_that_copies_too() -> None:
    """Uvloop takes what is both for one that copies, and allocates 256 KiB for each answer over TLS."""
    assert not issubclass(BufferedConnection, asyncio.Protocol)
    assert not issubclass(PlainConnection, asyncio.BufferedProtocol)


def test_the_request_is_the_documented_one_byte_by_byte() -> None:
    there = target("http://127.0.0.1:8000/hook?tenant=a", token="xxxxyyyy")
    request = there.request(EVENT, 1669872112)
    line, _, rest = request.partition(b"\r\n")
    assert line == (
        b"POST /hook?tenant=a&SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave&contenttype=json"
        b"&ClientIP=203.0.113.7&OptPlatform=iOS"
        b"&Sign=17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061&RequestTime=1669872112 HTTP/1.1"
    )
    head, _, body = rest.partition(b"\r\n\r\n")
    assert body == EVENT.body
    assert [one.split(b":")[0] for one in head.split(b"\r\n")] == [
        b"Host",
        b"User-Agent",
        b"Content-Type",
        b"Content-Length",
    ]
    assert b"Host: 127.0.0.1:8000\r\n" in rest
    later = there.request(EVENT, 1669872113)
    assert sign("xxxxyyyy", 1669872113).encode() in later
    assert later.endswith(EVENT.body)
    shown = there.callback(EVENT, 1669872112)
    assert shown.url.encode().endswith(line.split(b" ")[1])
    assert there.raw_request(shown) == request


def test_a_users_header_replaces_ours_and_an_empty_one_drops_it() -> None:
    there = target("http://example.com/", headers=(("Host", "gateway"), ("X-Key", "1"), ("Content-Type", "")))
    head = there.request(EVENT, 0).partition(b"\r\n\r\n")[0]
    assert b"\r\nHost: gateway\r\n" in head
    assert b"\r\nX-Key: 1\r\n" in head
    assert b"Content-Type" not in head


@pytest.mark.parametrize("header", [("X\r\nY", "1"), ("X", "1\r\nY: 2"), ("", "1"), ("Content-Length", "3")])
def test_a_header_that_would_break_the_request_is_refused(header: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        target("http://127.0.0.1/", headers=(header,))


def test_strange_values_are_percent_encoded_and_an_ipv6_target_is_bracketed() -> None:
    event = CallbackEvent(0, "Room.A&B", "2001:db8::1", "i OS", b"")
    request = target("http://[::1]:8000").request(event, 0)
    assert b"CallbackCommand=Room.A%26B&" in request
    assert b"&ClientIP=2001%3Adb8%3A%3A1&OptPlatform=i%20OS HTTP/1.1\r\nHost: [::1]:8000\r\n" in request


def test_a_raw_request_keeps_whatever_it_is_given() -> None:
    callback = CallbackRequest("http://127.0.0.1:8000/x?%53dkAppid=1", None, headers=(), method="GET")
    request = target("http://127.0.0.1:8000/").raw_request(callback)
    assert request.startswith(b"GET /x?%53dkAppid=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n")
    assert b"Content-" not in request


def test_only_this_machine_is_a_target_unless_named() -> None:
    for url in ("http://127.0.0.1/", "http://localhost:80/", "http://[::1]/", "http://127.9.9.9/", "http://0.0.0.0:1/"):
        require_allowed(CallbackUrl.parse(url), ())
    far = CallbackUrl.parse("https://203.0.113.9/cb")
    with pytest.raises(ConfigurationError, match=r"add --allow-host 203\.0\.113\.9"):
        require_allowed(far, ("example.com",))
    require_allowed(far, ("203.0.113.9",))
    assert not is_this_machine("nowhere.invalid")
