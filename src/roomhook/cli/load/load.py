"""``roomhook load``: starts locust with our users, shapes and thresholds, and reports the verdict."""

from __future__ import annotations

import importlib.util
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from roomhook.cli.shared import options
from roomhook.cli.shared.terminal import complaint, fitted, painter, repainted
from roomhook.errors import ConfigurationError
from roomhook.loadtests.workload.engine_names import LoadEngine
from roomhook.loadtests.workload.shape_names import LoadShape
from roomhook.palette import Style
from roomhook.simulator.http_server.headers import parse_headers
from roomhook.simulator.traffic.profiles import Profile
from roomhook.simulator.util.defaults import SDKAPPID
from roomhook.simulator.util.limits import MOST, MOST_USERS

if TYPE_CHECKING:
    from roomhook.loadtests.results.thresholds import Threshold
    from roomhook.loadtests.workload.settings import LoadSettings

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_PAINTED: Final = (
    (r"^fails if .*", Style.HEADING),
    (r"^(Callbacks|Latency \(ms\)|  delivered):", Style.MUTED),
    (r"passed$", Style.GOOD),
    (r"FAILED$", Style.BAD),
    (r"\b[1-9][\d,]* (not compliant|due but unsent)", Style.BAD),
    (r"^ +[\d,]+(?=  \S)", Style.BAD),
    (r"^error:", Style.BAD),
    (r"^note:", Style.NOTE),
)
"""Which parts of the closing table have which style."""
_DEFAULT_THRESHOLDS: Final = ("noncompliant>0", "delivered<99%")
_OF_A_STAIRCASE: Final = "lateness>500ms"
"""A step of a staircase fails when callbacks leave this late (median), whatever the responses."""
_MOST_USERS: Final = 100
_CLOSED_LOOP_CONNECTIONS: Final = 64
_OPEN_LOOP_CONNECTIONS: Final = 1024
_CAREFUL_RATE: Final = 1000
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class _Loop:
    """Number of users, callbacks/s of each (0: closed loop), and maximum connections of the fast sender."""

    users: int
    rate: float
    connections: int


