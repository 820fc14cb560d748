"""Adds Roomhook's options to locust's command line and web form, and reads settings from them."""

from __future__ import annotations

import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from locust import events
from locust.argument_parser import LocustArgumentParser

from roomhook.errors import ConfigurationError
from roomhook.loadtests.results.progress import PROGRESS_FD
from roomhook.loadtests.workload.engine_names import LoadEngine
from roomhook.loadtests.workload.settings import LoadSettings, parse_rooms
from roomhook.loadtests.workload.shape_names import LoadShape
from roomhook.simulator.http_server.headers import parse_headers
from roomhook.simulator.protocol.identifiers import check_sdkappid
from roomhook.simulator.traffic.profiles import Profile

__all__ = ["settings_from", "submitted"]

_IN_FORM: Final[Mapping[str, Callable[[str], Any]]] = {
    "sdkappid": int,
    "callback_profile": str,
    "rooms": str,
    "seed": str,
    "deadline": float,
    "callback_rate": float,
    "callback_connections": int,
}
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")


@cache
def _given() -> LoadSettings | None:
    """The settings of ``roomhook load``, which starts locust with them on its standard input."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=LoadSettings) if PROGRESS_FD in os.environ else None


def _add_options(parser: LocustArgumentParser, **_: Any) -> None:
    add: Any = parser.add_argument  # a group's does not know the web form
    add("--sdkappid", type=int, env_var="ROOMHOOK_SDKAPPID", help="The target's SDKAppID.")
    add(
        "--token",
        env_var="ROOMHOOK_TOKEN",
        include_in_web_ui=False,  # the page holds each default, a masked one as well
        help="Sign callbacks with this token. Keep it off the command line: set ROOMHOOK_TOKEN.",
    )
    add(
        "--callback-profile",
        choices=[one.value for one in Profile],
        help="Kind of traffic (locust's own --profile names a test run).",
    )
    add("--rooms", help="Number of rooms, e.g. 50, or a file of RoomIds, one per line.")
    add("--people", help="File of existing accounts, one per line.", include_in_web_ui=False)
    add("--with-enter", action="store_true", help="Also send enter callbacks.")
    # As text: the web form sends what is left empty, and locust keeps the type that it finds.
    add("--seed", help="Repeat an earlier run's people and rooms; every run prints its seed.")
    add("--deadline", type=float, help="Time for a complete response [seconds].")
    add(
        "--callback-rate",
        type=float,
        help="Callbacks/s of each user; 0 sends after each response (closed loop).",
    )
    add(
        "--callback-connections",
        type=int,
        help="Most connections of one worker's fast sender, open loop.",
    )
    add(
        "--engine",
        choices=[one.value for one in LoadEngine],
        default=LoadEngine.GEVENT.value,
        include_in_web_ui=False,  # as the shape, it is decided before there is a form
        help="Sender, unless you name users on the command line.",
    )
    add(
        "--shape",
        choices=["none", *(one.value for one in LoadShape)],
        default="none",
        include_in_web_ui=False,
        help="Course of the number of users up to --users.",
    )
    add(
        "--header",
        action="append",
        include_in_web_ui=False,
        help="A header for a gateway, e.g. 'X-Api-Key: abc'; repeatable.",
    )
    add("--cacert", include_in_web_ui=False, help="A PEM file with the CA that signed the target's certificate.")
    add(
        "--allow-host",
        action="append",
        default=[],
        include_in_web_ui=False,
        help="Allow this remote target; repeatable.",
    )
    add("--insecure", action="store_true", include_in_web_ui=False, help="Accept any certificate.")
    add("--cert", include_in_web_ui=False, help="A PEM file with our own client certificate and its key.")
    add(
        "--fail-if",
        action="append",
        default=[],
        include_in_web_ui=False,
        help="Fail if this is true, e.g. 'p99>500ms', 'noncompliant>0', 'delivered<99.9%%'; repeatable.",
    )
    add(
        "--attempts",
        include_in_web_ui=False,
        help="Write every attempt of the fast sender to this CSV file; each of several workers writes FILE.N.",
    )
    add("--verdict-json", include_in_web_ui=False, help="Write figures and verdicts to this file, as JSON.")
    add("--verdict-html", include_in_web_ui=False, help="Write locust's report and the verdicts to this file, as HTML.")
    add("--verdict-junit", include_in_web_ui=False, help="Write the verdicts to this file, as JUnit XML.")
    given = _given()
    if given is not None:
        hidden: Any = parser
        hidden._default_config_files = []  # noqa: SLF001 (they are meant for people's own locustfiles)
    parser.set_defaults(**_options_of(given or LoadSettings(url=""), seeded=given is not None))


def _options_of(settings: LoadSettings, *, seeded: bool) -> dict[str, Any]:
    """The inverse of ``settings_from``; has no seed unless *seeded*."""
    return {
        "host": settings.url or None,
        "sdkappid": settings.sdkappid,
        "token": settings.token,
        "callback_profile": settings.profile,
        "rooms": None if settings.rooms is None else str(settings.rooms),
        "people": settings.people,
        "with_enter": settings.with_enter,
        "seed": str(settings.seed) if seeded else None,
        "deadline": settings.deadline_s,
        "callback_rate": settings.rate,
        "callback_connections": settings.connections,
        "header": [f"{name}: {value}" for name, value in settings.headers],
        "cacert": settings.cacert,
        "insecure": settings.insecure,
        "cert": settings.cert,
    }


def settings_from(options: Namespace, host: str | None) -> LoadSettings:
    """The settings from *options* and locust's *host*; raises ``ConfigurationError``."""
    if not host:
        raise ConfigurationError("no callback URL: give --host http://127.0.0.1:8000/callback")
    return LoadSettings(
        url=host,
        sdkappid=check_sdkappid(_whole("--sdkappid", options.sdkappid)),
        seed=_whole("--seed", options.seed or 0),
        token=options.token or None,
        headers=parse_headers(options.header),
        profile=options.callback_profile,
        rooms=parse_rooms(options.rooms),
        people=options.people,
        with_enter=bool(options.with_enter),
        deadline_s=options.deadline,
        rate=options.callback_rate,
        connections=options.callback_connections,
        cacert=options.cacert,
        insecure=bool(options.insecure),
        cert=options.cert,
        attempts=str(Path(options.attempts).absolute()) if options.attempts else None,
    ).check()


def submitted(options: Namespace, form: Mapping[str, str]) -> Namespace:
    """*options* with the values of locust's web *form*; raises ``ConfigurationError``.

    Locust keeps the type of each.
    """
    found = Namespace(**vars(options))
    for name, kind in _IN_FORM.items():
        if name in form:
            try:
                setattr(found, name, kind(form[name]))
            except ValueError:
                example = f"--{name.replace('_', '-')} {getattr(options, name)}"
                raise ConfigurationError(f"{form[name]!r} is not a number, e.g. {example}") from None
    return found


def _whole(option: str, number: int | str) -> int:
    text = str(number)
    if not _NUMBER.fullmatch(text):
        raise ConfigurationError(f"{option} {text:.30} is not a whole number of up to 18 digits, e.g. 7")
    return int(text)


_events: Any = events
_events.init_command_line_parser.add_listener(_add_options)
