"""Load statistics, thresholds, and how they are reported."""
