"""Ways through a middleman. Their bytes are handed in; no socket is touched here."""
