"""The command line over all of Roomhook, one module per command."""
