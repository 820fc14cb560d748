"""What a check works with: its case, its callbacks, the run it belongs to."""
