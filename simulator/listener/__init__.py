"""A recording App backend: receives, validates and answers callbacks."""
