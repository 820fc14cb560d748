"""The options that several commands share, declared once, and what turns their text into values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from roomhook.errors import ConfigurationError
from roomhook.simulator.protocol.identifiers import check_sdkappid
from roomhook.simulator.util.defaults import DEADLINE_MS, SDKAPPID
from roomhook.simulator.util.limits import LONGEST_WAIT_S

__all__ = [
    "DEADLINE_S",
    "CaCert",
    "Cert",
    "Deadline",
    "Format",
    "Header",
    "Insecure",
    "OutputFormat",
    "OwnSdkAppId",
    "OwnToken",
    "PrintAs",
    "Proxy",
    "SdkAppId",
    "Seed",
    "Token",
    "Url",
    "chosen_seed",
    "naming",
    "own_app_id_hint",
    "parse_address",
    "parse_proxy",
    "parse_token",
]


class OutputFormat(StrEnum):
    """How the result is printed on stdout."""

    TEXT = "text"
    JSON = "json"


class PrintAs(StrEnum):
    """How a request is printed."""

    HTTP = "http"
    CURL = "curl"
    JSON = "json"


Url = Annotated[
    str,
    typer.Argument(metavar="URL", help="Your App backend's callback URL, e.g. http://127.0.0.1:8000/callback."),
]
SdkAppId = Annotated[
    int,
    typer.Option("--sdkappid", metavar="N", callback=check_sdkappid, help="SDKAppID of the target, e.g. 1400000001."),
]
OwnSdkAppId = Annotated[
    int,
    typer.Option(
        "--sdkappid",
        metavar="N",
        callback=check_sdkappid,
        help="SDKAppID to accept; refuse callbacks for any other.",
    ),
]
OwnToken = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="Refuse callbacks that are not signed with this token. Better: set ROOMHOOK_TOKEN.",
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        help="Sign callbacks with this token. Better: set ROOMHOOK_TOKEN.",
    ),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        metavar="'NAME: VALUE'",
        help="Add a header for a gateway, e.g. 'Authorization: Bearer abc'; repeatable.",
    ),
]
DEADLINE_S: Final = DEADLINE_MS / 1000
"""The default of ``--deadline`` (s)."""

Deadline = Annotated[
    float,
    typer.Option(
        "--deadline",
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        max=LONGEST_WAIT_S,
        help="Time for a complete response [seconds], e.g. 2.5.",
    ),
]
CaCert = Annotated[
    Path | None,
    typer.Option("--cacert", metavar="FILE", help="PEM file with the CA of the target's certificate, e.g. ca.pem."),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Accept any certificate; the Room backend would not.")]
Cert = Annotated[
    Path | None,
    typer.Option("--cert", metavar="FILE", help="PEM file with a client certificate and its key, e.g. client.pem."),
]
Proxy = Annotated[
    str | None,
    typer.Option("--proxy", metavar="URL", help="HTTP proxy to send through, e.g. http://127.0.0.1:3128."),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", metavar="N", help="Repeat the random choices of an earlier run, e.g. 7; every run prints its seed."
    ),
]
Format = Annotated[OutputFormat, typer.Option("--format", help="Format of the result on stdout.")]


def chosen_seed(seed: int | None) -> int:
    """*seed*, or without one a fresh one, short enough to be typed again."""
    return random.SystemRandom().randrange(1_000_000) if seed is None else seed


@contextmanager
def naming(option: str) -> Iterator[None]:
    """Put *option* before a ``ConfigurationError`` that does not name it."""
    try:
        yield
    except ConfigurationError as error:
        raise error if option in str(error) else ConfigurationError(f"{option}: {error}") from None


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``--listen``; raises ``ConfigurationError`` for what is no HOST:PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigurationError(f"--listen {text!r} is no HOST:PORT; give one like 127.0.0.1:8000, or [::1]:0")
    return host.removeprefix("[").removesuffix("]"), int(port)


def own_app_id_hint(sdkappid: int | str) -> str:
    """What to try where an App backend refuses callbacks of *sdkappid*: nothing, if the user has given it."""
    return f"SdkAppid was {SDKAPPID}, our own default: give yours with --sdkappid." if sdkappid == SDKAPPID else ""


def parse_token(token: str | None) -> str | None:
    """*token* as it is; raises ``ConfigurationError`` for an empty one, which is a variable that was never filled."""
    if token == "":
        raise ConfigurationError("the token is empty; leave it out, or give the one that the console shows")
    return token


def parse_proxy(url: str | None) -> str | None:
    """*url* if it names an HTTP proxy; raises ``ConfigurationError`` for anything else."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError("--proxy is not the URL of an HTTP proxy; write it as http://127.0.0.1:3128")
    return url
