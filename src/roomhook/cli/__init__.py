"""The command line: ``roomhook`` and its commands, one module each."""
