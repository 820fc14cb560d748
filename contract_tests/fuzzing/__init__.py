"""Generates valid and invalid packets, and shrinks those that expose a defect."""
