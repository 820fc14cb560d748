"""General helpers that know nothing of callbacks."""
