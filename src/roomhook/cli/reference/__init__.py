"""Commands that print reference material: schemas and errata."""
