"""Requirements on HTTP: connections, concurrency, content types, methods and how a request arrives."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import pairwise
from typing import Final

from roomhook.contract_tests.checks.registry import check
from roomhook.contract_tests.harness.baseline import NotJudgedError
from roomhook.contract_tests.harness.case import Case, passes, taken_as_valid
from roomhook.contract_tests.harness.drafts import CallbackDraft
from roomhook.contract_tests.harness.effects import leave_draft
from roomhook.contract_tests.harness.target_health import verify_target_alive, wait_until_recovered
from roomhook.contract_tests.model.exchange import Exchange
from roomhook.contract_tests.transport import raw_requests as raw
from roomhook.simulator.protocol.callback_request import CallbackRequest
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.protocol.response_check import Violation, check_response, header

__all__ = ["BurstRoom", "judge_together"]

_REUSES: Final = 20
_CHUNKED: Final = (("Transfer-Encoding", "chunked"),)
_SURPLUS_WAIT_S: Final = 0.05
_IDLE_CLOSE: Final = re.compile(rb"HTTP/1\.[01] 408 ")
_PARALLEL: Final = 16
_IDLE_S: Final = 0.55
_PIECE_EVERY_S: Final = 0.15
"""Longer than a busy machine lets a target wait for its turn: pieces that it finds together are no pieces."""
_USUAL_KEEP_ALIVE_S: Final = 60
_BURST: Final = 200
_ENTERED_TOGETHER: Final = 20
_RATE_WINDOW_S: Final = 1.1
"""After which a target that limits the rate per second has forgotten what came before."""


@check("http.reuse")
def reuse(case: Case) -> None:
    """Twenty callbacks over one connection, or over as many as a target that closes them cleanly makes of it."""
    failed: list[Exchange] = []
    # A close that crosses the next request looks like a failure: give the target time to say that it closes.
    for pause_s in (0, 0.05, 0.25):
        exchange = _reused(case, pause_s)
        if exchange is None:
            _blame_surplus(case)
            return
        failed.append(exchange)
        crossed = exchange.cut_off or exchange.status == HTTPStatus.REQUEST_TIMEOUT
        if len(failed) > 1 and not crossed:
            break
    verify_target_alive(case.run)
    _unless_flaky(case, failed[-1])
    case.blame_unacknowledged(failed[-1], "a callback on a connection that had carried one before")


def _reused(case: Case, pause_s: float) -> Exchange | None:
    """The first callback of twenty on one connection that fails, or None."""
    with case.run.line.client.connection() as connection:
        for _ in range(_REUSES):
            exchange = case.send_valid(case.leave(), connection=connection)
            if not exchange.acknowledged:
                return exchange
            case.run.pause(pause_s)
    return None


def _blame_surplus(case: Case) -> None:
    """What comes behind an answer is taken for the next one, by the Room backend if not by our own client.

    Line ends do no harm, and 408 is how some servers say that they close an idle connection.
    """
    if case.run.settings.proxy:
        return
    for _ in range(2):
        callback = _raw_callback(case)
        request = _raw_head(case, callback) + (callback.body or b"")
        more = raw.surplus(
            case.run.url,
            case.run.line.client,
            request,
            give_up_ms=case.run.settings.give_up_ms,
            wait_s=_SURPLUS_WAIT_S,
        )
        if not more.strip(b"\r\n") or _IDLE_CLOSE.match(more):
            return
    exchange = case.send(callback)
    breach = Violation("", "the next answer, and nothing before it", f"{more[:80]!r}")
    case.blame(exchange, "a connection that is kept open holds bytes behind the whole answer", breach)


def judge_together(case: Case, make: Callable[[], Sequence[CallbackRequest]], what: str, *, deadline: bool) -> None:
    """All callbacks that *make* gives, at once: each must be acknowledged, within the deadline only if *deadline*.

    A run of them that fails is sent once more before it is blamed, after the target has caught up.
    """
    lenient = False
    for _ in range(2):
        callbacks = make()
        total = len(callbacks)
        patience_ms = case.run.settings.give_up_ms if deadline else case.run.patience_ms(total)
        exchanges = case.run.send_together(callbacks, patience_ms=patience_ms, lenient=lenient)
        worst = [one for one in exchanges if not _accepted(one, deadline=deadline)]
        if not worst:
            break
        lenient = any(one.outcome is DeliveryOutcome.NOT_HTTP for one in worst)
        if not wait_until_recovered(case.run, total):
            break
        if any(one.status == HTTPStatus.TOO_MANY_REQUESTS for one in worst):
            case.run.pause(_RATE_WINDOW_S)
    for exchange in exchanges:
        case.run.count_valid(exchange, in_crowd=True)
    if worst:
        _unless_flaky(case, worst[0])
        case.blame_unacknowledged(
            worst[0], f"{len(worst)} {what if what.startswith('of') else f'of {total} {what}'}: the first"
        )


def _unless_flaky(case: Case, exchange: Exchange) -> None:
    """Stop here if lone callbacks fail now and then in the same way: that has nothing to do with company."""
    for seen in case.run.flaky.seen:
        if seen.judgement.breaches[0] == exchange.judgement.breaches[0]:
            raise NotJudgedError("single callbacks fail in the same way now and then")


def _accepted(exchange: Exchange, *, deadline: bool) -> bool:
    if deadline or exchange.answer is None:
        return exchange.acknowledged
    return check_response(exchange.answer, deadline_ms=float("inf")).acknowledged


def _leaves(case: Case, count: int) -> list[CallbackRequest]:
    return [case.prepare_valid(room=case.room()) for _ in range(count)]


@check("http.parallel")
def parallel(case: Case) -> None:
    """Sixteen rooms at once: none answered wrongly, reset or dropped; late is another requirement."""
    judge_together(case, lambda: _leaves(case, _PARALLEL), "callbacks in flight at once", deadline=False)


@check("http.parallel.deadline")
def parallel_deadline(case: Case) -> None:
    """The same, each within the deadline."""
    case.needs("http.parallel")
    judge_together(case, lambda: _leaves(case, _PARALLEL), "callbacks in flight at once", deadline=True)


@check("http.burst")
def burst(case: Case) -> None:
    """A room dissolves; its last fifty don't count, whose MemberCount other requirements look at."""
    case.needs("http.parallel.deadline")

    judge_together(case, lambda: _dissolution(case), "leaves of one room that arrive together", deadline=True)


