"""HTTP/1.1 without I/O: bytes in, facts out (RFC 9112)."""
