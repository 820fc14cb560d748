from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomhook.errors import ConfigurationError
from roomhook.loadtests.fast_sender.rate_schedule import RateSchedule
from roomhook.loadtests.fast_sender.request_cache import RequestCache
from roomhook.loadtests.results.html_section import insert_section
from roomhook.loadtests.results.stats import LoadStats, failure_line
from roomhook.loadtests.results.summary import LoadSummary, document, junit, table
from roomhook.loadtests.results.thresholds import check_thresholds, parse_threshold, rate_of
from roomhook.loadtests.workload.callback_stream import callbacks, stamped
from roomhook.loadtests.workload.settings import LoadSettings
from roomhook.loadtests.workload.worker_rooms import RoomShare, RoomShareAllocator
from roomhook.simulator.protocol.callback_url import CallbackUrl, sign
from roomhook.simulator.protocol.outcomes import DeliveryOutcome
from roomhook.simulator.transport.target import Target

SETTINGS = LoadSettings(url="http://127.0.0.1:1/callback", sdkappid=1400000001, seed=5)


def figures(*, answered: int = 98, late: int = 1, wrong: int = 1, unsent: int = 0) -> LoadStats:
    """100 requests over ten seconds, 10 ms each, the failed ones slower."""
    found = LoadStats(unsent=unsent)
    for number in range(answered):
        found.record(
            "Leave", 10_000, 1_000_000_000 + number % 10 * 1_100_000, DeliveryOutcome.DELIVERED, (), status=200, size=50
        )
    for _ in range(late):
        found.record("Expired", 2_500_000, 1_009_500_000, DeliveryOutcome.TIMEOUT, ("ack.deadline",), status=0, size=0)
    for _ in range(wrong):
        found.record(
            "Kicked", 20_000, 1_005_000_000, DeliveryOutcome.DELIVERED, ("ack.error-code",), status=200, size=50
        )
    return found


class TestAThreshold:
    @pytest.mark.parametrize(
        ("text", "broken"),
        [
            ("p50>500ms", False),
            ("p50 > 9ms", True),
            ("p99.9>2s", True),
            ("p99.9>3s", False),
            ("mean<1s", True),
            ("max>=2500ms", True),
            ("noncompliant>0", True),
            ("noncompliant>2%", False),
            ("noncompliant>=2%", True),
            ("delivered<99.9%", True),
            ("delivered<99%", False),
            ("ack.deadline>0", True),
            ("ack.json>0", False),
            ("requests<100", False),
            ("rate<10.1/s", True),
            ("rate<9/s", False),
            ("unsent>0", False),
        ],
    )
    def test_decides(self, text: str, broken: bool) -> None:
        (verdict,) = check_thresholds([parse_threshold(text)], figures())
        assert verdict.broken is broken, verdict

    @pytest.mark.parametrize(
        ("text", "remedy"),
        [
            ("p99>500", "p99>500ms"),
            ("p0>5ms", "p99.9"),
            ("latency>5ms", "there is no metric 'latency'"),
            ("noncompliant=0", "write it as"),
            ("rate<1000", "rate<1000/s"),
            ("delivered<101%", "no share is above 100%"),
            ("requests<5%", "takes a limit"),
            ("", "write it as"),
        ],
    )
    def test_is_refused_with_its_remedy(self, text: str, remedy: str) -> None:
        with pytest.raises(ConfigurationError, match="--fail-if") as refused:
            parse_threshold(text)
        assert remedy in str(refused.value)

    @pytest.mark.parametrize("text", ["p99>5s", "delivered<1%", "max>1s"])
    def test_is_broken_where_nothing_was_answered(self, text: str) -> None:
        (verdict,) = check_thresholds([parse_threshold(text)], LoadStats())
        assert verdict.broken
        assert verdict.shown == "nothing was answered"

    def test_holds_what_was_due_and_never_left_against_the_share_that_was_delivered(self) -> None:
        (share, count) = check_thresholds(
            [parse_threshold("delivered<99%"), parse_threshold("delivered<99")], figures(unsent=100)
        )
        assert (share.value, share.broken) == (49.5, True)
        assert (count.value, count.broken) == (99, False)

    def test_takes_the_lateness_of_half_of_all(self) -> None:
        found = figures()
        found.lateness.record_all([1_000] * 60 + [900_000] * 40)
        (verdict,) = check_thresholds([parse_threshold("lateness>500ms")], found)
        assert not verdict.broken
        found.lateness.record_all([900_000] * 40)
        (verdict,) = check_thresholds([parse_threshold("lateness>500ms")], found)
        assert verdict.broken

    def test_knows_no_lateness_in_a_closed_loop(self) -> None:
        assert not check_thresholds([parse_threshold("lateness>500ms")], figures())[0].broken

    def test_counts_the_rate_from_the_first_to_the_last(self) -> None:
        found = figures()
        assert rate_of(found) == pytest.approx(10)
        found.record("Leave", 1000, 1_010_000_000, DeliveryOutcome.DELIVERED, (), status=200, size=1)
        assert rate_of(found) == pytest.approx(10)

    def test_knows_no_rate_of_an_instant(self) -> None:
        found = LoadStats()
        assert rate_of(found) == 0
        for late in range(3):
            found.record("Leave", 1000, 1_000_000_000 + late, DeliveryOutcome.DELIVERED, (), status=200, size=1)
        assert rate_of(found) == 3


