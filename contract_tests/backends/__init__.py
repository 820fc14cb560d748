"""App backends of our own: the reference, which complies, and the broken ones, each with one defect."""
