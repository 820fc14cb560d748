"""What a load test refuses before anything is sent, in plain locust and in its web form, and which users run at all."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counting_target import CountingTarget, counting_target
from locust_runs import ENVIRONMENT, LOCUSTFILE, free_port, get, running, wait_for

from roomhook.cli.main import main

pytestmark = pytest.mark.long

HOST = "http://127.0.0.1:1/callback"
BAD = {
    "--deadline nan": "--deadline is out of range",
    "--deadline inf": "3,600 at most",
    "--deadline 0": "e.g. 2.0",
    "--callback-rate nan": "0 is the closed loop",
    "--callback-rate inf": "1,000,000 at most",
    "--callback-rate=-1": "0 is the closed loop",
    "--callback-connections 0": "use 1 to 1,000,000",
    "--rooms 999999999": "is out of range: use 1 to 1,000,000 rooms",
    "--rooms 500000": "ask for at most 1,000,000 of either, as in 100,000 rooms of 10",
    "--rooms nowhere.txt": "can't be read",
    "--seed 99999999999999999999": "not a whole number of up to 18 digits",
    "--seed seven": "not a whole number",
    "--users 99999999999": "use 1,000,000 at most",
    "--attempts nowhere/attempts.csv": "choose a writable folder",
    "--attempts .": "cannot be written: Is a directory",
    "--verdict-json /proc/1/nowhere/verdict.json": "cannot be written",
    "--host nonsense": "must start with http:// or https://",
    "--host=": "no callback URL: give --host",
}
ASK = """
import json, sys
from locust import events
from locust.argument_parser import get_parser
from locust.env import Environment
from roomhook.loadtests.session.validation import validate_options
from roomhook.loadtests.fast_user import FastUser
from roomhook.loadtests.workload.options import submitted
from roomhook.loadtests.session.user_selection import bases_only
from roomhook.loadtests.users import LeaveCallbackUser
from roomhook.errors import ConfigurationError

def refused(*words):
    parser = get_parser(default_config_files=())
    options = parser.parse_args(["--headless", "--host", sys.argv[1], *words])
    try:
        validate_options(Environment(host=options.host, parsed_options=options, events=events), None)
    except ConfigurationError as error:
        return str(error)

def in_form(name, text):
    options = get_parser(default_config_files=()).parse_args([])
    try:
        return repr(getattr(submitted(options, {name: text, "with_enter": "true", "run_time": "1m"}), name))
    except ConfigurationError as error:
        return str(error)

class Patient(LeaveCallbackUser): pass
class Slow(Patient): pass

users = [LeaveCallbackUser, FastUser, Patient, Slow]
print(json.dumps({
    "refused": {one: refused(*one.split()) for one in json.loads(sys.argv[2])},
    "good": refused(),
    "form": sorted(get_parser(default_config_files=()).args_included_in_web_ui),
    "seed": in_form("seed", ""),
    "deadline": in_form("deadline", "soon"),
    "bases": bases_only({one.__name__: one for one in users}),
    "no bases": bases_only({one.__name__: one for one in users[:2]}),
    "renamed": bases_only({"Base": LeaveCallbackUser, "Patient": Patient}),
}))
"""
OWN = """
from locust import constant
from roomhook.loadtests.fast_user import FastUser
from roomhook.loadtests.users import LeaveCallbackUser

class Lane(FastUser):
    pass

class Patient(LeaveCallbackUser):
    wait_time = constant(0.5)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Asked in one process: importing locust here would monkey-patch the whole test run."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, HOST, json.dumps(list(BAD))],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=True,
        cwd=tmp_path_factory.mktemp("asked"),
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def target() -> Iterator[CountingTarget]:
    with counting_target() as found:
        yield found


@pytest.mark.parametrize(("option", "complaint"), BAD.items(), ids=BAD)
def test_what_cannot_be_is_refused_in_one_line(answers: dict[str, Any], option: str, complaint: str) -> None:
    assert complaint in str(answers["refused"][option])
    assert "\n" not in str(answers["refused"][option])


def test_what_can_be_is_not(answers: dict[str, Any]) -> None:
    assert answers["good"] is None


def test_the_web_form_offers_what_it_can_change_and_keeps_secrets(answers: dict[str, Any]) -> None:
    assert {"callback_rate", "rooms", "seed", "deadline"} <= set(answers["form"])
    assert not {"engine", "shape", "token", "header", "fail_if", "attempts"} & set(answers["form"])
    assert answers["seed"] == "''", "left empty, each run draws its own"
    assert answers["deadline"] == "'soon' is not a number, e.g. --deadline 2.0"


