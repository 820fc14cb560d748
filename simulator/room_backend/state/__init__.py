"""Rooms, members and seats of the mock Room backend, as pure state."""
