"""Load shapes by name: each registers itself, and --shape selects one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from locust import LoadTestShape

from roomhook.errors import ConfigurationError
from roomhook.loadtests.session.session import LoadSession

__all__ = ["register_shape", "select_shape"]


_ShapeClass = TypeVar("_ShapeClass", bound=type[LoadTestShape])
_shapes: dict[str, Any] = {}
"""Classes of shapes by name; ``shortest`` of each is its minimum duration in s."""


def register_shape(name: str) -> Callable[[_ShapeClass], _ShapeClass]:
    """Make the decorated shape available as ``--shape name``."""

    def register(shape: _ShapeClass) -> _ShapeClass:
        _shapes[name] = shape
        return shape

    return register


def select_shape(session: LoadSession) -> LoadTestShape | None:
    """The shape that --shape asks for, None for "none".

    Raises ``ConfigurationError`` if the shape needs a threshold or more time.
    """
    name = session.options.shape
    if name == "none":
        return None
    if name == "staircase" and not session.thresholds:
        raise ConfigurationError("--shape staircase needs a threshold: add --fail-if, e.g. 'p99>500ms'")
    kind, seconds = _shapes[name], session.options.run_time
    if seconds and seconds < kind.shortest:
        raise ConfigurationError(
            f"--shape {name} needs more time than {seconds:g} s, because locust changes users once a second: "
            f"give it {kind.shortest:g}s or more"
        )
    shape = kind()
    assert isinstance(shape, LoadTestShape)
    return shape
