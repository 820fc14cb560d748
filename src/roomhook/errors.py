"""Every exception that Roomhook raises on purpose.

    RoomhookError               something a person can mend; its text is one line that names the remedy
    ├── ConfigurationError      a bad option, URL, file or configuration            (exit code 2)
    │   └── SchemaError         a document does not match the schema it is held to  (exit code 2)
    └── UnreachableError        the target accepts no connection                    (exit code 3)

A *finding* about an App backend is a value and never an exception.
"""

from __future__ import annotations

__all__ = ["ConfigurationError", "RoomhookError", "SchemaError", "UnreachableError"]


class RoomhookError(Exception):
    """The root: what went wrong in one line; ``exit_code`` is what the command line ends with."""

    exit_code = 4


class ConfigurationError(RoomhookError):
    """A bad option, URL, file or configuration; the text names the remedy."""

    exit_code = 2


class SchemaError(ConfigurationError):
    """A document that does not match the schema it is held to."""


class UnreachableError(RoomhookError):
    """The target accepts no connection at all."""

    exit_code = 3