@dataclass
class BurstRoom:
    """The room whose members have left together: ``leaving`` and ``staying``, and one callback that tells of it.

    ``unlisted``: not all of them were listed when they had entered, on a quick look.
    """

    room: str = ""
    leaving: Sequence[str] = ()
    staying: Sequence[str] = ()
    callback: CallbackRequest | None = None
    unlisted: bool = False


def _dissolution(case: Case) -> list[CallbackRequest]:
    """The leaves of one room; if effects are watched, of members who have entered it."""
    room = case.room()
    if case.run.ledger is None:
        return [case.prepare(case.leave(MemberCount=_BURST + 49 - number), room=room) for number in range(_BURST)]
    leaving, staying = case.accounts(_BURST), case.accounts(2)
    everybody = [*leaving, *staying]
    entered = [everybody[start : start + _ENTERED_TOGETHER] for start in range(0, len(everybody), _ENTERED_TOGETHER)]
    failed = [case.bring_in(some, room, together=True) for some in entered]
    unlisted = case.settled(room, set(everybody), quick=True) != set(everybody)
    callbacks = [
        case.build(leave_draft(case, room, [one], MemberCount=_BURST + 49 - number))
        for number, one in enumerate(leaving)
    ]
    known = case.run.kept(BurstRoom)
    if not any(failed):
        known.room, known.leaving, known.staying, known.callback = room, leaving, staying, callbacks[0]
        known.unlisted = unlisted
    return callbacks


