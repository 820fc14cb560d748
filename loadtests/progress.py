"""The way on which a load test tells ``roomhook load`` how it goes."""

from __future__ import annotations

from typing import Final

__all__ = ["PROGRESS_FD"]

PROGRESS_FD: Final = "ROOMHOOK_LOAD_PROGRESS_FD"
"""The environment variable with a file descriptor for lines of JSON: how it goes, each second, and at the end
``{"table": text}``."""
