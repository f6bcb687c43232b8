"""Many requests as one iteration: `Client.map`."""
