"""What several commands share: options, configuration, terminal output."""
