"""Runs of the sender: open and closed loop, retries, copies, reordering, delays, and bounds that hold."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from scripted_server import OK_ANSWER, Peer, Script, scripted, until

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.callback_event import CallbackEvent
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.sending.dispatcher import Dispatcher, SendPlan
from roomhook.simulator.sending.network_faults import NetworkFaults
from roomhook.simulator.sending.pacing import Pacing, constant_rate, own_times, parse_rate, parse_speed, poisson_rate
from roomhook.simulator.sending.stats import SendStats
from roomhook.simulator.transport.delivery import Delivery, numbered
from roomhook.simulator.transport.retry_policy import PROFILES, RetryPolicy
from roomhook.simulator.transport.sender import Sender, run_loop
from roomhook.simulator.transport.target import Target
from roomhook.simulator.util.histogram import Histogram
from roomhook.simulator.util.precise_timer import PreciseTimer


def events(count: int, step_ms: int = 1) -> Iterator[CallbackEvent]:
    for number in range(count):
        body = b'{"Type":"Leave","Number":%d}' % number
        yield CallbackEvent(
            1670574414123 + number * step_ms, "Room.CallbackAfterMemberLeave", "203.0.113.7", "iOS", body
        )


def numbers(requests: list[bytes]) -> list[int]:
    return [json.loads(one.partition(b"\r\n\r\n")[2])["Number"] for one in requests]


async def tally_of(
    count: int,
    plan: SendPlan,
    *scripts: Script,
    connections: int = 8,
    deadline_ms: float = 500,
    token: str | None = None,
) -> tuple[SendStats, list[bytes]]:
    async with scripted(*scripts or (Peer.serve,)) as (url, requests):
        target = Target(CallbackUrl.parse(url), 1400000001, token=token)
        async with Sender(target, connections=connections, deadline_ms=deadline_ms) as sender:
            return await Dispatcher(sender, numbered(events(count)), plan, Random(7)).go(), requests


def test_a_closed_loop_sends_everything_once_and_names_its_model() -> None:
    tally, requests = run_loop(tally_of(500, SendPlan()))
    assert (tally.scheduled, tally.delivered, tally.failed, tally.unsent) == (500, 500, 0, 0)
    assert sorted(numbers(requests)) == list(range(500))
    assert tally.outcome_counts() == {"delivered": 500}
    assert (tally.mode, tally.connections) == ("closed loop, 8 connections", 8)
    assert tally.late == 0


def test_an_open_loop_sends_each_in_its_time_and_counts_latency_from_it() -> None:
    async def slow(peer: Peer) -> None:
        while True:
            await peer.read()
            await asyncio.sleep(0.02)
            await peer.write(OK_ANSWER)

    tally, requests = run_loop(tally_of(40, SendPlan(constant_rate(400)), slow, connections=2))
    assert tally.mode == "open loop, 400/s, constant"
    assert all(abs(number - place) < 5 for place, number in enumerate(numbers(requests)))  # two are sent at a time
    # 40 callbacks are meant to leave within 0.1 s; two connections that take 20 ms each need four times as long.
    assert tally.late > 20
    assert tally.latency.percentile_ms(99) > 200
    assert tally.service.percentile_ms(50) < tally.latency.percentile_ms(99) / 2
    assert tally.unsent == 0


def test_what_can_not_leave_within_the_bound_stays_unsent_and_is_counted() -> None:
    async def slow(peer: Peer) -> None:
        while True:
            await peer.read()
            await asyncio.sleep(0.02)
            await peer.write(OK_ANSWER)

    plan = SendPlan(constant_rate(1000), max_late_ms=30)
    tally, requests = run_loop(tally_of(100, plan, slow, connections=2))
    assert tally.scheduled == 100 == tally.delivered + tally.unsent
    assert 0 < tally.unsent < 100
    assert len(requests) == tally.delivered


def test_events_keep_their_own_times_compressed() -> None:
    tally, _ = run_loop(tally_of(50, SendPlan(own_times(0.25))))
    assert 0.19 < tally.elapsed_s < 1.5
    assert tally.mode == "open loop, the events' own times at 0.25x"


@pytest.mark.long
def test_retries_keep_body_and_get_a_fresh_signature() -> None:
    async def refusing(peer: Peer) -> None:
        while True:
            await peer.read()
            await peer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    profile = RetryPolicy("quick", None, first_ms=0, then_ms=1_100, until_ms=60_000, most=3)
    tally, requests = run_loop(tally_of(1, SendPlan(retry=profile), refusing, token="secret"))
    assert (tally.delivered, tally.failed, tally.attempts, tally.retries) == (0, 1, 3, 2)
    bodies = [one.partition(b"\r\n\r\n")[2] for one in requests]
    assert bodies == [bodies[0]] * 3
    signs = [one.partition(b"&Sign=")[2][:64] for one in requests]
    assert signs[0] != signs[2]
    assert tally.breaches == {"ack.status": 3}


def test_a_retry_that_succeeds_delivers_the_event() -> None:
    async def grumpy(peer: Peer) -> None:
        seen: Counter[bytes] = Counter()
        while True:
            request = await peer.read()
            body = request.partition(b"\r\n\r\n")[2]
            seen[body] += 1
            await peer.write(OK_ANSWER if seen[body] > 1 else b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")

    tally, requests = run_loop(tally_of(20, SendPlan(retry=PROFILES["trtc"]), grumpy, connections=1))
    assert (tally.scheduled, tally.delivered, tally.failed, tally.retries) == (20, 20, 0, 20)
    assert len(requests) == 40


def test_a_timeout_is_retried_only_by_a_profile_that_says_so() -> None:
    async def deaf(peer: Peer) -> None:
        await peer.read()
        await peer.hang()

    profile = RetryPolicy("on-timeout", frozenset({DeliveryOutcome.TIMEOUT}), until_ms=60_000, most=3)
    tally, _ = run_loop(tally_of(2, SendPlan(retry=profile), deaf, deadline_ms=50))
    assert tally.outcome_counts() == {"timeout": 6}
    tally, _ = run_loop(tally_of(2, SendPlan(), deaf, deadline_ms=50))
    assert tally.outcome_counts() == {"timeout": 2}


@pytest.mark.parametrize(
    ("profile", "outcome", "number", "since_ms", "wait_ms"),
    [
        ("none", DeliveryOutcome.TIMEOUT, 1, 0, None),
        ("on-timeout", DeliveryOutcome.TIMEOUT, 1, 2_000, 1_000),
        ("on-timeout", DeliveryOutcome.TIMEOUT, 3, 2_000, None),
        ("on-timeout", DeliveryOutcome.HTTP_STATUS, 1, 0, None),
        ("trtc", DeliveryOutcome.HTTP_STATUS, 1, 5_000, 0),
        ("trtc", DeliveryOutcome.REFUSED, 2, 0, 10_000),
        ("trtc", DeliveryOutcome.REFUSED, 7, 50_000, 10_000),
        ("trtc", DeliveryOutcome.REFUSED, 8, 50_001, None),
        ("trtc", DeliveryOutcome.DELIVERED, 1, 0, None),
    ],
)
def test_the_retry_profiles_are_the_documented_ones(
    profile: str, outcome: DeliveryOutcome, number: int, since_ms: float, wait_ms: float | None
) -> None:
    assert PROFILES[profile].wait_ms(outcome, number, since_ms) == wait_ms


def test_copies_and_reordering_come_from_the_seed_and_lose_nothing() -> None:
    disorder = NetworkFaults(duplicate=0.1, reorder=0.2)
    steps = list(disorder.apply(range(2000), Random(3)))
    assert steps == list(disorder.apply(range(2000), Random(3)))
    originals = [item for item, copy, _ in steps if not copy]
    copies = [item for item, copy, _ in steps if copy]
    assert sorted(originals) == list(range(2000))
    assert originals != sorted(originals)
    assert 140 < len(copies) < 260
    assert max(abs(place - item) for place, item in enumerate(originals)) < 40
    tally, requests = run_loop(tally_of(300, SendPlan(disorder=disorder)))
    assert (tally.scheduled, tally.delivered) == (300, 300)
    assert tally.copies == len(requests) - 300 > 0
    assert tally.attempts == len(requests)


def test_a_delay_shifts_each_callback_from_its_time() -> None:
    plan = SendPlan(constant_rate(1000), disorder=NetworkFaults(delay_ms=(50, 150)))
    tally, requests = run_loop(tally_of(50, plan))
    assert tally.delivered == 50
    assert 0.05 < tally.elapsed_s < 1.0
    assert numbers(requests) != sorted(numbers(requests))
    assert tally.latency.percentile_ms(50) < 40


async def chaos(peer: Peer) -> None:
    """Whatever the callback's number says: most are answered, some stalled, reset, cut off or half closed."""
    while True:
        number = numbers([await peer.read()])[0]
        fault = number % 23
        if fault == 1:
            await peer.hang()
        elif fault == 2:
            peer.reset()
            return
        elif fault == 3:
            await peer.write(b"\x00garbage\r\n\r\n")
            return
        elif fault == 4:
            await peer.write(OK_ANSWER[:90])
            peer.writer.write_eof()
            await peer.hang()
        elif fault == 5:
            await peer.write(OK_ANSWER[:90])
            return
        elif fault == 6:
            await peer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        else:
            await peer.write(OK_ANSWER)


