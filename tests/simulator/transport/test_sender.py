"""The sender: every attempt ends in exactly one outcome, whatever the target does to its connections."""

from __future__ import annotations

import asyncio

import pytest
from scripted_server import OK_ANSWER, OK_BODY, Peer, Script
from sender_runs import Run, answering, attempts, hang, with_length

from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.sender import run_loop


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    return run_loop if request.param == "uvloop" else asyncio.run


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
    pytest.param(hang, DeliveryOutcome.TIMEOUT, "ack.deadline", id="stalls"),
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
    assert attempt.elapsed_ms < 2000
    assert {breach.requirement for breach in attempt.judgement(250).breaches} >= {requirement}
