"""SECURITY.md: each of its sentences about serve and listen holds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from roomhook.cli.callbacks.listen_output import as_line
from roomhook.cli.main import main
from roomhook.cli.shared.access import guard_rules
from roomhook.errors import ConfigurationError
from roomhook.simulator.journal.writer import ReceivedCallback
from roomhook.simulator.protocol.request_check import ValidationResult
from roomhook.simulator.room_backend.api.usersig import make_usersig
from roomhook.simulator.room_backend.runtime.clock import VirtualClock
from roomhook.simulator.room_backend.runtime.service import Service, parse_apps
from roomhook.simulator.room_backend.runtime.store import Store
from roomhook.simulator.room_backend.server import running
from roomhook.simulator.room_backend.state.options import BackendOptions

TEXT = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
APP = 1400000001
KEY = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"
TOKEN = "not-to-be-seen"
CALLBACK = {"Url": "http://127.0.0.1:9/", "CallbackCommandList": []}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server as ``serve --listen 0.0.0.0 --auth token --secret-key … --token … `` runs."""
    options = BackendOptions(callback_hosts=frozenset({"named.example"}))
    service = Service(parse_apps([APP], [KEY], [TOKEN]), options, Store(None), VirtualClock(1_700_000_000_000))
    with running(service, guard_rules("0.0.0.0", "token", ["named.example"], lenient=False)) as found:
        yield found


def rest(url: str, packet: object = None, *, key: str = KEY, account: str = "administrator", now_s: int = 0) -> int:
    usersig = make_usersig(APP, account, key, now_s=now_s or int(time.time()), expire_s=3600)
    query = f"sdkappid={APP}&identifier=administrator&usersig={usersig}&random=1&contenttype=json"
    api = "update_callback" if packet is None else "set_callback"
    with requests.Session() as session:
        answer = session.post(f"{url}/v4/room_config/{api}?{query}", json=packet or CALLBACK)
    assert KEY not in answer.text
    assert TOKEN not in answer.text
    return int(answer.json()["ErrorCode"])


def status(url: str, path: str = "/sim/reset", **headers: str) -> int:
    with requests.Session() as session:
        sent = {"Content-Type": "application/json", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return session.post(f"{url}{path}", data="{}", headers=sent).status_code


def test_serve_and_listen_take_loopback_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("serve", "listen"):
        main([command, "--help"])
        assert re.search(r"default:\s+127\.0\.0\.1:\d+", capsys.readouterr().out)
    assert "listens on 127.0.0.1 unless" in TEXT


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "backend.example"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigurationError, match="--auth TOKEN"):
        guard_rules(host, None, (), lenient=False)
    assert guard_rules(host, "token", (), lenient=False).token == "token"


def test_the_token_is_demanded_under_every_path_but_v4(url: str) -> None:
    for path in ("/sim/reset", "/sim/nothing", "/openapi.json", "/"):
        assert status(url, path) == 401
        assert status(url, path, Authorization="Bearer wrong") == 401
    assert status(url, Authorization="Bearer token") == 200
    assert status(url, "/v4/room_config/get_callback") == 200


def test_a_usersig_has_to_be_genuine(url: str) -> None:
    assert rest(url) == 100301
    assert rest(url, key="other") == 60005
    assert rest(url, account="ann") == 60005
    assert rest(url, now_s=int(time.time()) - 7200) == 60005
    assert rest(url, now_s=int(time.time()) + 7200) == 60005


def test_foreign_pages_are_refused(url: str) -> None:
    assert status(url, "/v4/x", Host="evil.example") == 403
    assert status(url, "/v4/x", Host="named.example") == 200
    assert status(url, "/v4/x", Origin="http://evil.example") == 403
    assert status(url, Authorization="Bearer token", Origin="http://evil.example") == 403
    assert status(url, Authorization="Bearer token", Sec_Fetch_Site="cross-site") == 403
    assert status(url, Authorization="Bearer token", Content_Type="text/plain") == 415


def test_a_callback_url_elsewhere_has_to_be_allowed() -> None:
    options = BackendOptions(callback_hosts=frozenset({"named.example"}))
    service = Service(parse_apps([APP], [], []), options, Store(None), VirtualClock(0))
    with running(service) as url:
        for host, code in (("192.0.2.1", 100002), ("evil.example", 100002), ("named.example", 0)):
            assert rest(url, {**CALLBACK, "Url": f"http://{host}/"}) == code


def test_what_arrives_can_not_drive_a_terminal() -> None:
    for hostile in ("a\nb", "\x1b[2J", "\x9b2J", "\u202eevil"):
        found = ValidationResult(problem=hostile, room=hostile, type=hostile)
        line = as_line(ReceivedCallback(0, "", b"", b"", found, b""))
        assert line.isprintable()
