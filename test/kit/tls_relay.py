"""A proxy that speaks TLS with the client and passes on what is inside."""

import select
import socket
import ssl
from contextlib import suppress


def relay(port):
    """Return a handler that passes bytes on, from a TLS socket to *port* and back."""

    def handler(sock):
        with socket.create_connection(("127.0.0.1", port)) as back:
            sock.setblocking(False)
            back.setblocking(False)
            pump(sock, back)
            with suppress(OSError, ValueError):  # the test may have closed it
                sock.unwrap()

    return handler


def pump(sock, back):
    """Pass bytes on until one of the two ends; what is held for the other one goes out."""
    onward = {sock: back, back: sock}
    held = {sock: b"", back: b""}  # for whom
    while True:
        for source, target in onward.items():
            if len(held[target]) < 300_000:
                with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    data = source.recv(65536)
                    held[target] += data
                    if not data:
                        target.settimeout(10)
                        target.sendall(held[target])
                        return
            if held[target]:
                with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    held[target] = held[target][target.send(held[target]) :]
        if not sock.pending():
            select.select([sock, back], [one for one in onward if held[one]], [], 1)
