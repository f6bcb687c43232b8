"""Locks that the garbage collector or a handler of signals meets in the middle of a call.

Both run what they have to run, such as the end of a forgotten operation, in a thread that may have
any lock just then. So no lock may be one for which the same thread waits, and what is half done
must come right. Here a call is interrupted at each of its steps, one after the other.
"""

import io
import math
import ssl
from functools import partial

import pytest
from kit.in_the_middle import in_the_middle
from kit.streams import ScriptedStream

from dugong_like import (
    POLLIN,
    CachingResolver,
    HTTPConnection,
    MinimumRate,
    PollNeeded,
    RateLimit,
    TLSSessions,
    Wake,
    read_dump,
    run,
)
from dugong_like.connection import shared
from dugong_like.drivers import loopthread, threads
from dugong_like.polling import rates
from dugong_like.polling import wake as wake_
from dugong_like.transport.connect import resolvers
from dugong_like.transport.filters import minimum_rate, wire_dump
from dugong_like.transport.tls import handshake, over_stream, sessions

pytestmark = [pytest.mark.usefixtures("nothing_is_left_open"), pytest.mark.timeout(60)]


def closing(last):
    """Return an operation that has begun, and calls *last* when it is closed."""

    def co_forgotten():
        try:
            yield PollNeeded(0, POLLIN)
        finally:
            last()

    operation = co_forgotten()
    next(operation)
    return operation


# ---- Wake

ENDS = ["_EventFD", "_Pipe", "_SocketPair"]
CHANGES = [("set",), ("clear",), ("set", "clear"), ("clear", "set"), ("clear", "clear", "set")]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("first", ["set", "clear"])
@pytest.mark.parametrize("call", ["set", "clear"])
@pytest.mark.parametrize("changes", CHANGES, ids="-".join)
def test_flag_and_descriptor_agree(monkeypatch, end, first, call, changes):
    monkeypatch.setattr(wake_, "_end", getattr(wake_, end))

    def make():
        wake = Wake()
        getattr(wake, first)()
        return wake

    def end_forgotten(wake):
        closing(lambda: [getattr(wake, change)() for change in changes]).close()

    for wake in in_the_middle(make, lambda wake: getattr(wake, call)(), end_forgotten, wake_):
        assert PollNeeded(wake.fd, POLLIN).poll(0) is wake.is_set()
        wake.set()
        assert PollNeeded(wake.fd, POLLIN).poll(0)
        wake.clear()
        assert not PollNeeded(wake.fd, POLLIN).poll(0)
        wake.close()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("call", ["set", "clear", "close"])
def test_flag_that_is_closed_in_the_middle(monkeypatch, end, call):
    monkeypatch.setattr(wake_, "_end", getattr(wake_, end))

    def make():
        wake = Wake()
        if call == "clear":
            wake.set()
        return wake

    for wake in in_the_middle(make, lambda wake: getattr(wake, call)(), Wake.close, wake_):
        wake.close()


# ---- what else is shared


@pytest.mark.parametrize("call", ["available", "next_time", "spend"])
def test_rate(call):
    def do(limit):
        getattr(limit, call)(*([5] if call == "spend" else []))

    for limit in in_the_middle(lambda: RateLimit(1000, 100), do, lambda one: one.spend(1), rates):
        assert 0 <= limit.available() <= 100


def test_lowest_rate():
    def make():
        return minimum_rate.Meter(MinimumRate(1, 3600))

    def end_forgotten(meter):
        closing(lambda: meter.leave(minimum_rate.SENDING, 1)).close()

    for meter in in_the_middle(make, lambda one: one.wait(1, None), end_forgotten, minimum_rate):
        meter.leave(minimum_rate.RECEIVING)


class Session:
    time = 0
    timeout = 1e12


@pytest.mark.parametrize("action", ["put", "take", "clear"])
@pytest.mark.parametrize("call", ["put", "take"])
def test_tls_sessions(call, action):
    def make():
        store = TLSSessions(max_entries=2)
        for key in "ab":
            store.put(key, Session())
        return store

    def do(store, what):
        arguments = {"put": ("a", Session()), "take": ("a",), "clear": ()}[what]
        getattr(store, what)(*arguments)

    for store in in_the_middle(
        make, lambda store: do(store, call), lambda store: do(store, action), sessions
    ):
        assert len(store) <= 2


