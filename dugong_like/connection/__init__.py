"""One connection to one origin."""
