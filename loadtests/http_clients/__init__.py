"""How locust's own HTTP clients read answers: bounded in time and bytes, and parsed as the fast lane parses them."""