@pytest.mark.long
def test_whatever_goes_wrong_every_attempt_has_its_one_outcome() -> None:
    async def main() -> tuple[SendStats, list[bytes]]:
        async with scripted(chaos) as (url, before):
            port = CallbackUrl.parse(url).port
            sender = Sender(Target(CallbackUrl.parse(url), 1400000001), connections=16, deadline_ms=150)
            run = Dispatcher(sender, numbered(events(2300)), SendPlan(constant_rate(1500)), Random(7))
            going = asyncio.ensure_future(run.go())
            await until(lambda: run.tally.delivered > 600)
        await asyncio.sleep(0.1)  # while nobody listens
        async with scripted(chaos, port=port) as (_, after):
            tally = await going
            await sender.close()
            return tally, before + after

    tally, requests = run_loop(main())
    assert tally.scheduled == 2300 == tally.delivered + tally.failed
    assert tally.attempts == 2300 == sum(tally.outcome_counts().values())
    found = tally.outcome_counts()
    assert set(found) >= {"delivered", "timeout", "reset", "not-http", "incomplete", "http-status", "refused"}
    assert found["delivered"] <= sum(number % 23 == 0 or number % 23 > 6 for number in set(numbers(requests)))
    assert len(set(numbers(requests))) >= 2300 - found["refused"] - 32
    assert tally.latency.total == tally.service.total == 2300


