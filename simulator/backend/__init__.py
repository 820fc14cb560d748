"""The mock Room backend: rooms that live, the documented REST, and the delivery of callbacks."""
