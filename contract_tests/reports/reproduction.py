"""The command line that repeats a finding alone: the whole invocation, with the same seed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, Final

from roomhook.contract_tests.model.settings import Settings
from roomhook.simulator.protocol.callback_request import CallbackRequest, masked, masked_url

__all__ = ["for_any_port", "repeating"]

_DEFAULTS: Final[dict[str, Any]] = {one.name: one.default for one in fields(Settings)}

_VALUES: Final = {
    "deadline_ms": ("--deadline", 1000),
    "refusal": ("--refusal", None),
    "cacert": ("--cacert", None),
    "cert": ("--cert", None),
    "wait_for_s": ("--wait-for", 1),
    "clock_skew_s": ("--clock-skew", 1),
    "room": ("--room", None),
    "probe_pointer": ("--probe-pointer", None),
    "probe_command": ("--probe-command", None),
    "enter_command": ("--enter-command", None),
    "settle_s": ("--settle", 1),
    "fuzz": ("--fuzz", None),
}
"""Setting to its option, and to what a number is divided by."""
_SWITCHES: Final = {"strict": "--strict", "insecure": "--insecure", "enter_first": "--enter-first"}


def repeating(settings: Settings, only: Sequence[str]) -> str:
    """A shell line that judges the requirements *only* again, as *settings* say; secrets are masked or left out.

    The token stays out: it comes from ``ROOMHOOK_TOKEN``.
    """
    words = ["roomhook", "check", _with_port_left_open(settings, masked_url(settings.target)), *_options(settings)]
    return shlex.join([*words, "--seed", str(settings.seed), "--only", ",".join(only)])


def for_any_port(settings: Settings, shell_line: str) -> str:
    """*shell_line* with the port of a target that was started for the run as ``$PORT``: by now nobody listens there."""
    return shell_line.replace(f":{settings.exec_port}/", ":'$PORT'/") if settings.exec_port else shell_line


def _with_port_left_open(settings: Settings, text: str) -> str:
    return text.replace(f":{settings.exec_port}/", ":{port}/") if settings.exec_port else text


def _options(settings: Settings) -> Iterator[str]:
    yield from ("--sdkappid", str(settings.sdkappid))
    if settings.exec_command:
        yield from ("--exec", settings.exec_command)
    if settings.probe:
        yield from ("--probe", _with_port_left_open(settings, masked_url(settings.probe)))
    for name, (option, unit) in _VALUES.items():
        value = getattr(settings, name)
        if value != _DEFAULTS[name]:
            yield from (option, f"{value / unit:g}" if unit else str(value))
    for name, option in _SWITCHES.items():
        if getattr(settings, name):
            yield option
    yield from _lists(settings)


def _lists(settings: Settings) -> Iterator[str]:
    for member in settings.members:
        yield from ("--member", member)
    for name, value in masked(CallbackRequest("", None, tuple(settings.headers))).headers:
        yield from ("--header", f"{name}: {value}")
    if settings.proxy:
        yield from ("--proxy", _without_password(settings.proxy))
    for file in dict.fromkeys(one.file for one in settings.known):
        yield from ("--known", file)


def _without_password(proxy: str) -> str:
    scheme, mark, rest = proxy.partition("://")
    return f"{scheme}{mark}{'***@' if '@' in rest else ''}{rest.rpartition('@')[2]}"
