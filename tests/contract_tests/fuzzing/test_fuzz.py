"""Fuzzing: which bugs it finds, how small it makes them, and where it stops."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz_runs import MEMBER, ROOM, packet_of, search
from inner_pytest import PYTEST
from starlette.responses import Response

from roomhook.cli.main import main
from roomhook.contract_tests.api.app_server import served
from roomhook.contract_tests.app_backends.reference.backend import IncomingCallback, MemberEvent, ReferenceBackend
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.fuzzing.search import Search, budget_s
from roomhook.contract_tests.fuzzing.strategies import Mutation, valid_topics
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import CaseJudged, Finding, RunFinished, RunOutcome, Verdict
from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.curl import curl

pytestmark = pytest.mark.long

# ── four bugs that no requirement's own case can find ───────────────────────────────────────────────────────────────


class Planted(ReferenceBackend):
    """Answers 500 where its bug strikes, without the traceback that makes a test slow."""

    async def handle(self, callback: IncomingCallback) -> Response:
        try:
            return await super().handle(callback)
        except (ValueError, OverflowError, IndexError, TypeError):
            return Response(status_code=500)


class Ucs2(Planted):
    """Can't store a character that takes a surrogate pair."""

    def leave(self, event: MemberEvent) -> None:
        if any(ord(character) > 0xFFFF for character in event.reason):
            raise ValueError("not in UCS-2")
        super().leave(event)


class SignedInteger(Planted):
    """Keeps MemberCount in a signed integer of 32 bits."""

    def leave(self, event: MemberEvent) -> None:
        event.member_count.to_bytes(4, signed=True)
        super().leave(event)


class ThirtyTwoMembers(Planted):
    """Has room for 32 members."""

    def leave(self, event: MemberEvent) -> None:
        if len(event.member_list_account) > 32:
            raise IndexError("a 33rd member")
        super().leave(event)


class PercentFormat(Planted):
    """Takes an id for a format."""

    def leave(self, event: MemberEvent) -> None:
        self.lines = [f"{one} left" % () for one in event.member_list_account]
        super().leave(event)


def last_of(settings: Settings) -> RunFinished:
    *_, last = run_suite(settings)
    assert isinstance(last, RunFinished)
    return last


def fuzzed(backend: type[ReferenceBackend], requirement: str = "fuzz.valid", **options: Any) -> RunFinished:
    one = backend("1400000001")
    with served(one.app) as url:
        finished = last_of(Settings(url, **{"only": [requirement], "fuzz": 500, "seed": 5, **options}))
    one.close()
    return finished


def findings(finished: RunFinished) -> tuple[Finding, ...]:
    return tuple(finding for case in finished.cases for finding in case.findings)


def sent(finding: Finding) -> dict[str, Any]:
    assert finding.exchange is not None
    body = finding.exchange.callback.body
    assert body is not None
    packet: dict[str, Any] = json.loads(body)
    return packet


@pytest.mark.parametrize(
    ("backend", "field", "smallest"),
    [
        pytest.param(Ucs2, "Reason", "\U00010000", marks=pytest.mark.exhaustive),
        pytest.param(ThirtyTwoMembers, "MemberList_Account", 33, marks=pytest.mark.exhaustive),
        (SignedInteger, "MemberCount", 2**31),
        pytest.param(PercentFormat, "MemberList_Account", "%", marks=pytest.mark.exhaustive),
    ],
)
def test_finds_a_deep_bug_and_shrinks_it_to_one_field(
    backend: type[ReferenceBackend], field: str, smallest: object
) -> None:
    finished = fuzzed(backend)

    (found,) = findings(finished)
    packet = sent(found)
    member = packet["Operator_Account"]
    baseline = {
        "CallbackCommand": "Room.CallbackAfterMemberLeave",
        "Operator_Account": member,
        "RoomId": packet["RoomId"],
        "MemberCount": 19,
        "Type": "Leave",
        "MemberList_Account": [member],
        "Reason": "left the room",
        "EventTime": packet["EventTime"],
    }
    value = packet[field]
    assert packet == {**baseline, field: value}
    assert packet["RoomId"].startswith("rh-")
    assert abs(packet["EventTime"] - time.time() * 1000) < 60_000
    if isinstance(value, list):
        assert value[0] == member
        assert value[1:] == [smallest] if isinstance(smallest, str) else len(value) == smallest
    else:
        assert value == smallest
    assert finished.summary.outcome is RunOutcome.VIOLATES
    assert field in found.message
    assert "--only fuzz.valid --fuzz 500 --seed 5" in found.fix
    assert found.exchange is not None
    assert field in curl(found.exchange.callback)