def test_ten_minutes_of_backlog_take_no_memory() -> None:
    """5,000/s have been due for 10 minutes at a target that takes almost nothing: of 3,000,000 callbacks few exist."""
    taken = 0

    def backlog() -> Iterator[Delivery]:
        nonlocal taken
        for taken, event in enumerate(events(3_000_000), 1):
            yield Delivery(taken, event)

    async def slow(peer: Peer) -> None:
        while True:
            await peer.read()
            await asyncio.sleep(0.01)
            await peer.write(OK_ANSWER)

    async def main() -> tuple[SendStats, int]:
        async with scripted(slow) as (url, _), Sender(Target(CallbackUrl.parse(url), 1), connections=16) as sender:
            pace = constant_rate(5000)
            overdue = Pacing(pace.name, lambda event: pace.offset_ns(event) - 600_000_000_000)
            run = Dispatcher(sender, backlog(), SendPlan(overdue), Random(1))
            tracemalloc.start()
            going = asyncio.ensure_future(run.go())
            await until(lambda: run.tally.delivered > 300)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            run.stop()
            return await going, peak

    tally, peak = run_loop(main())
    assert peak < 8 * 1024 * 1024
    assert taken < tally.delivered + 50
    assert tally.unsent == 0
    assert tally.latency.percentile_ms(50) > 590_000


def test_retries_that_wait_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roomhook.simulator.sending.schedule._MOST_WAITING", 20)

    async def main() -> tuple[int, SendStats]:
        async with Sender(Target(CallbackUrl.parse("http://127.0.0.1:9/"), 1), connections=4) as sender:
            profile = RetryPolicy("later", None, first_ms=60_000, then_ms=60_000, until_ms=600_000, most=9)
            run = Dispatcher(sender, numbered(events(1000)), SendPlan(retry=profile), Random(1))
            going = asyncio.ensure_future(run.go())
            await until(lambda: run.waiting >= 20 and run.in_flight == 0)
            waiting = run.waiting
            run.stop()
            return waiting, await going

    waiting, tally = run_loop(main())
    assert 20 <= waiting < 30
    assert tally.unsent == tally.scheduled < 30


def test_stopping_ends_in_order_and_says_what_was_not_sent() -> None:
    async def main() -> SendStats:
        async with scripted(Peer.serve) as (url, _), Sender(Target(CallbackUrl.parse(url), 1)) as sender:
            run = Dispatcher(sender, numbered(events(100_000)), SendPlan(constant_rate(1000)), Random(1))
            going = asyncio.ensure_future(run.go())
            await until(lambda: run.tally.delivered > 50)
            run.stop()
            return await going

    tally = run_loop(main())
    assert tally.scheduled - tally.delivered == tally.unsent <= 1