@check("http.no-content-type")
def no_content_type(case: Case) -> None:
    """The documented raw request has no Content-Type."""
    case.acknowledges(case.leave().sent_as(headers=()), note="a callback without Content-Type")


@check("http.content-type.charset")
def content_type_charset(case: Case) -> None:
    """With a charset."""
    case.acknowledges(case.leave().sent_as(headers=(("Content-Type", "application/json; charset=utf-8"),)))


@check("http.content-type.text")
def content_type_text(case: Case) -> None:
    """As text/plain."""
    case.acknowledges(
        case.leave().sent_as(headers=(("Content-Type", "text/plain"),)), note="a callback labelled text/plain"
    )


@check("http.method")
def method(case: Case) -> None:
    """Callbacks come by POST only."""
    for name in ("GET", "PUT", "DELETE"):
        draft = case.leave().sent_as(method=name)
        if name == "GET":
            draft = draft.sent_as(body=lambda _: None, headers=())
        exchange = case.send(draft)
        if taken_as_valid(exchange):
            case.blame(
                exchange,
                f"{name} was acknowledged",
                Violation("", "any response but ActionStatus OK, e.g. HTTP 405", "HTTP 200 with ActionStatus OK"),
            )


def _arrives(
    case: Case,
    callback: CallbackRequest,
    pieces: Sequence[raw.Piece],
    note: str,
    *,
    headers: tuple[tuple[str, str], ...] = (),
) -> None:
    """The callback in *pieces* must be acknowledged; a failure is tried once more.

    *headers* are in the pieces and not in the callback, whose effect is watched: who repeats it frames it anew.
    """
    for _ in range(2):
        exchange = _sent_in_pieces(case, callback, pieces, headers)
        if exchange.acknowledged:
            return
    case.blame_unacknowledged(exchange, note)


def _sent_in_pieces(
    case: Case, callback: CallbackRequest, pieces: Sequence[raw.Piece], headers: tuple[tuple[str, str], ...] = ()
) -> Exchange:
    run = case.run
    exchange = raw.send_pieces(
        run.url,
        run.line.client,
        callback,
        pieces,
        deadline_ms=run.settings.deadline_ms,
        give_up_ms=run.settings.give_up_ms,
        sleep=run.pause_between,
    )
    run.observe(exchange)
    exchange = replace(exchange, callback=replace(callback, headers=(*callback.headers, *headers)))
    run.line.on_exchange(exchange)
    return exchange


def _raw_callback(case: Case, draft: CallbackDraft | None = None) -> CallbackRequest:
    if case.run.settings.proxy:
        raise NotJudgedError("a request that no HTTP client will send can't go through --proxy")
    return case.prepare_valid(draft)


def _raw_head(case: Case, callback: CallbackRequest, *, chunked: bool = False) -> bytes:
    return raw.head(case.run.url, callback, case.run.settings.headers, chunked=chunked)


@check("http.chunked")
def chunked(case: Case) -> None:
    """Chunked transfer coding instead of Content-Length (protocol.md 7.1)."""
    callback = _raw_callback(case)
    _arrives(case, callback, [(b"".join(_in_chunks(case, callback)), 0)], "a chunked callback", headers=_CHUNKED)


def _in_chunks(case: Case, callback: CallbackRequest) -> tuple[bytes, bytes]:
    """The request of *callback*, up to the end of the first of two chunks, and its rest."""
    body = callback.body or b""
    half = len(body) // 2
    first, second = (b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]))
    return _raw_head(case, callback, chunked=True) + first, second + b"0\r\n\r\n"


@check("http.expect")
def expect(case: Case) -> None:
    """A sender that asks whether to go on, and does not wait for the answer (RFC 9110, 10.1.1)."""
    label = ("Content-Type", "application/json")
    callback = _raw_callback(case, case.leave().sent_as(headers=(label, ("Expect", "100-continue"))))
    whole = _raw_head(case, callback) + (callback.body or b"")
    _arrives(case, callback, [(whole, 0)], "a callback with Expect: 100-continue")