class TestFigures:
    def test_survive_the_way_to_another_process(self) -> None:
        sent = figures(unsent=3)
        came = LoadStats.from_dict(json.loads(json.dumps(sent.to_dict())))
        assert came == sent or came.to_dict() == sent.to_dict()

    def test_add_up(self) -> None:
        both = figures()
        both.add(figures(late=4, unsent=2))
        assert (both.requests, both.noncompliant, both.delivered, both.unsent) == (203, 7, 198, 2)
        assert both.requirements == {"ack.deadline": 5, "ack.error-code": 2}
        assert both.latency.total == 203

    def test_name_a_failure_by_its_requirements(self) -> None:
        assert (
            failure_line(DeliveryOutcome.DELIVERED, ("ack.ok",), 200)
            == "ack.ok: delivered, but answered with an ActionStatus that is not OK"
        )
        assert failure_line(DeliveryOutcome.HTTP_STATUS, ("ack.status",), 503) == "ack.status: answered HTTP 503"
        assert (
            failure_line(DeliveryOutcome.TIMEOUT, ("ack.deadline",), 0) == "ack.deadline: gave no whole answer in time"
        )


class TestReports:
    conclusion = LoadSummary(
        figures(unsent=7),
        check_thresholds([parse_threshold("noncompliant>0"), parse_threshold("p50>1s")], figures()),
        1,
        asked={1003: 12.0},
        lost=("worker w1 is gone",),
        facts={"target": "http://127.0.0.1/<b>"},
    )

    def test_the_table_says_what_failed(self) -> None:
        text = table(self.conclusion)
        assert "Callbacks: 100 completed at" in text
        assert "99 delivered, 2 not compliant, 7 due but unsent" in text
        assert "FAILED" in text.splitlines()[[line[:14] for line in text.splitlines()].index("noncompliant>0")]
        assert "error: worker w1 is gone" in text

    def test_the_table_shows_the_latency_of_delivered_callbacks_where_it_differs_and_fits_80_columns(self) -> None:
        slow, quick = LoadStats(), LoadStats()
        for each, late in ((slow, 10), (quick, 0)):
            for number in range(100):
                kind = DeliveryOutcome.TIMEOUT if number < late else DeliveryOutcome.DELIVERED
                spent = 2_000_000 if number < late else 1_000
                missed = ("ack.deadline",) if number < late else ()
                each.record("Leave", spent, 1_000_000 * number, kind, missed, status=200, size=50)
        facts = {"counted": "from the intended moment of sending (open loop)"}
        text = table(LoadSummary(LoadStats.from_dict(slow.to_dict()), (), 1, facts=facts))
        assert "p99 2000.00" in text
        assert re.search(r"  delivered:  p50 1\.\d+  p90 1\.\d+  p99 1\.\d+ ", text)
        assert max(map(len, text.splitlines())) <= 80
        assert "delivered: " not in table(LoadSummary(quick, (), 0, facts=facts))
        page = " ".join(insert_section("<body>", LoadSummary(slow, (), 1, facts=facts)).split())
        assert re.search(r"<td>all</td><td>100</td><td>1\.\d+</td><td>2000\.00</td>", page)
        assert re.search(r"<td>delivered</td><td>90</td><td>1\.\d+</td><td>1\.\d+</td>", page)

    def test_the_json_holds_figures_and_verdicts(self) -> None:
        found = json.loads(document(self.conclusion))
        assert [one["verdict"] for one in found["thresholds"]] == ["failed", "passed"]
        assert found["requests"] == sum(count for _, count in found["histogram_ms"]) == 100
        assert found["exit_code"] == 1

    def test_the_junit_has_a_case_for_each_threshold(self) -> None:
        suite = ET.fromstring(junit(self.conclusion))
        assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")

    def test_the_html_is_escaped_and_stands_first_in_the_page(self) -> None:
        page = insert_section("<html><head></head><body>locust</body></html>", self.conclusion)
        assert page.startswith('<html><head></head><body>\n<div id="roomhook">')
        assert page.endswith("</template></div>\nlocust</body></html>")
        assert "/<b>" not in page
        assert "ack.deadline" in page

    def test_the_html_of_nothing_is_no_error(self) -> None:
        assert "Nothing was answered" in insert_section("<body></body>", LoadSummary(LoadStats(), (), 1))


