"""Rooms, the people in them, and the callbacks their departures cause."""
