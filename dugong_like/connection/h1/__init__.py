"""One HTTP/1.1 connection: its two halves and what they share."""