@app.command()
def load(
    url: options.Url,
    *,
    sdkappid: options.SdkAppId = SDKAPPID,
    token: options.Token = None,
    header: options.Header = None,
    deadline: options.Deadline = options.DEADLINE_S,
    cacert: options.CaCert = None,
    insecure: options.Insecure = False,
    cert: options.Cert = None,
    duration: Annotated[str, typer.Option(metavar="TIME", help="Length of the test, e.g. 30s, 10m or 1h.")] = "30s",
    rate: Annotated[
        str, typer.Option(metavar="RATE", help="Target rate, e.g. 2000/s; max sends after each response (closed loop).")
    ] = "200/s",
    connections: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=MOST,
            help="Send at most N at once, e.g. 256 (default: 64 at --rate max, else 1024).",
        ),
    ] = None,
    users: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=MOST_USERS, help="Locust users that share the rate, e.g. 50 (default: up to 100)."
        ),
    ] = None,
    shape: Annotated[
        LoadShape, typer.Option(help="Course of the rate; staircase finds the highest that passes.")
    ] = LoadShape.RAMP,
    engine: Annotated[
        LoadEngine, typer.Option(help="Sender: ours (fast), locust's FastHttpUser (gevent) or its HttpUser (requests).")
    ] = LoadEngine.FAST,
    processes: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=256, help="Locust workers on this machine, e.g. one per core."),
    ] = 1,
    profile: Annotated[Profile, typer.Option(help="Kind of traffic in the simulated rooms.")] = Profile.STEADY,
    rooms: Annotated[
        str | None, typer.Option(metavar="N|FILE", help="Number of rooms, e.g. 50, or a file of RoomIds, one per line.")
    ] = None,
    people: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of existing accounts, one per line, e.g. users.txt.")
    ] = None,
    with_enter: Annotated[bool, typer.Option("--with-enter", help="Also send enter callbacks.")] = False,
    seed: options.Seed = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="THRESHOLD",
            help="Fail if this is true, e.g. 'p99>500ms' or 'rate<1000/s'; repeatable. 'noncompliant>0' and "
            "'delivered<99%' apply too, unless you set your own limit for them.",
        ),
    ] = None,
    report_dir: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder for load.html, load.json and load.xml (JUnit); created if missing."),
    ] = Path("roomhook-report"),
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Allow this remote target, e.g. staging.example.com; repeatable."),
    ] = None,
    web: Annotated[
        bool, typer.Option("--web", help="Open locust's web UI with these options; press Start there.")
    ] = False,
    web_port: Annotated[
        int, typer.Option(metavar="N", min=1, max=65535, help="Port of the web UI on 127.0.0.1, e.g. 8090.")
    ] = 8089,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm more than 1,000/s to a remote host.")] = False,
    output: options.Format = options.OutputFormat.TEXT,
) -> None:
    """Load-test your App backend: send callbacks at a rate, check every response, and apply thresholds.

    Example: roomhook load http://127.0.0.1:8000/callback --fail-if 'p99>200ms'
    """
    from roomhook.cli.load.locust_process import LocustRun
    from roomhook.loadtests.results.thresholds import parse_threshold
    from roomhook.loadtests.workload.settings import LoadSettings, parse_rooms
    from roomhook.simulator.protocol.callback_request import masked_url
    from roomhook.simulator.protocol.callback_url import CallbackUrl
    from roomhook.simulator.sending.pacing import parse_rate
    from roomhook.simulator.transport.allowed_hosts import is_this_machine, require_allowed

    if importlib.util.find_spec("locust") is None:
        raise ConfigurationError(
            "roomhook load needs locust: install Roomhook with its load extra, pip install '.[load]' in its folder"
        )
    target = CallbackUrl.configured(url)
    require_allowed(target, allow_host or ())
    full = parse_rate(rate)
    if (full is None or full > _CAREFUL_RATE) and not yes and not is_this_machine(target.host):
        raise ConfigurationError(
            f"--rate {rate} to {target.host} is more than 1,000/s to a remote host: add --yes to confirm"
        )
    thresholds = [parse_threshold(one) for one in fail_if or ()]
    given = {one.metric for one in thresholds}
    defaults = (*_DEFAULT_THRESHOLDS, *([_OF_A_STAIRCASE] if shape is LoadShape.STAIRCASE else []))
    thresholds += [one for one in map(parse_threshold, defaults) if one.metric not in given]
    _refuse_the_impossible(thresholds, rate, full)
    seconds = _whole_seconds(duration)
    loop = _loop(full, users, connections, processes)
    page = _web_address(web_port) if web else None
    folder = _made(report_dir)
    chosen = options.chosen_seed(seed)
    settings = LoadSettings(
        url=url,
        sdkappid=sdkappid,
        seed=chosen,
        token=options.parse_token(token),
        headers=parse_headers(header),
        profile=profile.value,
        rooms=parse_rooms(rooms),
        people=_absolute(people),
        with_enter=with_enter,
        deadline_s=deadline,
        rate=loop.rate,
        connections=loop.connections,
        cacert=_absolute(cacert),
        insecure=insecure,
        cert=_absolute(cert),
    ).check()
    _check_reachable(settings)
    arguments = [
        *("--users", str(loop.users), "--spawn-rate", str(loop.users), "--run-time", str(seconds)),
        *(("--web-host", _LOOPBACK, "--web-port", str(web_port)) if web else ("--headless", "--only-summary")),
        *("--engine", engine.value, "--shape", shape.value),
        *(word for one in thresholds for word in ("--fail-if", one.text)),
        *(_workers(processes) if processes > 1 else ()),
        *(word for host in allow_host or () for word in ("--allow-host", host)),
    ]
    typer.echo(f"seed {chosen} (--seed {chosen} sends the same people and rooms again)", err=True)
    title = f"{shape} to {rate} at {masked_url(url)}"
    run = LocustRun(arguments, settings, folder, seconds=seconds, title=title, web=page)
    result = run.finish()
    if result.document is None:
        typer.echo(complaint(result.table, Style.WARNING), err=True)
    elif output is options.OutputFormat.JSON:
        typer.echo(result.document, nl=False)
    else:
        typer.echo("\n".join(_painted(fitted(line, 4)) for line in result.table.strip("\n").split("\n")))
        hint = options.own_app_id_hint(sdkappid) if "ack.ok:" in result.table else ""
        if hint:
            typer.echo(f"{painter()('hint:', Style.MUTED)} {hint}")
        typer.echo(f"\nReport: {report_dir / 'load.html'}")
    raise typer.Exit(result.code)


