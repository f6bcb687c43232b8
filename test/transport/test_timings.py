"""How long the phases of an exchange took."""

import pytest
from kit.every_driver import DRIVERS
from kit.support import ScriptedServer, answering

from dugong_like import ConnectionClosed, HTTPConnection, Timings
from dugong_like.transport.timings import Stopwatch

SWITCH = b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_the_stopwatch_takes_what_is_for_it_once():
    watch, timings, later = Stopwatch(), Timings(), Timings()
    for event in ("dns.resolve.started", "connection.attempt.started", "dns.resolve.failed"):
        watch.note(event)
    watch.take(timings)
    watch.take(later)

    assert timings.dns >= 0
    assert timings.connect is timings.tls is later.dns is None


@pytest.mark.feature("C18")
def test_an_exchange_has_its_timings():
    with ScriptedServer(answering(OK, OK)) as server:
        with HTTPConnection("localhost", server.port, timings=True) as conn:
            first = conn.send_request("GET", "/")
            second = conn.send_request("GET", "/")
            assert first.timings.first_byte is None
            response = conn.read_response()
            assert response.timings is first.timings
            assert response.timings.total is None
            conn.readall()
            conn.read_response()
            conn.readall()

    timings = first.timings
    assert timings.dns > 0
    assert timings.connect > 0
    assert timings.dns + timings.connect < timings.first_byte <= timings.total < 10
    assert timings.tls is None
    assert second.timings.dns is second.timings.connect is None
    assert second.timings.total > 0


@pytest.mark.feature("C18")
def test_the_connection_tells_those_of_the_last_response():
    with ScriptedServer(answering(OK, OK)) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timings=True)
        assert conn.get_extra_info("timings") is None
        first = conn.send_request("GET", "/")
        second = conn.send_request("GET", "/")
        assert conn.get_extra_info("timings") is None
        conn.read_response()
        assert conn.get_extra_info("timings") is first.timings
        conn.readall()
        assert conn.get_extra_info("timings").total > 0
        conn.read_response()
        assert conn.get_extra_info("timings") is second.timings
        conn.close()
        assert conn.get_extra_info("timings") is second.timings
        conn.close()

    assert HTTPConnection("127.0.0.1", 1).get_extra_info("timings") is None


@pytest.mark.feature("C18")
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_stream_that_has_left_http_tells_those_of_its_exchange(driver):
    def co_leave(conn):
        yield from conn.co_send_request("GET", "/", {"Upgrade": "x", "Connection": "upgrade"})
        return (yield from conn.co_read_response()).stream

    with ScriptedServer(answering(SWITCH)) as server:
        for asked in (True, False):
            with HTTPConnection("127.0.0.1", server.port, timings=asked) as conn:
                with driver(co_leave(conn)) as stream:
                    timings = stream.get_extra_info("timings")
                    assert timings is stream.timings is conn.get_extra_info("timings")
                    assert (timings is not None) == asked
                    if asked:
                        assert 0 < timings.connect < timings.first_byte <= timings.total
            assert stream.get_extra_info("timings") is timings  # it is closed by now


def test_who_closes_under_a_reader_keeps_the_timings():
    def answer_once(sock):
        answering(OK)(sock)
        sock.recv(65536)  # the second request
        sock.recv(65536)  # hang up after the client, who would otherwise connect again

    with ScriptedServer(answer_once) as server:
        conn = HTTPConnection("127.0.0.1", server.port, timings=True)
        exchange = conn.send_request("GET", "/")
        conn.read_response()
        conn.readall()
        conn.send_request("GET", "/")
        reading = conn.co_read_response()
        next(reading)
        conn.close()  # the reader keeps the link, and the connection gets a new one
        assert conn.get_extra_info("timings") is exchange.timings
        with pytest.raises(ConnectionClosed):
            next(reading)


@pytest.mark.feature("C18")
def test_the_handshake_has_its_time(start, trusting):
    server = start("uvicorn-h11", tls=True)
    with HTTPConnection("localhost", server.port, trusting, timings=True) as conn:
        conn.connect()
        exchange = conn.send_request("GET", "/bytes/1")
        conn.read_response()
        conn.readall()

    assert 0 < exchange.timings.tls < 10


def test_nobody_looks_at_the_clock_unasked():
    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("localhost", server.port) as conn:
            exchange = conn.send_request("GET", "/")
            assert conn.read_response().timings is exchange.timings is None
