"""One connection over HTTP/2: a session, its streams, and what moves their bytes."""
