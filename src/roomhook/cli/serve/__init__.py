"""The command serve: its options, and the lines it prints."""
