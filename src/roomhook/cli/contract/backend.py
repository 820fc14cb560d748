"""``roomhook backend``: the reference App backend, or a broken one, to try a sender or the suite on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from roomhook.cli.shared.options import OwnSdkAppId, OwnToken, parse_address
from roomhook.cli.shared.terminal import painter, table
from roomhook.errors import ConfigurationError
from roomhook.palette import Style
from roomhook.simulator.util.defaults import SDKAPPID
from roomhook.suggestions import did_you_mean

if TYPE_CHECKING:
    from roomhook.contract_tests.app_backends.broken.registry import Broken
    from roomhook.contract_tests.app_backends.server import BackendServer

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def backend(
    broken: Annotated[
        str | None, typer.Option("--broken", metavar="ID", help="Break one requirement, e.g. app-id.near.")
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            "--listen", metavar="HOST:PORT", help="Address to listen on, e.g. 0.0.0.0:8000; port 0 takes a free one."
        ),
    ] = "127.0.0.1:8000",
    sdkappid: OwnSdkAppId = SDKAPPID,
    token: OwnToken = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List the broken backends with their defects, and exit.")
    ] = False,
) -> None:
    """Run the reference App backend, or with --broken one that fails a single requirement.

    Prints the callback URL on stdout and serves until Ctrl-C. An enter callback adds members to a room.

    Example: roomhook backend --broken app-id.near
    """
    from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
    from roomhook.contract_tests.app_backends.server import BackendServer, serve

    if listing:
        table({one.id: one.defect for one in BROKEN.values()})
        raise typer.Exit
    chosen = _chosen(broken, BROKEN) if broken is not None else None
    host, port = parse_address(listen)
    serve(
        BackendServer(host, port, sdkappid=sdkappid, token=token, chosen=chosen.id if chosen else None),
        lambda server: _announce(server, chosen, sdkappid=sdkappid, signed=token is not None),
    )
    raise typer.Exit


def _chosen(requirement: str, table: dict[str, Broken]) -> Broken:
    if requirement in table:
        return table[requirement]
    hint = did_you_mean(requirement, table) or "; 'roomhook backend --list' lists them"
    raise ConfigurationError(f"--broken {requirement}: there is no such backend{hint}")


def _announce(server: BackendServer, broken: Broken | None, *, sdkappid: int, signed: bool) -> None:
    """The URL on stdout, for scripts; on stderr what this backend is and how to try it."""
    url = server.callback()
    paint = painter(sys.stderr)
    typer.echo(url)
    hints = [f"broken in {broken.id}: {broken.defect}" if broken else "the reference App backend"]
    if broken and broken.needs_token and not signed:
        hints.append("the defect shows only with a token: set ROOMHOOK_TOKEN here and for the check")
    probe = f" --probe '{url}/rooms/{{RoomId}}'" if broken and broken.needs_probe else ""
    fuzz = " --fuzz 500" if broken and broken.needs_fuzz else ""
    token = "ROOMHOOK_TOKEN=… " if signed else ""
    hints += [
        f"{paint('members:', Style.MUTED)} {url}/rooms/{{RoomId}}  (GET)",
        f"{paint('try:', Style.MUTED)}     {token}roomhook check {url} --sdkappid {sdkappid}{probe}{fuzz}",
        "Ctrl-C stops it",
    ]
    typer.echo("\n".join(hints), err=True)
