"""TLS over a socket, and over any stream."""
