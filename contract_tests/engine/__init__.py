"""Runs the checks in order or in parallel, and decides the verdicts."""
