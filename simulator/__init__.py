"""The Room backend: packets, callback URLs, rooms, traffic, the sender, the journal and the listener."""
