"""The checks of the contract suite, one module per group of requirements."""
