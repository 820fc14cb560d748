"""Requirements, settings, verdicts and known failures, as plain values."""
