"""Generates realistic room traffic: arrivals, visits, departures."""
