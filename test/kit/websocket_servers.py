"""Servers for WebSockets: that of the library `websockets`, on a thread of its own.

Not here: one made of wsproto (kit/echo.py), and frames by hand (kit/frames.py).
"""

import logging
import threading
from contextlib import contextmanager

from websockets.sync.server import serve

SILENT = logging.getLogger("kit.websocket_servers")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


def echo(websocket):
    for message in websocket:
        websocket.send(message)


@contextmanager
def serving(handler=echo, tls=None, **options):
    """Run a server; give its port. *options* are those of `websockets.sync.server.serve`."""
    options = {"max_size": None, "close_timeout": 20, "logger": SILENT, **options}
    with serve(handler, "127.0.0.1", 0, ssl=tls, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join()
