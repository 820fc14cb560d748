"""One load test inside locust: validation, workers, progress, and its end."""
