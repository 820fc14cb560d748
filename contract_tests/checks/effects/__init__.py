"""Requirements on what becomes of members: each compares rooms, as the probe lists them, with what was sent."""
