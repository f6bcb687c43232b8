"""Small operations, of which the tests of drivers and combinators make larger ones."""

from dugong_like import POLLIN, PollNeeded


def receive(sock, deadline=None):
    """Receive from a non-blocking socket."""
    while True:
        try:
            return sock.recv(100)
        except BlockingIOError:
            yield PollNeeded(sock.fileno(), POLLIN, deadline)


def value(result, waits=()):
    """An operation that waits for *waits* and returns *result*, or raises it."""
    yield from waits
    if isinstance(result, Exception):
        raise result
    return result