def test_names_each_of_several_bugs(capsys: pytest.CaptureFixture[str]) -> None:
    class Both(SignedInteger, Ucs2):
        pass

    one = Both("1400000001")
    with served(one.app) as url:
        assert main(["check", url, "--only", "fuzz.valid", "--fuzz", "120", "--seed", "3"]) == 1
    one.close()

    text = capsys.readouterr().out
    assert text.count("FAIL  fuzz.valid (MUST)") == 2
    assert 'HTTP 500 to Reason = "\\ud800\\udc00"' in text
    assert "HTTP 500 to MemberCount = 2147483648" in text
    assert text.count("sent      curl ") == 2
    assert "seed 3" in text


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_finds_what_only_two_fields_together_break(seed: int) -> None:
    def fails(departure: Mutation) -> bool:
        fields = packet_of(departure)
        return bool(fields["Type"] == "Kicked" and fields["MemberCount"] > 300)

    (found,) = search(fails, str(seed)).run(valid_topics(MEMBER, ROOM), 300, combined=True)

    assert found == Mutation({"MemberCount": 301, "Type": "Kicked"})


@pytest.fixture(scope="module")
def server() -> Iterator[BackendServer]:
    with BackendServer() as running:
        yield running


class TestCommand:
    def test_is_clean_on_the_reference(self, server: BackendServer, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["check", server.url(), "--only", "fuzz", "--fuzz", "200", "--strict", "--format", "json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert {one["id"]: one["verdict"] for one in report["requirements"]} == {
            "fuzz.valid": "pass",
            "fuzz.near-miss": "pass",
        }
        assert 180 <= report["delivery"]["sent"] <= 210
        assert report["delivery"]["acknowledged"] == report["delivery"]["sent"]

    def test_warns_of_a_crash_on_a_near_miss(self, server: BackendServer) -> None:
        settings = Settings(server.url("fuzz.near-miss"), only=["fuzz"], fuzz=150, seed=1)
        finished = last_of(settings)
        (found,) = findings(finished)
        assert [one.requirement.id for one in finished.with_verdict(Verdict.WARN)] == ["fuzz.near-miss"]
        assert found.actual == "HTTP 500 to MemberCount = -1"
        assert "just not valid got a server error; reduced as far as possible" in found.message
        assert sent(found)["MemberCount"] == -1

    def test_is_no_part_of_a_run_that_does_not_ask_for_it(
        self, server: BackendServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["check", server.url(), "--exclude", "http,bad", "--format", "json"]) == 0
        assert "fuzz" not in capsys.readouterr().out
        assert main(["check", "--list"]) == 0
        assert "fuzz" not in capsys.readouterr().out
        assert main(["check", "--list", "--fuzz", "1"]) == 0
        assert capsys.readouterr().out.count("\nfuzz.") == 2

    def test_says_what_is_missing_where_it_is_asked_for_without_a_number(
        self, server: BackendServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["check", server.url(), "--only", "fuzz"]) == 2
        assert "nothing could be judged: not asked for (--fuzz N)" in capsys.readouterr().out

    def test_explains_how_to_run_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["explain", "fuzz.valid"]) == 0
        assert "roomhook check URL --sdkappid N --only fuzz.valid --fuzz 500" in capsys.readouterr().out

    def test_keeps_to_the_room_and_the_members_that_the_target_knows(self) -> None:
        class Strict(Planted):
            def leave(self, event: MemberEvent) -> None:
                if event.room_id != "standup" or event.member_list_account != ["ann"]:
                    raise ValueError("never heard of")
                super().leave(event)

        finished = fuzzed(Strict, fuzz=100, room="standup", members=["ann"])
        assert finished.count(Verdict.PASS) == 1

    def test_leaves_nothing_behind_and_costs_nothing_unless_asked_for(
        self, server: BackendServer, tmp_path: Path
    ) -> None:
        program = (
            "import sys; from roomhook.cli.main import main; "
            f"code = main(['check', {server.url()!r}, *sys.argv[1:]]); "
            "print('hypothesis' in sys.modules); sys.exit(code)"
        )
        for arguments, imported in ((["--only", "type"], "False"), (["--only", "fuzz", "--fuzz", "60"], "True")):
            done = subprocess.run(
                [sys.executable, "-c", program, *arguments],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0
            assert done.stdout.splitlines()[-1] == imported
            assert done.stderr == ""
        assert list(tmp_path.iterdir()) == []

    def test_is_an_option_of_the_suite_under_pytest_too(self, server: BackendServer) -> None:
        # Generating packets takes hypothesis, and not its plugin.
        command = [*PYTEST, "--pyargs", "roomhook.contract_tests", "--room-target", server.url()]
        command += ["--room-only", "fuzz", "--room-fuzz", "30"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "2 passed" in done.stdout

    def test_needs_a_number_of_packets(self) -> None:
        with pytest.raises(ConfigurationError, match="--fuzz is how many packets to generate, as in --fuzz 500"):
            Settings("http://127.0.0.1:9/", fuzz=-1)


class TestBounds:
    @pytest.mark.exhaustive
    def test_a_hang_ends_the_search_and_is_blamed_on_its_packet(self) -> None:
        class Hangs(ReferenceBackend):
            async def apply(self, event: MemberEvent) -> None:
                if not event.reason.isascii():
                    await asyncio.sleep(60)
                await super().apply(event)

        finished = fuzzed(Hangs, deadline_ms=300)

        (found,) = findings(finished)
        assert "as generated, it differs from the baseline in Reason = " in found.message
        assert found.cause == "ack.deadline"
        assert finished.duration_s < 40

    def test_a_target_that_is_killed_by_a_packet_is_told_with_that_packet(self, tmp_path: Path) -> None:
        (tmp_path / "fragile.py").write_text(FRAGILE, encoding="utf-8")
        with subprocess.Popen(
            [sys.executable, "fragile.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            finished = last_of(Settings(url, only=["fuzz.near-miss", "bad.alive"], exclude=["bad"], fuzz=100))
            process.wait(10)

        verdicts = {case.requirement.id: case for case in finished.cases}
        assert finished.summary.outcome is RunOutcome.VIOLATES
        assert verdicts["bad.alive"].verdict is Verdict.FAIL
        (found,) = verdicts["fuzz.near-miss"].findings
        assert "just not valid took the target away; as generated" in found.message
        assert "no RoomId; after it, the target accepts no connections any more" in found.message

    def test_a_search_sends_nothing_once_its_time_is_over(self) -> None:
        clock = iter(range(1000))
        tried: list[Mutation] = []

        def fails(departure: Mutation) -> bool:
            tried.append(departure)
            return False

        bounded = Search(fails, seed="0", budget_s=20, clock=lambda: next(clock))
        assert list(bounded.run(valid_topics(MEMBER, ROOM), 500, combined=True)) == []
        assert bounded.out_of_time
        assert len(tried) == bounded.tried == 19

    def test_a_search_that_ran_out_of_time_has_judged_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("roomhook.contract_tests.fuzzing.fuzzer.budget_s", lambda _: 0.2)
        finished = fuzzed(ReferenceBackend)
        (case,) = finished.cases
        assert isinstance(case, CaseJudged)
        assert case.verdict is Verdict.NOT_JUDGED
        assert case.reason.startswith("only ")
        assert "of 500 packets were sent in 0.2 s, and none failed" in case.reason

    def test_the_time_allowed_grows_with_the_packets(self) -> None:
        assert budget_s(500) == 60


FRAGILE = """
import http.server, json, os

class App(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        packet = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "RoomId" not in packet:
            os._exit(1)
        body = b'{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":""}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), App)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
"""
