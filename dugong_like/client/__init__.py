"""Requests to URLs: clients, their layers, and the pool of connections below them."""
