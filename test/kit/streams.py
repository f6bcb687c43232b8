"""A connection that is a script: no socket, no clock, and every cut of the bytes can be tried."""

import os

import dugong_like
from dugong_like import ConnectionClosed, HTTPConnection, PollNeeded
from dugong_like.polling.contract import POLLIN, POLLOUT
from dugong_like.transport.zero_copy import FileRange

WOULD_BLOCK = None
END = b""


class ScriptedStream(dugong_like.ScriptedStream):
    """One that a test drives step by step: nobody waits for it, and no end follows by itself.

    When there is nothing left to receive it would block, and what is left has arrived already.
    """

    fd = 1_000_000
    acknowledged = 0  # times

    def recv(self, size):
        self.waiting = False
        assert not self.closed
        return super().recv(size) if self.incoming else WOULD_BLOCK

    def send(self, parts):
        assert not self.closed
        return super().send(parts)

    def wanted_by_recv(self, deadline):
        self.waiting = True
        return PollNeeded(self.fd, POLLIN, deadline)

    def wait_to_recv(self, timeout):
        self.waiting = True
        return True

    def wanted_by_send(self, deadline, *, watch=False):
        return PollNeeded(self.fd + 1, POLLOUT | POLLIN if watch else POLLOUT, deadline)

    def quick_ack(self):
        self.acknowledged += 1

    def is_idle(self):
        return not self.incoming

    def recv_would_block(self):
        return self.is_idle()

    def shut_down_writing(self):
        self.rooms = [BrokenPipeError()] * 100

    def end_sending(self):
        room = self.rooms.pop(0) if self.rooms else True
        if isinstance(room, Exception):
            raise room
        return room and not self.shut_down_writing()

    def shut_down(self):
        pass


class GrudgingStream(ScriptedStream):
    """A stream that blocks before each piece, with a server that answers what was sent.

    Attributes:
        given: how many bytes `recv` has given.
        unread: what the server has sent and `recv` has not given.
        opened: whether somebody has it.
        stuck: True while nothing is ready.

    """

    def __init__(self, answers, piece):
        super().__init__()
        self.given = 0
        self.opened = self.stuck = False
        self._answers = list(answers)  # what the server waits for, and what it says then
        self._piece = piece
        self.unread = b""
        self._looked_at = 0  # bytes sent that the server has answered to
        self._moves = {"recv": False, "send": False}
        self._ended = self._lost = self._deaf = False

    def _blocks(self, call):
        """Say yes and no in turns."""
        if not self.stuck:
            self._moves[call] = not self._moves[call]
        return self.stuck or self._moves[call]

    def recv(self, size):
        self.waiting = False
        if self.closed or self._lost:
            raise ConnectionClosed("connection lost: reset", request_sent="maybe")
        if not (self.unread or self._ended) or self._blocks("recv"):
            return WOULD_BLOCK
        size = min(size, self._piece)
        data, self.unread = self.unread[:size], self.unread[size:]
        self.given += len(data)
        return data

    def send(self, parts):
        if self.closed or self._lost or self._deaf:
            raise ConnectionClosed("connection lost: broken pipe", request_sent="maybe")
        if self._blocks("send"):
            return WOULD_BLOCK
        data = b"".join(parts)[: self._piece]
        self.sent += data
        while self._answers:
            wanted, answer = self._answers[0]
            at = self.sent.find(wanted, self._looked_at)
            if at < 0:
                break
            self._looked_at = at + len(wanted)
            self.unread += answer
            del self._answers[0]
        return len(data)

    def is_idle(self):
        return not (self.unread or self._ended)

    def end(self):
        """Let the server close properly: what it has sent arrives, and it takes no more."""
        self._ended = self._deaf = True
        self._answers = []

    def cut(self):
        """Let what has arrived be all that ever arrives; it takes what is sent for a while."""
        self._ended = True
        self._answers = []
        self.unread = b""

    def fail(self):
        """Let the server reset the connection."""
        self._lost = True


class Bulky:
    """Makes one of the streams above move large amounts, as plain TCP does.

    Attributes:
        low_water: what the stream waits for.
        marks: all that it has been.
        moved: bytes that went through a pipe or were discarded.

    """

    moved = 0
    _low_water = 1

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.marks = []

    @property
    def bulk(self):
        return self

    @property
    def low_water(self):
        return self._low_water

    @low_water.setter
    def low_water(self, count):
        self._low_water = count
        self.marks.append(count)

    def wanted_by_recv(self, deadline):
        self.low_water = 1
        return super().wanted_by_recv(deadline)

    def wait_to_recv(self, timeout):
        self.low_water = 1
        return super().wait_to_recv(timeout)

    def wanted_by_gathering(self, count, deadline):
        self.low_water = count
        return super().wanted_by_recv(deadline)

    def wait_to_gather(self, count, timeout):
        self.low_water = count
        return super().wait_to_recv(timeout)

    def discard(self, count):
        data = self.recv(count)
        self.moved += len(data or b"")
        return data if data is None else len(data)

    def recv_into_pipe(self, pipe, count):
        data = self.recv(min(count, 65536))
        if data:
            os.write(pipe._writer, data)
            self.moved += len(data)
        return data if data is None else len(data)

    def send(self, parts):
        return super().send([in_memory(part) for part in parts])


def in_memory(part):
    if isinstance(part, FileRange):
        return os.pread(part._file.fileno(), part._size, part._offset)
    return part


class BulkyScript(Bulky, ScriptedStream):
    pass


class BulkyGrudge(Bulky, GrudgingStream):
    pass


def connection(monkeypatch, *streams, **options):
    """Return a connection that uses *streams*, one after the other."""
    left = list(streams)

    def co_open(route, timeout):
        yield from ()
        return left.pop(0)

    monkeypatch.setattr("dugong_like.transport.connect.open.co_open", co_open)
    monkeypatch.setattr(
        "dugong_like.transport.connect.open.begin", lambda route: (None, None)
    )  # also not to a proxy
    without_a_turn_after_connecting(monkeypatch)
    return HTTPConnection("script.test", **options)


def without_a_turn_after_connecting(monkeypatch):
    """Let an operation that has connected go on at once: a script says itself what waits."""

    def co_nothing():
        yield from ()

    monkeypatch.setattr("dugong_like.connection.h1.sender.co_checkpoint", co_nothing)


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
