"""``roomhook traffic``: the leave callbacks that a day of rooms makes, to an App backend or as NDJSON on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roomhook.cli.callbacks.sending_options import SendingOptions, first_given, send, with_sending_options
from roomhook.cli.shared.options import OutputFormat, Seed, chosen_seed
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
    """What is written to stdout: callbacks, or with a URL what came of them."""

    NDJSON = "ndjson"
    TEXT = "text"
    JSON = "json"


_Profile = Annotated[
    Profile | None,
    typer.Option(help="The kind of traffic: a day, a steady flow, or a wave that hits rooms. [default: evening]"),
]
_Scenario = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Play the phases in a TOML file instead, e.g. friday.toml")
]
_Rooms = Annotated[
    str | None, typer.Option(metavar="N|FILE", help="How many rooms, e.g. 50, or a file with their ids.")
]
_Members = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="How many people in all rooms at their fullest, e.g. 1000")
]
_People = Annotated[Path | None, typer.Option(metavar="FILE", help="Existing accounts, one a line, e.g. users.txt")]
_Duration = Annotated[str | None, typer.Option(metavar="TIME", help="How long the rooms live, e.g. 90s, 10m or 1h30m")]
_Events = Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N callbacks, e.g. 1000")]
_Mix = Annotated[
    str | None, typer.Option(metavar="SHARES", help="Check-out methods by weight, e.g. leave=84,kicked=4,expired=12")
]
_Platforms = Annotated[
    str | None, typer.Option(metavar="SHARES", help="OptPlatforms by weight, e.g. Android=50,iOS=40,Web=10")
]
_Stay = Annotated[str | None, typer.Option(metavar="TIME", help="The median stay, e.g. 12m")]
_SizeTail = Annotated[
    float | None, typer.Option(metavar="X", help="Pareto exponent of the rooms' sizes, e.g. 1.2; 0 makes all equal.")
]
_Param = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE", help="Any parameter that a scenario's phase may hold, e.g. reenter=0.2; repeatable."
    ),
]
_WithEnter = Annotated[
    bool, typer.Option("--with-enter", help="Also call back Room.CallbackAfterMemberEnter when people enter.")
]
_Locale = Annotated[
    list[str] | None, typer.Option(metavar="LOCALE", help="Where people's names come from, e.g. ja_JP; repeatable.")
]
_Start = Annotated[
    str | None,
    typer.Option(
        metavar="ISO|now",
        help="The world's first moment, e.g. 2026-01-02T18:00:00+08:00. [default: now to a URL, else 2026-01-02T18Z]",
    ),
]
_Shard = Annotated[
    str | None,
    typer.Option(metavar="I/N", help="Only the I-th of N parts of the rooms, e.g. 1/4: N workers share them."),
]
_Speed = Annotated[
    str | None,
    typer.Option(
        metavar="X",
        help="Let time pass X times as fast, e.g. 60x; max doesn't wait for it. [default: 1x to a URL, max to stdout]",
    ),
]
_Format = Annotated[
    TrafficFormat | None,
    typer.Option("--format", help="ndjson: callbacks, without a URL; text, json: what came of them, with one."),
]
_ExpiredOperator = Annotated[
    ExpiredOperator | None, typer.Option(help="Operator_Account of Expired. [default: member]")
]
_MemberCount = Annotated[
    CountMoment | None, typer.Option(help="Count MemberCount when the leave is over? [default: after]")
]
_BulkKick = Annotated[
    BulkKick | None, typer.Option(help="One packet for a kick of several, or one each. [default: one]")
]
_Dissolution = Annotated[
    Dissolution | None, typer.Option(help="What is sent for those in a room that is dissolved. [default: leave]")
]
_Reason = Annotated[ReasonStyle | None, typer.Option(help="Reason of Leave and Expired. [default: text]")]
_Administrator = Annotated[
    str | None, typer.Option(metavar="ID", help="Operator_Account of what REST does. [default: administrator]")
]
_Heartbeat = Annotated[
    str | None,
    typer.Option(
        metavar="FROM-TO", help="After how long a silent member expires, e.g. 90s-110s, which is the default."
    ),
]


@app.command()
@with_sending_options
def traffic(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="Your App backend's callback URL; without one, stdout.")
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
    """Send the leave callbacks that a day of rooms makes to URL, or without one write them as NDJSON.

    The same options, seed and version give the same bytes on every machine. docs/reference-traffic.md explains it all.
    With a URL, the exit code is 0 if all were delivered and acknowledged, 1 if not, 2 bad option, 3 target unreachable.
    """
    from roomhook.cli.callbacks.traffic_options import TrafficOptions, parse_range, parse_shard, traffic_from
    from roomhook.simulator.sending.pacing import parse_speed
    from roomhook.simulator.traffic.generator import events as events_of

    _refuse_mixtures(context, url, output)
    factor = parse_speed(speed or ("max" if url is None else "1x"))
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
        start=start,
        shard=parse_shard(shard),
        speed=factor,
    )
    if shard is not None and seed is None:
        raise ConfigurationError(f"--shard {shard} is a part of one world: give all its parts the same --seed, e.g. 7")
    chosen = chosen_seed(seed)
    wanted = traffic_from(asked, seed=chosen, sending=url is not None)
    if seed is None:
        typer.echo(f"seed {chosen} (--seed {chosen} makes the same callbacks again)", err=True)
    if url is None:
        stream = events_of(wanted)
        _write(stream if factor is None else _paced(stream, wanted.start_ms))
    else:
        raise typer.Exit(_send(wanted, url, sending, output, factor))


def _refuse_mixtures(context: typer.Context, url: str | None, output: TrafficFormat | None) -> None:
    """Options that only make sense with a URL, or without one, are not passed over in silence."""
    if url is not None:
        if output is TrafficFormat.NDJSON:
            raise ConfigurationError("--format ndjson writes callbacks instead of sending them: leave out the URL")
        return
    if output in {TrafficFormat.TEXT, TrafficFormat.JSON}:
        raise ConfigurationError(f"--format {output} tells what came of callbacks: give the URL to send them to")
    if option := first_given(context):
        raise ConfigurationError(
            f"{option} is about sending: give the URL to send to, as in http://127.0.0.1:8000/callback"
        )


def _send(
    wanted: TrafficRequest, url: str, sending: SendingOptions, output: TrafficFormat | None, factor: float | None
) -> int:
    from roomhook.simulator.traffic.generator import TrafficSource

    moment = datetime.fromtimestamp(wanted.start_ms / 1000, timezone(timedelta(milliseconds=wanted.offset_ms)))
    resolved = {"seed": wanted.seed, "start": moment.isoformat(timespec="milliseconds")}
    speed = None if factor is None else 1.0  # the rooms' own times are compressed already
    order = sending.order(url, speed=speed, told_speed=factor, seed=wanted.seed, resolved=resolved)
    sources = [TrafficSource.part(wanted, part, sending.processes) for part in range(1, sending.processes + 1)]
    return send(order, sources, replace(sending, output=OutputFormat(output or "text")))


def _write(stream: Iterable[CallbackEvent]) -> None:
    from roomhook.simulator.protocol.callback_event import to_line

    write = sys.stdout.buffer.write
    for event in stream:
        write(to_line(event))
    sys.stdout.buffer.flush()


def _paced(stream: Iterable[CallbackEvent], start_ms: int) -> Iterable[CallbackEvent]:
    """*stream*, each event not before its moment; what has been written so far is flushed before each wait."""
    begun = time.monotonic()
    for event in stream:
        wait = begun + (event.time_ms - start_ms) / 1000 - time.monotonic()
        if wait > 0:
            sys.stdout.buffer.flush()
            time.sleep(wait)
        yield event
