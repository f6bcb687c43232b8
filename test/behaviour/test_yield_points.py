"""Every yield point: whole conversations, and something happens to them at their n-th wait.

For every n there is: the operation is given up or resumed for nothing, the connection ends or
fails. The stream blocks before each small piece, so there are waits wherever there can be one.
What has to hold afterwards is the table of interrupted operations in the design notes.
"""

import io
import tempfile
from functools import partial

import pytest
from kit.streams import BulkyGrudge, GrudgingStream, without_a_turn_after_connecting
from kit.support import some_of

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    PollNeeded,
)
from dugong_like.polling.contract import POLLOUT

pytestmark = pytest.mark.reliability(32, 33, 34, 40, 45)

MOST = 20_000  # rounds of a conversation; more means that it never ends


# ---- the conversations: a writer and a reader, scripts that yield the calls they want made


def send(conn, heard, method="GET", path="/", body=None):
    yield partial(conn.co_send_request, method, path, body=body)


def send_several(conn, heard):
    for number, answer in enumerate(SEVERAL):
        yield from send(conn, heard, "HEAD" if answer is HEAD else "GET", f"/{number}")


def send_pieces(length, conn, heard):
    yield partial(conn.co_send_request, "PUT", "/", body=BodyFollowing(length))
    for piece in (b"hello", b"", b" ", b"world"):
        yield partial(conn.co_write, piece)
    yield partial(conn.co_finish, None if length else {"X-Sum": "1"})


def send_file(length, open_file, conn, heard):
    with open_file() as file:
        file.write(b"of a hello world!")
        yield partial(conn.co_send_request, "PUT", "/", body=BodyFollowing(length))
        yield partial(conn.co_sendfile, file, 5, 5)
        yield partial(conn.co_sendfile, file, 10, 6)
        yield partial(conn.co_finish)


def send_when_asked(conn, heard):
    yield partial(conn.co_send_request, "PUT", "/", body=BodyFollowing(10), expect100=True)
    while not heard:
        yield None
    yield partial(conn.co_write, b"hello")
    yield partial(conn.co_write, b"world")


def take(conn, heard, how):
    """Read responses and note what there is to know about them."""
    while True:
        while not conn.response_pending():
            yield None
        response = yield partial(conn.co_read_response)
        codes = [*(early.status for early in response.informational), response.status]
        heard += f"<{codes} to {response.path}>".encode()
        if response.status != 100:
            yield from HOW[how](conn, heard)
            heard += f"<{response.trailers.items()}>".encode()


def take_all(conn, heard):
    try:
        heard += yield partial(conn.co_readall)
    except ConnectionClosed:
        heard += yield partial(conn.co_read, 1000)  # what has arrived can still be read
        raise


def take_pieces(size, conn, heard):
    while piece := (yield partial(conn.co_read, size)):
        assert len(piece) <= size
        heard += piece


def take_into(size, conn, heard):
    buffer = bytearray(size)
    while count := (yield partial(conn.co_readinto, buffer)):
        heard += buffer[:count]


def take_nothing(conn, heard):
    yield partial(conn.co_discard)


def take_file(open_file, conn, heard):
    with open_file() as file:
        file.write(b"before")
        try:
            count = yield partial(conn.co_recv_to_file, file)
            assert count <= file.tell() - 6
        finally:
            file.seek(6)
            heard += file.read()


BUFFER_SIZE = 4  # bytes: it has to grow for each head, and larger reads pass it by
HOW = {
    "readall": take_all,
    "read": partial(take_pieces, 3),
    "read-direct": partial(take_pieces, 100),
    "readinto": partial(take_into, 3),
    "readinto-direct": partial(take_into, 100),
    "discard": take_nothing,
    "discard-bulk": take_nothing,
    "file": partial(take_file, io.BytesIO),
    "file-bulk": partial(take_file, tempfile.TemporaryFile),
}
END = b"\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EMPTY = b"HTTP/1.1 204 Nothing\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 413 No\r\nContent-Length: 5\r\n\r\nquota"
HINTS = b"HTTP/1.1 103 Hints\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX: y\r\n\r\n"
)
SEVERAL = [OK, OK, HEAD, EMPTY, HINTS + OK, CHUNKED, OK]
PUT = partial(send, method="PUT", body=b"hello world")
PUT_REAL = partial(send_file, 11, tempfile.TemporaryFile)
CHUNKED_REAL = partial(send_file, None, tempfile.TemporaryFile)
# the writer; what the server waits for, and what it says then; bytes that move at a time
CONVERSATIONS = {
    "get": (send, [(END, HINTS + CHUNKED)], 1),
    "put": (PUT, [(b"hello world", OK)], 3),
    "put-sized": (partial(send_pieces, 11), [(b"hello world", OK)], 3),
    "put-hinted": (PUT, [(END, HINTS), (b"hello world", OK)], 3),
    "put-refused": (partial(send, method="PUT", body=bytes(150)), [(END, TOO_LARGE)], 3),
    "put-chunked": (partial(send_pieces, None), [(b"X-Sum: 1" + END, OK)], 3),
    "put-file": (partial(send_file, 11, io.BytesIO), [(b"hello world", OK)], 3),
    "put-file-bulk": (PUT_REAL, [(b"hello world", OK)], 3),
    "put-file-chunked": (partial(send_file, None, io.BytesIO), [(b"0" + END, OK)], 3),
    "put-file-chunked-bulk": (CHUNKED_REAL, [(b"0" + END, OK)], 3),
    "put-asked": (send_when_asked, [(END, GO_ON), (b"helloworld", OK)], 3),
    "several": (send_several, [(END, answer) for answer in SEVERAL], 11),
}


