"""Where the ``roomhook`` command starts: a platform that lacks what Roomhook needs gets one line."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code."""
    if sys.platform.startswith("win"):
        sys.stderr.write("roomhook: Windows is not supported; run Roomhook in WSL, or on Linux or macOS\n")
        return 2
    from roomhook.cli.main import main as run

    return run()
