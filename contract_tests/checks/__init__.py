"""One module of checks for each group of requirements; each check is registered under its requirement id."""
