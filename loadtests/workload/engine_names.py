"""The names of --engine, for code that must not import locust."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LoadEngine"]


class LoadEngine(StrEnum):
    """The sender: Roomhook's fast one, locust's FastHttpUser, or locust's HttpUser."""

    FAST = "fast"
    GEVENT = "gevent"
    REQUESTS = "requests"
