"""Connecting for HTTP/2: once for all that wait, and what the server chooses."""

import copy
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from kit.h2_site import h2_site
from kit.h2_streams import PeerStream, bodies_of, results_of
from kit.streams import ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, read_head

from dugong_like import (
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    Pipeline,
    ProtocolNotNegotiated,
    Request,
    run,
    tls_context,
)
from dugong_like.connection.h2 import opening
from dugong_like.connection.states import Retired
from dugong_like.polling.fork import generation
from dugong_like.polling.wake import Wake

BOTH = ("h2", "http/1.1")


def http_1(sock):
    while read_head(sock):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture
def contexts(certificate):
    def choosing(*protocols):
        context = certificate.server_context()
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    return choosing


def test_the_server_chooses_http_2(contexts, trusting):
    with (
        h2_site(tls=contexts("h2")) as server,
        HTTPConnection("localhost", server.port, trusting, versions=BOTH, timeout=20) as conn,
    ):
        assert conn.exchange("GET", "/bytes/100000").length == 100_000
        assert (conn.protocol, conn.alpn, conn.tls_version) == ("h2", "h2", "TLSv1.3")
        assert conn.is_open()


@pytest.mark.parametrize("offered", [("http/1.1",), ()])
def test_the_server_chooses_http_1(contexts, trusting, offered):
    with (
        ScriptedServer(http_1, contexts(*offered)) as server,
        HTTPConnection("localhost", server.port, trusting, versions=BOTH, timeout=20) as conn,
    ):
        with ThreadPoolExecutor(8) as pool:
            replies = [*pool.map(lambda _: conn.exchange("GET", "/"), range(30))]
        assert {(reply.body, reply.http_version) for reply in replies} == {(b"ok", "1.1")}
        assert conn.protocol == "http/1.1"
        conn.send_request("GET", "/")
        assert conn.read_response().status == 200
        assert conn.read() == b"ok"
        conn.disconnect()
        assert conn.exchange("GET", "/").body == b"ok"
    assert server.connections == 2


def test_a_thread_that_comes_late_opens_nothing_for_http_2(contexts, trusting):
    with (
        ScriptedServer(http_1, contexts("http/1.1")) as server,
        HTTPConnection("localhost", server.port, trusting, versions=BOTH, timeout=20) as conn,
    ):
        session = conn._session  # that thread has looked before the other one connected
        assert conn.exchange("GET", "/").body == b"ok"
        assert conn._session is not session
        with pytest.raises(Retired):
            session.sender.connect()
        with pytest.raises(Retired):
            run(session.opening.co_ready())
        assert server.connections == 1


def test_calls_in_order_go_to_http_1_as_well(contexts, trusting):
    with ScriptedServer(http_1, contexts("http/1.1")) as server:
        with HTTPConnection("localhost", server.port, trusting, versions=BOTH) as conn:
            conn.send_requests([("GET", "/1"), ("GET", "/2")])
            assert [conn.read_response().status, conn.readall()] == [200, b"ok"]
            assert [conn.read_response().status, conn.readall()] == [200, b"ok"]
        with HTTPConnection("localhost", server.port, trusting, versions=BOTH) as conn:
            conn.connect()
            assert conn.protocol == "http/1.1"
            assert run(conn.co_exchange("POST", "/", None, b"x" * 100)).body == b"ok"
    assert server.connections == 2


@pytest.mark.feature("A32")
def test_http_2_was_asked_for_only(contexts, trusting):
    with (
        ScriptedServer(http_1, contexts("http/1.1")) as server,
        HTTPConnection("localhost", server.port, trusting, versions=("h2",)) as conn,
        pytest.raises(ProtocolNotNegotiated),
    ):
        conn.exchange("GET", "/")


def test_without_tls_it_begins_at_once():
    with ScriptedServer(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        conn = HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=20)
        with pytest.raises(Exception, match="GET http://.*/: ") as failure:
            conn.exchange("GET", "/")
        assert failure.value.url
        conn.close()


# ---- once for all


@pytest.fixture
def slow(monkeypatch):
    """Return a connection that connects when its flag is set, and the streams it gets."""
    flag = Wake()
    streams = []
    made = connection(monkeypatch, versions=("h2",))

    def co_open(route, timeout):
        opened.append(route)
        yield from flag.co_wait()
        stream = streams.pop(0)
        if isinstance(stream, Exception):
            raise stream
        return stream

    opened = []
    monkeypatch.setattr("dugong_like.transport.connect.open.co_open", co_open)
    yield made, flag, streams, opened
    made.close()
    flag.close()


def test_all_wait_for_the_one_that_connects(slow):
    conn, flag, streams, opened = slow
    stream = PeerStream()
    streams.append(stream)
    going = [conn.co_exchange("GET", "/bytes/3") for _ in range(3)]
    for each in going:
        next(each)

    flag.set()

    assert bodies_of(stream, *going) == [b"\0\1\2"] * 3
    assert len(opened) == 1


