"""Tasks for Dask, in a module that its workers can import."""

import os
import signal
from pathlib import Path


def fetch(client, urls):
    """Return URL and body of each of *urls*; the client belongs to this task."""
    with client:
        return [(item.given, item.response.content) for item in client.map(urls)]


def fetch_and_die_once(client, urls, marker, after):
    """Do the same; the first process that has got so many bodies is killed."""
    found = []
    with client:
        for item in client.map(urls):
            found.append((item.given, item.response.content))
            if marker is not None and len(found) == after:
                try:
                    Path(marker).touch(exist_ok=False)
                except FileExistsError:
                    continue
                os.kill(os.getpid(), signal.SIGKILL)
    return found


def download(client, url, path):
    """Download a file; return its size."""
    with client:
        return client.download(url, path).size
