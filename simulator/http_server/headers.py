"""Header lines as people write them: ``Name: value``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from roomhook.errors import ConfigurationError

__all__ = ["parse_headers"]

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE: Final = re.compile(rf"({_NAME.pattern}):[ \t]*([^\r\n\0]*)")


def parse_headers(lines: Iterable[str] | None) -> tuple[tuple[str, str], ...]:
    """Names and values of ``--header`` *lines*; raises ``ConfigurationError`` for a line that is not ``Name: value``.

    The error never repeats the value, which may be a secret.
    """
    found: list[tuple[str, str]] = []
    for line in lines or ():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            name = line.partition(":")[0].strip() if ":" in line else ""
            shown = repr(name) if _NAME.fullmatch(name) else "(not shown)"
            raise ConfigurationError(f"--header {shown}: write it as 'Name: value', as in 'X-Api-Key: abc'")
        if match[2].isdigit() and line.strip()[len(match[1]) + 1 :] == match[2]:
            raise ConfigurationError(f"--header {match[1]!r}: put a blank after the colon; this looks like HOST:PORT")
        try:
            match[2].encode("latin-1")
        except UnicodeEncodeError:
            raise ConfigurationError(f"--header {match[1]!r}: the value has letters that no header can hold") from None
        found.append((match[1], match[2].rstrip()))
    return tuple(found)
