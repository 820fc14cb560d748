"""What a load test sends: its settings, its rooms, its stream of callbacks."""