class TestTheSchedule:
    def test_keeps_a_rate(self) -> None:
        schedule = RateSchedule(0)
        schedule.change(0, 10)
        moments = []
        for _ in range(5):
            moments.append(schedule.due_ns())
            schedule.take()
        assert moments == [0, 100_000_000, 200_000_000, 300_000_000, 400_000_000]

    def test_is_idle_at_a_rate_of_nothing(self) -> None:
        schedule = RateSchedule(0)
        assert schedule.due_ns() is None
        schedule.change(5, 2)
        assert schedule.due_ns() == 5
        schedule.change(6, 0)
        schedule.take()
        assert schedule.due_ns() is None

    @given(st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 500)), min_size=1, max_size=8))
    def test_asks_for_the_sum_of_what_each_rate_asks_for(self, changes: list[tuple[int, int]]) -> None:
        """Taken in time or late, as many are due as rate x time says, within one."""
        prompt, tardy = RateSchedule(0), RateSchedule(0)
        now, rate, whole, taken = 0, 0, 0.0, 0
        for after_ms, following in changes:
            until = now + after_ms * 1_000_000
            whole += rate * after_ms / 1000
            while (due := prompt.due_ns()) is not None and due < until:
                prompt.take()
                taken += 1
            prompt.change(until, following)
            tardy.change(until, following)
            now, rate = until, following
        end = now + 1_000_000_000
        whole += rate
        assert abs(taken + prompt.backlog(end) - whole) <= 1.01
        assert abs(tardy.backlog(end) - whole) <= 1.01


class TestPreparedRequests:
    @pytest.mark.parametrize("token", [None, "secret"])
    def test_come_again_and_differ_in_their_time_alone(self, token: str | None) -> None:
        target = Target(CallbackUrl.parse(SETTINGS.url), 1400000001, token)
        prepared = RequestCache(callbacks(SETTINGS), target, kept=3)
        shots = [prepared.take((1_700_000_000 + second) * 1_000_000_000) for second in range(7)]
        packets = [json.loads(request.partition(b"\r\n\r\n")[2]) for request, _ in shots]
        assert [packet.pop("EventTime") for packet in packets] == [(1_700_000_000 + one) * 1000 for one in range(7)]
        assert packets[:3] == packets[3:6]
        assert packets[6] == packets[0] != packets[1]
        assert [name for _, name in shots[:3]] == [packet["Type"] for packet in packets[:3]]
        for second, (request, _) in enumerate(shots):
            signed = f"Sign={sign('secret', 1_700_000_000 + second)}&RequestTime={1_700_000_000 + second} ".encode()
            assert (signed in request) == (token is not None)


