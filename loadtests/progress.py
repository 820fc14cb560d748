"""What ``roomhook load`` and the locust that it starts tell each other by the environment."""

from __future__ import annotations

from typing import Final

__all__ = ["HEADERS", "PROGRESS_FD"]

PROGRESS_FD: Final = "ROOMHOOK_LOAD_PROGRESS_FD"
"""The environment variable with a file descriptor for lines of JSON: how it goes, each second, and at the end
``{"table": text}``."""

HEADERS: Final = "ROOMHOOK_LOAD_HEADERS"
"""The environment variable with ``--header`` lines as a JSON array: they may hold secrets, and arguments are public."""
