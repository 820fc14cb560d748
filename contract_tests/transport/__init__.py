"""Connections to the App backend under test: HTTP clients, its process, its probe."""