def _painted(line: str) -> str:
    """*line* of the closing table with its label, its verdict, and what failed painted."""
    for pattern, style in _PAINTED:
        line = repainted(line, pattern, style)
    return line


def _web_address(port: int) -> str:
    """The address of locust's web UI; raises ``ConfigurationError`` if *port* is taken."""
    from roomhook.simulator.http_server.asgi_server import listening_socket

    listening_socket(_LOOPBACK, port, "choose another --web-port").close()
    return f"http://{_LOOPBACK}:{port}"


def _whole_seconds(duration: str) -> int:
    from roomhook.simulator.util.durations import parse_duration

    with options.naming("--duration"):
        seconds, rest = divmod(parse_duration(duration), 1000)
    if not seconds:
        raise ConfigurationError(f"--duration {duration} is too short: use 1s or more (whole seconds)")
    if rest:
        raise ConfigurationError(f"--duration {duration}: use whole seconds, e.g. {seconds + 1}s")
    return int(seconds)


def _refuse_the_impossible(thresholds: list[Threshold], asked: str, full: float | None) -> None:
    """Raise ``ConfigurationError`` for a threshold that requires a higher rate than the test sends."""
    for one in thresholds:
        if one.metric == "rate" and one.sign in {"<", "<="} and full is not None and one.limit > full:
            raise ConfigurationError(f"--fail-if {one.text!r} can never pass at --rate {asked}: use a higher --rate")


def _loop(rate: float | None, users: int | None, connections: int | None, processes: int) -> _Loop:
    if rate is None:
        if users is not None and connections is not None and users != connections:
            raise ConfigurationError(
                "at --rate max each user is one connection: give --users or --connections, not both"
            )
        count = users or connections or _CLOSED_LOOP_CONNECTIONS
        if count > MOST_USERS:
            raise ConfigurationError(
                f"--connections {count}: at --rate max each is a locust user: use {MOST_USERS:,} at most"
            )
        return _Loop(count, 0.0, count)
    count = users or max(min(_MOST_USERS, int(rate)), processes)
    return _Loop(count, rate / count, -(-(connections or _OPEN_LOOP_CONNECTIONS) // processes))


def _workers(count: int) -> tuple[str, ...]:
    """Options for a master and *count* workers that talk on a free loopback port, since they exchange the token."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    master = ("--master-bind-host", "127.0.0.1", "--master-bind-port", port)
    return ("--processes", str(count), *master, "--master-host", "127.0.0.1", "--master-port", port)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"--report-dir {folder} cannot be created: {error.strerror}; choose a writable folder"
        ) from None
    return folder.resolve()


def _absolute(path: Path | None) -> str | None:
    """*path* for locust, which runs in another folder."""
    return None if path is None else str(path.absolute())


def _check_reachable(settings: LoadSettings) -> None:
    """Raise ``UnreachableError`` before the test starts, if the target accepts no connection."""
    from roomhook.simulator.transport.sender import Sender, run_loop

    async def check() -> None:
        async with Sender(settings.target(), connections=1) as sender:
            await sender.check_reachable()

    run_loop(check())