class Actor:
    """Makes the calls that a script asks for, one step at a time.

    Attributes:
        make: begins the present call; None: the script waits for the other one.
        operation: the present call, if it has begun.
        failure: the ConnectionClosed that ended the script.
        over: True if the script has ended.

    """

    def __init__(self, script):
        self._script = script
        self.make = next(script)
        self.operation = self.failure = None
        self.over = False

    def step(self):
        """Go on to the next wait and return it; None if there is nothing to wait for."""
        while not self.over:
            try:
                if self.make is not None:
                    self.operation = self.operation or self.make()
                    return next(self.operation)
                self._go_on(self._script.send, None)
                if self.make is None:
                    return None
            except StopIteration as end:
                self._go_on(self._script.send, end.value)
            except ConnectionClosed as exc:
                self._go_on(self._script.throw, exc)
        return None

    def close(self):
        """Close the present call and the script, whose files are closed with it."""
        if self.operation is not None:
            self.operation.close()
        self._script.close()

    def _go_on(self, how, what):
        self.operation = None
        try:
            self.make = how(what)
            return
        except StopIteration:
            pass
        except ConnectionClosed as exc:
            self.failure = exc
        self.over = True
        self.make = None


class GivenUp(Exception):
    """A request was given up in the middle."""


class Talk:
    """One conversation on a connection of its own.

    With *turns* writer and reader are interleaved, without the writer goes ahead as far
    as it gets.
    """

    def __init__(self, monkeypatch, name, how="readall", turns=False, piece=None):
        self._writer, answers, own_piece = CONVERSATIONS[name]
        self._how = how
        self._turns = turns
        made = BulkyGrudge if "bulk" in name + how else GrudgingStream
        self.streams = [made(answers, size) for size in (piece or own_piece, 1000)]
        self._unused = list(self.streams)
        monkeypatch.setattr("dugong_like.transport.connect.open.co_open", self._co_open)
        without_a_turn_after_connecting(monkeypatch)
        self.conn = HTTPConnection("script.test", buffer_size=BUFFER_SIZE)
        self.waits = 0
        self.log = []
        self._start()

    def _co_open(self, route, timeout):
        stream = self._unused[0]
        for _ in range(2):
            yield PollNeeded(stream.fd, POLLOUT)
            while stream.stuck:
                yield PollNeeded(stream.fd, POLLOUT)
        stream.opened = True
        return self._unused.pop(0)

    def _start(self):
        self.heard = bytearray()
        self.writer = Actor(self._writer(self.conn, self.heard))
        self.reader = Actor(take(self.conn, self.heard, self._how))

    @property
    def stream(self):
        return self.streams[0]

    def run(self, at=0, happen=None):
        """Go on until neither has anything to wait for; at the at-th wait something happens."""
        for _ in range(MOST):
            for actor in (self.writer, self.reader):
                need = actor.step()
                self.log.append((self.stream.given, len(self.heard)))
                if need is not None:
                    assert isinstance(need, PollNeeded)
                    self.waits += 1
                    if self.waits == at:
                        happen(self, actor, need)
                    if not self._turns:
                        break
            else:
                if self.writer.make is None and self.reader.make is None:
                    return self
        raise AssertionError("it never ends")

    def again(self):
        """Reset the connection, have the same conversation on the other stream, return that."""
        self.conn.reset()
        assert self.stream.closed == self.stream.opened
        assert not self.conn.response_pending()
        self._unused = self.streams[1:]
        for actor in (self.writer, self.reader):
            actor.close()
        self._start()
        self._turns = False
        self.run()
        return bytes(self.heard), self.streams[1].sent

    def result(self):
        return bytes(self.heard), self.stream.sent


# ---- what happens


def close(talk, actor, need):
    actor.operation.close()
    given_up(talk, actor)


def throw(exception, talk, actor, need):
    with pytest.raises(exception):
        actor.operation.throw(exception("from outside"))
    given_up(talk, actor)


def given_up(talk, actor):
    """Have the call made again, or stop if that is not possible."""
    actor.operation = None
    if talk.stream.opened and actor is talk.writer:
        raise GivenUp
    if not talk.stream.opened:
        assert not talk.conn.response_pending()


def resume(talk, actor, need):
    talk.stream.stuck = True
    for _ in range(5):
        assert next(actor.operation).fd == need.fd
    talk.stream.stuck = False


