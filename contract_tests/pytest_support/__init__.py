"""Fixtures and helpers for pytest users."""
