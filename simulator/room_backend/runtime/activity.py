"""Events of the mock Room backend for its observers: calls and attempts of callbacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from roomhook.simulator.room_backend.state.changes import PendingCallback

__all__ = ["ApiCall", "CallListener", "CommitListener"]


class ApiCall(NamedTuple):
    """A call that was answered; ``name`` is the path, ``code`` the ErrorCode, ``elapsed_us`` the time it took."""

    time_us: int
    name: str
    body: bytes
    code: int
    info: str
    elapsed_us: int


CallListener = Callable[[ApiCall], object]
"""Called with every call under /v4 and /sim that changes something."""

CommitListener = Callable[[Sequence[tuple[int, PendingCallback]]], object]
"""Called after every stored change with its callbacks and their ids, before they are sent."""
