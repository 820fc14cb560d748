"""The command line: ``roomhook`` and its commands."""

import sys

if sys.platform == "win32":
    sys.stderr.write("roomhook: Windows is not supported; run Roomhook in WSL, or on Linux or macOS\n")
    raise SystemExit(2)
