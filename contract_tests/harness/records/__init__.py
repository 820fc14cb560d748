"""What a run remembers: formal defects, suspects after a loss, the effects that are due."""
