"""``python -m roomhook``: the same command line as the console script."""

import sys

from roomhook.cli.entry import main

sys.exit(main())
