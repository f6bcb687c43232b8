"""Authentication schemes: what a request needs so that a server or proxy accepts it."""
