"""The contract suite: requirements, checks, the pytest plugin, reports, and App backends to hold them against."""
