"""``roomhook fire``: what came back, what that means, and an exit code that says so."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from recording_target import Target, recording_target

from roomhook.cli.main import main


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOMHOOK_SEED", "7")


@pytest.fixture
def target() -> Iterator[Target]:
    with recording_target() as running:
        yield running


class TestTheVerdict:
    def test_an_acknowledged_callback(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fire", "leave", target.url]) == 0
        out = capsys.readouterr().out
        assert out.startswith("POST /callback?SdkAppid=1400000001&CallbackCommand=Room.CallbackAfterMemberLeave&")
        assert "HTTP 200 after " in out
        assert '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}' in out
        assert "delivered     yes" in out
        assert "compliant     yes" in out
        assert "acknowledged  yes" in out
        assert "hint" not in out

    @pytest.mark.parametrize(
        ("status", "body", "delivered", "compliant", "requirement"),
        [
            (500, b"<html>", "no ", "no ", "ack.status"),
            (200, b"<html>", "no ", "no ", "ack.json"),
            (200, b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":"0"}', "yes", "no ", "ack.error-code"),
            (200, b'{"ActionStatus":"FAIL","ErrorInfo":"who?","ErrorCode":1}', "yes", "yes", "ack.ok"),
        ],
    )
    def test_an_answer_that_does_not_acknowledge(  # noqa: PLR0917 (one parameter a column)
        self,
        target: Target,
        capsys: pytest.CaptureFixture[str],
        status: int,
        body: bytes,
        delivered: str,
        compliant: str,
        requirement: str,
    ) -> None:
        target.status, target.answer = status, body
        assert main(["fire", "leave", target.url]) == 1
        out = capsys.readouterr().out
        assert f"delivered     {delivered}" in out
        assert f"compliant     {compliant}" in out
        assert "acknowledged  no" in out
        assert f"  {requirement}: expected " in out

    def test_a_refusal_is_hinted_at(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        target.answer = b'{"ActionStatus":"FAIL","ErrorInfo":"who?","ErrorCode":1}'
        main(["fire", "leave", target.url])
        out = capsys.readouterr().out
        assert "--sdkappid" in out
        assert "ROOMHOOK_TOKEN" in out
        assert "fire enter" in out
        main(["fire", "leave", target.url, "--sdkappid", "1", "--token", "t"])
        out = capsys.readouterr().out
        assert "--sdkappid" not in out
        assert "ROOMHOOK_TOKEN" not in out

    @pytest.mark.parametrize(
        ("status", "hint"),
        [(308, "redirects to https://app.example/"), (404, "path in the URL"), (401, "ROOMHOOK_TOKEN"), (500, "")],
    )
    def test_a_status_is_hinted_at_where_it_tells_something(
        self, target: Target, capsys: pytest.CaptureFixture[str], status: int, hint: str
    ) -> None:
        target.status, target.headers = status, {"Location": "https://app.example/"}
        assert main(["fire", "leave", target.url]) == 1
        shown = capsys.readouterr().out.partition("hint: ")[2]
        assert hint in shown
        assert bool(hint) is bool(shown)

    def test_an_answer_past_the_timeout(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        target.delay_s = 0.5
        assert main(["fire", "leave", target.url, "--timeout", "0.1"]) == 1
        out = capsys.readouterr().out
        assert "no answer after 1" in out
        assert "delivered     no   the App backend gave no whole answer in time" in out
        assert "compliant" not in out

    def test_a_target_that_is_down_is_unreachable(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
            assert main(["fire", "leave", url]) == 3
            assert main(["fire", "leave", url, "--times", "2"]) == 3
        out = capsys.readouterr().out
        assert "refused the connection" in out
        assert "roomhook backend" in out
        assert "2 attempts: 2 refused, no answer" in out

    def test_a_target_that_takes_no_connection_is_unreachable(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, ExitStack() as queue:
            for _ in range(4):  # more than the backlog holds, so that the kernel drops what comes after
                waiting = queue.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(deaf.getsockname())
            assert main(["fire", "leave", f"http://127.0.0.1:{deaf.getsockname()[1]}/", "--timeout", "0.3"]) == 3
        assert "nobody takes connections there" in capsys.readouterr().out

    def test_a_proxy_that_is_down_is_told_from_a_target_that_is(
        self, target: Target, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            proxy = f"127.0.0.1:{taken.getsockname()[1]}"
            assert main(["fire", "leave", target.url, "--proxy", f"http://{proxy}"]) == 3
        assert f"at the proxy http://{proxy}" in capsys.readouterr().out

    def test_https_to_a_port_that_speaks_http_is_told_so(
        self, target: Target, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["fire", "leave", target.url.replace("http:", "https:")]) == 1
        assert "hint: the port speaks no TLS" in capsys.readouterr().out

    def test_a_name_that_does_not_resolve_is_unreachable(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fire", "leave", "http://nowhere.invalid/"]) == 3
        assert "does not resolve" in capsys.readouterr().out

    def test_several_attempts_are_counted(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        target.status = 503
        assert main(["fire", "leave", target.url, "--times", "2"]) == 1
        out = capsys.readouterr().out
        assert "attempt 2: http-status, not acknowledged (ack.status) after " in out
        assert "2 attempts: 2 http-status, not acknowledged (ack.status)" in out

    def test_json_holds_request_answer_and_verdict(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        target.answer = b"\xff"
        assert main(["fire", "leave", target.url, "--format", "json", "--times", "2"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        document = json.loads(lines[0])
        assert document["request"]["body"].encode() == target.received[0].body
        assert document["answer"]["status"] == 200
        assert base64.b64decode(document["answer"]["body_base64"]) == b"\xff"
        assert (document["outcome"], document["delivered"], document["compliant"]) == ("not-json", False, False)
        assert document["acknowledged"] is False
        assert [one["requirement"] for one in document["breaches"]] == ["ack.json"]

    def test_json_of_no_answer(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["fire", "leave", "http://nowhere.invalid/", "--format", "json"]) == 3
        document = json.loads(capsys.readouterr().out)
        assert (document["answer"], document["compliant"], document["outcome"]) == (None, None, "dns")

    def test_an_answer_can_not_steer_the_terminal(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        target.answer = b'{"a":"\x1b[2J\xe2\x80\xae"}'
        target.headers = {"X-Evil": "\x1b]0;title\x07"}
        main(["fire", "leave", target.url])
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "\\x1b[2J" in out

    def test_a_long_answer_is_cut(self, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
        target.answer = b"x" * 100_000
        main(["fire", "leave", target.url])
        out = capsys.readouterr().out
        assert len(out) < 10_000
        assert "100000 bytes in all" in out


class TestTransport:
    def test_a_private_authority_is_trusted_when_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        with recording_target(context) as target:
            assert main(["fire", "leave", target.url]) == 1
            out = capsys.readouterr().out
            assert "failed the TLS handshake" in out
            assert "--cacert" in out
            assert main(["fire", "leave", target.url, "--cacert", "ca.pem"]) == 0
            assert main(["fire", "leave", target.url, "--insecure"]) == 0

    def test_a_proxy_in_the_environment_plays_no_part_but_one_by_option_does(
        self, target: Target, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert main(["fire", "leave", target.url]) == 0
        proxy = target.url.removesuffix("/callback")
        assert main(["fire", "leave", "http://app.invalid/callback", "--proxy", proxy]) == 0
        assert target.received[1].target.startswith("http://app.invalid/callback?")
