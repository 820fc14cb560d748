"""The sender's connections: reused, replaced, bounded, closed, and encrypted."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
import trustme
from scripted_server import OK_ANSWER, OK_BODY, Peer, scripted, until
from sender_runs import EVENT, Run, answering, attempts, hang, target, with_length

from roomhook.errors import UnreachableError
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.attempt import Attempt
from roomhook.simulator.transport.connection import BufferedConnection, PlainConnection
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.util.defaults import LARGEST_ANSWER


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    return run_loop if request.param == "uvloop" else asyncio.run


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
        async with scripted(hang) as (url, requests):
            async with Sender(target(url)) as sender:
                waiting = asyncio.ensure_future(sender.send(sender.target.request(EVENT, 0)))
                await until(lambda: bool(requests))
            return await waiting

    assert run(main()).result.outcome is DeliveryOutcome.CLOSED


def test_closing_the_sender_ends_what_has_not_begun_as_well(run: Run) -> None:
    async def main() -> list[Attempt]:
        async with scripted(hang) as (url, _):
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
