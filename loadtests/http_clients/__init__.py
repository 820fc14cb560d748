"""Response reading for locust's own HTTP clients: limited in time and bytes, with the fast sender's parser."""
