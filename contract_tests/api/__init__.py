"""What Python programs and the pytest plugin call: check, fire, a Room backend in this process."""
