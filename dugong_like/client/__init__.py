"""Connections to any number of origins: the pool, and the layers above it."""
