"""Rates and budgets: no faster, and no more, than was said, under every driver."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from kit.cases import each_case
from kit.every_driver import DRIVERS, with_every_driver
from kit.streams import ScriptedStream, connection, finish
from kit.support import ScriptedServer, pattern, read_head, wait_until

from dugong_like import (
    BodyTooLarge,
    Budget,
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    MinimumRate,
    RateLimit,
    run,
    within,
)
from dugong_like.transport.filters.throttle import Pace

SIZE = 60_000
RATE = 200_000  # bytes per second: SIZE takes 0.3 s, of which the burst saves 0.1
LEAST = (SIZE - RATE / 10) / RATE


def giving(sock):
    while head := read_head(sock):
        if head.startswith(b"PUT"):
            left = SIZE
            while left:
                left -= len(sock.recv(left))
            sock.sendall(b"HTTP/1.1 204 \r\n\r\n")
        else:
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + pattern(SIZE))


def co_get(conn):
    yield from conn.co_send_request("GET", "/")
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


def co_put(conn):
    yield from conn.co_send_request("PUT", "/", body=pattern(SIZE))
    return (yield from conn.co_read_response()).status


@pytest.mark.feature("C3")
@pytest.mark.parametrize(("driver", "tls"), with_every_driver(False, True))
def test_a_rate_holds_in_both_directions(driver, tls, certificate, trusting):
    server_context = certificate.server_context() if tls else None
    with ScriptedServer(giving, server_context) as server:
        for co_use, name in ((co_get, "download"), (co_put, "upload")):
            budget = Budget(**{name: RateLimit(RATE)})
            context = trusting if tls else None
            with HTTPConnection(
                "localhost", server.port, context, budget=budget, timeout=10
            ) as conn:
                start = time.monotonic()
                result = driver(co_use(conn))
                passed = time.monotonic() - start
                assert result == (pattern(SIZE) if co_use is co_get else 204)
                assert LEAST <= passed < 20


@pytest.mark.feature("C3")
def test_a_rate_holds_for_blocking_calls():
    with ScriptedServer(giving) as server:
        budget = Budget(download=RateLimit(RATE), upload=RateLimit(RATE))
        with HTTPConnection("localhost", server.port, budget=budget) as conn:
            start = time.monotonic()
            conn.send_request("PUT", "/", body=pattern(SIZE))
            conn.read_response()
            conn.send_request("GET", "/")
            conn.read_response()
            buffer = bytearray(SIZE)
            view = memoryview(buffer)
            while count := conn.readinto(view):
                view = view[count:]
            assert time.monotonic() - start >= 2 * LEAST
    assert buffer == pattern(SIZE)


def test_connections_share_a_limit(monkeypatch):
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("dugong_like.polling.rates.time", clock)
    limit = RateLimit(RATE)
    limit.spend(limit.burst)
    assert limit.available() == 0
    now[0] += 0.03
    assert 0 < limit.available() < limit.burst


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_operation_of_ones_own_can_keep_to_a_rate(driver):
    limit = RateLimit(10_000, burst=100)
    start = time.monotonic()
    driver(limit.co_take(1100))

    assert 0.09 < time.monotonic() - start < 20


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_a_rate_is_positive(rate):
    with pytest.raises(ValueError, match="bytes_per_second cannot be"):
        RateLimit(rate)
    with pytest.raises(ValueError, match="burst cannot be 0"):
        RateLimit(1, 0)
    with pytest.raises(ValueError, match="max_body cannot be -1"):
        Budget(max_body=-1)


def test_a_slow_rate_moves_single_bytes():
    assert RateLimit(1).available() == 1
    assert "RateLimit(1, 1)" in repr(RateLimit(1))


SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"
)
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n0123456789"
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read(conn, way, got):
    """Read a body in one of all ways."""
    if way == "readall":
        got += finish(conn.co_readall())
    elif way == "readinto":
        buffer = bytearray(3)
        while count := finish(conn.co_readinto(buffer)):
            got += buffer[:count]
    else:
        while data := finish(conn.co_read(way)):
            got += data


@pytest.mark.feature("C3")
@each_case("way", ["readall", "readinto", 1, 100])
@each_case("most", [0, 1, 4, 9, 10, 11])
@each_case("body", [SIZED, CHUNKED, ENDLESS])
def test_no_more_of_a_body_is_delivered(monkeypatch, body, most, way):
    end = b"" if body is ENDLESS else None
    incoming = [body, end] if end is not None else [body, NEXT]
    stream = ScriptedStream(incoming)
    conn = connection(monkeypatch, stream, budget=Budget(max_body=most))
    for _ in range(1 if body is ENDLESS else 2):
        finish(conn.co_send_request("GET", "/"))
    assert finish(conn.co_read_response()).status == 200
    got = bytearray()
    if most >= 10:
        read(conn, way, got)
        assert got == b"0123456789"
        return
    for _ in range(2):
        with pytest.raises(BodyTooLarge, match=f"the {most} bytes") as caught:
            read(conn, way, got)
        assert caught.value.request_sent == "yes", "a POST would be repeated"
    assert len(got) <= most
    if body is SIZED:
        assert got == b""
    finish(conn.co_discard())
    if body is not ENDLESS:  # nothing is broken
        assert finish(conn.co_read_response()).length == 2


def test_abandoned_responses_may_be_of_any_size(monkeypatch):
    stream = ScriptedStream([SIZED, NEXT])
    conn = connection(monkeypatch, stream, budget=Budget(max_body=2))
    run(conn.co_send_request("GET", "/1")).abandon()
    run(conn.co_send_request("GET", "/2"))
    finish(conn.co_read_response())

    assert finish(conn.co_readall()) == b"ok"


# ---- the lowest rate


@pytest.fixture
def dripping():
    """A server that moves some bytes every 20 milliseconds: `timeout` sees nothing of that."""
    over = threading.Event()

    def handler(sock):
        head = read_head(sock)
        if not head.startswith(b"PUT"):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not over.wait(0.02):
            if head.startswith(b"PUT"):
                sock.recv(100)
            else:
                sock.sendall(b"x")

    class Dripping(ScriptedServer):
        def __exit__(self, *exc):
            over.set()
            super().__exit__(*exc)

    return lambda tls=None: Dripping(handler, tls)


@pytest.mark.feature("A56")
@pytest.mark.parametrize(("driver", "tls"), with_every_driver(False, True))
def test_a_lowest_rate_holds_in_both_directions(driver, tls, dripping, certificate, trusting):
    def co_receive(conn):
        yield from conn.co_send_request("GET", "/")
        yield from conn.co_read_response()
        yield from conn.co_readall()

    def co_send(conn):
        yield from conn.co_send_request("PUT", "/", body=bytes(50_000_000))

    server_context = certificate.server_context() if tls else None
    budget = Budget(minimum_rate=MinimumRate(100_000, 0.1))
    context = trusting if tls else None
    with dripping(server_context) as server:
        for co_use in (co_receive, co_send):
            with HTTPConnection(
                "localhost", server.port, context, budget=budget, timeout=30
            ) as conn:
                start = time.monotonic()
                with pytest.raises(ConnectionTimedOut, match="100000 bytes per second over 0.1"):
                    driver(co_use(conn))
                assert 0.1 <= time.monotonic() - start < 20


@pytest.mark.feature("A56")
def test_a_lowest_rate_holds_for_blocking_calls_piece_by_piece(dripping):
    """Each call returns at once, with a byte; all of them together take too long."""
    with dripping() as server:
        budget = Budget(minimum_rate=MinimumRate(1000, 2))
        with HTTPConnection("localhost", server.port, budget=budget) as conn:
            conn.send_request("GET", "/")
            conn.read_response()
            received = b""
            with pytest.raises(ConnectionTimedOut) as caught:
                while True:
                    received += conn.read(100)
            assert caught.value.phase == "rate"
            assert caught.value.request_sent == "yes"
            received += conn.read(1)  # nothing is lost, and the connection goes on
            assert 0 < len(received) < 1000


def test_sending_too_slowly_breaks_the_connection(dripping):
    with dripping() as server:
        budget = Budget(minimum_rate=MinimumRate(1_000_000_000, 0.1))
        with HTTPConnection("localhost", server.port, budget=budget) as conn:
            with pytest.raises(ConnectionTimedOut) as caught:
                conn.send_request("PUT", "/", body=bytes(50_000_000))
            assert caught.value.request_sent == "maybe"
            with pytest.raises(ConnectionClosed, match="lowest rate"):
                conn.read_response()


@pytest.fixture
def passing(monkeypatch):
    """A function that lets seconds pass for the meter of lowest rates; no others do."""
    now = [1e9]  # so that no wait ends because of it
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("dugong_like.transport.filters.minimum_rate.time", clock)

    def passing(seconds):
        now[0] += seconds

    return passing


def test_each_exchange_has_its_own_interval(passing):
    """Many small answers that each take a while are no slow transfer."""

    def slowly(sock):
        while read_head(sock):
            wait_until(lambda: conn._session.shared.meter._waiting)
            passing(0.3)
            sock.sendall(b"HTTP/1.1 204 \r\n\r\n")

    with ScriptedServer(slowly) as server:
        budget = Budget(minimum_rate=MinimumRate(100_000, 0.4))
        with HTTPConnection("localhost", server.port, budget=budget) as conn:
            for _ in range(10):
                conn.send_request("GET", "/")
                assert conn.read_response().status == 204


@pytest.mark.parametrize("what", ["program", "given up"])
def test_time_in_which_nobody_waits_does_not_count(what, passing):
    go_on = threading.Event()

    def later(sock):
        read_head(sock)
        go_on.wait(20)
        sock.sendall(b"HTTP/1.1 204 \r\n\r\n")

    with ScriptedServer(later) as server:
        budget = Budget(minimum_rate=MinimumRate(1000, 0.3))
        with HTTPConnection("localhost", server.port, budget=budget) as conn:
            conn.send_request("GET", "/")
            if what == "given up":
                with pytest.raises(ConnectionTimedOut, match="deadline"):
                    run(within(time.monotonic() + 0.05, conn.co_read_response()))
                op = conn.co_read_response()
                next(op)
                op.close()
            passing(10)
            threading.Timer(0.1, go_on.set).start()  # while the reader waits
            assert conn.read_response().status == 204


def test_what_a_limit_holds_back_is_not_slow(monkeypatch, passing):
    share = Pace.share

    def later(pace, wanted):
        if pace._refused:
            passing(0.1)  # while it was held back
        return share(pace, wanted)

    monkeypatch.setattr(Pace, "share", later)
    with ScriptedServer(giving) as server:
        budget = Budget(
            download=RateLimit(RATE), upload=RateLimit(RATE), minimum_rate=MinimumRate(1e9, 0.2)
        )
        with HTTPConnection("localhost", server.port, budget=budget) as conn:
            assert run(co_get(conn)) == pattern(SIZE)
            assert run(co_put(conn)) == 204


def test_another_protocol_may_rest(passing):
    begun = [threading.Event(), threading.Event()]

    def switching(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 101 \r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n")
        for event, word in zip(begun, (b"hello", b"world"), strict=True):
            event.wait(20)
            time.sleep(0.1)  # for the reader to wait
            passing(10)
            sock.sendall(word)

    with ScriptedServer(switching) as server:
        budget = Budget(minimum_rate=MinimumRate(1000, 0.1))
        with HTTPConnection("localhost", server.port, budget=budget) as conn:
            conn.send_request("GET", "/", {"Upgrade": "echo", "Connection": "upgrade"})
            with conn.read_response().stream as stream:
                for event, word in zip(begun, (b"hello", b"world"), strict=True):
                    event.set()
                    assert stream.read(10) == word


def test_new_connection_has_a_new_interval(dripping):
    with dripping() as server:
        budget = Budget(minimum_rate=MinimumRate(100_000, 0.2))
        with HTTPConnection("localhost", server.port, budget=budget) as conn:
            for _ in range(2):
                conn.send_request("GET", "/")
                with pytest.raises(ConnectionTimedOut):
                    conn.read_response()
                    conn.readall()
                conn.reset()


@pytest.mark.parametrize(
    ("rate", "seconds"), [(0, 1), (-1, 1), (float("inf"), 1), (1, 0), (1, float("nan"))]
)
def test_lowest_rates_that_make_no_sense(rate, seconds):
    with pytest.raises(ValueError, match=r"(bytes_per_second|seconds) cannot be"):
        MinimumRate(rate, seconds)


def test_lowest_rate_has_a_type():
    with pytest.raises(TypeError, match="minimum_rate is"):
        Budget(minimum_rate=(1000, 30))


def test_without_a_lowest_rate_nothing_is_in_between(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream(), budget=Budget(max_body=1))
    finish(conn.co_connect())

    assert type(conn._session.shared.stream) is ScriptedStream


def test_names_of_earlier_versions_mean_the_same():
    import dugong_like

    rate, other = MinimumRate(1000, 2), MinimumRate(5, 6)

    assert dugong_like.LowestRate is MinimumRate
    assert Budget(lowest_rate=rate) == Budget(minimum_rate=rate)
    assert Budget(lowest_rate=rate).minimum_rate is Budget(minimum_rate=rate).lowest_rate is rate
    assert Budget().lowest_rate is None
    assert replace(Budget(minimum_rate=rate, max_body=7), lowest_rate=other).minimum_rate is other
    assert replace(Budget(lowest_rate=rate, max_body=7), minimum_rate=other) == Budget(
        minimum_rate=other, max_body=7
    )
    for name in ("minimum_rate", "lowest_rate"):
        with pytest.raises(TypeError, match=rf"^{name} is MinimumRate\(…\), not 5"):
            Budget(**{name: 5})
    assert hash(Budget(lowest_rate=rate)) == hash(Budget(minimum_rate=rate))
    assert "minimum_rate=MinimumRate" in repr(Budget(lowest_rate=rate))
    with pytest.raises(AttributeError):
        Budget().max_body = 5
    assert HTTPConnection.give_up is HTTPConnection.abort_body
    assert HTTPConnection.tell_retry is HTTPConnection.report_retry
