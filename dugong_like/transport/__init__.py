"""Sockets, name look-up and TLS: the only part of the library that uses them."""
