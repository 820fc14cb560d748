"""``roomhook fire``: what is sent, as documented or edited, and how it is shown without being sent."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from recording_target import Received, Target, recording_target

from roomhook.cli.main import main
from roomhook.simulator.protocol.callback_url import sign
from roomhook.simulator.protocol.packets import CheckOutMethod, decode_enter, decode_leave

PARAMETERS = ["SdkAppid", "CallbackCommand", "contenttype", "ClientIP", "OptPlatform"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOMHOOK_SEED", "7")


@pytest.fixture
def target() -> Iterator[Target]:
    with recording_target() as running:
        yield running


def only(target: Target) -> Received:
    (received,) = target.received
    return received


def query(received: Received) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(received.target).query, keep_blank_values=True))


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a usage error leaves on stderr."""
    assert main(["fire", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


class TestTheCallback:
    @pytest.mark.parametrize(
        ("kind", "method"),
        [("leave", "Leave"), ("kicked", "Kicked"), ("expired", "Expired")],
    )
    def test_each_way_to_leave_is_sent_as_documented(self, target: Target, kind: str, method: CheckOutMethod) -> None:
        assert main(["fire", kind, target.url]) == 0
        received = only(target)
        packet = decode_leave(received.body)
        assert packet.type == method
        assert (packet.operator_account in packet.member_list_account) is (kind != "kicked")
        assert received.method == "POST"
        assert received.headers["Content-Type"] == "application/json"
        assert [name for name, _ in parse_qsl(urlsplit(received.target).query)] == PARAMETERS
        assert query(received)["CallbackCommand"] == "Room.CallbackAfterMemberLeave"
        assert query(received)["SdkAppid"] == "1400000001"

    def test_enter_brings_a_member_in(self, target: Target) -> None:
        assert main(["fire", "enter", target.url, "--member", "user1", "--room", "rid-1"]) == 0
        received = only(target)
        assert decode_enter(received.body).member_list_account == ("user1",)
        assert query(received)["CallbackCommand"] == "Room.CallbackAfterMemberEnter"

    def test_every_given_value_is_used(self, target: Target) -> None:
        given = (
            "--room rid-123 --member user1 --member user2 --operator boss --count 20 --reason xxxx --platform RESTAPI"
        )
        more = "--event-time 1670574414123 --client-ip 203.0.113.7 --sdkappid 1400000009 --contenttype JSON"
        assert main(["fire", "kicked", target.url, *given.split(), *more.split()]) == 0
        received = only(target)
        assert received.body == (
            b'{"CallbackCommand":"Room.CallbackAfterMemberLeave","Operator_Account":"boss","RoomId":"rid-123",'
            b'"MemberCount":20,"Type":"Kicked","MemberList_Account":["user1","user2"],"Reason":"xxxx",'
            b'"EventTime":1670574414123}'
        )
        assert query(received) == {
            "SdkAppid": "1400000009",
            "CallbackCommand": "Room.CallbackAfterMemberLeave",
            "contenttype": "JSON",
            "ClientIP": "203.0.113.7",
            "OptPlatform": "RESTAPI",
        }

    def test_empty_and_zero_are_values_too(self, target: Target) -> None:
        assert main(["fire", "expired", target.url, "--reason", "", "--operator", "", "--count", "0"]) == 0
        packet = decode_leave(only(target).body)
        assert (packet.reason, packet.operator_account, packet.member_count) == ("", "", 0)

    def test_the_same_seed_makes_up_the_same_values(self, target: Target) -> None:
        for _ in range(2):
            main(["fire", "leave", target.url, "--event-time", "1", "--seed", "4711"])
        main(["fire", "leave", target.url, "--event-time", "1", "--seed", "4712"])
        first, second, other = target.received
        assert (first.target, first.body) == (second.target, second.body)
        assert (first.target, first.body) != (other.target, other.body)

    def test_fixing_one_value_leaves_the_others_as_they_were(self, target: Target) -> None:
        main(["fire", "kicked", target.url, "--event-time", "1"])
        main(["fire", "kicked", target.url, "--event-time", "1", "--room", "another"])
        first, second = (json.loads(one.body) for one in target.received)
        assert {**first, "RoomId": "another"} == second

    def test_without_a_seed_one_is_drawn_and_told(
        self, target: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.delenv("ROOMHOOK_SEED")
        main(["fire", "leave", target.url, "--event-time", "1"])
        told = capsys.readouterr().err.split()[1]
        main(["fire", "leave", target.url, "--event-time", "1", "--seed", told])
        first, second = target.received
        assert first.body == second.body

    def test_the_configured_url_keeps_its_own_query(self, target: Target) -> None:
        main(["fire", "leave", f"{target.url}?tenant=7"])
        assert only(target).target.startswith("/callback?tenant=7&SdkAppid=1400000001&")

    def test_a_token_signs_the_callback(self, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ROOMHOOK_TOKEN", "xxxxyyyy")
        main(["fire", "leave", target.url])
        sent = query(only(target))
        assert list(sent) == [*PARAMETERS, "Sign", "RequestTime"]
        assert sent["Sign"] == sign("xxxxyyyy", sent["RequestTime"])

    def test_times_sends_the_same_packet_again_on_its_own(self, target: Target) -> None:
        assert main(["fire", "leave", target.url, "--times", "3"]) == 0
        assert len({one.body for one in target.received}) == 1
        assert len(target.received) == 3

    def test_headers_for_a_gateway_are_sent(self, target: Target) -> None:
        main(["fire", "leave", target.url, "--header", "X-Api-Key: abc: d", "--header", "Host: app.example"])
        received = only(target)
        assert received.headers["X-Api-Key"] == "abc: d"
        assert received.headers["Host"] == "app.example"

    def test_content_type_none_sends_no_such_header(self, target: Target) -> None:
        main(["fire", "leave", target.url, "--content-type", "none"])
        main(["fire", "leave", target.url, "--content-type", "text/plain; charset=utf-8"])
        assert "Content-Type" not in target.received[0].headers
        assert target.received[1].headers["Content-Type"] == "text/plain; charset=utf-8"


class TestEditing:
    def test_set_takes_json_or_else_text_and_keeps_the_order(self, target: Target) -> None:
        edits = ["--set", "MemberCount=abc", "--set", 'EventTime="12"', "--set", "RoomId=5", "--set", "Reason=a=b"]
        main(["fire", "leave", target.url, *edits])
        packet = json.loads(only(target).body)
        assert (packet["MemberCount"], packet["EventTime"]) == ("abc", "12")
        assert (packet["RoomId"], packet["Reason"]) == (5, "a=b")
        assert list(packet)[:3] == ["CallbackCommand", "Operator_Account", "RoomId"]

    def test_add_and_remove(self, target: Target) -> None:
        main(["fire", "leave", target.url, "--add", 'Level={"gold":[1,null]}', "--remove", "Reason"])
        packet = json.loads(only(target).body)
        assert packet["Level"] == {"gold": [1, None]}
        assert list(packet)[-1] == "Level"
        assert "Reason" not in packet

    def test_a_lone_surrogate_travels_escaped(self, target: Target) -> None:
        main(["fire", "leave", target.url, "--set", 'Reason="\\ud83d"'])
        assert b'"Reason":"\\ud83d"' in only(target).body

    def test_nan_is_text_because_json_has_none(self, target: Target) -> None:
        main(["fire", "leave", target.url, "--set", "MemberCount=NaN"])
        assert json.loads(only(target).body)["MemberCount"] == "NaN"

    def test_raw_sends_a_file_as_it_is(self, target: Target, tmp_path: Path) -> None:
        body = b'{"a": 1,\r\n "b":"\xff\x00"}\n'
        (tmp_path / "body.bin").write_bytes(body)
        main(["fire", "leave", target.url, "--raw", "body.bin"])
        assert only(target).body == body

    def test_raw_reads_stdin_too(self, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xffpiped")))
        main(["fire", "leave", target.url, "--raw", "-"])
        assert only(target).body == b"\xffpiped"

    @pytest.mark.parametrize(
        ("arguments", "remedy"),
        [
            (["--set", "Level=1"], "--add Level="),
            (["--set", "reason=x"], "'Reason'"),
            (["--remove", "Level"], "only CallbackCommand, "),
            (["--add", "Reason=x"], "--set Reason="),
            (["--set", "SdkAppid=1"], "--sdkappid"),
            (["--set", "OptPlatform=iOS"], "--platform"),
            (["--remove", "Sign"], "--token"),
            (["--set", "Reason"], "FIELD=VALUE"),
            (["--set", "=1"], "FIELD=VALUE"),
            (["--raw", "nowhere.json"], "nowhere.json"),
            (["--raw", "."], "can't be read"),
            (["--raw", "x", "--room", "r"], "--raw"),
            (["--raw", "x", "--remove", "Reason"], "--raw"),
            (["--reason", "\udcff"], "--reason"),
            (["--platform", "\udcff"], "UTF-8"),
            (["--header", "nonsense"], "Name: value"),
            (["--header", "X: \N{SNOWMAN}"], "header"),
            (["--header", "Content-Type: a/b"], "--content-type"),
            (["--header", "X: a\r\nY: b"], "Name: value"),
            (["--proxy", "socks5://127.0.0.1:1"], "--proxy"),
            (["--proxy", "127.0.0.1:3128"], "http://127.0.0.1:3128"),
            (["--cacert", "nowhere.pem"], "--cacert"),
            (["--cert", "nowhere.pem"], "--cert"),
            (["--token", ""], "token"),
            (["--times", "0"], "--times"),
            (["--timeout", "0"], "--deadline"),
            (["--timeout", "inf"], "--deadline"),
            (["--timeout", "nan"], "--deadline"),
            (["--count", "many"], "--count"),
            (["--print", "xml"], "--print"),
            (["--frobnicate"], "--frobnicate"),
        ],
        ids=lambda value: (
            " ".join(value).encode("ascii", "backslashreplace").decode() if isinstance(value, list) else ""
        ),
    )
    def test_what_can_not_be_done_is_one_line_with_the_remedy(
        self, capsys: pytest.CaptureFixture[str], arguments: list[str], remedy: str
    ) -> None:
        assert remedy in fails(capsys, "leave", "http://127.0.0.1:9/", *arguments)

    def test_an_enter_has_no_reason(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "--add Reason=" in fails(capsys, "enter", "http://127.0.0.1:9/", "--reason", "x")

    def test_a_kind_or_url_that_is_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "leave" in fails(capsys, "left", "http://127.0.0.1:9/")
        assert "http://127.0.0.1:9/" in fails(capsys, "leave", "127.0.0.1:9/")
        assert "URL" in fails(capsys, "leave")


class TestShowingTheRequest:
    def test_dry_run_sends_nothing(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fire", "leave", target.url, "--dry-run", "--room", "rid-1"]) == 0
        out = capsys.readouterr().out
        assert target.received == []
        assert out.startswith("POST /callback?")
        assert '"RoomId":"rid-1"' in out

    def test_json_can_be_read_by_a_program(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        for form in (["--print", "json"], ["--format", "json"]):
            assert main(["fire", "leave", target.url, "--dry-run", *form]) == 0
            request = json.loads(capsys.readouterr().out)
            assert request["method"] == "POST"
            assert request["url"].startswith(target.url)
            decode_leave(request["body"].encode())

    def test_secrets_are_masked(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        secrets = ["--header", "Authorization: Bearer hidden", "--token", "hidden-token"]
        for form in ("http", "curl", "json"):
            main(["fire", "leave", target.url, "--dry-run", "--print", form, *secrets])
            out = capsys.readouterr().out
            assert "hidden" not in out
            assert "***" in out
        main(["fire", "leave", target.url, "--format", "json", *secrets])
        assert "hidden" not in capsys.readouterr().out
        assert only(target).headers["Authorization"] == "Bearer hidden"

    @pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
    @pytest.mark.parametrize("shell", ["sh", "bash"])
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--reason", 'it\'s "quoted" $HOME `x` \\n %s 你好 👨‍👩‍👧'],
            ["--reason", "two\nlines\ttab\x7f"],
            ["--raw", "nul.bin", "--content-type", "none"],
            ["--raw", "@strange name.bin"],
            ["--token", "xxxxyyyy"],
        ],
        ids=["quotes", "control", "nul", "file", "signed"],
    )
    def test_the_curl_line_sends_the_very_same(
        self,
        target: Target,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
        shell: str,
        arguments: list[str],
    ) -> None:
        (tmp_path / "nul.bin").write_bytes(b"@\x00\xff\r\n'%s\\")
        (tmp_path / "@strange name.bin").write_bytes(b"{}")
        main(["fire", "leave", target.url, "--print", "curl", *arguments])
        line = capsys.readouterr().out.splitlines()[0]
        environment = {"PATH": "/usr/bin:/bin", "ROOMHOOK_TOKEN": "xxxxyyyy"}
        subprocess.run([shell, "-c", line], check=True, capture_output=True, env=environment)
        sent, repeated = target.received
        assert repeated.body == sent.body
        assert repeated.headers.get("Content-Type") == sent.headers.get("Content-Type")
        fresh = query(repeated)
        if "Sign" in fresh:
            assert fresh["Sign"] == sign("xxxxyyyy", fresh["RequestTime"])
        else:
            assert repeated.target == sent.target
