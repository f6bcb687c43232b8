"""Transfers of files: `Client.download` and `Client.upload`."""
