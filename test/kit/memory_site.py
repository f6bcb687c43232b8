"""A site without sockets: a transport whose connections are answered by a function.

It is sites.py for tests that need neither threads nor time: an answer is there as soon as its
request has been sent, unless it is held back.
"""

from dugong_like import Client, Connector, Headers, Limits, Pool
from dugong_like.transport.scripted import ScriptedStream
from kit.sites import Seen, answer_of


class MemoryStream(ScriptedStream):
    """A connection to a `MemorySite`.

    Attributes:
        number: its number, from 1 on.
        has_ended: True if the site has closed it.

    """

    def __init__(self, site, number):
        super().__init__()
        self._site = site
        self._rest = b""
        self.number = number
        self.has_ended = False

    def recv(self, size):
        if not self.incoming and not self.has_ended and not self.closed:
            self.waiting = False
            return None
        return super().recv(size)

    def recv_would_block(self):
        return not (self.incoming or self.has_ended)

    def wanted_by_recv(self, deadline):
        need = super().wanted_by_recv(deadline)
        if self.recv_would_block():
            self._wake(0).clear()
        return need

    def send(self, parts):
        before = len(self.sent)
        count = super().send(parts)
        self._rest += self.sent[before:]
        while not self.has_ended and (seen := self._next_request()) is not None:
            self._site.take(self, seen)
        return count

    def _next_request(self):
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            return None
        line, _, fields = head.decode("latin-1").partition("\r\n")
        pairs = [field.split(": ", 1) for field in fields.split("\r\n") if field]
        headers = Headers(pairs)
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return None
        self._rest = rest[length:]
        method, target, _ = line.split(" ")
        return Seen(method, target, headers, rest[:length], self.number)

    def give(self, answer):
        """Let *answer* arrive."""
        self.incoming.append(answer)
        self._wake(0).set()

    def end(self):
        """Close it, behind what has been given."""
        self.has_ended = True
        self._wake(0).set()


class MemorySite:
    """A transport whose connections answer.

    Args:
        answer: returns the answer to a `Seen`: bytes, None to hold it back, and all behind it on
            its connection, or a tuple of bytes, after which the connection is closed. By default it
            is the target.

    Attributes:
        seen: the requests, in the order in which they came.
        streams: the connections.
        held: connections and requests whose answers are held back.

    """

    def __init__(self, answer=None):
        self._answer = answer or (lambda seen: answer_of(200, body=seen.target.encode()))
        self.seen = []
        self.streams = []
        self.held = []

    def co_connect_tcp(self, host, port):
        stream = MemoryStream(self, len(self.streams) + 1)
        self.streams.append(stream)
        return stream
        yield

    def co_connect_unix(self, path):
        raise AssertionError("no client of this site connects so")

    def take(self, stream, seen):
        self.seen.append(seen)
        answer = self._answer(seen)
        if answer is None or any(holding is stream for holding, _ in self.held):
            self.held.append((stream, seen))
        elif isinstance(answer, tuple):
            stream.give(answer[0])
            stream.end()
        else:
            stream.give(answer)

    def release(self):
        """Give all answers that were held back: each is the target."""
        held, self.held = self.held, []
        for stream, seen in held:
            stream.give(answer_of(200, body=seen.target.encode()))

    def targets(self):
        return [seen.target for seen in self.seen]

    def open(self):
        """Return how many connections are not closed."""
        return sum(not stream.closed for stream in self.streams)

    def client(self, limits=None, **options):
        """Return a client all of whose connections lead here."""
        pool = Pool(Connector(transport=self, trust_env=False), limits or Limits())
        return Client(dispatcher=pool, **options)
