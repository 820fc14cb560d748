"""Keeps secrets out of error lines and tracebacks: hides the values of --token, --header and the like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from roomhook.simulator.protocol.callback_request import masked_url

__all__ = ["without_secrets"]

_OPTIONS: Final = ("token", "auth", "secret-key", "header", "proxy")
_SHORTEST: Final = 4
"""Characters of a value that is hidden; hiding shorter ones would garble the message and hide nothing."""


def without_secrets(text: str, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """*text* with *** for every secret that the command line or the environment holds, e.g. the value of --token."""
    found = {one for one in _secrets(arguments, environment) if len(one) >= _SHORTEST}
    for secret in sorted(found, key=len, reverse=True):
        for form in (secret, repr(secret)[1:-1]):
            text = text.replace(form, "***")
    return text


def _secrets(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, equals, value = argument.partition("=")
        name = option.removeprefix("--")
        if option.startswith("--") and name in _OPTIONS:
            yield from _parts_of(name, value if equals else following)
        if "://" in argument or "?" in argument:
            yield from _parts_of("url", argument)
    for name in _OPTIONS:
        yield from _parts_of(name, environment.get(f"ROOMHOOK_{name.replace('-', '_').upper()}", ""))


def _parts_of(name: str, value: str) -> Iterator[str]:
    """What is secret in the *value* of an option: of a header its value, of a URL its password and parameters."""
    if name == "header":
        for line in value.splitlines():
            yield line.partition(":")[2].strip() or line
    elif name in {"proxy", "url"}:
        yield from _of_url(value)
    else:
        yield value
        yield value.partition("=")[2]  # of an app, as in 1400000002=KEY


def _of_url(url: str) -> Iterator[str]:
    try:
        yield urlsplit(url).netloc.rpartition("@")[0].partition(":")[2]
    except ValueError:
        yield re.split(r"[/?#]", url.partition("//")[2])[0].rpartition("@")[0]
    parameters = url.partition("?")[2].split("&")
    shown = masked_url(url).partition("?")[2].split("&")
    yield from (one.partition("=")[2] for one, seen in zip(parameters, shown, strict=True) if one != seen)