class TestPlaces:
    def test_are_parts_of_the_whole_for_who_is_there_at_the_start(self) -> None:
        places = RoomShareAllocator(["a", "b"], extensible=True)
        assert places.of("a", {"a", "b"}) == RoomShare(number=1, part=1, parts=2)
        assert places.of("b", {"a", "b"}) == RoomShare(number=2, part=2, parts=2)

    def test_are_kept_by_who_asks_again(self) -> None:
        places = RoomShareAllocator(["a"], extensible=True)
        assert places.of("b", {"a", "b"}) == places.of("b", {"a", "b"}) == RoomShare(number=2, annex=1)

    def test_of_workers_that_have_left_go_to_the_next_one_to_come(self) -> None:
        places = RoomShareAllocator(["a", "b"], extensible=False)
        assert places.of("c", {"a", "b", "c"}) is None
        assert places.of("c", {"a", "c"}) == RoomShare(number=3, part=2, parts=2)
        assert places.of("d", {"a", "c", "d"}) is None

    @given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans())))
    def test_are_never_held_by_two_at_once(self, moves: list[tuple[str, bool]]) -> None:
        places, present = RoomShareAllocator(["a", "b"], extensible=True), {"a": 1, "b": 2}
        held = {one: places.of(one, present) for one in present}
        for worker, comes in moves:
            if not comes:
                held.pop(worker, None)
            elif worker not in held:
                held[worker] = places.of(worker, {*held, worker})
            rooms = [(one.part, one.parts, one.annex) for one in held.values() if one]
            assert len(rooms) == len(set(rooms))


class TestTheStream:
    def test_gives_workers_parts_of_one_world(self) -> None:
        def rooms(part: int) -> set[int]:
            """The numbers of its rooms; a room that has ended is followed by one whose number is ten higher."""
            stream = callbacks(LoadSettings(url="", sdkappid=1, seed=5, share=RoomShare(part=part, parts=2), rooms=10))
            return {int(json.loads(next(stream).body)["RoomId"][-5:]) % 10 for _ in range(300)}

        assert rooms(1) == {0, 2, 4, 6, 8}
        assert rooms(2) == {1, 3, 5, 7, 9}

    def test_gives_workers_that_come_later_rooms_of_their_own(self) -> None:
        def rooms(place: RoomShare) -> set[str]:
            stream = callbacks(LoadSettings(url="", sdkappid=1, seed=5, share=place, rooms=10))
            return {json.loads(next(stream).body)["RoomId"] for _ in range(2000)}

        places = (RoomShare(part=1, parts=2), RoomShare(part=2, parts=2), RoomShare(annex=1), RoomShare(annex=2))
        played = [rooms(one) for one in places]
        assert all(played)
        assert sum(map(len, played)) == len(set.union(*played))

    def test_goes_on_after_a_wave(self) -> None:
        stream = callbacks(LoadSettings(url="", sdkappid=1, seed=5, profile="outage", rooms=1))
        assert len([next(stream) for _ in range(2000)]) == 2000

    def test_refuses_more_workers_than_rooms(self) -> None:
        with pytest.raises(ConfigurationError, match="--rooms"):
            callbacks(LoadSettings(url="", sdkappid=1, seed=5, rooms=1, share=RoomShare(parts=2)))

    def test_stamps_the_time_of_sending_and_nothing_else(self) -> None:
        event = next(callbacks(SETTINGS))
        before, after = json.loads(event.body), json.loads(stamped(event, 1234567890123).body)
        assert after == {**before, "EventTime": 1234567890123}
        assert event.check_out == stamped(event, 1).check_out == before["Type"]
