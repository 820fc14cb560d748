"""The mock Room backend in operation: virtual clock, storage, callback delivery."""
