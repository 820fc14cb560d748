"""HTTP interface of the mock Room backend: documented REST, simulation control, OpenAPI."""
