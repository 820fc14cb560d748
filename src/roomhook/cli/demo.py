"""``roomhook demo``: shows on one machine and in seconds what Roomhook does."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from roomhook.cli.shared import options
from roomhook.simulator.util.defaults import SDKAPPID

if TYPE_CHECKING:
    from roomhook.contract_tests.app_backends.server import BackendServer
    from roomhook.contract_tests.model.verdicts import RunFinished
    from roomhook.simulator.protocol.callback_event import CallbackEvent

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_LEAVES: Final = 18
_SHOWN: Final = 12
_EVENING: Final = {"phase": [{"profile": "evening", "rooms": 3, "members": 12, "duration": "2h"}]}
_OPENING_HOUR: Final = 18
_ACTIONS_A_SECOND: Final = 8.0
_ROOMS: Final = 6
_SPEED: Final = 60.0
_DEFECT: Final = "effect.all-members"


@app.command()
def demo(
    *,
    console: Annotated[
        bool, typer.Option("--console", help="Show a simulated evening live in a browser, until Ctrl-C.")
    ] = False,
    seed: options.Seed = None,
) -> None:
    """Start an App backend, send it simulated evening traffic, check it, and catch a broken one.

    Takes a few seconds and needs no network.

    Example: roomhook demo --seed 7
    """
    if console:
        _evening_in_a_browser(options.chosen_seed(seed))
        raise typer.Exit(0)
    from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
    from roomhook.contract_tests.app_backends.server import BackendServer

    chosen = options.chosen_seed(seed)
    with BackendServer() as server:
        _title(1, f"Start an App backend: the reference, at {server.url()}")
        _title(2, f"Send simulated evening traffic to it (seed {chosen})")
        acknowledged = _evening(server, chosen)
        _title(3, "Run the contract suite: roomhook check URL --probe …")
        judged = _check(server, None, chosen)
        _title(4, f"Run it on a backend with one defect: {BROKEN[_DEFECT].defect}")
        caught = _check(server, _DEFECT, chosen)
    found = {case.requirement.id for case in caught.cases if case.findings and case.requirement.level != "INFO"}
    good = acknowledged and judged.summary.outcome.exit_code == 0 and found == set(BROKEN[_DEFECT].declares)
    _title(5, "Now test yours: run 'roomhook init' in its folder, or roomhook check URL --sdkappid N")
    raise typer.Exit(0 if good else 4)


def _evening_in_a_browser(seed: int) -> None:
    """Play an evening on a mock Room backend with its console, at 60 times real time."""
    from roomhook.cli.shared.access import guard_rules
    from roomhook.cli.shared.contract_runner import run_contract
    from roomhook.cli.shared.explained import explained
    from roomhook.contract_tests.app_backends.server import BackendServer
    from roomhook.simulator.console.service_console import ServiceConsole
    from roomhook.simulator.protocol.room_packets import COMMANDS
    from roomhook.simulator.room_backend.runtime.clock import VirtualClock
    from roomhook.simulator.room_backend.runtime.faults import Faults
    from roomhook.simulator.room_backend.runtime.service import Service, parse_apps
    from roomhook.simulator.room_backend.runtime.store import Store
    from roomhook.simulator.room_backend.server import serve_until_stopped
    from roomhook.simulator.room_backend.state.options import BackendOptions

    today = datetime.now().astimezone()
    opening = today.replace(hour=_OPENING_HOUR, minute=30, second=0, microsecond=0)
    with BackendServer() as server:
        clock = VirtualClock(round(opening.timestamp() * 1000))
        service = Service(
            parse_apps([SDKAPPID], [], []), BackendOptions(seed=seed, callback_hosts=frozenset()), Store(None), clock
        )
        service.state.rooms.replace_callback(SDKAPPID, server.url(), COMMANDS)
        service.deliveries.use_faults(SDKAPPID, Faults(drop=0.01, duplicate=0.03, delay_ms=(1, 40)))
        shown = ServiceConsole(service, explained, run_contract, probe=server.probe())

        def started(url: str) -> None:
            typer.echo(f"{url}/console")
            typer.echo(f"an evening of rooms from {opening:%H:%M} on, a minute each second; Ctrl-C stops it", err=True)
            shown.play_evening(_ACTIONS_A_SECOND, _ROOMS, _SPEED)

        rules = guard_rules("127.0.0.1", None, (), lenient=False)
        try:
            serve_until_stopped(service, ("127.0.0.1", 0), rules, grace_s=1.0, started=started, pages=shown.routes())
        finally:
            shown.close()


def _title(number: int, text: str) -> None:
    from roomhook.cli.shared.terminal import fitted, painter
    from roomhook.palette import Style

    typer.echo(f"\n{painter()(fitted(f'{number}  {text}', 3), Style.HEADING)}\n")


def _evening(server: BackendServer, seed: int) -> bool:
    """Fire until enough have left; whether every callback was acknowledged."""
    from roomhook.cli.shared.terminal import fitted, row
    from roomhook.contract_tests.transport.client import Client
    from roomhook.palette import Style
    from roomhook.simulator.protocol.callback_url import CallbackUrl
    from roomhook.simulator.traffic.generator import TrafficRequest, events
    from roomhook.simulator.traffic.scenario import from_document
    from roomhook.simulator.transport.target import Target

    scenario = from_document(_EVENING, "the demo's evening")
    target, client = Target(CallbackUrl.parse(server.url()), SDKAPPID), Client()
    mix: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for event in events(
        TrafficRequest(scenario=scenario, seed=seed, start_ms=_last_evening(time.time()), with_enter=True)
    ):
        exchange = client.send(target.callback(event, int(time.time())), deadline_ms=2000, give_up_ms=4000)
        outcomes["acknowledged" if exchange.acknowledged else "not acknowledged"] += 1
        left = _told(event)
        if left is None:
            mix["Enter"] += 1
            continue
        mix[left[0]] += 1
        leaves = mix.total() - mix["Enter"]
        if leaves <= _SHOWN:
            answer = "OK" if exchange.acknowledged else "NOT\N{NO-BREAK SPACE}acknowledged"
            style = Style.GOOD if exchange.acknowledged else Style.BAD
            line = f"   {left[1]}  {answer} in {exchange.elapsed_ms:.0f} ms"
            typer.echo(row(line, 13, {answer: style}))
        if leaves >= _LEAVES and len(mix) > 3:
            break
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(mix.items()))
    counted = f"   … {told} in total; {', '.join(f'{count} {what}' for what, count in outcomes.items())}"
    typer.echo(fitted(counted, 5))
    return set(outcomes) == {"acknowledged"}


def _last_evening(now_s: float) -> int:
    """18:00 UTC, in ms, of the last evening that is over: at night, the profile has next to no callbacks."""
    over = datetime.fromtimestamp(now_s, UTC) - timedelta(hours=3)
    opening = over.replace(hour=_OPENING_HOUR, minute=0, second=0, microsecond=0)
    return round((opening if opening <= over else opening - timedelta(days=1)).timestamp() * 1000)


def _told(event: CallbackEvent) -> tuple[str, str] | None:
    """Check-out method and a line about a leave; None for an enter."""
    from roomhook.simulator.protocol.packets import LEAVE_COMMAND, decode_leave

    if event.command != LEAVE_COMMAND:
        return None
    packet = decode_leave(event.body)
    who = packet.member_list_account[0]
    others = len(packet.member_list_account) - 1
    clock = time.strftime("%H:%M:%S", time.gmtime(packet.event_time / 1000))
    crowd = f" and {others} more" if others else ""
    inside = f"{packet.member_count:>3}\N{NO-BREAK SPACE}inside"
    return packet.type, f"{clock}  {packet.room_id:<11} {packet.type:<7}  {who + crowd:<18} {inside}"


def _check(server: BackendServer, broken: str | None, seed: int) -> RunFinished:
    from roomhook.cli.shared.terminal import painter, text_width, ticking_line
    from roomhook.contract_tests.engine.suite import run_suite
    from roomhook.contract_tests.model.settings import Settings
    from roomhook.contract_tests.model.verdicts import CaseJudged, RunStarted
    from roomhook.contract_tests.reports import text
    from roomhook.contract_tests.reports.run_report import report_of

    settings = Settings(server.url(broken), seed=seed, probe=server.probe(broken), settle_s=0.5)
    with ticking_line() as show:
        for event in run_suite(settings):
            if isinstance(event, RunStarted):
                started = event
            elif isinstance(event, CaseJudged):
                show(event.requirement.id)
            else:
                finished = event
    report = text.render(report_of(started, finished), painter(), width=text_width() - 3)
    typer.echo("\n".join(f"   {line}".rstrip() for line in report.splitlines()))
    return finished
