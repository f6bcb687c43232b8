"""The grammar of HTTP/1 (RFC 9112)."""
