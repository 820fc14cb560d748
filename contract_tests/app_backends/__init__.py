"""App backends to test the suite against: one correct, and one broken per requirement."""