def test_question_that_is_given_up_while_another_one_is_asked():
    """Whatever the moment, the second one gets its answer."""

    def co_answer(host, port):
        yield PollNeeded(0, POLLIN)
        return [(2, ("127.0.0.1", 80))]

    class Two:
        def __init__(self):
            cache = CachingResolver(co_answer)
            self.first, self.second = cache("x.test", 80), cache("x.test", 80)
            next(self.first)

    def step(two):
        try:
            next(two.second)
        except StopIteration as end:
            raise AssertionError(end.value) from None

    for two in in_the_middle(Two, step, lambda two: two.first.close(), resolvers):
        two.first.close()
        for need in two.second:
            assert need[0] == 0 or need.poll(0), "it would wait for ever"


@pytest.mark.parametrize("ended", [False, True])
def test_listener_of_an_end(ended):
    class Listened(shared.SharedState):
        heard = 0

    def make():
        session = Listened(HTTPConnection("nobody.test")._config, None)
        if ended:
            session.end(None)
        return session

    def hear(session):
        session.heard += 1

    def listen(session):
        session.when_ended(partial(hear, session))

    for session in in_the_middle(make, listen, lambda one: one.end(None), shared):
        session.end(None)
        assert session.heard == 1


class Memory(io.BytesIO):
    def close(self):
        if not self.closed:
            self.kept = self.getvalue()
        super().close()


@pytest.mark.parametrize("ours", [False, True])
def test_wire_dump(ours):
    def make():
        return wire_dump.DumpedStream(ScriptedStream([b"data"]), Memory(), math.inf, ours=ours)

    for stream in in_the_middle(
        make, lambda one: one._record("<", b"data"), lambda one: one.close(), wire_dump
    ):
        stream.close()
        file = stream._file
        assert file.closed is ours
        text = file.kept if ours else file.getvalue()
        assert text.count(b" closed\n") == 1
        records = [data for _, _, data in read_dump(io.BytesIO(text))]
        assert records in ([b"data"], [])


# ---- TLS


class Loopback(ScriptedStream):
    """A stream that leads to a server of TLS in memory, whose handshake is complete."""

    def __init__(self, context):
        super().__init__()
        self.into, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = context.wrap_bio(self.into, self._out, server_side=True)
        self._shaken = False
        self.heard = b""

    def send(self, parts):
        data = b"".join(parts)
        self.into.write(data)
        try:
            if not self._shaken:
                self.server.do_handshake()
                self._shaken = True
            while piece := self.server.read(100_000):
                self.heard += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        if said := self._out.read():
            self.incoming.append(said)
        return len(data)


@pytest.mark.parametrize("call", ["send", "recv", "send_end_of_stream", "buffered"])
@pytest.mark.parametrize("action", ["notify_close", "send_end_of_stream"])
def test_tls_that_is_closed_in_the_middle(certificate, trusting, call, action):
    """No record is sent twice, or half: the server could read all that it has got."""
    context = certificate.server_context()

    def make():
        peer = Loopback(context)
        stream = over_stream.TLSOverStream(peer, trusting, "localhost")
        while stream.handshake() is None:
            pass
        return stream

    def do(stream):
        try:
            if call == "send":
                stream.send([b"request"])
            elif call == "recv":
                stream.recv(10)
            elif call == "buffered":
                assert stream.buffered in {True, False}
            else:
                stream.send_end_of_stream()
        except OSError:
            pass  # it is closed

    def end_forgotten(stream):
        closing(getattr(stream, action)).close()

    for stream in in_the_middle(make, do, end_forgotten, over_stream, handshake):
        assert stream._inner.heard in {b"", b"request"}
        stream.close()


# ---- threads


def test_future_of_a_loop_thread_that_is_cancelled_in_the_middle():
    def make():
        thread = loopthread.LoopThread()
        return thread, thread.submit(closing(lambda: None))

    def submit(both):
        both[0].post(lambda: None)
        both[1].cancel()

    def cancel(both):
        both[1].cancel()
        both[0].post(lambda: None)

    for thread, future in in_the_middle(make, submit, cancel, loopthread):
        assert future.cancelled()
        thread.stop()


def test_future_of_an_executor_that_is_cancelled_in_the_middle():
    def make():
        future = threads._OperationFuture(closing(lambda: None))
        assert future.set_running_or_notify_cancel()
        return future

    for future in in_the_middle(make, lambda one: one.cancel(), lambda one: one.cancel(), threads):
        assert future._wake.is_set()
        future.discard()


def test_waiting_goes_on_when_a_flag_is_set_in_the_middle_of_clear():
    def make():
        wake = Wake()
        wake.set()
        return wake

    for wake in in_the_middle(make, Wake.clear, Wake.set, wake_):
        if wake.is_set():
            assert run(wake.co_wait())
        wake.close()
