"""The web console of serve and listen: rooms, callbacks, settings and contract runs in a browser."""
