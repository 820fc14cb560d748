"""Load tests on locust: users, shapes, thresholds and the fast sender."""
