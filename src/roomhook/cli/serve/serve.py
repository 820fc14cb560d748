"""``roomhook serve``: the mock Room backend with the documented REST, live rooms and its own clock."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from roomhook.cli.shared.access import guard_rules
from roomhook.cli.shared.options import (
    DEADLINE_S,
    CaCert,
    Cert,
    Deadline,
    Insecure,
    parse_address,
    parse_token,
)
from roomhook.cli.shared.terminal import folded, painter
from roomhook.errors import ConfigurationError
from roomhook.palette import Style
from roomhook.simulator.protocol.identifiers import check_sdkappid
from roomhook.simulator.protocol.room_packets import RoomType
from roomhook.simulator.room_backend.state.options import BackendOptions, DestroyOrder, EmptySeat
from roomhook.simulator.rooms.behaviour import BackendBehaviour, BulkKick, CountMoment, Dissolution, ExpiredOperator
from roomhook.simulator.transport.retry_policy import PROFILES, RetryProfile
from roomhook.simulator.util.defaults import SDKAPPID
from roomhook.simulator.util.limits import LONGEST_WAIT_S

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from roomhook.simulator.http_server.http_guard import GuardRules
    from roomhook.simulator.room_backend.runtime.service import Service
    from roomhook.simulator.room_backend.state.options import AppSettings

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_A_YEAR_S = 31_536_000
_LATEST_MS = 9_999_999_999_999


_ClockKind = Literal["real", "virtual"]

_Listen = Annotated[
    str,
    typer.Option(
        "--listen",
        metavar="HOST:PORT",
        help="Address to listen on, e.g. 0.0.0.0:8090 with --auth; port 0 takes a free one.",
    ),
]
_Auth = Annotated[
    str | None,
    typer.Option(
        "--auth",
        metavar="TOKEN",
        help="Require this token for /sim and the console; needed beyond loopback. Better: set ROOMHOOK_AUTH.",
    ),
]
_AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="HOST",
        help="Allow callback URLs on this host, and requests with it in Host; repeatable.",
    ),
]
_Apps = Annotated[
    list[int] | None,
    typer.Option("--sdkappid", metavar="N", help="An app's SDKAppID; repeatable for several, e.g. 1400000002."),
]
_Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--secret-key",
        metavar="KEY",
        help="Verify UserSig with this key; with several apps N=KEY. Better: set ROOMHOOK_SECRET_KEY.",
    ),
]
_Tokens = Annotated[
    list[str] | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="Sign callbacks with this token; with several apps N=TOKEN. Better: set ROOMHOOK_TOKEN.",
    ),
]
_Callback = Annotated[
    str | None,
    typer.Option("--callback", metavar="URL", help="Send callbacks to this URL, as set_callback would."),
]
_Commands = Annotated[
    str | None,
    typer.Option(
        "--commands",
        metavar="LIST",
        help="Callbacks to send, e.g. Room.CallbackAfterMemberLeave; separated by commas (default: all).",
    ),
]
_Administrator = Annotated[
    str, typer.Option("--administrator", metavar="ID", help="App administrator, the identifier of REST calls.")
]
_State = Annotated[
    Path,
    typer.Option("--state", metavar="FILE", help="Keep rooms and callbacks in this file; the next run continues it."),
]
_Memory = Annotated[bool, typer.Option("--memory", help="Write nothing to disk; unsent callbacks are lost at the end.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no line for each call and callback.")]
_Clock = Annotated[
    _ClockKind, typer.Option("--clock", help="Clock; the virtual one stops until POST /sim/clock/advance.")
]
_ClockStart = Annotated[
    int | None,
    typer.Option(
        "--clock-start",
        metavar="MS",
        min=0,
        max=_LATEST_MS,
        help="Start of a virtual clock (ms since 1970), e.g. 1700000000000.",
    ),
]
_Heartbeat = Annotated[
    str,
    typer.Option("--heartbeat", metavar="FROM-TO", help="Seconds until a lost heartbeat expires. Erratum heartbeat."),
]
_RetryOption = Annotated[RetryProfile, typer.Option("--retry", help="Retry undelivered callbacks. Erratum retries.")]
_InFlight = Annotated[
    int,
    typer.Option("--in-flight", metavar="N", min=1, max=1024, help="Most callbacks of one app in flight, e.g. 4."),
]
_Calls = Annotated[
    int, typer.Option("--calls-per-second", metavar="N", min=1, help="Limit of each REST API of each app [calls/s].")
]
_MaxMembers = Annotated[
    int, typer.Option("--max-members", metavar="N", min=1, help="Default MaxMemberCount of a room, e.g. 500.")
]
_Lenient = Annotated[
    bool,
    typer.Option("--lenient", help="Ignore unknown fields, parameters, callback names and any Content-Type in calls."),
]
_Expired = Annotated[
    ExpiredOperator,
    typer.Option("--expired-operator", help="Operator_Account of an expiry. Erratum operator-of-expired."),
]
_Count = Annotated[
    CountMoment,
    typer.Option("--member-count", help="MemberCount before or after the leave. Erratum member-count-when."),
]
_Bulk = Annotated[
    BulkKick,
    typer.Option("--bulk-kick", help="One packet for a kick of several, or one each. Erratum several-members."),
]
_Dissolution = Annotated[
    Dissolution,
    typer.Option("--dissolution", help="Callback for members inside a destroyed room. Erratum leave-on-destroy."),
]
_Order = Annotated[
    DestroyOrder, typer.Option("--destroy-order", help="Order of destroy and leave callbacks. Erratum destroy-order.")
]
_AutoDestroy = Annotated[
    float | None,
    typer.Option(
        "--auto-destroy",
        metavar="SECONDS",
        min=0.001,
        max=_A_YEAR_S,
        help="Destroy a room after it is empty for this long [seconds], e.g. 1800. Erratum automatic-destruction.",
    ),
]
_Empty = Annotated[EmptySeat, typer.Option("--empty-seat", help="Member_Account of an empty seat. Erratum seat-empty.")]
_Type = Annotated[RoomType, typer.Option("--room-type", help="RoomType in create callbacks. Erratum create-room-type.")]
_RestIp = Annotated[
    str,
    typer.Option("--rest-ip", metavar="IP", help="ClientIP of REST calls. Erratum client-ip-of-rest-calls."),
]
_Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="Seed of random choices; the same calls cause the same callbacks.")
]
_Grace = Annotated[
    float,
    typer.Option(
        "--grace", metavar="SECONDS", min=0, max=LONGEST_WAIT_S, help="Time to finish sending after Ctrl-C [seconds]."
    ),
]


@app.command()
def serve(
    *,
    listen: _Listen = "127.0.0.1:8090",
    auth: _Auth = None,
    allow_host: _AllowHost = None,
    sdkappid: _Apps = None,
    secret_key: _Keys = None,
    token: _Tokens = None,
    callback: _Callback = None,
    commands: _Commands = None,
    administrator: _Administrator = "administrator",
    state: _State = Path("roomhook-serve.db"),
    memory: _Memory = False,
    quiet: _Quiet = False,
    clock: _Clock = "real",
    clock_start: _ClockStart = None,
    heartbeat: _Heartbeat = "90-110",
    retry: _RetryOption = RetryProfile.NONE,
    deadline: Deadline = DEADLINE_S,
    in_flight: _InFlight = 16,
    calls_per_second: _Calls = 200,
    max_members: _MaxMembers = 300,
    lenient: _Lenient = False,
    expired_operator: _Expired = ExpiredOperator.MEMBER,
    member_count: _Count = CountMoment.AFTER,
    bulk_kick: _Bulk = BulkKick.ONE,
    dissolution: _Dissolution = Dissolution.LEAVE,
    destroy_order: _Order = DestroyOrder.LEAVES_FIRST,
    auto_destroy: _AutoDestroy = None,
    empty_seat: _Empty = EmptySeat.EMPTY,
    room_type: _Type = "Meeting",
    rest_ip: _RestIp = "0.0.0.0",  # noqa: S104 (an address in packets)
    cacert: CaCert = None,
    insecure: Insecure = False,
    cert: Cert = None,
    seed: _Seed = 0,
    grace: _Grace = 5.0,
) -> None:
    """Run a mock Room backend until Ctrl-C: your code calls its REST, and callbacks arrive as in production.

    It starts without rooms: set_callback and create_room make them, POST /sim/enter and the like add members.
    Prints its URL on stdout, then a line for each call and callback on stderr. GET /openapi.json describes everything.
    """
    from roomhook.simulator.room_backend.runtime.service import parse_apps
    from roomhook.simulator.util.tls import client_context

    address = parse_address(listen)
    rules = guard_rules(address[0], parse_token(auth), allow_host or (), lenient=lenient)
    for one in sdkappid or ():
        check_sdkappid(one)
    apps = parse_apps(sdkappid or [SDKAPPID], secret_key or [], token or [])
    behaviour = BackendBehaviour(
        expired_operator=expired_operator,
        member_count=member_count,
        bulk_kick=bulk_kick,
        dissolution=dissolution,
        administrator=administrator,
        heartbeat_ms=_range_ms(heartbeat),
    )
    options = BackendOptions(
        behaviour=behaviour,
        destroy_order=destroy_order,
        empty_seat=empty_seat,
        room_type=room_type,
        most_members=max_members,
        auto_destroy_ms=None if auto_destroy is None else round(auto_destroy * 1000),
        rest_ip=_address(rest_ip),
        calls_per_second=calls_per_second,
        lenient=lenient,
        deadline_ms=deadline * 1000,
        in_flight=in_flight,
        retry=PROFILES[retry],
        seed=seed,
        callback_hosts=frozenset(allow_host or ()),
    )
    context = client_context(cacert=cacert, insecure=insecure, cert=cert)
    service = _service(
        apps, options, state=None if memory else state, clock=clock, clock_start=clock_start, context=context
    )
    _configure(service, callback, commands)
    raise typer.Exit(_run(service, address, rules, grace, quiet=quiet))


def _service(
    apps: Sequence[AppSettings],
    options: BackendOptions,
    *,
    state: Path | None,
    clock: _ClockKind,
    clock_start: int | None,
    context: ssl.SSLContext,
) -> Service:
    """The backend with its state; a virtual clock continues where it stopped, or begins at *clock_start* (ms)."""
    from roomhook.simulator.room_backend.runtime.clock import RealClock, VirtualClock
    from roomhook.simulator.room_backend.runtime.service import Service
    from roomhook.simulator.room_backend.runtime.store import Store

    if clock == "real" and clock_start is not None:
        raise ConfigurationError("--clock-start is for a virtual clock; add --clock virtual")
    store = Store(state)
    store.warn = _warn
    begin = time.time_ns() // 1_000_000 if clock_start is None else clock_start
    chosen = RealClock() if clock == "real" else VirtualClock(store.clock_ms() or begin)
    service = Service(apps, options, store, chosen, lambda: context)
    service.warn = _warn
    return service


def _configure(service: Service, url: str | None, commands: str | None) -> None:
    """Set the callback of every app, if there is a *url*; check those that an earlier run has set."""
    from roomhook.simulator.protocol.room_packets import COMMANDS
    from roomhook.simulator.room_backend.state.error_codes import BackendError

    if url is None and commands is not None:
        raise ConfigurationError("--commands needs --callback URL")
    listed = COMMANDS if commands is None else [one.strip() for one in commands.split(",") if one.strip()]
    rooms = service.state.rooms
    try:
        for sdkappid in service.apps if url is not None else ():
            rooms.replace_callback(sdkappid, url or "", listed)
        for config in rooms.configs.values():
            rooms.check_callback_url(config.url)
    except BackendError as error:
        raise ConfigurationError(f"--callback: {error.info}") from None


def _run(service: Service, address: tuple[str, int], rules: GuardRules, grace_s: float, *, quiet: bool) -> int:
    """Serve until a signal; 0 if everything was sent or is kept for the next run."""
    from roomhook.cli.serve.output import ServeOutput
    from roomhook.cli.shared.contract_runner import run_contract
    from roomhook.cli.shared.explained import explained
    from roomhook.simulator.console.service_console import ServiceConsole
    from roomhook.simulator.room_backend.server import serve_until_stopped

    output = None if quiet else ServeOutput()
    console = ServiceConsole(service, explained, run_contract, rules.token)

    def started(url: str) -> None:
        typer.echo(url)
        if not any(app.secret_key for app in service.apps.values()):
            _warn(f"{painter(sys.stderr)('no --secret-key:', Style.WARNING)} any usersig is accepted")
        _warn(f"serving, with a console at {url}/console; Ctrl-C stops it")
        if output is not None:
            output.watch(service)

    try:
        left = serve_until_stopped(service, address, rules, grace_s=grace_s, started=started, pages=console.routes())
    finally:
        console.close()
        if output is not None:
            output.close()
    if left:
        unsent = painter(sys.stderr)(f"{left} callbacks are unsent", Style.WARNING)
        _warn(f"{unsent}; they are kept with --state, and lost with --memory")
    return 0


def _warn(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it
        typer.echo(folded(text, sys.stderr, indent=2), err=True)


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ConfigurationError(f"--rest-ip {text!r} is not an IP address; give one like 203.0.113.7") from None
    return text


def _range_ms(text: str) -> tuple[int, int]:
    """``90-110`` (or ``90``) in seconds as ms; raises ``ConfigurationError``."""
    low, _, high = text.partition("-")
    try:
        found = round(float(low) * 1000), round(float(high or low) * 1000)
    except (ValueError, OverflowError):
        found = (0, 0)
    if not 0 < found[0] <= found[1] <= 86_400_000:
        raise ConfigurationError(f"--heartbeat {text!r} is not a range of seconds like 90-110")
    return found
