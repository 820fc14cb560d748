"""``roomhook check``: the contract suite against an App backend."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from roomhook.cli.contract.check_reports import Reporter, ReportKind
from roomhook.cli.contract.selection import refuse_unknown
from roomhook.cli.shared import options
from roomhook.cli.shared.terminal import clear_progress, complaint, folded
from roomhook.contract_tests.model.settings import RefusalStyle, Settings
from roomhook.errors import ConfigurationError, UnreachableError
from roomhook.palette import Style
from roomhook.simulator.http_server.headers import parse_headers
from roomhook.simulator.util.defaults import SDKAPPID
from roomhook.simulator.util.limits import LONGEST_WAIT_S
from roomhook.simulator.util.signals import StopSignal, handling_stop_signals

if TYPE_CHECKING:
    from roomhook.contract_tests.engine.suite import SuiteRun
    from roomhook.contract_tests.model.verdicts import RunEvent
    from roomhook.contract_tests.reports.run_report import RunReport
    from roomhook.contract_tests.transport.target_process import TargetProcess

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_RESTART_S = 15
"""How long --watch waits for a target that restarts by itself."""


@app.command()
def check(  # noqa: PLR0917
    url: Annotated[
        str | None,
        typer.Argument(metavar="[URL]", help="Your app's callback URL; with --exec it may contain {port}."),
    ] = None,
    sdkappid: options.SdkAppId = SDKAPPID,
    token: options.Token = None,
    deadline: options.Deadline = options.DEADLINE_S,
    strict: Annotated[bool, typer.Option("--strict", help="Fail the run for SHOULD findings too.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="ID", help="Run only these ids, globs or groups, e.g. 'app-id,sign.*'; repeatable."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="ID", help="Skip these ids, globs or groups, e.g. http.burst; repeatable."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the requirements that would run, and exit.")] = False,
    refusal: Annotated[
        RefusalStyle,
        typer.Option(
            "--refusal", help="How the target refuses: with an error, or with OK after dropping the callback (silent)."
        ),
    ] = RefusalStyle.EXPLICIT,
    exec_: Annotated[
        str | None,
        typer.Option("--exec", metavar="'CMD {port}'", help="Start your app for the run, e.g. 'python app.py {port}'."),
    ] = None,
    wait_for: Annotated[
        float | None,
        typer.Option(
            "--wait-for",
            metavar="SECONDS",
            min=0,
            max=LONGEST_WAIT_S,
            help="Time for the target to start listening [seconds] (30 with --exec).",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Run again when a file here changes: what failed first, then the rest."),
    ] = False,
    watch_dir: Annotated[
        list[Path] | None,
        typer.Option("--watch-dir", metavar="DIR", help="Watch this folder instead, e.g. src; repeatable."),
    ] = None,
    enter_first: Annotated[
        bool,
        typer.Option("--enter-first", help="Send an enter callback for the members before each leave."),
    ] = False,
    room: Annotated[
        str | None, typer.Option("--room", metavar="ID", help="Use this existing room, e.g. standup.")
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option("--member", metavar="ID", help="Use this existing member, e.g. ann; repeatable."),
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option(
            "--probe",
            metavar="URL",
            help="URL that lists the members of a room, e.g. 'http://127.0.0.1:8000/rooms/{RoomId}'.",
        ),
    ] = None,
    probe_pointer: Annotated[
        str,
        typer.Option(
            "--probe-pointer",
            metavar="POINTER",
            help="JSON pointer to the list in the probe's response, e.g. /data/members.",
        ),
    ] = "",
    probe_command: Annotated[
        str | None,
        typer.Option(
            "--probe-command",
            metavar="CMD",
            help="Command that lists the members, e.g. 'redis-cli smembers room:{RoomId}'.",
        ),
    ] = None,
    enter_command: Annotated[
        str | None,
        typer.Option(
            "--enter-command", metavar="CMD", help="Command that adds a member, e.g. './enter.sh {RoomId} {Account}'."
        ),
    ] = None,
    settle: Annotated[
        float,
        typer.Option(
            "--settle",
            metavar="SECONDS",
            min=0,
            max=LONGEST_WAIT_S,
            help="Time until an effect is visible [seconds], e.g. 5.",
        ),
    ] = 2.0,
    fuzz: Annotated[
        int,
        typer.Option("--fuzz", metavar="N", min=0, help="Run fuzz.* too, with N generated packets each, e.g. 500."),
    ] = 0,
    known: Annotated[
        Path | None,
        typer.Option(
            "--known", metavar="FILE", help="Tolerate the failures listed in this file, e.g. roomhook-known.toml."
        ),
    ] = None,
    header: options.Header = None,
    cacert: options.CaCert = None,
    insecure: options.Insecure = False,
    cert: options.Cert = None,
    proxy: options.Proxy = None,
    clock_skew: Annotated[
        float,
        typer.Option(
            "--clock-skew", metavar="SECONDS", help="How far the target's clock is ahead [seconds], e.g. -30."
        ),
    ] = 0.0,
    seed: options.Seed = None,
    report: Annotated[
        list[ReportKind] | None,
        typer.Option("--report", help="Write these files into --report-dir, e.g. junit,html."),
    ] = None,
    report_dir: Annotated[
        Path, typer.Option("--report-dir", metavar="DIR", help="Folder for --report; created if missing.")
    ] = Path("roomhook-report"),
    format_: options.Format = options.OutputFormat.TEXT,
) -> None:
    """Run the contract suite against your App backend.

    Sends leave callbacks to URL, as the Room backend does, and checks the responses. Only MUST findings fail the run.

    \b
    Examples:
      roomhook check http://127.0.0.1:8000/callback --sdkappid 1400000001
      roomhook check --exec 'flask run -p {port}' http://127.0.0.1:{port}/callback
    """  # noqa: D301 (\\b keeps the lines of the examples apart)
    from roomhook.contract_tests.model.known_failures import load_known
    from roomhook.contract_tests.transport.target_process import TargetProcess

    refuse_unknown(only, exclude)
    if list_:
        _list(only or (), exclude or (), fuzz=fuzz > 0)
    if url is None and exec_ is None:
        raise ConfigurationError("check needs your callback URL, as in: roomhook check http://127.0.0.1:8000/callback")
    target, port, fixed = _target(url, started_by_us=exec_ is not None)
    settings = Settings(
        target=target,
        sdkappid=sdkappid,
        token=token,
        deadline_ms=deadline * 1000,
        strict=strict,
        refusal=refusal,
        seed=options.chosen_seed(seed),
        only=only or (),
        exclude=exclude or (),
        headers=parse_headers(header),
        cacert=cacert,
        insecure=insecure,
        cert=cert,
        proxy=options.parse_proxy(proxy),
        wait_for_s=wait_for if wait_for is not None else _RESTART_S if watch or watch_dir else 0,
        clock_skew_s=clock_skew,
        enter_first=enter_first,
        room=room,
        members=member or (),
        probe=probe.replace("{port}", str(port)) if probe and port else probe,
        probe_command=probe_command,
        probe_pointer=probe_pointer,
        enter_command=enter_command,
        settle_s=settle,
        fuzz=fuzz,
        known=load_known(known) if known else (),
        exec_command=exec_,
        exec_port=0 if fixed else port,
    )

    def judge(failed: Sequence[str] | None = None) -> RunReport:
        chosen = settings if failed is None else replace(settings, only=failed)
        with ExitStack() as stack:
            reporter = stack.enter_context(Reporter(report or (), report_dir, format_))
            process = None
            if exec_ is not None:
                process = TargetProcess(exec_, port, wait_s=30 if wait_for is None else wait_for, fixed=fixed)
                stack.callback(process.close)
            return _run(chosen, reporter, process)

    if not watch and not watch_dir:
        raise typer.Exit(judge().exit_code)
    from roomhook.cli.contract.watch import watch_and_judge

    text = format_ is options.OutputFormat.TEXT
    raise typer.Exit(watch_and_judge(judge, watch_dir or [Path()], ignored=report_dir, clear=text))


def _target(url: str | None, *, started_by_us: bool) -> tuple[str, int, bool]:
    """The target's URL, the port that --exec is to listen on, and whether that is the one that the user's URL names."""
    if not started_by_us:
        assert url is not None
        return url, 0, False
    from roomhook.contract_tests.transport.target_process import free_port

    if url is not None and "{port}" not in url:
        with suppress(ValueError):  # a malformed URL is told of by the settings
            named = urlsplit(url).port
            if named:
                return url, named, True
    port = free_port()
    return (url or "http://127.0.0.1:{port}/").replace("{port}", str(port)), port, False


def _run(settings: Settings, reporter: Reporter, process: TargetProcess | None) -> RunReport:
    from roomhook.contract_tests.engine.suite import SuiteRun
    from roomhook.contract_tests.model.verdicts import RunOutcome

    run = SuiteRun(settings, on_exchange=reporter.on_exchange, on_forecast=_say)
    stopped: KeyboardInterrupt | None = None
    with handling_stop_signals():
        try:
            report = _report_of(_events(run, process), reporter)
        except KeyboardInterrupt as error:
            stopped = error
            if not reporter.started:
                reporter.feed(run.announced())
            report = reporter.feed(run.cut_short(f"stopped by {error}" if str(error) else "stopped by Ctrl-C"))
    assert report is not None
    if report.verdict is RunOutcome.INTERRUPTED:
        typer.echo(complaint("interrupted", Style.WARNING), err=True)
    if process is not None and stopped is None:
        _show_last_output(report, process)
    if isinstance(stopped, StopSignal):
        raise typer.Exit(stopped.exit_code)
    return report


def _say(line: str) -> None:
    """Print *line* on stderr, in the place of the progress that a terminal shows."""
    clear_progress()
    typer.echo(folded(line, sys.stderr, indent=2), err=True)


def _show_last_output(report: RunReport, process: TargetProcess) -> None:
    """What the app printed last, if it can explain the result: it has crashed, or answered with a server error."""
    failed = any(one.actual.status is not None and one.actual.status >= 500 for one in report.findings)
    lines = process.last_lines
    if report.exit_code and (process.crashed or failed) and lines and lines not in report.detail:
        typer.echo(f"last output of your app{' before it ended' if process.crashed else ''}:\n{lines}", err=True)


def _report_of(events: Iterator[RunEvent], reporter: Reporter) -> RunReport | None:
    """The report that *events* end in, with progress on the way."""
    from roomhook.cli.shared.terminal import ticking_line
    from roomhook.contract_tests.model.verdicts import CaseJudged, RunStarted

    report: RunReport | None = None
    done = planned = 0
    with ticking_line() as show:
        show("starting")
        for event in events:
            if isinstance(event, RunStarted):
                planned = event.planned
                show(f"0 of {planned}")
            elif isinstance(event, CaseJudged):
                done += 1
                show(f"{done} of {planned}  {event.requirement.id}")
            else:
                show("")
            report = reporter.feed(event)
    return report


def _events(run: SuiteRun, process: TargetProcess | None) -> Iterator[RunEvent]:
    """The run; a target of ours that does not come up is as unreachable as any other, and every report says so."""
    from roomhook.contract_tests.model.verdicts import RunFinished, RunOutcome, RunStarted, Summary

    started = time.time()
    try:
        if process is not None:
            process.__enter__()
    except UnreachableError as error:
        yield RunStarted(run.settings, started, 0)
        yield RunFinished(Summary(RunOutcome.UNREACHABLE, detail=str(error)), (), time.time() - started)
    else:
        yield from run.events()


def _list(only: list[str] | tuple[str, ...], exclude: list[str] | tuple[str, ...], *, fuzz: bool) -> None:
    from roomhook.cli.contract.requirement_rows import print_row
    from roomhook.cli.shared.terminal import console, list_width
    from roomhook.contract_tests.model.register import planned

    stdout = console()
    found = planned(only, exclude, fuzz=fuzz)
    for requirement in found:
        print_row(stdout, requirement, max(len(one.id) for one in found), list_width(), margin=0)
    raise typer.Exit
