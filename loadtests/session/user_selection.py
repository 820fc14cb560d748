"""Selects which of a locustfile's users run: locust takes every user class, also imported base classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from locust.env import Environment

__all__ = ["bases_only", "choose_users"]

_OURS: Final = "roomhook.loadtests."
_BY_ENGINE: Final = {"fast": "FastUser", "gevent": "LeaveCallbackUser", "requests": "LeaveCallbackHttpUser"}


def choose_users(environment: Environment) -> None:
    """Remove base classes from *environment* and its class picker; --engine selects among our users.

    Names on the command line win over both. Workers keep all: they run what their master names.
    """
    options: Any = environment.parsed_options
    if options.user_classes:
        return
    available: Any = environment.available_user_classes or {}
    for name in bases_only(available):
        user = available.pop(name)
        tasks: Any = environment.available_user_tasks or {}
        tasks.pop(name, None)
        environment.user_classes[:] = [one for one in environment.user_classes if one is not user]
    if not options.class_picker and {one.__name__ for one in environment.user_classes} == set(_BY_ENGINE.values()):
        chosen = _BY_ENGINE[options.engine]
        environment.user_classes[:] = [one for one in environment.user_classes if one.__name__ == chosen]


def bases_only(users: Mapping[str, type]) -> tuple[str, ...]:
    """The names of those of *users*, by their names in the locustfile, that are ours and have a subclass among them."""
    return tuple(
        name
        for name, user in users.items()
        if user.__module__.startswith(_OURS)
        and any(issubclass(other, user) and other is not user for other in users.values())
    )
