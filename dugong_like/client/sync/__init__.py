"""Synchronising a folder with a server: `Client.sync`."""
