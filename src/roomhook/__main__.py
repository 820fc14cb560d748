"""``python -m roomhook``: the same command line as the console script."""

import sys

from roomhook.cli.main import main

sys.exit(main())
