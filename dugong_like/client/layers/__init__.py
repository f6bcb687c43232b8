"""Layers of a client: each sees every request on its way out and its response on the way back."""
