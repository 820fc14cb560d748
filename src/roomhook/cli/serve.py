"""``roomhook serve``: the mock Room backend, with the documented REST, rooms that live and a clock of its own."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roomhook.cli.shared.options import (
    DEADLINE_S,
    CaCert,
    Cert,
    Deadline,
    Insecure,
    parse_address,
)
from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.identifiers import check_sdkappid
from roomhook.simulator.protocol.room_packets import RoomType
from roomhook.simulator.room_backend.state.options import DestroyOrder, EmptySeat
from roomhook.simulator.rooms.behaviour import BulkKick, CountMoment, Dissolution, ExpiredOperator
from roomhook.simulator.transport.retry_policy import PROFILES, RetryProfile
from roomhook.simulator.util.defaults import SDKAPPID
from roomhook.simulator.util.limits import LONGEST_WAIT_S

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from roomhook.simulator.room_backend.runtime.service import Service
    from roomhook.simulator.room_backend.state.options import AppSettings, BackendOptions

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_A_YEAR_S = 31_536_000


class _ClockKind(StrEnum):
    REAL = "real"
    VIRTUAL = "virtual"


_Listen = Annotated[
    str, typer.Option("--listen", metavar="HOST:PORT", help="e.g. 0.0.0.0:8090; port 0 takes a free one.")
]
_Apps = Annotated[
    list[int] | None,
    typer.Option(
        "--sdkappid",
        metavar="N",
        help="An app's SDKAppID; repeatable for several, e.g. 1400000002.",
    ),
]
_Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--secret-key",
        metavar="KEY",
        help="Verify usersig with this key; with several apps N=KEY. Better: set ROOMHOOK_SECRET_KEY.",
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
_Administrator = Annotated[
    str, typer.Option("--administrator", metavar="ID", help="The app administrator: identifier of REST calls.")
]
_State = Annotated[
    Path,
    typer.Option("--state", metavar="FILE", help="Keep rooms and callbacks here; the next run goes on with it."),
]
_Memory = Annotated[bool, typer.Option("--memory", help="Keep nothing on disk; what is unsent is lost at the end.")]
_Clock = Annotated[_ClockKind, typer.Option("--clock", help="virtual stands still until POST /sim/clock/advance.")]
_ClockStart = Annotated[
    int | None,
    typer.Option("--clock-start", metavar="MS", help="Where a virtual clock begins, e.g. 1700000000000."),
]
_Heartbeat = Annotated[
    str,
    typer.Option(
        "--heartbeat", metavar="FROM-TO", help="Seconds until a silent member has expired. Erratum heartbeat."
    ),
]
_RetryOption = Annotated[
    RetryProfile, typer.Option("--retry", help="When an undelivered callback is sent again. Erratum retries.")
]
_InFlight = Annotated[
    int,
    typer.Option("--in-flight", metavar="N", min=1, max=1024, help="Callbacks of an app on their way at once."),
]
_Calls = Annotated[
    int, typer.Option("--calls-per-second", metavar="N", min=1, help="The limit of each REST API of each app.")
]
_MaxMembers = Annotated[
    int, typer.Option("--max-members", metavar="N", min=1, help="MaxMemberCount of rooms that ask for none.")
]
_Lenient = Annotated[
    bool, typer.Option("--lenient", help="Ignore unknown fields, parameters and callback names in REST calls.")
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
    typer.Option("--bulk-kick", help="One packet for a kick of several, or one for each. Erratum several-members."),
]
_Dissolution = Annotated[
    Dissolution,
    typer.Option("--dissolution", help="What those inside a dissolved room get. Erratum leave-on-destroy."),
]
_Order = Annotated[DestroyOrder, typer.Option("--destroy-order", help="Which comes first then. Erratum destroy-order.")]
_AutoDestroy = Annotated[
    float | None,
    typer.Option(
        "--auto-destroy",
        metavar="SECONDS",
        min=0.001,
        max=_A_YEAR_S,
        help="Dissolve a room that was left empty so long ago, e.g. 1800. Erratum automatic-destruction.",
    ),
]
_Empty = Annotated[EmptySeat, typer.Option("--empty-seat", help="Member_Account of an empty seat. Erratum seat-empty.")]
_Type = Annotated[RoomType, typer.Option("--room-type", help="RoomType in create callbacks. Erratum create-room-type.")]
_RestIp = Annotated[
    str,
    typer.Option("--rest-ip", metavar="IP", help="ClientIP of what REST causes. Erratum client-ip-of-rest-calls."),
]
_Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="The same calls with the same seed, the same callbacks.")
]
_Grace = Annotated[
    float,
    typer.Option("--grace", metavar="SECONDS", min=0, max=LONGEST_WAIT_S, help="How long to send on after Ctrl-C."),
]


@app.command()
def serve(
    *,
    listen: _Listen = "127.0.0.1:8090",
    sdkappid: _Apps = None,
    secret_key: _Keys = None,
    token: _Tokens = None,
    administrator: _Administrator = "administrator",
    state: _State = Path("roomhook-serve.db"),
    memory: _Memory = False,
    clock: _Clock = _ClockKind.REAL,
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
    rest_ip: _RestIp = "0.0.0.0",  # noqa: S104 (an address to tell of)
    cacert: CaCert = None,
    insecure: Insecure = False,
    cert: Cert = None,
    seed: _Seed = 0,
    grace: _Grace = 5.0,
) -> None:
    """Run a mock Room backend until Ctrl-C: your own code calls its REST, and callbacks arrive as they would.

    It has no rooms at first: set_callback and create_room make them, POST /sim/enter and the like bring people in.
    Prints its URL. GET /openapi.json describes everything.
    """
    from roomhook.simulator.room_backend.runtime.service import parse_apps
    from roomhook.simulator.room_backend.state.options import BackendOptions
    from roomhook.simulator.rooms.behaviour import BackendBehaviour
    from roomhook.simulator.util.tls import client_context

    address = parse_address(listen)
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
        rest_ip=rest_ip,
        calls_per_second=calls_per_second,
        lenient=lenient,
        deadline_ms=deadline * 1000,
        in_flight=in_flight,
        retry=PROFILES[retry],
        seed=seed,
    )
    context = client_context(cacert=cacert, insecure=insecure, cert=cert)
    service = _service(
        apps, options, state=None if memory else state, clock=clock, clock_start=clock_start, context=context
    )
    raise typer.Exit(_run(service, administrator, address, grace))


def _service(
    apps: Sequence[AppSettings],
    options: BackendOptions,
    *,
    state: Path | None,
    clock: _ClockKind,
    clock_start: int | None,
    context: ssl.SSLContext,
) -> Service:
    """The backend with its state; a virtual clock goes on where it stopped, or begins at *clock_start* (ms)."""
    from roomhook.simulator.room_backend.runtime.clock import RealClock, VirtualClock
    from roomhook.simulator.room_backend.runtime.service import Service
    from roomhook.simulator.room_backend.runtime.store import Store

    if clock is _ClockKind.REAL and clock_start is not None:
        raise ConfigurationError("--clock-start is for a virtual clock; add --clock virtual")
    store = Store(state)
    begin = time.time_ns() // 1_000_000 if clock_start is None else clock_start
    kept = RealClock() if clock is _ClockKind.REAL else VirtualClock(store.clock_ms() or begin)
    if not any(one.secret_key for one in apps):
        typer.echo("no --secret-key: any usersig is accepted", err=True)
    return Service(apps, options, store, kept, lambda: context)


def _run(service: Service, administrator: str, address: tuple[str, int], grace_s: float) -> int:
    """Serve until a signal; 0 if everything was sent or is kept for the next run."""
    from roomhook.simulator.room_backend.server import serve_until_stopped

    def started(url: str) -> None:
        typer.echo(url)
        typer.echo("serving; Ctrl-C stops it", err=True)

    left = serve_until_stopped(service, administrator, address, grace_s, started)
    if left:
        typer.echo(f"{left} callbacks are unsent; they are kept with --state, and lost with --memory", err=True)
    return 0


def _range_ms(text: str) -> tuple[int, int]:
    """``90-110`` (or ``90``) in seconds as ms; raises ``ConfigurationError``."""
    low, _, high = text.partition("-")
    try:
        found = round(float(low) * 1000), round(float(high or low) * 1000)
    except (ValueError, OverflowError):
        found = (0, 0)
    if not 0 < found[0] <= found[1] <= 86_400_000:
        raise ConfigurationError(f"--heartbeat {text!r} is no range of seconds like 90-110")
    return found
