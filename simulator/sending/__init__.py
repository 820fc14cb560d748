"""Sends streams of callbacks: pacing, retries, statistics, several processes."""
