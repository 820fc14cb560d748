"""The load command: runs locust and shows its progress."""
