"""Streams around streams: dump, throttle, minimum rate."""
