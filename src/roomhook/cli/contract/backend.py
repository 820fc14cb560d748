"""``roomhook backend``: one of our own App backends, to try a sender or the contract suite on."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from roomhook.cli.shared.options import OwnSdkAppId, OwnToken, parse_address
from roomhook.errors import ConfigurationError
from roomhook.simulator.util.defaults import SDKAPPID

if TYPE_CHECKING:
    from roomhook.contract_tests.app_backends.broken.registry import Broken
    from roomhook.contract_tests.app_backends.server import BackendServer

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def backend(
    broken: Annotated[
        str | None, typer.Option("--broken", metavar="ID", help="Break one requirement, e.g. app-id.near")
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="e.g. 0.0.0.0:8000; port 0 takes a free one.")
    ] = "127.0.0.1:0",
    sdkappid: OwnSdkAppId = SDKAPPID,
    token: OwnToken = None,
    listing: Annotated[
        bool, typer.Option("--list", help="List the broken backends and their defects, and stop.")
    ] = False,
) -> None:
    """Start the reference App backend, or with --broken one that departs from it in a single requirement.

    Prints the callback URL on stdout and serves until Ctrl-C. Members come in by Room.CallbackAfterMemberEnter.
    """
    from roomhook.contract_tests.app_backends.broken.catalogue import BROKEN
    from roomhook.contract_tests.app_backends.server import BackendServer, serve

    if listing:
        width = max(map(len, BROKEN))
        for one in BROKEN.values():
            typer.echo(f"{one.id:{width}}  {one.defect}")
        raise typer.Exit
    chosen = _chosen(broken, BROKEN) if broken is not None else None
    host, port = parse_address(listen)
    serve(
        BackendServer(host, port, sdkappid=sdkappid, token=token),
        lambda server: _announce(server, chosen, sdkappid=sdkappid, signed=token is not None),
    )
    raise typer.Exit


def _chosen(requirement: str, table: dict[str, Broken]) -> Broken:
    if requirement in table:
        return table[requirement]
    close = difflib.get_close_matches(requirement, table, n=3)
    hint = f"did you mean {', '.join(close)}?" if close else "see 'roomhook backend --list'"
    raise ConfigurationError(f"no broken backend is named {requirement!r}: {hint}")


def _announce(server: BackendServer, broken: Broken | None, *, sdkappid: int, signed: bool) -> None:
    """The URL on stdout, for scripts; on stderr what this backend is and how to try it."""
    requirement = broken.id if broken else None
    typer.echo(server.url(requirement))
    hints = [f"breaks {broken.id}: {broken.defect}" if broken else "the reference App backend"]
    if broken and broken.needs_token and not signed:
        hints.append("its defect shows only with a token: set ROOMHOOK_TOKEN, here and for the check")
    probe = f" --probe '{server.probe(requirement)}'" if broken and broken.needs_probe else ""
    fuzz = " --fuzz 500" if broken and broken.needs_fuzz else ""
    token = "ROOMHOOK_TOKEN=… " if signed else ""
    hints += [
        f"rooms: {server.probe(requirement)}  (GET)",
        f"try:   {token}roomhook check {server.url(requirement)} --sdkappid {sdkappid}{probe}{fuzz}",
        "Ctrl-C stops it",
    ]
    typer.echo("\n".join(hints), err=True)
