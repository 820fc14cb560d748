"""Effects, told by a probe, and the ways in which a user can give one; a bad set-up is nobody's finding."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any, Final

import pytest

from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.engine.suite import run_suite
from roomhook.contract_tests.model.register import select
from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, Verdict
from roomhook.contract_tests.transport.probe import Listing, SetupError, accounts_in, filled
from roomhook.errors import ConfigurationError


@pytest.fixture(scope="module")
def server() -> Iterator[BackendServer]:
    with BackendServer() as running:
        yield running


def judge(target: str, **options: Any) -> RunFinished:
    last = list(run_suite(Settings(target, settle_s=0.3, **options)))[-1]
    assert isinstance(last, RunFinished)
    return last


def blamed(finished: RunFinished) -> set[str]:
    return {case.requirement.id for case in finished.cases if case.verdict in {Verdict.FAIL, Verdict.WARN}}


@pytest.mark.long
def test_reference_holds_every_effect(server: BackendServer) -> None:
    finished = judge(server.url(), only=("effect",), probe=server.probe())

    assert finished.summary.outcome is RunOutcome.CONFORMS
    assert finished.count(Verdict.PASS) == len(select(("effect",), ("effect.sign",)))  # which needs a token


def test_probe_that_lists_nobody_is_a_failed_set_up_and_no_finding(server: BackendServer) -> None:
    finished = judge(server.url(), only=("effect",), probe=f"{server.probe()}-elsewhere")

    assert blamed(finished) == set()
    assert finished.summary.outcome is RunOutcome.SETUP_FAILED
    assert "the probe lists nobody" in finished.summary.detail


def test_a_probe_that_answers_404_is_told_as_such(server: BackendServer) -> None:
    finished = judge(server.url(), only=("effect",), probe=server.probe().replace("/rooms/", "/no-rooms/"))

    assert finished.summary.outcome is RunOutcome.SETUP_FAILED
    assert "the probe lists nobody (it answers HTTP 404)" in finished.summary.detail


def test_command_can_be_the_probe(server: BackendServer) -> None:
    fetch = (
        "import sys, urllib.request as u; print(u.urlopen(sys.argv[1].replace('ROOM', sys.argv[2])).read().decode())"
    )
    where = server.probe().replace("{RoomId}", "ROOM")
    command = f'{quote(sys.executable)} -c "{fetch}" {where} {{RoomId}}'

    assert judge(server.url(), only=("effect.leave",), probe_command=command).summary.outcome is RunOutcome.CONFORMS


def test_silent_refusals_are_judged_by_their_effect(server: BackendServer) -> None:
    finished = judge(server.url(), only=("app-id.wrong",), refusal="silent", probe=server.probe())
    broken = judge(
        server.url("effect.app-id"), only=("app-id.wrong",), refusal="silent", probe=server.probe("effect.app-id")
    )

    assert finished.summary.outcome is RunOutcome.CONFORMS
    assert blamed(broken) == {"app-id.wrong"}


def test_silent_refusals_without_a_probe_are_not_judged(server: BackendServer) -> None:
    finished = judge(server.url(), only=("app-id.wrong", "type.kicked"), refusal="silent")

    assert [case.requirement.id for case in finished.with_verdict(Verdict.NOT_JUDGED)] == ["app-id.wrong"]
    assert finished.summary.outcome is RunOutcome.CONFORMS


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('["ann", "bob"]', ""),
        ('{"data": {"members": ["ann", "bob"]}}', "/data/members"),
        ('[{"Member_Account": "ann"}, {"Member_Account": "bob"}]', ""),
        ('[{"a/b": ["ann", "bob"]}]', "/0/a~1b"),
        ('[{"UserID": "ann", "Role": "host"}, {"UserID": "bob", "Role": "guest"}]', ""),
        ('[{"name": "Ann", "user_id": "ann"}, {"name": "Bob", "user_id": "bob"}]', ""),
        ('[{"who": "ann", "since": 1}, {"who": "bob", "since": 2}]', ""),
    ],
)
def test_accounts_are_found_where_the_pointer_says(text: str, pointer: str) -> None:
    assert accounts_in(text, pointer, "the probe") == {"ann", "bob"}


@pytest.mark.parametrize(
    ("text", "pointer"), [("no JSON", ""), ('{"members": []}', ""), ("[1]", ""), ("{}", "/members")]
)
def test_anything_but_a_list_of_accounts_is_refused_with_a_remedy(text: str, pointer: str) -> None:
    with pytest.raises(SetupError, match="no JSON list of accounts"):
        accounts_in(text, pointer, "the probe")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('{"members":["ann"]}', "say --probe-pointer /members"),
        ('{"code":0,"data":{"room":"r","a/b":[{"Member_Account":"ann"}]}}', "say --probe-pointer /data/a~1b"),
        ('{"members":[],"admins":[]}', "say where: --probe-pointer /data/members"),
        ('{"code":0}', "say where: --probe-pointer /data/members"),
        ('[{"seat":"7","floor":"2"}]', "with --probe-command, e.g. by jq -r"),
        ('[17,"ann"]', "keep every account as text"),
    ],
)
def test_json_that_is_no_list_of_accounts_gets_a_hint_at_where_one_is(text: str, hint: str) -> None:
    with pytest.raises(SetupError, match=re.escape(hint)):
        accounts_in(text, "", "the probe")


def test_null_is_an_empty_list_of_accounts() -> None:
    assert accounts_in("null", "", "the probe") == set()
    assert accounts_in('{"members": null}', "/members", "the probe") == set()


def test_a_room_of_yours_in_which_somebody_is_listed_twice_shows_that() -> None:
    listing = Listing(["ann", "ann", "bob", "bob", "cyd"], missing=True).among({"ann", "cyd"})
    assert listing == {"ann", "cyd"}
    assert listing.repeated == {"ann"}
    assert listing.missing


ODD: Final = """it's "a" $HOME `x` \\ b"""


