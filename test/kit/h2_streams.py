"""A connection to an HTTP/2 server without a socket: a test says when anything arrives."""

from kit.h2_server import Peer, plain_app
from kit.streams import WOULD_BLOCK, ScriptedStream


class PeerStream(ScriptedStream):
    """A stream to a `Peer`, whose answers arrive when the test wants it.

    Args:
        app: see `Peer`.
        make: the class of the server.
        settings: see `Peer`.

    Attributes:
        peer: the server.
        on_the_way: what it has sent, and has not arrived.
        room: bytes that can be sent before that would block.

    """

    def __init__(self, app=plain_app, make=Peer, **settings):
        super().__init__()
        self.peer = make(app, **settings)
        self.on_the_way = self.peer.take(b"")
        self.arrived = b""
        self.room = 1 << 30
        self.ended = False

    def send(self, parts):
        assert not self.closed
        data = b"".join(parts)[: self.room]
        if not data:
            return WOULD_BLOCK
        self.room -= len(data)
        self.on_the_way += self.peer.take(data)
        return len(data)

    def recv(self, size):
        assert not self.closed
        if not self.arrived:
            return b"" if self.ended else WOULD_BLOCK
        data, self.arrived = self.arrived[:size], self.arrived[size:]
        return data

    def recv_into(self, buffer):
        data = self.recv(len(buffer))
        if data is WOULD_BLOCK:
            return None
        buffer[: len(data)] = data
        return len(data)

    def is_idle(self):
        return not self.arrived and not self.ended

    def arrive(self):
        """Let all that is on the way arrive."""
        self.arrived, self.on_the_way = self.arrived + self.on_the_way, b""

    def end(self):
        """Let the server close the connection, behind what is on the way."""
        self.arrive()
        self.ended = True

    def shut_down(self):
        self.ended = True


def bodies_of(stream, *going, needs=None):
    """Return the body of the reply of each operation, all of which `results_of` drives."""
    return [reply.body for reply in results_of(stream, *going, needs=needs)]


def results_of(stream, *going, needs=None, turns=100):
    """Resume each operation when what it waits for is ready; return all results.

    What the server sends arrives as long as somebody waits for it; nobody is resumed needlessly.
    *needs* are those of operations that have begun; there are no more than so many *turns*.
    """
    needs = dict(enumerate(needs or [None] * len(going)))
    results = {}
    for _ in range(turns):
        stream.arrive()
        for number, need in [*needs.items()]:
            if need is not None and not is_ready(stream, need):
                continue
            try:
                needs[number] = next(going[number])
            except StopIteration as end:
                del needs[number]
                results[number] = end.value
        if not needs:
            return [results[number] for number in range(len(going))]
    raise AssertionError(f"{len(needs)} operations hang")


def is_ready(stream, need):
    if need[0] == stream.fd:
        return bool(stream.arrived) or stream.ended
    if need[0] == stream.fd + 1:
        return stream.room > 0 or bool(stream.arrived) or stream.ended
    return bool(need.poll(0))


def going_on(stream, *operations):
    """Drive *operations* as `results_of`; return the result of one, or a list of those of many."""
    results = results_of(stream, *operations)
    return results if len(operations) > 1 else results[0]


def answer_early(stream, exchange, *, reset):
    """Let the server answer before it has the whole request, and perhaps want no more of it."""
    peer = stream.peer.connection
    peer.send_headers(exchange.stream_id, [(":status", "413"), ("content-length", "2")])
    peer.send_data(exchange.stream_id, b"no", end_stream=True)
    if reset:
        peer.reset_stream(exchange.stream_id, 0)
    stream.on_the_way += peer.data_to_send()
    stream.arrive()