INTERRUPTIONS = {
    "close": [close],
    # by turns: as `within` does, and as signals do
    "throw": [partial(throw, ConnectionTimedOut), partial(throw, KeyboardInterrupt)],
    "time-out": [partial(throw, ConnectionTimedOut)],
    "signal": [partial(throw, KeyboardInterrupt)],
}
CASES = [("get", how, False) for how in HOW]
CASES += [(name, "readall", turns) for name in CONVERSATIONS for turns in (False, True)][1:]
CASES += [("several", "read", False), ("several", "read", True)]
IN_TURNS = {"get", "put-chunked", "several"}
in_every_conversation = pytest.mark.parametrize(
    ("name", "how", "turns"),
    [
        pytest.param(
            *(name, how, turns),
            id=f"{name}-{how}{'-in-turns' * turns}",
            # Of those in turns the three kinds that differ most come by default.
            marks=pytest.mark.slow if turns and name not in IN_TURNS else (),
        )
        for name, how, turns in CASES
    ],
)


def test_bulk_is_moved_by_the_system(monkeypatch):
    for how in ("discard-bulk", "file-bulk"):
        talk = Talk(monkeypatch, "get", how, piece=3).run()
        assert talk.stream.moved > 0


def untouched(*arguments, **options):
    """Return the conversation as it is when nothing happens."""
    talk = Talk(*arguments, **options).run()
    assert talk.heard
    assert not talk.conn.response_pending()
    return talk


@pytest.mark.examples
@in_every_conversation
@pytest.mark.parametrize(
    "what",
    ["close", "throw", *(pytest.param(w, marks=pytest.mark.slow) for w in ("time-out", "signal"))],
)
def test_interrupted_at_any_wait(monkeypatch, name, how, turns, what):
    """A request partly written breaks the connection until the reset; reading goes on."""
    whole = untouched(monkeypatch, name, how, turns)
    fresh = whole.again()
    broken = 0
    for at in some_of(range(1, whole.waits + 1)):
        talk = Talk(monkeypatch, name, how, turns)
        try:
            talk.run(at, INTERRUPTIONS[what][at % len(INTERRUPTIONS[what])])
        except GivenUp:
            broken += 1
            assert_broken(talk)
            assert whole.stream.sent.startswith(talk.stream.sent)
            assert whole.heard.startswith(talk.heard)
        else:
            assert talk.result() == whole.result()
        assert talk.again() == fresh
    assert 0 < broken < whole.waits


def assert_broken(talk):
    """Check that nothing goes on, also not for a reader that waits."""
    closed = r"broken until reset\(\) is called"
    with pytest.raises(ConnectionClosed, match=closed):
        next(talk.writer.make())
    uses = [talk.conn.co_connect]
    if talk.reader.operation is None:
        uses.append(talk.conn.co_read_response)
    for use in uses:
        with pytest.raises(ConnectionClosed, match=r"broken until reset\(\) is called"):
            next(use())
    for _ in range(MOST):  # there may be something to read for who is reading already
        before = talk.stream.given
        if talk.reader.step() is None or talk.stream.given == before:
            break
    talk.conn.reset()
    talk.reader.step()
    assert talk.reader.operation is None


@pytest.mark.examples
@in_every_conversation
def test_resumed_for_nothing_at_any_wait(monkeypatch, name, how, turns):
    whole = untouched(monkeypatch, name, how, turns)
    for at in some_of(range(1, whole.waits + 1)):
        talk = Talk(monkeypatch, name, how, turns).run(at, resume)
        assert talk.result() == whole.result()


LOSSES = {"end": ["end"], "broken": ["cut", "fail"], "cut": ["cut"], "fail": ["fail"]}


@pytest.mark.examples
@in_every_conversation
@pytest.mark.parametrize(
    "what",
    ["end", "broken", *(pytest.param(w, marks=pytest.mark.slow) for w in ("cut", "fail"))],
)
def test_connection_lost_at_any_wait(monkeypatch, name, how, turns, what):
    """All that has arrived is delivered, then ConnectionClosed comes out, and a reset helps."""
    fine = how if "discard" in how else "read"
    # what can be heard after so many bytes
    log = dict(untouched(monkeypatch, name, fine, piece=1).log)
    whole = untouched(monkeypatch, name, how, turns)
    fresh = whole.again()
    for at in some_of(range(3, whole.waits + 1)):  # before that it is being opened
        talk = Talk(monkeypatch, name, how, turns)
        loss = LOSSES[what][at % len(LOSSES[what])]  # those of "broken" by turns
        talk.run(at, lambda talk, *_, loss=loss: getattr(talk.stream, loss)())
        arrived = log[talk.stream.given]
        if what == "end":
            assert not talk.stream.unread
        assert talk.heard == whole.heard[:arrived]
        if talk.result() != whole.result():
            assert talk.reader.failure or talk.writer.failure
            assert talk.reader.failure or not talk.conn.response_pending()
        assert talk.again() == fresh