def test_a_run_that_is_stopped_before_it_begins_sends_nothing_and_is_no_error() -> None:
    async def main() -> tuple[SendStats, list[bytes]]:
        async with scripted(Peer.serve) as (url, requests), Sender(Target(CallbackUrl.parse(url), 1)) as sender:
            run = Dispatcher(sender, numbered(events(100)), SendPlan(), Random(1))
            run.stop()
            return await run.go(), requests

    tally, requests = run_loop(main())
    assert (tally.scheduled, tally.attempts, requests) == (0, 0, [])


def test_a_stream_that_breaks_ends_the_run_with_its_error() -> None:
    def broken() -> Iterator[CallbackEvent]:
        yield from events(5)
        raise ConfigurationError("line 6 is no event")

    async def main() -> None:
        async with scripted(Peer.serve) as (url, _), Sender(Target(CallbackUrl.parse(url), 1)) as sender:
            await Dispatcher(sender, numbered(broken()), SendPlan(), Random(1)).go()

    with pytest.raises(ConfigurationError, match="line 6"):
        run_loop(main())


def test_callbacks_leave_at_their_time_and_not_a_batch_at_a_time() -> None:
    """However busy the machine is; benchmarks/sender.py measures that 99 % leave within 2 ms on an idle one."""
    tally, _ = run_loop(tally_of(200, SendPlan(constant_rate(500)), connections=64, deadline_ms=5000))
    assert tally.delivered == 200
    assert tally.lateness.percentile_ms(50) < 100


@pytest.mark.parametrize("runner", [run_loop, asyncio.run])
def test_the_alarm_rings_in_time_and_only_once(runner: Any) -> None:
    async def main() -> list[int]:
        rung: list[int] = []
        alarm = PreciseTimer(lambda: rung.append(time.monotonic_ns()))
        due = time.monotonic_ns() + 30_000_000
        alarm.set(due + 10_000_000_000)
        alarm.set(due)
        await until(lambda: bool(rung))
        alarm.set(time.monotonic_ns() - 1)
        await until(lambda: len(rung) > 1)
        await asyncio.sleep(0.02)
        alarm.close()
        return [rung[0] - due, len(rung)]

    lateness_ns, count = runner(main())
    assert 0 <= lateness_ns < 5_000_000_000  # what was set first is 10 s off; benchmarks measure its precision
    assert count == 2


def test_a_poisson_rate_is_right_on_average_and_repeats_with_its_seed() -> None:
    event = next(events(1))
    first, again = poisson_rate(100, Random(5)), poisson_rate(100, Random(5))
    offsets = [first.offset_ns(event) for _ in range(10_000)]
    assert offsets == [again.offset_ns(event) for _ in range(10_000)]
    assert 95e9 < offsets[-1] < 105e9
    assert offsets == sorted(offsets)


def test_rates_and_speeds_are_written_as_people_write_them() -> None:
    assert [parse_rate(text) for text in ("2000/s", "90/min", "12.5", "max", "7200/h")] == [2000, 1.5, 12.5, None, 2]
    assert [parse_speed(text) for text in ("60x", "0.5x", "2", "max")] == [60, 0.5, 2, None]
    for wrong in ("fast", "-1/s", "0/s", "5/fortnight", ""):
        with pytest.raises(ConfigurationError, match="--rate"):
            parse_rate(wrong)
    for absurd in ("1000001/s", "9" * 400, "99999999/min"):
        with pytest.raises(ConfigurationError, match="more than 1,000,000/s; for as many as can be, say max"):
            parse_rate(absurd)
    for wrong in ("x", "0x", "-2x"):
        with pytest.raises(ConfigurationError, match="--speed"):
            parse_speed(wrong)


def test_percentiles_are_exact_to_1_6_percent_and_histograms_add_up() -> None:
    random = Random(2)
    times = sorted(int(random.lognormvariate(8, 2)) for _ in range(20_000))
    one, two = Histogram(), Histogram()
    for place, each in enumerate(times):
        (one if place % 2 else two).record(each)
    one.add(two)
    for percent in (1, 50, 90, 99, 99.9):
        exact = times[int(len(times) * percent / 100)] / 1000
        assert one.percentile_ms(percent) == pytest.approx(exact, rel=0.02)
    assert (one.total, one.longest_us) == (20_000, times[-1])
    again = Histogram.from_dict(json.loads(json.dumps(one.to_dict())))
    assert (again.counts, again.total, again.total_us) == (one.counts, one.total, one.total_us)
    one.record(-5)
    one.record(1 << 50)
    assert one.total == 20_002
    assert one.percentile_ms(100) == one.longest_us / 1000
