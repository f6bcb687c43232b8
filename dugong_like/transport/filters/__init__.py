"""Streams around streams."""
