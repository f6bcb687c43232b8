"""HTTP/2 without I/O: frames, HPACK, fields and streams (RFC 9113, RFC 7541)."""
