"""One response played to a connection in every way: whole, byte by byte, in odd pieces."""

from dataclasses import dataclass, field

from dugong_like import ConnectionClosed, DugongError
from kit.streams import ScriptedStream, connection, finish

SIZES = (1, 2, 3, 7, 10**6)  # bytes that arrive at once
OF_MUCH = (7, 61, 10**6)  # the same for streams without an end: each piece costs as much as another
MOST = 10**6  # waits; more than any response here is worth


@dataclass
class Outcome:
    """What a caller can see of one response."""

    status: int = 0
    reason: str = ""
    version: str = ""
    length: int | None = None
    fields: list[tuple[str, str]] = field(default_factory=list)
    informational: list[int] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    failure: type[DugongError] | None = None
    reused: bool = False  # does the next request go out on the same connection?


class StarvedError(AssertionError):
    """Somebody waits for more although nothing more will come."""


class Pieces(ScriptedStream):
    """A stream that gives *wire* in pieces of *size* bytes, with a wait after each."""

    def __init__(self, wire, size, end):
        super().__init__()
        self._wire, self._at, self._size, self._end = wire, 0, size, end
        self._blocks = False

    def recv(self, size):
        self.waiting = False
        assert not self.closed
        self._blocks = not self._blocks
        if self._blocks:
            return None
        if self.is_idle():
            raise StarvedError
        begin = self._at
        self._at = min(begin + min(size, self._size), len(self._wire))
        return self._wire[begin : self._at]

    def is_idle(self):
        return self._at == len(self._wire) and not self._end


class Player:
    """Plays responses; made by the fixture `play`."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch

    def __call__(self, wire, method="GET", *, end=False, sizes=SIZES, **options):
        """Return the outcome, which may not depend on how *wire* is cut: into pieces of *sizes*.

        With *end* the server closes behind *wire*; without it nothing more comes.

        Raises:
            StarvedError: more was waited for.

        """
        first, *others = [self._once(wire, size, method, end, options) for size in sizes]
        for other in others:
            assert other == first
        return first

    def refuses(self, wire, method="GET", *, sizes=SIZES, **options):
        """Check that *wire* is refused at once: as a head or as a body."""
        outcome = self(wire, method, sizes=sizes, **options)
        assert outcome.failure is not None
        assert outcome.failure.__name__ == "InvalidResponse"
        return outcome

    def _once(self, wire, size, method, end, options):
        stream = Pieces(wire, size, end)
        conn = connection(self._monkeypatch, stream, ScriptedStream(), **options)
        outcome = Outcome()
        try:
            finish(self._co_talk(conn, method, outcome), MOST)
        except DugongError as exc:
            outcome.failure = type(exc)
            self._check_that_it_ended(conn)
        else:
            finish(conn.co_send_request("GET", "/next"), MOST)
            outcome.reused = b"/next" in stream.sent
        return outcome

    def _co_talk(self, conn, method, outcome):
        yield from conn.co_send_request(method, "/")
        response = yield from conn.co_read_response()
        outcome.status, outcome.reason = response.status, response.reason
        outcome.version, outcome.length = response.http_version, response.length
        outcome.fields = response.headers.items()
        outcome.informational = [early.status for early in response.informational]
        while piece := (yield from conn.co_read(5)):
            outcome.body += piece
        outcome.trailers = response.trailers.items()

    def _check_that_it_ended(self, conn):
        """After an error every call fails until reset(), and then all is new."""
        for call in (conn.co_read_response, lambda: conn.co_send_request("GET", "/")):
            try:
                finish(call(), MOST)
            except ConnectionClosed:
                continue
            raise AssertionError("the connection went on after an error")
        conn.reset()
        finish(conn.co_send_request("GET", "/after"), MOST)
