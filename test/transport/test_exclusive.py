"""Exclusive use of a stream: it is closed once, by the last operation, and in child processes."""

import os
import sys
from weakref import ref

import pytest
from kit.streams import ScriptedStream, connection
from kit.support import on_two_threads

from dugong_like.transport import exclusive
from dugong_like.transport.exclusive import StreamInUse
from dugong_like.transport.upgraded.network_stream import NetworkStream


class Counted(ScriptedStream):
    closings = 0

    def close(self):
        self.closings += 1


@pytest.fixture
def stream():
    return Counted()


@pytest.fixture
def use(stream):
    use = StreamInUse()
    use.opened(stream)
    yield use
    use.leave(use.withdraw())


DIRECTIONS = [[], ["reading"], ["sending"], ["reading", "sending"], ["sending", "reading"]]


@pytest.mark.parametrize("directions", DIRECTIONS)
def test_last_operation_closes_the_stream_that_was_left(use, stream, directions):
    locks = [getattr(use, direction) for direction in directions]
    for lock in locks:
        assert lock.acquire(False)

    use.leave(use.withdraw())

    assert use.stream is None
    for lock in locks:
        use.give_back()
        assert stream.closings == 0
        lock.release()
    use.give_back()
    assert stream.closings == 1
    assert use.left is None
    assert use not in exclusive._open


def test_stream_can_be_withdrawn_once(use, stream):
    assert use.withdraw() is stream
    assert use.withdraw() is None
    use.leave(None)
    assert stream.closings == 0


def test_stream_that_was_withdrawn_is_not_replaced(use, stream):
    new, newer = Counted(), Counted()
    assert use.replace(stream, new)
    assert use.stream is new
    assert not use.replace(stream, newer)
    assert use.withdraw() is new
    assert not use.replace(new, newer)
    assert use.stream is None


def end_use(use):
    use.reading.release()
    if use.left is not None:
        use.give_back()


def close(use):
    use.leave(use.withdraw())


def test_operation_and_closer_in_two_threads_close_the_stream_once():
    """Whatever comes first: the end of the operation, or the close."""
    streams = [Counted() for _ in range(2000)]
    uses = []
    for stream in streams:
        use = StreamInUse()
        use.opened(stream)
        use.reading.acquire()
        uses.append(use)
    work = [[end_use, close] for _ in uses]  # one for each thread: pop is atomic

    on_two_threads(lambda number: work[number].pop()(uses[number]))

    assert {stream.closings for stream in streams} == {1}
    assert not exclusive._open.intersection(uses)


def test_streams_that_were_left_are_listed_in_one_step():
    """As others leave theirs meanwhile: other threads, and finalizers."""
    uses = []

    def leave(*_):
        use = StreamInUse()
        use.reading.acquire()
        use.leave(Counted())
        uses.append(use)
        return leave

    for _ in range(3):
        leave()
    before = sys.gettrace()
    sys.settrace(lambda *_: leave())  # wherever other code could run
    try:
        found = exclusive.all_open()
    finally:
        sys.settrace(before)
    assert len(uses) > 4
    assert set(uses[:3]) <= set(found)

    for use in uses:
        use.reading.release()
        use.give_back()
    assert not set(uses).intersection(exclusive.all_open())


def test_object_that_has_left_a_stream_is_forgotten_with_it():
    use = StreamInUse()
    use.reading.acquire()
    use.leave(Counted())
    found = ref(use)
    count = len(exclusive._closing)
    del use
    assert found() is None
    assert len(exclusive._closing) == count - 1


def http(monkeypatch, stream):
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    return conn, conn.co_read_response()


def upgraded(monkeypatch, stream):
    network = NetworkStream(stream)
    return network, network.co_read(10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("kind", [http, upgraded])
def test_child_closes_what_operations_use_and_they_can_end_there(monkeypatch, kind, closed):
    stream = Counted()
    user, reading = kind(monkeypatch, stream)
    next(reading)
    if closed:
        user.close()
    assert stream.closings == 0

    child = os.fork()
    if child == 0:
        try:
            assert stream.closings == 1
            reading.close()
            assert stream.closings == 1
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert stream.closings == 0
    reading.close()
    user.close()
    assert stream.closings == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_exchange_that_a_child_inherits_can_end_there(monkeypatch):
    stream = Counted()
    conn = connection(monkeypatch, stream)
    conn.connect()
    exchanging = conn.co_exchange("GET", "/")
    next(exchanging)

    child = os.fork()
    if child == 0:
        try:
            exchanging.close()
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    exchanging.close()
    conn.close()
