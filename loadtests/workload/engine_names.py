"""What can send the requests of a load test, for code that offers the choice without importing locust."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LoadEngine"]


class LoadEngine(StrEnum):
    """What sends: the fast lane, locust's FastHttpUser, or locust's HttpUser."""

    FAST = "fast"
    GEVENT = "gevent"
    REQUESTS = "requests"
