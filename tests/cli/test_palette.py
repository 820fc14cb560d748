"""Every command prints in the one palette: what means the same looks the same, and nothing is painted in a pipe."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import requests
from listener_process import clean_environment

from roomhook.cli.demo import _evening, _title
from roomhook.cli.main import COMMANDS, main
from roomhook.cli.serve.output import attempt_line, call_line
from roomhook.cli.shared.terminal import painter
from roomhook.contract_tests.app_backends.server import BackendServer
from roomhook.contract_tests.engine import selftest
from roomhook.contract_tests.engine.selftest import BackendResult
from roomhook.contract_tests.model.register import Level, load_glossary, load_groups, load_register
from roomhook.contract_tests.model.verdicts import RunOutcome
from roomhook.palette import CODES, Style
from roomhook.schemas.errata import load as load_errata
from roomhook.simulator.room_backend.runtime.activity import ApiCall
from roomhook.simulator.room_backend.runtime.store import AttemptRow

LABELS: Final = (
    "target|model|took|events|attempts|of these|acknowledged|breached|latency|service|left late|recovered|journal|run 1"
    "|received|types|e.g.|seen|expected|actual|answer|breaks|also|sent|again|fix|source|delivered:?|compliant:?|hint:"
    "|members:|try:|Why|Check|Fix|Needs|Note|Options|Source|Errata|Run|Pages|Chosen|Touches|Callbacks:|Latency .ms.:"
    "|no longer (judged|noted)"
)
NAMES: Final = {
    *load_groups(),
    *load_register(),
    *(f"{one}:" for one in (*load_glossary(), *Level)),
    *load_errata().areas.values(),
    *(one.id for one in load_errata().errata),
}
"""What reference pages have as headings."""
OUTCOMES: Final = "http-status|not-json|refused"
MEANS: Final = {
    Style.GOOD: r"PASS|CONFORMS|yes|ok|OK|(\d+ )?acknowledged|\.+|passed|matches|delivered|newly passing"
    r"|\d+ of \d+ lines",
    Style.BAD: r"FAIL|FAILED|F+|NO|no|MUST|DOES NOT CONFORM|UNREACHABLE|refused|newly failing|failing all the time:"
    rf"|(\d+ )?({OUTCOMES}), no[t ].*|{OUTCOMES}|\d+ (failed|unsent|not compliant)"
    rf"|(ack\.\w+|{OUTCOMES}) \d+| +\d+|\d{{5}}|MISSED .*|breaks ack.*|error:|\S+\.json:|roomhook: (?!interrupted).*",
    Style.WARNING: r"WARN|W+|SHOULD|INTERRUPTED|so far|newly warned about|dropped|no --secret-key:"
    "|roomhook: interrupted.*",
    Style.KNOWN: "KNOWN|k+|newly known",
    Style.NOTE: "NOTE|n+|INFO|note:|newly noted",
    Style.HEADING: r"requirements|(not judged|known failures): \d+|[1-5]  [^\x1b]*|fails if .*|broken backend .*"
    rf"|next:|from \d to \d:|{'|'.join(map(re.escape, NAMES))}",
    Style.MUTED: rf"-+|\d\d:\d\d:\d\d(\.\d{{3}})?|{LABELS}",
}
"""All that is painted, by what it means; no text of one meaning may have the style of another."""
_PAINTED: Final = re.compile(r"\x1b\[(?P<code>[\d;]*)m(?P<text>.*?)\x1b\[0m(?=(?P<rest>[^\n]*))", re.DOTALL)
_STYLES: Final = {str(code): style for style, code in CODES.items()}

Run = Callable[..., str]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "ROOMHOOK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("ROOMHOOK_SEED", "7")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """What a command prints on both streams: in colours, or as *environment* and the streams have it."""

    def run(*arguments: str, **environment: str) -> str:
        for name, value in (environment or {"FORCE_COLOR": "1"}).items():
            monkeypatch.setenv(name, value)
        main(arguments)
        return "".join(capsys.readouterr())

    return run


def painted(text: str) -> dict[str, Style]:
    """Each painted part of *text* with its style; fails for a look that the palette lacks, and for two of one text."""
    found: dict[str, Style] = {}
    for one in _PAINTED.finditer(text):
        assert one["code"] in _STYLES, f"{one['text']!r} has the look {one['code']!r}, which is not in the palette"
        named = one["text"] if one["text"] != "roomhook:" else one["text"] + one["rest"]
        assert found.setdefault(named, _STYLES[one["code"]]) is _STYLES[one["code"]], f"{named!r} has two styles"
    return found


def check(text: str, *expected: str) -> None:
    """Each painted part of *text* has the style of what it means, and the *expected* parts are painted."""
    found = painted(text)
    for part, style in found.items():
        assert re.fullmatch(MEANS[style], part), f"{part!r} is painted as {style.name}"
    missing = [one for one in expected if one not in found]
    assert not missing, f"not painted: {missing}; painted: {found}"


NOBODY: Final = "http://127.0.0.1:1/callback"
CASES: Final = {
    "check, passing": ("check {right} --only ack,type", "requirements", ".................", "CONFORMS", "yes"),
    "check, failing": ("check {wrong} --only ack", "FAIL", "NO", "DOES NOT CONFORM", "seen", "fix", "hint:"),
    "check, warned": ("check {warned} --only bad.scalar,ack.ok", "WARN", "W", "CONFORMS"),
    "check, noted": ("check {right} --only url,ack.ok", "NOTE", "n"),
    "check, unreachable": (f"check {NOBODY}", "UNREACHABLE", "hint:"),
    "check, listed": ("check --list --only ack.ok,ack.margin,url.https", "MUST", "SHOULD", "INFO"),
    "fire": ("fire leave {right}", "delivered", "acknowledged", "yes"),
    "fire, failing": ("fire leave {wrong}", "compliant", "no"),
    "fire, unreachable": (f"fire leave {NOBODY}", "no", "hint:"),
    "fire, often": ("fire leave {right} --times 2", "acknowledged", "2 acknowledged"),
    "traffic": ("traffic {right} --events 5 --rate 500/s --journal run.db", "target", "latency", "journal"),
    "traffic, failing": ("traffic {wrong} --events 5 --rate 500/s", "5 failed", "not-json 5", "ack.json 5", "e.g."),
    "traffic, written": ("traffic --events 1",),
    "requirements": ("requirements", "ack", "MUST", "SHOULD", "INFO"),
    "explain": ("explain ack.ok", "ack.ok", "MUST", "Why", "Run", "MUST:"),
    "errata": ("errata", *load_errata().areas.values()),
    "errata, one": ("errata platform-mac", "platform-mac", "Pages", "Source"),
    "schema": ("schema",),
    "schema, one": ("schema leave",),
    "backend, listed": ("backend --list",),
    "init": ("init", "next:"),
}
"""A command line, and what it has to paint; {right}, {wrong} and {warned} are the URLs of App backends."""


@pytest.mark.parametrize("name", CASES)
def test_what_means_the_same_looks_the_same(name: str, server: BackendServer, said: Run) -> None:
    line, *expected = CASES[name]
    addresses = {"right": server.url(), "wrong": server.url("ack.json"), "warned": server.url("bad.scalar")}
    check(said(*line.format(**addresses).split()), *expected)


def test_journals_and_replays_look_as_the_run_did(server: BackendServer, said: Run) -> None:
    said("traffic", server.url("ack.json"), "--events", "5", "--rate", "500/s", "--journal", "run.db")
    check(said("journal", "run.db"), "journal", "events", "5 failed", "not-json 5", "ack.json 5")
    check(said("journal", "run.db", "--limit", "2"), "not-json")
    check(said("replay", "run.db", server.url(), "--only-failed"), "target", "events", "latency")
    check(said("journal", "run.db", "--drift"))


def test_reports_look_as_their_runs_did(server: BackendServer, said: Run) -> None:
    for folder, target in (("a", server.url()), ("b", server.url("ack.json"))):
        said("check", target, "--only", "ack.ok,ack.json", "--report", "json", "--report-dir", folder)
    a, b = "a/roomhook.json", "b/roomhook.json"
    check(said("report", b), "FAIL", "DOES NOT CONFORM", "hint:")
    check(said("report", a, b), "CONFORMS", "DOES NOT CONFORM", "NO", "yes", "MUST", "F", ".")
    check(said("report", a, b, "--over-time"), "newly failing", "from 1 to 2:")


def test_judged_documents_look_alike(tmp_path: Path, said: Run) -> None:
    answer = '{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}\n'
    (tmp_path / "good.json").write_text(answer)
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "two.ndjson").write_text(answer * 2)
    judged = said("schema", "response", "--validate", "good.json", "bad.json", "two.ndjson")
    check(judged, "matches", "bad.json:", "2 of 2 lines")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_alike(command: str, said: Run) -> None:
    text = said(command, "--unheard-of")
    assert text.startswith(f"\x1b[{CODES[Style.BAD]}mroomhook:\x1b[0m ")
    check(text)


def test_an_interruption_is_a_warning(said: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("roomhook.cli.contract.explain.select", interrupted)
    text = said("explain", "ack.ok")
    assert text.startswith(f"\x1b[{CODES[Style.WARNING]}mroomhook:\x1b[0m interrupted")


def test_the_demo_looks_as_the_other_commands_do(
    server: BackendServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _title(1, "Start an App backend")
    assert _evening(server, 7)
    check(capsys.readouterr().out, "1  Start an App backend", "OK")


def test_a_selftest_paints_its_verdict_and_what_it_missed(said: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, violates = frozenset({"ack.ok"}), RunOutcome.VIOLATES
    right = BackendResult("ack.ok", "a defect", ids, ids, violates, violates, 0.1)
    wrong = replace(right, found=frozenset())
    for results, expected in (([right], "PASS"), ([right, wrong], "MISSED ack.ok")):
        monkeypatch.setattr(selftest, "selftest", lambda *_, **__: iter(results))  # noqa: B023 (used at once)
        check(said("selftest", "ack.ok"), expected)


def started(*arguments: str) -> str:
    """What a command prints in colours until Ctrl-C; a server gets an empty callback before."""
    command = [sys.executable, "-m", "roomhook", *arguments]
    environment = clean_environment() | {"FORCE_COLOR": "1", "TERM": "xterm"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        assert process.stdout is not None
        shown = [process.stdout.readline()]
        while "Ctrl-C" not in shown[-1]:
            shown.append(process.stdout.readline())
        if arguments[0] == "listen":
            requests.post(shown[0].strip(), data="{}", timeout=10)
            shown.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        return "".join(shown) + process.stdout.read()


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("backend", "--listen", "127.0.0.1:0"), ("members:", "try:")),
        (("listen", "--listen", "127.0.0.1:0"), ("refused",)),
        (("serve", "--memory", "--listen", "127.0.0.1:0"), ("no --secret-key:",)),
    ],
)
def test_servers_look_as_the_other_commands_do(arguments: tuple[str, ...], expected: tuple[str, ...]) -> None:
    check(started(*arguments), *expected)


def test_the_lines_of_serve_look_as_those_of_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    paint = painter()
    check(call_line(ApiCall(0, "/sim/clock", b"{}", 0, "", 9), paint), "ok")
    check(call_line(ApiCall(0, "/v4/x", b"{}", 70009, "no usersig", 9), paint), "70009")
    sent = AttemptRow(1, 1, "first", 0, 900, 0, "delivered", 200, "ack.bom ack.json", "delivered")
    check(attempt_line(sent, "X", b"{}", 200, paint=paint), "delivered", "breaks ack.bom, ack.json")
    check(attempt_line(sent._replace(outcome="http-status"), "X", b"{}", 500, paint=paint), "http-status")
    check(attempt_line(sent._replace(outcome="dropped"), "X", b"{}", None, paint=paint), "dropped")


@pytest.mark.exhaustive
@pytest.mark.long
def test_a_load_test_looks_as_the_other_commands_do(said: Run) -> None:
    with BackendServer(sdkappid=1400123456) as refusing:
        shown = said("load", refusing.url(), "--duration", "1s", "--rate", "20/s")
    check(shown, "passed", "FAILED", "Callbacks:", "Latency (ms):", "hint:")
    assert "ack.ok: delivered, but answered with an ActionStatus that is not OK" in shown
    assert " SdkAppid was 1400000001, our own default: give yours with --sdkappid." in shown


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_painted_in_a_pipe_or_on_a_dumb_terminal(
    name: str, server: BackendServer, said: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = {"right": server.url(), "wrong": server.url("ack.json"), "warned": server.url("bad.scalar")}
    arguments = CASES[name][0].format(**addresses).split()
    assert "\x1b" not in said(*arguments, TERM="xterm")
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: True)
    assert "\x1b" not in said(*arguments, TERM="dumb")
    colourless = said(*arguments, TERM="xterm", NO_COLOR="1")
    assert not re.search(r"\x1b\[[\d;]*m", colourless)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_error_is_plain_in_a_pipe_and_without_colours(
    command: str, said: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in said(command, "--unheard-of", TERM="xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "\x1b" not in said(command, "--unheard-of", TERM="xterm", NO_COLOR="1")
    assert "\x1b" not in said(command, "--unheard-of", TERM="dumb", FORCE_COLOR="1")
