"""``roomhook load``: locust over our users, shapes and thresholds, in one command with good defaults."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from roomhook.cli import options
from roomhook.schemas.errors import ConfigurationError, RoomhookError
from roomhook.simulator.profiles import Profile

__all__ = ["Engine", "Shape", "app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_DEFAULT_THRESHOLDS: Final = ("noncompliant>0", "delivered<99%")
_MOST_USERS: Final = 100
_CLOSED_LOOP_CONNECTIONS: Final = 64
_OPEN_LOOP_CONNECTIONS: Final = 1024
_CAREFUL_RATE: Final = 1000
_INTERRUPTED: Final = 130
_OURS: Final = 4
_LOG_LINES: Final = 5


class Engine(StrEnum):
    """What sends."""

    FAST = "fast"
    GEVENT = "gevent"
    REQUESTS = "requests"


class Shape(StrEnum):
    """How the rate moves."""

    RAMP = "ramp"
    SPIKE = "spike"
    OUTAGE = "outage"
    SOAK = "soak"
    STAIRCASE = "staircase"


@dataclass(frozen=True, slots=True)
class _Loop:
    """Users, callbacks/s of each (0: closed loop), and the bound of the fast lane's connections."""

    users: int
    rate: float
    connections: int


@app.command()
def load(
    url: options.Url,
    *,
    sdkappid: options.SdkAppId = options.OUR_SDKAPPID,
    token: options.Token = None,
    header: options.Header = None,
    deadline: options.Deadline = 2.0,
    cacert: options.CaCert = None,
    insecure: options.Insecure = False,
    cert: options.Cert = None,
    duration: Annotated[str, typer.Option(metavar="TIME", help="How long, e.g. 30s, 10m or 1h.")] = "30s",
    rate: Annotated[
        str, typer.Option(metavar="RATE", help="The full rate, e.g. 2000/s; max sends as answers come (closed loop).")
    ] = "200/s",
    connections: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most N in flight. [default: 64 at --rate max, else 1024]"),
    ] = None,
    users: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Locust users that share the rate. [default: up to 100]"),
    ] = None,
    shape: Annotated[Shape, typer.Option(help="How the rate moves up to the full one.")] = Shape.RAMP,
    engine: Annotated[
        Engine, typer.Option(help="The fast lane, locust's FastHttpUser, or locust's HttpUser (requests).")
    ] = Engine.FAST,
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Locust workers on this machine, each with a sender of its own.")
    ] = 1,
    profile: Annotated[Profile, typer.Option(help="The traffic of the simulated rooms.")] = Profile.STEADY,
    rooms: Annotated[
        str | None, typer.Option(metavar="N|FILE", help="How many rooms, e.g. 50, or a file with their ids.")
    ] = None,
    people: Annotated[Path | None, typer.Option(metavar="FILE", help="Existing accounts, one a line.")] = None,
    with_enter: Annotated[
        bool, typer.Option("--with-enter", help="Also call back Room.CallbackAfterMemberEnter.")
    ] = False,
    seed: options.Seed = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="THRESHOLD",
            help="Exit with 1 if this holds, e.g. 'p99>500ms' or 'rate<1000/s'; repeatable. "
            "[default: 'noncompliant>0', 'delivered<99%']",
        ),
    ] = None,
    report_dir: Annotated[
        Path, typer.Option(metavar="DIR", help="Where load.html, load.json and load.xml (JUnit) go; made if missing.")
    ] = Path("roomhook-report"),
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A target outside this machine that you may flood; repeatable."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="More than 1,000/s to another machine is meant so.")] = False,
    output: options.Format = options.OutputFormat.TEXT,
) -> None:
    """Find out what an App backend takes: callbacks at a rate, every answer judged, thresholds that decide.

    Example: roomhook load http://127.0.0.1:8000/callback --rate 500/s --fail-if 'p99>200ms' --fail-if 'noncompliant>0'
    """
    from roomhook.loadtests.thresholds import parse_threshold
    from roomhook.simulator.callback_url import CallbackUrl
    from roomhook.simulator.durations import parse_duration
    from roomhook.simulator.pacing import parse_rate
    from roomhook.simulator.safety import is_this_machine, require_allowed

    if importlib.util.find_spec("locust") is None:
        raise ConfigurationError("roomhook load runs on locust: pip install 'roomhook[load]'")
    target = CallbackUrl.parse(url)
    require_allowed(target, allow_host or ())
    full = parse_rate(rate)
    if (full is None or full > _CAREFUL_RATE) and not yes and not is_this_machine(target.host):
        raise ConfigurationError(f"--rate {rate} to {target.host} is more than 1,000/s: add --yes if that is meant so")
    thresholds = [parse_threshold(one).text for one in fail_if or _DEFAULT_THRESHOLDS]
    seconds = parse_duration(duration) / 1000
    if seconds < 1:
        raise ConfigurationError(f"--duration {duration} is too short to say anything; give 10s or more")
    options.parse_headers(header)
    loop = _loop(full, users, connections, processes)
    folder = _made(report_dir)
    chosen = options.chosen_seed(seed)
    _check_reachable(url, sdkappid, cacert, cert, insecure=insecure)
    arguments = [
        *("--host", url, "--headless", "--only-summary", "--users", str(loop.users), "--spawn-rate", str(loop.users)),
        *("--run-time", f"{seconds:g}s" if seconds != int(seconds) else str(int(seconds))),
        *("--sdkappid", str(sdkappid), "--deadline", str(deadline), "--seed", str(chosen)),
        *("--callback-profile", profile.value, "--callback-rate", repr(loop.rate)),
        *("--callback-connections", str(loop.connections), "--engine", engine.value, "--shape", shape.value),
        *(word for text in thresholds for word in ("--fail-if", text)),
        *(("--rooms", _path_or_number(rooms)) if rooms else ()),
        *(("--people", str(people.resolve())) if people else ()),
        *(("--cacert", str(cacert.resolve())) if cacert else ()),
        *(("--cert", str(cert.resolve())) if cert else ()),
        *(["--insecure"] if insecure else []),
        *(["--with-enter"] if with_enter else []),
        *(("--processes", str(processes)) if processes > 1 else ()),
        *("--html", str(folder / "load.html"), "--verdict-json", str(folder / "load.json")),
        *("--verdict-junit", str(folder / "load.xml")),
    ]
    typer.echo(f"seed {chosen} (--seed {chosen} sends the same people and rooms again)", err=True)
    code, table, interrupted = _run(arguments, folder, _secrets(token, header), seconds)
    if output is options.OutputFormat.JSON:
        typer.echo((folder / "load.json").read_text(encoding="utf-8"), nl=False)
    else:
        typer.echo(table.strip("\n"))
        typer.echo(f"\nReport: {report_dir / 'load.html'}")
    raise typer.Exit(_INTERRUPTED if interrupted else code)


