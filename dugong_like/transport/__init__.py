"""Sockets and TLS: the only part of the library that touches either."""
