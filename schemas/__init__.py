"""The contract as data: JSON Schemas, examples and errata, with the one loader for them."""
