"""HTTP without I/O: bytes in, facts out."""
