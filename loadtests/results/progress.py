"""Messages between ``roomhook load`` and the locust that it starts."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["INTERRUPTED", "PROGRESS_FD", "LoadProgress"]

PROGRESS_FD: Final = "ROOMHOOK_LOAD_PROGRESS_FD"
"""The environment variable with a file descriptor for lines of JSON: a ``LoadProgress`` each second; the last one has
the table."""

INTERRUPTED: Final = 130
"""Exit code of a test interrupted by Ctrl-C."""


class LoadProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of a run: ``asked`` (None in the closed loop) and ``rate`` in callbacks/s; ``table`` is the result.

    ``connections`` is what may be in flight at once; ``outcomes`` and ``requirements`` count as in ``Figures``.
    """

    elapsed_s: float = 0.0
    users: int = 0
    workers: int = 1
    connections: int = 0
    asked: float | None = None
    rate: float = 0.0
    requests: int = 0
    noncompliant: int = 0
    unsent: int = 0
    outcomes: dict[str, int] = {}
    requirements: dict[str, int] = {}
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    table: str = ""