def _loop(rate: float | None, users: int | None, connections: int | None, processes: int) -> _Loop:
    if rate is None:
        if users is not None and connections is not None and users != connections:
            raise ConfigurationError("at --rate max each user is one connection: give --users or --connections")
        count = users or connections or _CLOSED_LOOP_CONNECTIONS
        return _Loop(count, 0.0, count)
    count = users or max(min(_MOST_USERS, int(rate)), processes)
    return _Loop(count, rate / count, -(-(connections or _OPEN_LOOP_CONNECTIONS) // processes))


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--report-dir {folder} can't be made: {error.strerror}") from None
    for name in ("load.html", "load.json", "load.xml", "locust.log"):
        (folder / name).unlink(missing_ok=True)  # what an earlier run has left must not pass for this one's
    return folder.resolve()


def _path_or_number(rooms: str) -> str:
    return rooms if rooms.lstrip("-").isdigit() else str(Path(rooms).resolve())


def _check_reachable(url: str, sdkappid: int, cacert: Path | None, cert: Path | None, *, insecure: bool) -> None:
    """Raise ``UnreachableError`` before anything is started, if nobody answers."""
    from roomhook.loadtests.settings import LoadSettings
    from roomhook.simulator.sender import Sender, run_loop

    settings = LoadSettings(
        url=url,
        sdkappid=sdkappid,
        seed=0,
        cacert=str(cacert) if cacert else None,
        insecure=insecure,
        cert=str(cert) if cert else None,
    )

    async def check() -> None:
        async with Sender(settings.target(), connections=1) as sender:
            await sender.check_reachable()

    run_loop(check())


def _secrets(token: str | None, headers: list[str] | None) -> dict[str, str]:
    """What must not stand where `ps` shows it, as environment variables."""
    import msgspec

    from roomhook.loadtests.progress import HEADERS

    found = {HEADERS: msgspec.json.encode(headers or []).decode()}
    if options.parse_token(token) is not None:
        found["ROOMHOOK_TOKEN"] = str(token)
    return found


def _run(arguments: list[str], folder: Path, secrets: dict[str, str], seconds: float) -> tuple[int, str, bool]:
    """Run locust with *arguments*, show how it goes; its exit code, the table of verdicts, whether it was cut off."""
    from roomhook.cli.progress import progress_line
    from roomhook.loadtests.progress import PROGRESS_FD

    locustfile = importlib.util.find_spec("roomhook.loadtests.locustfile")
    assert locustfile is not None
    assert locustfile.origin is not None
    command = [sys.executable, "-P", "-m", "locust", "-f", str(Path(locustfile.origin).resolve()), *arguments]
    # What people have set for their own locust files is not meant for ours; neither are our options a second time.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LOCUST_", "ROOMHOOK_"))}
    environment |= secrets
    reading, writing = os.pipe()
    environment[PROGRESS_FD] = str(writing)
    log = folder / "locust.log"
    with log.open("wb") as file, progress_line() as show, os.fdopen(reading, "rb") as lines:
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and arguments)
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, cwd=folder, pass_fds=[writing]
        )
        os.close(writing)
        table, interrupted = _follow(lines, show, seconds)
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
    if not table:
        _explain(log, code)
    return code if code in {0, 1, 2, _OURS} else _OURS, table, interrupted


def _follow(lines: Any, show: Callable[[str], None], seconds: float) -> tuple[str, bool]:
    """Show each line of progress until the last one, the table. Ctrl-C reaches locust too, which ends in order."""
    import msgspec

    table, interrupted = "", False
    while True:
        try:
            line = lines.readline()
        except KeyboardInterrupt:
            interrupted = True
            continue
        if not line:
            return table, interrupted
        found: dict[str, Any] = msgspec.json.decode(line)
        table = found.get("table", table)
        if "users" in found:
            show(
                f"{found['elapsed_s']:.0f}/{seconds:.0f} s  {found['users']} users  {found['rate']:,}/s  "
                f"{found['requests']:,} callbacks, {found['noncompliant']:,} not compliant  "
                f"p50 {found['p50_ms']:.1f} ms  p99 {found['p99_ms']:.1f} ms"
            )


def _explain(log: Path, code: int) -> None:
    """Locust ended before there was a verdict: raise what it said, ours in our own words."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        if line.startswith("roomhook: "):
            raise ConfigurationError(line.removeprefix("roomhook: "))
    tail = " | ".join(line.strip() for line in lines[-_LOG_LINES:] if line.strip())
    raise RoomhookError(f"locust ended with exit code {code} and no verdict: {tail} (all of it: {log})")
