"""What happens on the mock Room backend, for those who show it: calls and attempts of callbacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["ApiCall", "CallListener"]


class ApiCall(NamedTuple):
    """A call that was answered; ``name`` is the path, ``code`` the ErrorCode, ``elapsed_us`` the time it took."""

    time_us: int
    name: str
    body: bytes
    code: int
    info: str
    elapsed_us: int


CallListener = Callable[[ApiCall], object]
"""Gets every call under /v4 and /sim that changes something."""
