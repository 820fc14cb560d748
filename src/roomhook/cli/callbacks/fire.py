"""``roomhook fire``: sends one callback to an App backend and shows request, response and verdict."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roomhook.cli.shared.options import (
    DEADLINE_S,
    CaCert,
    Cert,
    Deadline,
    Format,
    Header,
    Insecure,
    OutputFormat,
    PrintAs,
    Proxy,
    SdkAppId,
    Seed,
    Token,
    Url,
    chosen_seed,
    parse_proxy,
    parse_token,
)
from roomhook.cli.shared.terminal import folded, painter
from roomhook.errors import ConfigurationError
from roomhook.palette import Style
from roomhook.simulator.http_server.headers import parse_headers
from roomhook.simulator.protocol.callback_url import CallbackUrl
from roomhook.simulator.rooms.packet_edits import Edits
from roomhook.simulator.rooms.sample_callback import Given, Kind, RequestTemplate, fake
from roomhook.simulator.util.defaults import SDKAPPID
from roomhook.simulator.util.limits import read_bounded

if TYPE_CHECKING:
    from roomhook.contract_tests.model.exchange import Exchange
    from roomhook.contract_tests.transport.client import Client
    from roomhook.simulator.protocol.callback_request import CallbackRequest

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_What = Annotated[Kind, typer.Argument(metavar="KIND", help="Event: somebody left, was kicked, timed out, or entered.")]
_Room = Annotated[str | None, typer.Option(metavar="ID", help="RoomId, e.g. standup.")]
_Member = Annotated[list[str] | None, typer.Option(metavar="ID", help="Account that leaves, e.g. user1; repeatable.")]
_Operator = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Operator_Account, e.g. admin (default: the member; for kicked, somebody else)."),
]
_Count = Annotated[int | None, typer.Option(metavar="N", help="MemberCount: people in the room, e.g. 20.")]
_Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Reason, e.g. 'gone home'.")]
_EventTime = Annotated[
    int | None, typer.Option(metavar="MS", help="EventTime [ms since 1970], e.g. 1670574414123 (default: now).")
]
_Platform = Annotated[str | None, typer.Option(metavar="NAME", help="OptPlatform in the URL, e.g. iOS or RESTAPI.")]
_ClientIp = Annotated[str | None, typer.Option(metavar="IP", help="ClientIP in the URL, e.g. 203.0.113.7.")]
_ContentTypeParameter = Annotated[str, typer.Option(metavar="TEXT", help="contenttype in the URL, e.g. xml.")]
_Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", help="Set a field to a JSON value or text, e.g. MemberCount=abc; repeatable."
    ),
]
_Add = Annotated[
    list[str] | None,
    typer.Option("--add", metavar="FIELD=VALUE", help="Add a field, e.g. 'Level={\"gold\":true}'; repeatable."),
]
_Remove = Annotated[
    list[str] | None, typer.Option("--remove", metavar="FIELD", help="Omit a field, e.g. Reason; repeatable.")
]
_Raw = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Send the bytes of this file as the body, e.g. packet.bin; - is stdin."),
]
_ContentType = Annotated[str, typer.Option(metavar="TYPE", help="Content-Type header, e.g. text/plain; none omits it.")]
_Times = Annotated[int, typer.Option(metavar="N", min=1, help="Send the same packet N times in a row, e.g. 3.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the request without sending it.")]
_Har = Annotated[
    Path | None,
    typer.Option("--har", metavar="FILE", help="Write the exchanges as HAR 1.2 to this file, e.g. fired.har."),
]
_PrintAs = Annotated[PrintAs, typer.Option("--print", help="Format of the request.")]


@app.command()
def fire(
    kind: _What,
    url: Url,
    *,
    sdkappid: SdkAppId = SDKAPPID,
    token: Token = None,
    room: _Room = None,
    member: _Member = None,
    operator: _Operator = None,
    count: _Count = None,
    reason: _Reason = None,
    event_time: _EventTime = None,
    platform: _Platform = None,
    client_ip: _ClientIp = None,
    contenttype: _ContentTypeParameter = "json",
    replaced: _Set = None,
    added: _Add = None,
    removed: _Remove = None,
    raw: _Raw = None,
    content_type: _ContentType = "application/json",
    header: Header = None,
    times: _Times = 1,
    deadline: Deadline = DEADLINE_S,
    cacert: CaCert = None,
    insecure: Insecure = False,
    cert: Cert = None,
    proxy: Proxy = None,
    dry_run: _DryRun = False,
    print_as: _PrintAs = PrintAs.HTTP,
    har: _Har = None,
    output: Format = OutputFormat.TEXT,
    seed: Seed = None,
) -> None:
    """Send one realistic callback to URL and show the request, the response and the verdict.

    Values that you do not give are generated from --seed.

    Exit code: 0 acknowledged, 1 not acknowledged, 2 bad option, 3 target unreachable.

    Example: roomhook fire kicked http://127.0.0.1:8000/callback --member ann
    """
    from roomhook.contract_tests.transport.client import Client

    given = Given(room, tuple(member or ()), operator, count, reason, event_time)
    edits = Edits(tuple(replaced or ()), tuple(added or ()), tuple(removed or ()))
    _refuse_contradictions(kind, given, edits, raw)
    seed = chosen_seed(seed)
    made = fake(kind, given, seed=seed, now_ms=time.time_ns() // 1_000_000)
    shot = RequestTemplate(
        url=CallbackUrl.configured(url),
        sdkappid=sdkappid,
        command=kind.command,
        client_ip=made.client_ip if client_ip is None else client_ip,
        platform=made.platform if platform is None else platform,
        contenttype=contenttype,
        token=parse_token(token),
        headers=_headers(content_type, header),
        body=_read(raw) if raw else edits.body(made.packet),
    )
    client = Client(cacert=cacert, insecure=insecure, cert=cert, proxy=parse_proxy(proxy))
    first = shot.callback(int(time.time()))
    if not raw:
        typer.echo(f"seed {seed} (--seed {seed} generates the same values again)", err=True)
    if dry_run or output is OutputFormat.TEXT:
        _show(first, PrintAs.JSON if output is OutputFormat.JSON else print_as, raw)
    if not dry_run:
        with _recording(har) as record:
            code = _send(first, shot, client, times=times, deadline_ms=deadline * 1000, output=output, record=record)
        raise typer.Exit(code)


def _show(callback: CallbackRequest, print_as: PrintAs, body_file: Path | None) -> None:
    from roomhook.cli.callbacks.fire_output import request_text

    typer.echo(request_text(callback, print_as, body_file))


def _send(
    first: CallbackRequest,
    shot: RequestTemplate,
    client: Client,
    *,
    times: int,
    deadline_ms: float,
    output: OutputFormat,
    record: Callable[[Exchange], object],
) -> int:
    """Send *shot* *times* times and show each attempt when it ends; returns the exit code of all of them."""
    from roomhook.cli.callbacks.fire_output import FireSummary, advice, answer_text, attempt_json, attempt_line

    if output is OutputFormat.TEXT:
        typer.echo()
    tally = FireSummary()
    for number in range(1, times + 1):
        callback = first if number == 1 else shot.callback(int(time.time()))
        exchange = client.send(callback, deadline_ms=deadline_ms, give_up_ms=deadline_ms)
        tally.add(exchange)
        record(exchange)
        if output is OutputFormat.JSON:
            typer.echo(attempt_json(exchange))
        elif times > 1:
            typer.echo(attempt_line(number, exchange, painter()))
        else:
            typer.echo(answer_text(exchange, painter()))
    if output is OutputFormat.TEXT:
        if times > 1:
            typer.echo(f"\n{tally.text(painter())}")
        hint = advice(exchange, shot)
        if hint:
            typer.echo(f"\n{painter()('hint:', Style.MUTED)}{folded(f' {hint}', sys.stdout, indent=2)}")
    return tally.exit_code


@contextmanager
def _recording(path: Path | None) -> Iterator[Callable[[Exchange], object]]:
    """What takes every exchange: a HAR log in *path*, if there is one."""
    if path is None:
        yield lambda _: None
        return
    from roomhook.contract_tests.reports.har import ExchangeLog

    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"--har {path} can't be written: {error.strerror or error}; name another file"
        ) from None
    with file, ExchangeLog(file) as log:
        yield log.record


def _refuse_contradictions(kind: Kind, given: Given, edits: Edits, raw: Path | None) -> None:
    if kind is Kind.ENTER and given.reason is not None:
        raise ConfigurationError("an enter callback has no Reason: drop --reason, or use --add Reason=…")
    if raw and (given != Given() or edits != Edits()):
        raise ConfigurationError("--raw sends a file unchanged: drop the options that generate or edit the packet")


def _headers(content_type: str, lines: list[str] | None) -> tuple[tuple[str, str], ...]:
    extra = parse_headers(lines)
    if any(name.lower() == "content-type" for name, _ in extra):
        raise ConfigurationError("--header cannot set Content-Type: use --content-type TYPE, or --content-type none")
    return extra if content_type == "none" else (("Content-Type", _content_type(content_type)), *extra)


def _content_type(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ConfigurationError(f"--content-type {text!r} has letters that no header can hold; write it as text/plain")
    return text


def _read(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return read_bounded(path)
    except OSError as error:
        raise ConfigurationError(f"--raw {path} can't be read: {error.strerror}") from None
