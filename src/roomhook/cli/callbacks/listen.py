"""``roomhook listen``: a recording App backend that validates, journals and prints what arrives."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roomhook.cli.shared.options import (
    Format,
    OutputFormat,
    OwnSdkAppId,
    OwnToken,
    parse_address,
    parse_token,
)
from roomhook.errors import ConfigurationError
from roomhook.simulator.util.defaults import SDKAPPID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from roomhook.simulator.console.listener_console import ListenerConsole
    from roomhook.simulator.journal.writer import ReceivedCallbackJournal
    from roomhook.simulator.listener.server import Listener
    from roomhook.simulator.protocol.callback_url import CallbackUrl

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def listen(
    *,
    listen: Annotated[
        str,
        typer.Option(
            "--listen", metavar="HOST:PORT", help="Address to listen on, e.g. 0.0.0.0:8000; port 0 takes a free one."
        ),
    ] = "127.0.0.1:8000",
    journal: Annotated[
        Path | None,
        typer.Option(
            "--journal",
            metavar="FILE",
            help="Record everything in this file, e.g. arrived.db; continues an existing one.",
        ),
    ] = None,
    durable: Annotated[
        bool, typer.Option("--durable", help="Wait until the disk has the --journal before anything is answered.")
    ] = False,
    answer: Annotated[
        str,
        typer.Option(
            "--answer", metavar="HOW", help="Response to valid callbacks: ok, fail, status:503, delay:3s or garbage."
        ),
    ] = "ok",
    sdkappid: OwnSdkAppId = SDKAPPID,
    token: OwnToken = None,
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient",
            help="Accept what a receiver must tolerate (*.accepted schemas), not only what is documented.",
        ),
    ] = False,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, help="Stop after N requests, e.g. 1.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no line for each callback.")] = False,
    forward: Annotated[
        str | None,
        typer.Option(
            "--forward",
            metavar="URL",
            help="Forward callbacks to this App backend and return its responses, e.g. http://127.0.0.1:8001/callback.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="HOST", help="Allow --forward and replay to this host; repeatable."),
    ] = None,
    console: Annotated[
        bool, typer.Option("--console", help="Show what arrives in a browser, on another port of 127.0.0.1.")
    ] = False,
    cert: Annotated[
        Path | None,
        typer.Option("--cert", metavar="FILE", help="Serve https with the certificate and key in this PEM file."),
    ] = None,
    output: Format = OutputFormat.TEXT,
) -> None:
    """Receive callbacks as an App backend until Ctrl-C: the receiving end of fire, traffic and replay.

    Prints the callback URL, then one line for each callback. Refuses callbacks that are not as documented, or for
    another app, with FAIL and the reason. Records a callback in the journal before it responds.

    Example: roomhook listen --journal arrived.db
    """
    from roomhook.cli.callbacks.finish_journals import finish_journals
    from roomhook.cli.callbacks.listen_output import ArrivalPrinter
    from roomhook.simulator.journal.log import JournalError
    from roomhook.simulator.listener.answers import parse_answer
    from roomhook.simulator.listener.server import Listener
    from roomhook.simulator.protocol.request_check import CallbackValidator
    from roomhook.simulator.transport.sender import run_loop
    from roomhook.simulator.util.tls import server_context

    host, port = parse_address(listen)
    canned = parse_answer(answer)
    validator = CallbackValidator(str(sdkappid), time.time, token=parse_token(token), lenient=lenient)
    tls = server_context(cert) if cert is not None else None
    target = _forward_target(forward, allow_host or ())
    options = {"sdkappid": sdkappid, "signed": token is not None, "answer": answer, "lenient": lenient}
    records = _journal(journal, options, durable=durable)
    printer = None if quiet else ArrivalPrinter(as_json=output is OutputFormat.JSON)
    pages = _console(allow_host or ()) if console else None
    shows = [one.show for one in (printer, pages) if one is not None]
    listener = Listener(validator, canned, records, lambda batch: [show(batch) for show in shows])
    try:
        run_loop(_serve(listener, (host, port), tls, count, forward=target, pages=pages))
        _report(listener)
    except JournalError as error:
        raise ConfigurationError(f"{journal} can't be written any more ({error}); what was answered is in it") from None
    finally:
        if printer is not None:
            printer.close()
    if journal is not None:
        if not journal.exists():
            raise ConfigurationError(
                f"{journal} was deleted during the run: nothing is recorded; use another --journal"
            )
        finish_journals([journal])


def _journal(path: Path | None, options: Mapping[str, object], *, durable: bool) -> ReceivedCallbackJournal | None:
    from roomhook.simulator.journal.writer import ReceivedCallbackJournal

    if path is not None:
        return ReceivedCallbackJournal(path, options, durable=durable)
    if durable:
        raise ConfigurationError("--durable needs a --journal, e.g. --journal arrived.db")
    return None


def _console(hosts: Sequence[str]) -> ListenerConsole:
    from roomhook.cli.shared.explained import explained
    from roomhook.simulator.console.listener_console import ListenerConsole

    return ListenerConsole(explained, hosts)


def _forward_target(url: str | None, hosts: Sequence[str]) -> CallbackUrl | None:
    """The URL of --forward, on this machine or an allowed host; raises ``ConfigurationError`` for any other."""
    from roomhook.simulator.protocol.callback_url import CallbackUrl
    from roomhook.simulator.transport.allowed_hosts import require_allowed

    if url is None:
        return None
    try:
        found = CallbackUrl.parse(url)
        require_allowed(found, hosts)
    except ConfigurationError as error:
        raise ConfigurationError(f"--forward: {error}") from None
    return found


async def _serve(
    listener: Listener,
    address: tuple[str, int],
    tls: ssl.SSLContext | None,
    count: int | None,
    *,
    forward: CallbackUrl | None,
    pages: ListenerConsole | None,
) -> None:
    from roomhook.simulator.listener.forward import Forwarder

    if forward is not None:
        listener.forwarder = Forwarder(forward, ssl.create_default_context() if forward.scheme == "https" else None)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    served = contextlib.AsyncExitStack()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stopped.set)
    try:
        host, port = await listener.start(*address, tls)
        shown = f"[{host}]" if ":" in host else host
        typer.echo(f"{'https' if tls else 'http'}://{shown}:{port}/")
        if pages is not None:
            from roomhook.simulator.http_server.serving import console_served

            url = await served.enter_async_context(console_served(pages.routes(), pages.close))
            typer.echo(f"console at {url}/console", err=True)
        typer.echo("listening; Ctrl-C stops it", err=True)
        listener.stop_after(count, stopped.set)
        waiting = [asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(listener.failure())]
        done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for other in others:
            other.cancel()
        for one in done:
            one.result()
    finally:
        await listener.stop()
        await served.aclose()


def _report(listener: Listener) -> None:
    counts = listener.counts
    kinds = ", ".join(
        f"{name if name.isprintable() else ascii(name)} {number}"
        for name, number in sorted(counts.items())
        if name not in {"received", "problem"}
    )
    typer.echo(f"received {counts['received']}, refused {counts['problem']}{f'; {kinds}' if kinds else ''}", err=True)
