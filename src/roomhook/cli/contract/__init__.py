"""Commands around the contract suite: run it, read its reports, explain its requirements."""
