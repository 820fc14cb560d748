"""Deliberately broken App backends, each with one defect, grouped by the requirements they violate."""