def test_users_that_are_there_to_be_subclassed_do_not_run(answers: dict[str, Any]) -> None:
    assert answers["bases"] == ["LeaveCallbackUser"], "neither those of the locustfile, nor ours without a subclass"
    assert answers["no bases"] == []
    assert answers["renamed"] == ["Base"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("--deadline inf", "'inf' is not a number"),
        ("--deadline nan", "'nan' is not a number"),
        ("--duration 0s", "--duration 0s is too short: use 1s or more (whole seconds)"),
        ("--rate 9999999/s", "more than 1,000,000/s"),
        ("--users 99999999999", "at most 10,000"),
        ("--rate max --connections 20000", "use 10,000 at most"),
    ],
)
def test_the_command_refuses_before_it_looks_for_the_target(
    options: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", HOST, *options.split()]) == 2
    line = capsys.readouterr().err
    assert complaint in line
    assert line.count("\n") == 1


def own_locustfile(folder: Path) -> Path:
    path = folder / "own.py"
    path.write_text(OWN)
    return path


def headless(locustfile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "-u", "2", "-r", "2", *options],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
        check=False,
        cwd=locustfile.parent,
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--engine", "fast"), "no callback URL: give --host"),
        (("--host", HOST, "--fail-if", "p99>500"), "--fail-if 'p99>500' is not a threshold"),
    ],
)
def test_workers_do_not_wait_for_a_master_that_was_refused(options: tuple[str, ...], complaint: str) -> None:
    port = str(free_port())
    processes = ("--processes", "2", "--master-bind-port", port, "--master-port", port)
    done = headless(LOCUSTFILE, *processes, *options)
    assert done.returncode == 2
    assert done.stderr.count("roomhook: ") == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    pgrep = ("pgrep", "-f", f"master-port {port}")
    wait_for(lambda: subprocess.run(pgrep, capture_output=True, check=False).returncode == 1)


@pytest.mark.exhaustive
def test_a_locustfile_of_ones_own_runs_its_own_users_and_prints_nothing_but_json(
    target: CountingTarget, tmp_path: Path
) -> None:
    port, verdict = str(free_port()), tmp_path / "new" / "verdict.json"
    processes = ("--processes", "2", "--master-bind-port", port, "--master-port", port)
    done = headless(
        own_locustfile(tmp_path), "Lane", "-t", "5s", "--host", target.url, "--callback-rate", "20", "--json",
        *("--verdict-json", str(verdict), *processes),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sum(one["num_requests"] for one in json.loads(done.stdout)) == target.answers > 0
    assert f"Callbacks: {target.answers} completed" in done.stderr
    found = json.loads(verdict.read_text())
    assert (found["users"], found["counted"]) == (["Lane"], "from the intended moment of sending (open loop)")


@pytest.mark.exhaustive
def test_the_web_form_says_what_is_wrong_and_starts_what_is_right(target: CountingTarget, tmp_path: Path) -> None:
    port = free_port()
    site = f"http://127.0.0.1:{port}"
    options = ("-f", str(own_locustfile(tmp_path)), "--class-picker", "--token", "not-for-your-eyes")

    def start(**form: str) -> dict[str, Any]:
        data = urllib.parse.urlencode({"user_count": "2", "spawn_rate": "2", "seed": "", **form}).encode()
        with urllib.request.urlopen(f"{site}/swarm", data, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def stats() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(get(f"{site}/stats/requests"))
        return found

    with running(target.url, tmp_path, *options, "--web-host", "127.0.0.1", "--web-port", str(port)) as process:
        wait_for(lambda: get(site))
        assert '"available_user_classes": ["Lane", "Patient"]' in get(site)
        assert "not-for-your-eyes" not in get(site)
        for wrong, complaint in (({"host": "nonsense"}, "must start with"), ({"rooms": "/nowhere"}, "can't be read")):
            answer = start(**{"host": target.url, **wrong})
            assert not answer["success"]
            assert complaint in answer["message"]
        assert (stats()["state"], target.answers) == ("ready", 0)
        assert start(host=target.url, callback_rate="5")["success"]
        wait_for(lambda: target.answers > 3)
        assert [one["name"] for one in json.loads(get(f"{site}/exceptions"))["exceptions"]] == []
        assert re.search(r"Shape</dt>\s*<dd[^>]*>none<", get(f"{site}/stats/report"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
