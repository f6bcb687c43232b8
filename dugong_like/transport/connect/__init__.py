"""From an origin to a connected socket."""