@check("http.slow-body")
def slow_body(case: Case) -> None:
    """The body arrives in four parts over 0.45 s."""
    callback = _raw_callback(case)
    body = callback.body or b""
    quarter = -(-len(body) // 4)
    parts = [(body[start : start + quarter], _PIECE_EVERY_S) for start in range(0, len(body), quarter)]
    parts[-1] = (parts[-1][0], 0)
    _arrives(case, callback, [(_raw_head(case, callback), 0.0), *parts], "a callback whose body arrives slowly")


@check("http.split-head")
def split_head(case: Case) -> None:
    """The head arrives in pieces, cut inside the request line and inside a header's name."""
    callback = _raw_callback(case)
    whole = _raw_head(case, callback) + (callback.body or b"")
    cuts = [0, 9, whole.index(b"Content-Length") + 4, whole.index(b"\r\n\r\n") + 2, len(whole)]
    pieces = [(whole[start:end], _PIECE_EVERY_S) for start, end in pairwise(cuts)]
    _arrives(case, callback, pieces, "a callback whose head arrives in pieces")


@check("http.half-request")
def half_request(case: Case) -> None:
    """Clients that hang up mid-head and mid-body must cost nobody else anything."""
    verify_target_alive(case.run)
    callback = _raw_callback(case)
    whole = _raw_head(case, callback) + (callback.body or b"")
    end_of_head = whole.index(b"\r\n\r\n") + 4
    for cut, what in ((end_of_head + 20, "mid-body"), (end_of_head // 2, "mid-head")):
        for _ in range(3):
            _hang_up(case, whole[:cut])
        case.acknowledges(case.leave(), note=f"a valid callback after a client hung up {what}")
    if not case.findings and passes(case, "http.chunked"):
        _after_half_the_chunks(case)


def _after_half_the_chunks(case: Case) -> None:
    """What is left of a chunked body whose sender hung up must not get into the next one."""
    callback = _raw_callback(case)
    first, rest = _in_chunks(case, callback)
    for _ in range(2):
        _hang_up(case, first)
        exchange = _sent_in_pieces(case, callback, [(first + rest, 0)], _CHUNKED)
        if exchange.acknowledged:
            return
    case.blame_unacknowledged(exchange, "a chunked callback after a client hung up between two chunks")


def _hang_up(case: Case, data: bytes) -> None:
    """Send *data* on a connection of its own, and close it."""
    run = case.run
    try:
        with closing(raw.connect(run.url, run.line.client, run.settings.deadline_ms / 1000)) as connection:
            connection.sendall(data)
    except OSError:
        pass  # a target that closes first is within its rights


@check("http.idle")
def idle(case: Case) -> None:
    """A connection used again after half a second; one that was closed meanwhile is opened anew."""
    with case.run.line.client.connection() as connection:
        case.send_valid(case.leave(), connection=connection)
        case.run.pause_between(_IDLE_S)
        exchange = case.send_valid(case.leave(), connection=connection)
        if exchange.cut_off and exchange.reused:
            exchange = case.send_valid(case.leave(), connection=connection)
    if not exchange.acknowledged:
        case.needs("http.reuse")
        case.blame_unacknowledged(exchange, "a callback on a connection that was idle for half a second")
        return
    announced = header(exchange.answer, "Keep-Alive") if exchange.answer else None
    timeout = re.search(r"\btimeout=(\d{1,6})\b", announced or "")
    if timeout and int(timeout[1]) < _USUAL_KEEP_ALIVE_S:
        expected = f"{_USUAL_KEEP_ALIVE_S} s or more, since callbacks of a quiet room are minutes apart"
        breach = Violation("", expected, f"Keep-Alive: timeout={timeout[1]}")
        case.blame(exchange, "the target announces that it soon closes idle connections", breach)
