"""Records of what was sent and received, in SQLite files."""
