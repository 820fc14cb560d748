"""The command that repeats a finding alone."""

from __future__ import annotations

import shlex
from itertools import pairwise

from roomhook.contract_tests.model.settings import Settings
from roomhook.contract_tests.reports.reproduction import for_any_port, repeating


def test_the_whole_invocation_is_repeated_with_its_seed() -> None:
    settings = Settings(
        "http://127.0.0.1:8000/callback",
        20001,
        seed=7,
        strict=True,
        probe="http://127.0.0.1:8000/rooms/{RoomId}",
        settle_s=3,
        members=("ann", "bob"),
        deadline_ms=1500,
    )
    words = shlex.split(repeating(settings, ["effect.applied", "type.kicked"]))
    assert words[:3] == ["roomhook", "check", "http://127.0.0.1:8000/callback"]
    given = dict(pairwise(words[3:]))
    assert given["--sdkappid"] == "20001"
    assert given["--probe"] == "http://127.0.0.1:8000/rooms/{RoomId}"
    assert (given["--settle"], given["--deadline"], given["--seed"]) == ("3", "1.5", "7")
    assert given["--only"] == "effect.applied,type.kicked"
    assert "--strict" in words
    assert words.count("--member") == 2


def test_a_target_that_was_started_for_the_run_gets_any_free_port_again() -> None:
    settings = Settings(
        "http://127.0.0.1:41234/callback",
        probe="http://127.0.0.1:41234/rooms/{RoomId}",
        exec_command="python app.py {port}",
        exec_port=41234,
    )
    line = repeating(settings, ["type.leave"])
    assert "41234" not in line
    assert "--exec 'python app.py {port}'" in line
    assert "http://127.0.0.1:{port}/callback" in line
    assert (
        for_any_port(settings, "curl 'http://127.0.0.1:41234/callback?x=1'")
        == "curl 'http://127.0.0.1:'$PORT'/callback?x=1'"
    )


def test_secrets_stay_out() -> None:
    settings = Settings(
        "http://127.0.0.1/?token=abc",
        token="sesame",
        headers=(("Authorization", "Bearer sesame"),),
        proxy="http://me:sesame@proxy:3128",
    )
    line = repeating(settings, ["type.leave"])
    assert "sesame" not in line
    assert "abc" not in line
    assert "Authorization: ***" in line