@pytest.mark.parametrize(
    "failure",
    [
        ConnectFailed("nobody there"),
        *(
            ConnectionTimedOut("nobody there", phase=phase)
            for phase in ("dns", "connect", "tls", "proxy")
        ),
    ],
    ids=["failed", "dns", "connect", "tls", "proxy"],
)
def test_its_failure_is_that_of_all_that_wait(slow, failure):
    conn, flag, streams, opened = slow
    streams.append(copy.copy(failure))
    going = [conn.co_exchange("GET", "/") for _ in range(3)]
    for each in going:
        next(each)

    flag.set()

    for each in going:
        with pytest.raises(type(failure), match="nobody there"):
            finish(each)
    assert len(opened) == 1


def test_if_it_is_given_up_another_one_connects(slow):
    conn, flag, streams, opened = slow
    stream = PeerStream()
    streams.append(stream)
    going = [conn.co_exchange("GET", "/bytes/3") for _ in range(3)]
    needs = [next(each) for each in going]

    going[0].close()
    assert [need.poll(0) for need in needs[1:]] == [True, True]
    for each in going[1:]:
        next(each)
    assert len(opened) == 2
    going[1].close()
    flag.set()

    assert bodies_of(stream, going[2]) == [b"\0\1\2"]
    assert len(opened) == 3


@pytest.mark.parametrize("phase", ["", "total"])
def test_its_own_time_limit_is_not_that_of_those_that_wait(slow, phase):
    conn, flag, streams, opened = slow
    stream = PeerStream()
    streams.append(stream)
    going = [conn.co_exchange("GET", "/bytes/3") for _ in range(3)]
    for each in going:
        next(each)

    with pytest.raises(ConnectionTimedOut, match="it is over"):
        going[0].throw(ConnectionTimedOut("it is over", phase=phase))
    flag.set()

    assert bodies_of(stream, *going[1:]) == [b"\0\1\2"] * 2
    assert len(opened) == 2


def test_closing_while_it_connects(slow):
    conn, flag, streams, opened = slow
    streams.append(PeerStream())
    going = conn.co_exchange("GET", "/")
    next(going)

    conn.close()
    flag.set()

    with pytest.raises(ConnectionClosed):
        finish(going)


def test_a_reader_waits_for_the_request_that_connects(slow):
    conn, flag, streams, _ = slow
    stream = PeerStream()
    streams.append(stream)
    sending = conn.co_send_request("GET", "/bytes/3")
    next(sending)
    reading = conn.co_read_response()
    next(reading)

    flag.set()

    exchange, response = results_of(stream, sending, reading)
    assert (response.status, response.length) == (200, 3)
    assert exchange.read() == b"\0\1\2"


def test_child_process_connects_by_itself_while_its_parent_connects(monkeypatch):
    """The operation that connects goes on in the parent only."""
    with (
        h2_site() as server,
        HTTPConnection("127.0.0.1", server.port, versions=("h2",), timeout=20) as conn,
    ):
        parent = conn._session.opening._lock
        assert parent.acquire(False)
        waiting = conn.co_exchange("GET", "/bytes/5")
        assert next(waiting).reason == "connection"
        monkeypatch.setattr(opening, "generation", lambda: generation() + 1)
        assert conn.exchange("GET", "/bytes/7").length == 7
        parent.release()
        waiting.close()


class HTTP1Stream(ScriptedStream):
    """A stream to a server that has chosen HTTP/1.1, and answers."""

    secured = True
    tls = SimpleNamespace(selected_alpn_protocol=lambda: "http/1.1", version=lambda: "TLSv1.3")

    def send(self, parts):
        self.incoming.append(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return super().send(parts)

    def keep_session(self, *_):
        pass

    notify_close = keep_session


@pytest.fixture
def either(slow):
    """The same as *slow*, of a connection that may speak either version."""
    _, flag, streams, opened = slow
    made = HTTPConnection("script.test", 443, tls_context(), versions=BOTH)
    yield made, flag, streams, opened
    made.close()


@pytest.mark.parametrize("first", ["sending", "reading"])
def test_a_reader_goes_to_http_1_with_the_request(either, first):
    conn, flag, streams, _ = either
    streams.append(HTTP1Stream())
    sending, reading = conn.co_send_request("GET", "/"), conn.co_read_response()
    next(sending)
    next(reading)

    flag.set()

    both = [sending, reading] if first == "sending" else [reading, sending]
    results = {}
    while both:
        for each in both.copy():
            try:
                next(each)
            except StopIteration as end:
                results[each] = end.value
                both.remove(each)
    assert results[reading].status == 200
    assert finish(conn.co_readall()) == b"ok"
    assert conn.protocol == "http/1.1"


def test_a_reader_whose_request_is_given_up_is_told_so(either):
    conn, flag, streams, _ = either
    streams.append(HTTP1Stream())
    connecting = conn.co_connect()
    sending, reading = conn.co_send_request("GET", "/"), conn.co_read_response()
    for each in (connecting, sending, reading):
        next(each)
    flag.set()
    finish(connecting)
    next(reading)

    sending.close()

    with pytest.raises(ConnectionClosed, match="could not be sent"):
        finish(reading)


def test_a_pipeline_goes_to_http_1(contexts, trusting):
    with (
        ScriptedServer(http_1, contexts("http/1.1")) as server,
        HTTPConnection("localhost", server.port, trusting, versions=BOTH, timeout=20) as conn,
    ):
        answers = [*Pipeline(conn, [Request("GET", "/")] * 5)]
    assert [answer.body for answer in answers] == [b"ok"] * 5
