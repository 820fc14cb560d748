"""The command that prepares a folder: what is in it, and the files to write."""