@pytest.mark.parametrize("command", ["printf %s {RoomId}", "printf %s '{RoomId}'", 'printf %s "{RoomId}"'])
def test_a_room_reaches_a_command_whatever_the_quotes_around_its_place(command: str) -> None:
    line = filled(command, {"{RoomId}": ODD})
    assert subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout == ODD


@pytest.mark.parametrize("room", [ODD, "standup", "o'clock"])
def test_a_room_in_a_text_of_sql_stays_one_text(room: str, tmp_path: Path) -> None:
    query = "import sqlite3, sys; print(sqlite3.connect(':memory:').execute(sys.argv[1]).fetchone()[0])"
    (tmp_path / "query.py").write_text(query)
    command = f"{quote(sys.executable)} query.py \"SELECT '{{RoomId}}'\""
    done = subprocess.run(
        filled(command, {"{RoomId}": room}), shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{room}\n"


@pytest.mark.parametrize("probe", ["http://127.0.0.1/rooms", "rooms/{RoomId}"])
def test_probe_without_a_place_for_the_room_is_refused(probe: str) -> None:
    with pytest.raises(ConfigurationError, match="--probe"):
        judge("http://127.0.0.1:1", probe=probe)


@pytest.mark.long
@pytest.mark.parametrize("members", [(), ("ann", "bob", "cyd", "dan", "eve")])
def test_a_room_of_yours_may_have_other_people_in_it(members: tuple[str, ...], server: BackendServer) -> None:
    room = f"standup-{len(members)}"
    judge(server.url(), only=("effect.all-members", "ack"), probe=server.probe(), room=room)
    finished = judge(
        server.url(), only=("effect", "time"), probe=server.probe(), room=room, members=members, strict=True
    )
    assert blamed(finished) == set()
    assert finished.summary.outcome is RunOutcome.CONFORMS
