"""``roomhook traffic``: simulated leave callbacks, sent to an App backend or written to stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roomhook.cli.callbacks.sending_options import SendingOptions, SendingReport, first_given, with_sending_options
from roomhook.cli.shared.options import OutputFormat, Seed, chosen_seed
from roomhook.cli.shared.terminal import folded
from roomhook.errors import ConfigurationError
from roomhook.simulator.rooms.behaviour import BulkKick, CountMoment, Dissolution, ExpiredOperator
from roomhook.simulator.traffic.profiles import Profile
from roomhook.simulator.traffic.scenario import ReasonStyle

if TYPE_CHECKING:
    from roomhook.simulator.protocol.callback_event import CallbackEvent
    from roomhook.simulator.traffic.generator import TrafficRequest

__all__ = ["TrafficFormat", "app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class TrafficFormat(StrEnum):
    """What is written to stdout: callbacks, or with a URL the results."""

    NDJSON = "ndjson"
    CSV = "csv"
    TEXT = "text"
    JSON = "json"


_Profile = Annotated[
    Profile | None,
    typer.Option(help="Kind of traffic: a day, a steady flow, or a wave that hits rooms (default: evening)."),
]
_Scenario = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Play the phases of a TOML file instead, e.g. friday.toml.")
]
_Rooms = Annotated[
    str | None, typer.Option(metavar="N|FILE", help="Number of rooms, e.g. 50, or a file of RoomIds, one per line.")
]
_Members = Annotated[int | None, typer.Option(metavar="N", min=1, help="Most people in all rooms together, e.g. 1000.")]
_People = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File of existing accounts, one per line, e.g. users.txt.")
]
_Duration = Annotated[str | None, typer.Option(metavar="TIME", help="Simulated time, e.g. 90s, 10m or 1h30m.")]
_Events = Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N callbacks, e.g. 1000.")]
_Mix = Annotated[
    str | None, typer.Option(metavar="SHARES", help="Check-out methods by weight, e.g. leave=84,kicked=4,expired=12.")
]
_Platforms = Annotated[
    str | None, typer.Option(metavar="SHARES", help="Platforms by weight, e.g. Android=50,iOS=40,Web=10.")
]
_Stay = Annotated[str | None, typer.Option(metavar="TIME", help="Median stay, e.g. 12m.")]
_SizeTail = Annotated[
    float | None, typer.Option(metavar="X", help="Pareto exponent of room sizes, e.g. 1.2; 0 makes all rooms equal.")
]
_Param = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Set any parameter of a scenario's phase, e.g. reenter=0.2; repeatable."),
]
_WithEnter = Annotated[bool, typer.Option("--with-enter", help="Also send enter callbacks.")]
_Locale = Annotated[
    list[str] | None,
    typer.Option(metavar="LOCALE", help="Locale of names and reasons, one per room, e.g. ja_JP; repeatable."),
]
_MixedLanguages = Annotated[bool, typer.Option("--mixed-languages", help="Mix the languages within each room.")]
_Start = Annotated[
    str | None,
    typer.Option(
        metavar="ISO|now",
        help="Simulated start time, e.g. 2026-01-02T18:00:00+08:00 (default: now to a URL, else 2026-01-02T18Z)",
    ),
]
_Shard = Annotated[
    str | None,
    typer.Option(metavar="I/N", help="Play only part I of N of the rooms, e.g. 1/4, to share them among N workers."),
]
_Speed = Annotated[
    str | None,
    typer.Option(
        metavar="X",
        help="Let time pass X times as fast, e.g. 1x; max does not wait (default: 60x to a URL, else max)",
    ),
]
_Format = Annotated[
    TrafficFormat | None,
    typer.Option("--format", help="ndjson, csv: callbacks, without a URL; text, json: results, with a URL."),
]
_ExpiredOperator = Annotated[
    ExpiredOperator | None, typer.Option(help="Operator_Account of Expired (default: member).")
]
_MemberCount = Annotated[
    CountMoment | None, typer.Option(help="Whether MemberCount is that after or before the leave (default: after).")
]
_BulkKick = Annotated[
    BulkKick | None, typer.Option(help="One packet for a kick of several members, or one each (default: one).")
]
_Dissolution = Annotated[
    Dissolution | None, typer.Option(help="Type sent for the members of a dissolved room (default: leave).")
]
_Reason = Annotated[ReasonStyle | None, typer.Option(help="Kind of Reason for Leave and Expired (default: text).")]
_Administrator = Annotated[
    str | None, typer.Option(metavar="ID", help="Operator_Account of REST calls (default: administrator).")
]
_Heartbeat = Annotated[
    str | None,
    typer.Option(metavar="FROM-TO", help="Time until a silent member expires, e.g. 60s-90s (default: 90s-110s)."),
]


@app.command()
@with_sending_options
def traffic(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="Your app's callback URL; without it, print to stdout.")
    ] = None,
    *,
    profile: _Profile = None,
    scenario: _Scenario = None,
    rooms: _Rooms = None,
    members: _Members = None,
    people: _People = None,
    duration: _Duration = None,
    events: _Events = None,
    mix: _Mix = None,
    platforms: _Platforms = None,
    stay: _Stay = None,
    size_tail: _SizeTail = None,
    param: _Param = None,
    with_enter: _WithEnter = False,
    locale: _Locale = None,
    mixed_languages: _MixedLanguages = False,
    start: _Start = None,
    seed: Seed = None,
    shard: _Shard = None,
    speed: _Speed = None,
    output: _Format = None,
    expired_operator: _ExpiredOperator = None,
    member_count: _MemberCount = None,
    bulk_kick: _BulkKick = None,
    dissolution: _Dissolution = None,
    reason: _Reason = None,
    administrator: _Administrator = None,
    heartbeat: _Heartbeat = None,
    sending: SendingOptions,
) -> None:
    """Send the leave callbacks of simulated rooms to URL, or print them as NDJSON.

    The same options, seed and version give the same bytes on every machine.

    Exit code with a URL: 0 all delivered and acknowledged, 1 not all, 2 bad option, 3 target unreachable.

    Example: roomhook traffic http://127.0.0.1:8000/callback --rate 100/s
    """
    from roomhook.cli.callbacks.traffic_options import TrafficOptions, parse_range, parse_shard, traffic_from
    from roomhook.simulator.sending.pacing import parse_speed

    _refuse_mixtures(context, url, output)
    factor = parse_speed(speed or _default_speed(url, sending))
    asked = TrafficOptions(
        phase={
            "profile": profile,
            "members": members,
            "duration": duration,
            "mix": mix,
            "platforms": platforms,
            "stay": stay,
            "size_tail": size_tail,
        },
        params=tuple(param or ()),
        backend={
            "expired_operator": expired_operator,
            "member_count": member_count,
            "bulk_kick": bulk_kick,
            "dissolution": dissolution,
            "reason": reason,
            "administrator": administrator,
            "heartbeat": None if heartbeat is None else parse_range(heartbeat),
        },
        scenario=scenario,
        rooms=rooms,
        people=people,
        events=events,
        with_enter=with_enter,
        locales=tuple(locale or ()),
        mixed_languages=mixed_languages,
        start=start,
        shard=parse_shard(shard),
        speed=factor,
    )
    if shard is not None and seed is None:
        raise ConfigurationError(f"--shard {shard} is a part of one world: give all its parts the same --seed, e.g. 7")
    chosen = chosen_seed(seed)
    wanted = traffic_from(asked, seed=chosen, sending=url is not None)
    hints = [] if seed is not None else [f"seed {chosen} (--seed {chosen} makes the same callbacks again)"]
    if url is not None:
        raise typer.Exit(_send(wanted, url, sending, output, factor, hints=hints))
    _say(hints)
    _write(wanted, sending, output, factor)


def _refuse_mixtures(context: typer.Context, url: str | None, output: TrafficFormat | None) -> None:
    """Options that only make sense with a URL, or without one, are not passed over in silence."""
    if url is not None:
        if output in {TrafficFormat.NDJSON, TrafficFormat.CSV}:
            raise ConfigurationError(f"--format {output} writes callbacks instead of sending them: leave out the URL")
        return
    source = context.get_parameter_source("output")
    if output in {TrafficFormat.TEXT, TrafficFormat.JSON} and source is not None and source.name == "COMMANDLINE":
        raise ConfigurationError(f"--format {output} shows results of sending: give the URL to send to")
    if option := first_given(context, but=("report", "report_dir")):
        raise ConfigurationError(
            f"{option} is about sending: give the URL to send to, as in http://127.0.0.1:8000/callback"
        )


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(folded(line, sys.stderr, indent=2), err=True)


def _send(
    wanted: TrafficRequest,
    url: str,
    sending: SendingOptions,
    output: TrafficFormat | None,
    factor: float | None,
    *,
    hints: Sequence[str],
) -> int:
    from roomhook.cli.callbacks.sending_run import send
    from roomhook.simulator.traffic.generator import TrafficSource

    moment = datetime.fromtimestamp(wanted.start_ms / 1000, timezone(timedelta(milliseconds=wanted.offset_ms)))
    resolved = {"seed": wanted.seed, "start": moment.isoformat(timespec="milliseconds")}
    speed = None if factor is None else 1.0  # the rooms' own times are compressed already
    order = sending.order(url, speed=speed, told_speed=factor, seed=wanted.seed, resolved=resolved)
    _say([*hints, _plan(wanted, sending, factor)])
    sources = [TrafficSource.part(wanted, part, sending.processes) for part in range(1, sending.processes + 1)]
    return send(order, sources, replace(sending, output=OutputFormat(output or "text")))


def _default_speed(url: str | None, sending: SendingOptions) -> str:
    """A day at 1x would show one callback in five seconds; at 60x, the first comes within a second or two."""
    if url is None:
        return "max"
    return "1x" if sending.rate is not None else "60x"


def _plan(wanted: TrafficRequest, sending: SendingOptions, factor: float | None) -> str:
    """What is going to be sent, how long it takes and how to change that, in one line."""
    from roomhook.simulator.util.durations import format_duration

    phases = wanted.scenario.phases
    total_ms = None if phases[-1].duration is None else sum(one.duration or 0 for one in phases)
    what = ", then ".join(str(one.profile) for one in phases)
    length = "endless" if total_ms is None else format_duration(total_ms)
    amount = f"{wanted.limit:,} callbacks of {what}" if wanted.limit else f"{length} of {what}"
    if sending.rate is not None or factor is None:
        pace = "as fast as the target answers" if sending.rate is None else f"at {sending.rate}"
        return f"plan: {amount} traffic, {pace}"
    took = "" if total_ms is None or wanted.limit else f" in {format_duration(total_ms / factor)}"
    return (
        f"plan: {amount} traffic{took} at {factor:g}x "
        "(--speed 1x: real time; --speed max or --rate 500/s: without waiting)"
    )


def _write(wanted: TrafficRequest, sending: SendingOptions, output: TrafficFormat | None, factor: float | None) -> None:
    """Write the callbacks to stdout and, with --report html, the page about them."""
    from roomhook.cli.callbacks import traffic_output
    from roomhook.simulator.traffic.generator import events
    from roomhook.simulator.traffic.report import TrafficStats

    kinds = set(sending.report or ())
    if SendingReport.JSON in kinds:
        raise ConfigurationError("--report json is about sending: give the URL to send to, or --report html")
    path = traffic_output.report_path(sending.report_dir) if kinds else None
    stats = TrafficStats()
    stream: Iterable[CallbackEvent] = events(wanted)
    if path is not None:
        stream = traffic_output.recorded(stream, stats.record)
    if factor is not None:
        stream = traffic_output.in_real_time(stream, wanted.start_ms)
    (traffic_output.write_csv if output is TrafficFormat.CSV else traffic_output.write_ndjson)(stream)
    if path is not None:
        traffic_output.write_report(stats, wanted, path)
