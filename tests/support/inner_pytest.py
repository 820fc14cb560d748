"""pytest as a process of its own, without plugins that a user's environment need not have: loading them takes long."""

from __future__ import annotations

import sys

__all__ = ["PYTEST"]

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
PYTEST += [part for name in ("schemathesis", "faker", "hypothesispytest", "locust") for part in ("-p", f"no:{name}")]
