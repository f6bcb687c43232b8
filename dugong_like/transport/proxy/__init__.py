"""Proxies: HTTP tunnels and forwarding, SOCKS."""
