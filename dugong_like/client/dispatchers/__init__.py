"""Dispatchers that answer requests without a network: for tests, and for applications in Python."""
