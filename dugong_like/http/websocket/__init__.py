"""WebSocket without I/O: the opening handshake, and frames through the library `websockets`."""
