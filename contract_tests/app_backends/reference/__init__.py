"""The reference App backend, which meets every requirement."""
