"""A connection that is a script: no socket, no clock, and every cut of the bytes can be tried."""

from dugong_like import HTTPConnection, PollNeeded
from dugong_like.polling import POLLIN, POLLOUT

WOULD_BLOCK = None
END = b""


class ScriptedStream:
    """A `Stream` that gives what it was given, and takes as much as it is told to take.

    Attributes:
        incoming: what `recv` gives next: bytes, `WOULD_BLOCK`, `END` or an exception.
            When there is nothing left it would block.
        rooms: how many bytes `send` takes next, `WOULD_BLOCK` or an exception. When there
            is nothing left it takes everything.
        sent: what was taken.

    """

    fd = 1_000_000  # nobody may really wait for it

    def __init__(self, incoming=(), rooms=()):
        self.incoming = list(incoming)
        self.rooms = list(rooms)
        self.sent = b""
        self.closed = False

    def recv(self, size):
        assert not self.closed
        if not self.incoming:
            return WOULD_BLOCK
        piece = self.incoming.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if piece and len(piece) > size:
            self.incoming.insert(0, piece[size:])
            piece = piece[:size]
        return piece

    def recv_into(self, buffer):
        piece = self.recv(len(buffer))
        if piece is WOULD_BLOCK:
            return WOULD_BLOCK
        buffer[: len(piece)] = piece
        return len(piece)

    def send(self, parts):
        assert not self.closed
        room = self.rooms.pop(0) if self.rooms else sum(map(len, parts))
        if room is WOULD_BLOCK:
            return WOULD_BLOCK
        if isinstance(room, Exception):
            raise room
        data = b"".join(parts)[:room]
        self.sent += data
        return len(data)

    def wanted_by_recv(self, deadline):
        return PollNeeded(self.fd, POLLIN, deadline)

    def wanted_by_send(self, deadline, *, watch=False):
        return PollNeeded(self.fd + 1, POLLOUT | POLLIN if watch else POLLOUT, deadline)

    def has_buffered(self):
        return False

    def is_idle(self):
        return not self.incoming

    def shut_down_writing(self):
        self.rooms = [BrokenPipeError()] * 100

    def shut_down(self):
        pass

    def close(self):
        self.closed = True


def connection(monkeypatch, *streams, **options):
    """Return a connection that uses *streams*, one after the other."""
    left = list(streams)

    def co_open(route, timeout):
        yield from ()
        return left.pop(0)

    monkeypatch.setattr("dugong_like.link.co_open", co_open)
    return HTTPConnection("script.test", **options)


def finish(operation, most=1000):
    """Return the result of *operation*, resuming it whenever it waits."""
    try:
        for _ in range(most):
            next(operation)
    except StopIteration as end:
        return end.value
    finally:
        operation.close()
    raise AssertionError(f"still waiting after {most} resumptions")
