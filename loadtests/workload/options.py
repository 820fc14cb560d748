"""Our options in locust's own parser, command line and web form, and the settings that they make."""

from __future__ import annotations

import json
import os
import re
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from locust import events
from locust.argument_parser import LocustArgumentParser

from roomhook.errors import ConfigurationError
from roomhook.loadtests.results.progress import HEADERS
from roomhook.loadtests.workload.engine_names import LoadEngine
from roomhook.loadtests.workload.settings import LoadSettings
from roomhook.loadtests.workload.shape_names import LoadShape
from roomhook.simulator.http_server.headers import parse_headers
from roomhook.simulator.protocol.identifiers import LONGEST_ACCOUNT, LONGEST_ROOM_ID, check_sdkappid, read_ids
from roomhook.simulator.traffic.profiles import Profile
from roomhook.simulator.util.defaults import DEADLINE_MS, SDKAPPID
from roomhook.simulator.util.limits import LONGEST_WAIT_S, MOST, MOST_A_SECOND

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


def _add_options(parser: LocustArgumentParser, **_: Any) -> None:
    add: Any = parser.add_argument  # a group's does not know the web form
    add("--sdkappid", type=int, default=SDKAPPID, env_var="ROOMHOOK_SDKAPPID", help="The target's SDKAppID.")
    add(
        "--token",
        env_var="ROOMHOOK_TOKEN",
        include_in_web_ui=False,  # the page holds each default, a masked one as well
        help="Sign callbacks with this token. Keep it off the command line: set ROOMHOOK_TOKEN.",
    )
    add(
        "--callback-profile",
        choices=[one.value for one in Profile],
        default="steady",
        help="The traffic of the simulated rooms (locust's own --profile names a test run).",
    )
    add("--rooms", help="How many rooms, e.g. 50, or a file with their ids.")
    add("--people", help="A file of existing accounts, one a line.", include_in_web_ui=False)
    add("--with-enter", action="store_true", help="Also call back Room.CallbackAfterMemberEnter.")
    # As text: the web form sends what is left empty, and locust keeps the type that it finds.
    add("--seed", help="Repeat an earlier run's people and rooms; every run prints its seed.")
    add("--deadline", type=float, default=DEADLINE_MS / 1000, help="Seconds within which an answer must be whole.")
    add(
        "--callback-rate",
        type=float,
        default=1.0,
        help="Callbacks/s of each user; 0 sends the next one as soon as the answer is there (closed loop).",
    )
    add(
        "--callback-connections",
        type=int,
        default=256,
        help="What one worker's fast lane keeps in flight at most, in the open loop.",
    )
    add(
        "--engine",
        choices=[one.value for one in LoadEngine],
        default=LoadEngine.GEVENT.value,
        include_in_web_ui=False,  # as the shape, it is decided before there is a form
        help="What sends, unless users are named on the command line.",
    )
    add(
        "--shape",
        choices=["none", *(one.value for one in LoadShape)],
        default="none",
        include_in_web_ui=False,
        help="How the number of users moves up to --users.",
    )
    add(
        "--header",
        action="append",
        default=json.loads(os.environ.get(HEADERS, "[]")),
        include_in_web_ui=False,
        help="A header for a gateway, e.g. 'X-Api-Key: abc'; repeatable.",
    )
    add("--cacert", include_in_web_ui=False, help="A PEM file with the CA that signed the target's certificate.")
    add(
        "--allow-host",
        action="append",
        default=[],
        include_in_web_ui=False,
        help="A target outside this machine that you may send many callbacks to; repeatable.",
    )
    add("--insecure", action="store_true", include_in_web_ui=False, help="Accept any certificate.")
    add("--cert", include_in_web_ui=False, help="A PEM file with our own client certificate and its key.")
    add(
        "--fail-if",
        action="append",
        default=[],
        include_in_web_ui=False,
        help="Exit with 1 if this holds, e.g. 'p99>500ms', 'noncompliant>0', 'delivered<99.9%%'; repeatable.",
    )
    add(
        "--attempts",
        include_in_web_ui=False,
        help="Let the fast lane write every attempt to this file, as CSV; of several workers, each to FILE.N.",
    )
    add("--verdict-json", include_in_web_ui=False, help="Write figures and verdicts to this file, as JSON.")
    add("--verdict-html", include_in_web_ui=False, help="Write locust's report and the verdicts to this file, as HTML.")
    add("--verdict-junit", include_in_web_ui=False, help="Write the verdicts to this file, as JUnit XML.")


def settings_from(options: Namespace, host: str | None) -> LoadSettings:
    """The settings that *options* and locust's *host* make; raises ``ConfigurationError``."""
    if not host:
        raise ConfigurationError("no callback URL: give --host http://127.0.0.1:8000/callback")
    if not 0 < options.deadline <= LONGEST_WAIT_S:
        raise ConfigurationError(f"--deadline is seconds above 0, as in 2.0, and {LONGEST_WAIT_S:,} at most")
    if not 0 <= options.callback_rate <= MOST_A_SECOND:
        raise ConfigurationError(
            f"--callback-rate is callbacks/s of a user, as in 1.0, {MOST_A_SECOND:,} at most; 0 is the closed loop"
        )
    if not 1 <= options.callback_connections <= MOST:
        raise ConfigurationError(f"--callback-connections is to be 1 or more, and {MOST:,} at most")
    if options.callback_profile not in set(Profile):
        raise ConfigurationError(f"--callback-profile is to be one of {', '.join(Profile)}")
    rooms = str(options.rooms or "")
    settings = LoadSettings(
        url=host,
        sdkappid=check_sdkappid(_whole("--sdkappid", options.sdkappid)),
        seed=_whole("--seed", options.seed or 0),
        token=options.token or None,
        headers=parse_headers(options.header),
        profile=options.callback_profile,
        rooms=_count(rooms) if _NUMBER.fullmatch(rooms) else None,
        room_ids=read_ids(Path(rooms), "--rooms", LONGEST_ROOM_ID) if rooms and not _NUMBER.fullmatch(rooms) else (),
        people=read_ids(Path(options.people), "--people", LONGEST_ACCOUNT) if options.people else (),
        with_enter=bool(options.with_enter),
        deadline_s=options.deadline,
        rate=options.callback_rate,
        connections=options.callback_connections,
        cacert=options.cacert,
        insecure=bool(options.insecure),
        cert=options.cert,
        attempts=str(Path(options.attempts).absolute()) if options.attempts else None,
    )
    settings.target()
    return settings


def submitted(options: Namespace, form: Mapping[str, str]) -> Namespace:
    """*options* as they are once locust has taken its web *form* over; raises ``ConfigurationError``.

    Locust keeps the type of each.
    """
    found = Namespace(**vars(options))
    for name, kind in _IN_FORM.items():
        if name in form:
            try:
                setattr(found, name, kind(form[name]))
            except ValueError:
                example = f"--{name.replace('_', '-')} {getattr(options, name)}"
                raise ConfigurationError(f"{form[name]!r} is no number, as in {example}") from None
    return found


def _whole(option: str, number: int | str) -> int:
    text = str(number)
    if not _NUMBER.fullmatch(text):
        raise ConfigurationError(f"{option} {text:.30} is no whole number of up to 18 digits, as 7 is")
    return int(text)


def _count(text: str) -> int:
    if not 1 <= int(text) <= MOST:
        raise ConfigurationError(f"--rooms {text} is not a number of rooms from 1 to {MOST:,}; write it as 50")
    return int(text)


_events: Any = events
_events.init_command_line_parser.add_listener(_add_options)
