"""What a run's events become: text for people, JSON and JUnit for pipelines."""
