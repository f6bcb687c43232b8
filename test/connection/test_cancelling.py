"""Closing a connection from any thread: what it cancels, who closes the descriptor, and when."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.streams import END, ScriptedStream, connection
from kit.support import ScriptedServer, answering, read_head, wait_until

from dugong_like import BodyFollowing, ConnectionClosed, HTTPConnection
from dugong_like.connection import cancelling
from dugong_like.connection.cancelling import cancel
from dugong_like.connection.connection import finish
from dugong_like.connection.shared import SharedState
from dugong_like.connection.states import SessionState
from dugong_like.transport import exclusive

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("end", [HTTPConnection.reset, HTTPConnection.disconnect])
def test_operation_that_waits_while_the_connection_is_dropped_ends(monkeypatch, end):
    streams = [ScriptedStream(), ScriptedStream()]
    conn = connection(monkeypatch, *streams)
    conn.send_request("GET", "/past")
    reading = conn.co_read_response()
    next(reading)
    end(conn)
    conn.send_request("GET", "/present")
    present = conn.co_read_response()
    next(present)
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(reading)
    next(present)  # untouched
    assert conn.response_pending()


@pytest.mark.parametrize("first", ["reader", "writer"])
def test_connection_that_was_dropped_is_closed_by_who_leaves_it_last(monkeypatch, first):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/1")
    stream.rooms = [10, None]
    operations = {"reader": conn.co_read_response(), "writer": conn.co_send_request("GET", "/2")}
    next(operations["writer"])
    next(operations["reader"])
    conn.disconnect()
    kept = []
    for name in sorted(operations, key=lambda name: name != first):
        assert not stream.closed
        with pytest.raises(ConnectionClosed, match="closed meanwhile") as caught:
            next(operations[name])
        kept.append(caught)
    assert stream.closed  # and not when the last exception has gone


def test_connection_that_was_dropped_is_closed_if_its_operation_ends_well(monkeypatch):
    stream = ScriptedStream([b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No\r\n\r\n"])
    conn = connection(monkeypatch, stream, on_informational=lambda response: conn.disconnect())
    conn.send_request("GET", "/")
    assert conn.read_response().status == 204
    assert stream.closed


def test_connection_that_was_dropped_inside_an_operation_that_ends_well(monkeypatch):
    def send_and_drop(parts):
        count = ScriptedStream.send(stream, parts)
        conn.disconnect()
        return count

    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/1")
    reading = conn.co_read_response()
    next(reading)
    stream.send = send_and_drop
    conn.send_request("GET", "/2")
    assert not stream.closed
    with pytest.raises(ConnectionClosed) as kept:
        next(reading)
    assert stream.closed
    assert kept.tb is not None


def test_connection_that_is_dropped_when_it_fails_is_closed(monkeypatch):
    stream = ScriptedStream([END])
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    conn._session.shared.when_ended(conn.disconnect)
    with pytest.raises(ConnectionClosed) as kept:
        conn.read_response()
    assert stream.closed
    assert kept.tb is not None


def test_what_closing_raises_is_not_the_error_of_the_operation(monkeypatch, capsys):
    def close():
        raise OSError("the disk is full")

    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    reading = conn.co_read_response()
    next(reading)
    stream.close = close
    conn.disconnect()
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(reading)
    assert capsys.readouterr().err.endswith("OSError: the disk is full\n")


def test_writer_that_waits_while_the_connection_is_dropped_writes_nothing_to_the_next(monkeypatch):
    streams = [ScriptedStream(rooms=[10, None]), ScriptedStream()]
    conn = connection(monkeypatch, *streams)
    writing = conn.co_send_request("GET", "/past")
    next(writing)
    conn.reset()
    conn.send_request("GET", "/present")
    with pytest.raises(ConnectionClosed, match="closed meanwhile"):
        next(writing)
    assert b"past" not in streams[1].sent
    streams[1].incoming.append(b"HTTP/1.1 204 No\r\n\r\n")
    assert conn.read_response().path == "/present"
    conn.send_request("GET", "/again")
    assert b"/again" in streams[1].sent


@pytest.fixture
def session():
    with ScriptedServer(lambda sock: sock.recv(1)) as server:
        session = SharedState(HTTPConnection("127.0.0.1", server.port)._config, 10)
        yield session
        cancel(session)


@pytest.mark.parametrize("directions", [("sending",), ("reading",), ("sending", "reading")])
def test_the_stream_is_closed_when_the_last_operation_has_ended(session, directions):
    finish(session.open())
    sock = session.stream.sock
    locks = [getattr(session, direction) for direction in directions]
    for lock in locks:
        lock.acquire()
    cancel(session)
    assert session.stream is None
    for lock in locks:
        assert sock.fileno() != -1
        lock.release()
        session.give_back()
    assert sock.fileno() == -1


def test_closing_waits_for_nothing_but_a_change_of_state(session):
    finish(session.open())
    done = threading.Event()

    def close():
        cancel(session)
        done.set()

    with exclusive.changing:
        closer = threading.Thread(target=close)
        closer.start()
        assert not done.wait(0.05)
    closer.join(20)
    assert done.is_set()


@pytest.mark.feature("B22", "B23")
def test_disconnect_loses_everything_and_connects_again():
    with ScriptedServer(answering(OK)) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timeout=10)
        with conn:
            conn.disconnect()
            conn.connect()
            conn.connect()
            conn.send_request("PUT", "/", body=BodyFollowing(5))
            conn.disconnect()
            assert not conn.response_pending()
            conn.reset()
            assert conn.exchange("GET", "/").body == b"ok"
        conn.close()
        assert conn.exchange("GET", "/").body == b"ok"
        conn.close()


@pytest.mark.feature("B22")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\nuntil close"])
def test_disconnect_wakes_who_reads_in_another_thread(answer, tls, certificate, trusting):
    def handler(sock):
        read_head(sock)
        sock.sendall(answer)
        sock.recv(1)

    with ScriptedServer(handler, certificate.server_context() if tls else None) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trusting if tls else None)
        conn.send_request("GET", "/")
        if answer:
            conn.read_response()
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(conn.readall if answer else conn.read_response)
            wait_until(conn._session.shared.reading.locked)
            time.sleep(0.1)  # it waits by now, most likely
            conn.disconnect()
            with pytest.raises(ConnectionClosed):  # and no end of the body
                reading.result(20)


def test_cancelling_says_whether_anybody_was_under_way(monkeypatch):
    for used in (False, True):
        stream = ScriptedStream()
        conn = connection(monkeypatch, stream)
        conn.connect()
        shared = conn._session.shared
        if used:
            shared.reading.acquire()

        assert cancel(shared) is not used
        assert cancel(shared) is not used  # and once more changes nothing
        assert stream.closed is not used
        assert shared.state is SessionState.CLOSED


@pytest.mark.parametrize("what", ["nothing", "a response", "a request"])
def test_only_what_was_not_complete_is_lost(monkeypatch, what):
    conn = connection(monkeypatch, ScriptedStream())
    conn.connect()
    if what == "a response":
        conn.send_request("GET", "/")
    elif what == "a request":
        conn.send_request("PUT", "/", body=BodyFollowing(5))
    session = conn._session

    cancelling.abort(session)
    assert session.shared.lost is (what != "nothing")


def test_those_that_use_a_connection_close_it(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("GET", "/")
    reading = conn.co_read_response()
    next(reading)
    ends = []
    stream.shut_down = lambda: ends.append(stream.incoming.append(END))

    cancelling.cancel_users(conn._session)
    assert len(ends) == 1
    assert not stream.closed
    with pytest.raises(ConnectionClosed):
        next(reading)
    conn.close()
    assert stream.closed
    assert conn.close_reason is None  # as it was we who ended it
