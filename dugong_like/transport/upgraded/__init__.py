"""The stream after HTTP: 101 (Switching Protocols) and CONNECT."""
