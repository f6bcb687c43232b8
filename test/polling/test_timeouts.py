"""Time limits of each phase: which one it was, and that it holds under every driver."""

import pickle
import threading
import time

import pytest
from kit.every_driver import DRIVERS
from kit.silence import SOON, check, deaf, silent
from kit.streams import ScriptedStream, connection, finish
from kit.support import ScriptedServer, answering, black_hole, read_head

from dugong_like import (
    BodyFollowing,
    ConnectionTimedOut,
    ContinueTimedOut,
    HTTPConnection,
    Timeouts,
    run,
    within,
)
from dugong_like.polling.contract import POLLIN, PollNeeded
from dugong_like.polling.timeouts import Ending, Given, as_timeouts, how_long, limited
from dugong_like.polling.wake import Wake

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def dripping(enough):
    """Return a handler whose response goes on, byte by byte, until *enough* is set."""

    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nSlow: ")
        while not enough.wait(0.03):
            sock.sendall(b"z")
        sock.sendall(b"\r\nContent-Length: 2\r\n\r\nok")

    return handler


def co_get(conn):
    yield from conn.co_send_request("GET", "/")
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


def co_put(conn):
    yield from conn.co_send_request("PUT", "/", body=BodyFollowing(1 << 30))
    while True:
        yield from conn.co_write(bytes(1 << 20))


@pytest.mark.feature("A2", "C3")
@pytest.mark.parametrize("driver", DRIVERS)
def test_read_and_write_and_connect(driver):
    with ScriptedServer(silent) as server, ScriptedServer(deaf) as busy, black_hole() as hole:
        limits = Timeouts(read=SOON)
        with HTTPConnection("127.0.0.1", server.port, timeout=limits) as conn:
            assert check(driver, co_get(conn), "read").request_sent == "maybe"
        limits = Timeouts(write=SOON, stall=30)
        with HTTPConnection("127.0.0.1", busy.port, timeout=limits) as conn:
            assert check(driver, co_put(conn), "write").request_sent == "maybe"
        for limits in (Timeouts(connect=SOON, stall=30), Timeouts(dns=30, connect=SOON), SOON):
            conn = HTTPConnection(*hole, timeout=limits)
            assert check(driver, conn.co_connect(), "connect").request_sent == "no"


@pytest.mark.feature("A2", "C3")
@pytest.mark.parametrize("driver", DRIVERS)
def test_dns(driver, slow_names):
    conn = HTTPConnection("slow.test", timeout=Timeouts(dns=SOON, connect=30))

    check(driver, conn.co_connect(), "dns")
    conn.timeout = Timeouts(connect=SOON)  # looking up is a part of connecting then
    check(driver, conn.co_connect(), "connect")


@pytest.mark.feature("A2", "C3")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "limits", [Timeouts(tls=SOON, connect=30), Timeouts(connect=SOON), Timeouts(stall=SOON)]
)
def test_tls(driver, trusting, limits):
    with ScriptedServer(silent) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trusting, timeout=limits)  # no name
        check(driver, conn.co_connect(), "tls")


@pytest.mark.feature("A2", "C3")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("limits", [Timeouts(connect=SOON), Timeouts(stall=SOON)])
def test_proxy(driver, trusting, limits):
    with ScriptedServer(silent) as server:
        proxy = ("127.0.0.1", server.port)
        conn = HTTPConnection("origin.test", 443, trusting, proxy, timeout=limits)
        check(driver, conn.co_connect(), "proxy")


@pytest.mark.feature("C3")
@pytest.mark.parametrize("driver", DRIVERS)
def test_total_limits_one_operation(driver):
    enough = threading.Event()
    with ScriptedServer(dripping(enough)) as server, ScriptedServer(deaf) as busy:
        with HTTPConnection("127.0.0.1", server.port) as conn:
            driver(conn.co_send_request("GET", "/"))
            conn.timeout = Timeouts(total=SOON)
            check(driver, conn.co_read_response(), "total")
            enough.set()
            conn.timeout = Timeouts(total=30, read=5)
            assert driver(conn.co_read_response()).status == 200  # nothing was lost
            assert driver(conn.co_readall()) == b"ok"
        with HTTPConnection("127.0.0.1", busy.port) as conn:
            driver(conn.co_send_request("PUT", "/", body=BodyFollowing(1 << 30)))
            conn.timeout = Timeouts(total=SOON)
            check(driver, conn.co_write(bytes(1 << 26)), "total")


@pytest.mark.feature("C3")
def test_total_limits_blocking_calls():
    with ScriptedServer(dripping(threading.Event())) as server, black_hole() as hole:
        with HTTPConnection("127.0.0.1", server.port) as conn:
            conn.send_request("GET", "/")
            conn.timeout = Timeouts(total=SOON)
            with pytest.raises(ConnectionTimedOut) as caught:
                conn.read_response()
            assert caught.value.phase == "total"
        with pytest.raises(ConnectionTimedOut) as caught:
            HTTPConnection(*hole, timeout=Timeouts(total=SOON)).connect()
        assert caught.value.phase == "total"


@pytest.mark.feature("C3")
@pytest.mark.parametrize("driver", DRIVERS)
def test_expect100(driver):
    with ScriptedServer(silent) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=Timeouts(expect100=SOON)) as conn:
            driver(conn.co_send_request("PUT", "/", body=BodyFollowing(1), expect100=True))
            failure = check(driver, conn.co_read_response(), "expect100")
            assert isinstance(failure, ContinueTimedOut)
            driver(conn.co_write(b"x"))


@pytest.mark.feature("C3")
def test_a_number_means_that_nothing_moves():
    assert as_timeouts(3) == Timeouts(stall=3)
    assert as_timeouts(None) == Timeouts()
    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=30) as conn:
            assert conn.timeout == 30
            assert run(co_get(conn)) == b"ok"
            conn.timeout = SOON
            conn.send_request("GET", "/")


def test_a_total_limit_is_never_ignored(monkeypatch):
    conn = connection(monkeypatch, ScriptedStream(), timeout=3)
    finish(conn.co_send_request("GET", "/"))
    conn.timeout = Timeouts(total=0)
    reading = conn.co_read_response()
    with pytest.raises(ConnectionTimedOut, match=r"Timeouts\(total="):
        for _ in range(3):
            next(reading)


def test_what_is_not_given_comes_from_the_next_wider_one():
    limits = Timeouts(stall=1)
    assert limits.to_reach == limits.to_shake_hands == limits.to_read == limits.to_write == 1
    limits = Timeouts(connect=2, stall=1, read=0)
    assert (limits.to_reach, limits.to_shake_hands, limits.to_read) == (2, 2, 0)
    assert Timeouts().to_read is None
    limits = Timeouts(stall=1, head=300)
    assert (limits.to_read, limits.to_read_head) == (1, 300)
    assert Timeouts(read=2, stall=1).to_read_head == 2
    assert Timeouts(pool=5).pool == 5


def test_limits_are_values():
    limits = Timeouts(connect=2, stall=1.5)
    same = pickle.loads(pickle.dumps(limits))

    assert same == limits
    assert hash(same) == hash(limits)
    assert limits != Timeouts(connect=2)
    assert limits != 2
    assert repr(limits) == "Timeouts(connect=2, stall=1.5)"
    with pytest.raises(AttributeError, match="never changed"):
        limits.connect = 3


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_a_limit_is_not_negative(seconds):
    with pytest.raises(ValueError, match="for tls"):
        Timeouts(tls=seconds)
    with pytest.raises(ValueError, match="seconds"):
        HTTPConnection("x", timeout=seconds)
    with pytest.raises(TypeError):
        Timeouts(tls="1")


def co_wait(wake):
    while True:
        yield PollNeeded(wake.fd, POLLIN)


def test_a_limit_from_outside_is_not_taken_for_ours():
    with Wake() as wake, pytest.raises(ConnectionTimedOut) as caught:
        run(within(time.monotonic(), limited(30, "read", co_wait(wake), "nothing")))
    assert caught.value.phase == ""


def test_without_a_limit_nothing_is_limited():
    def co_nothing():
        yield from ()
        return 1

    assert finish(limited(None, "read", co_nothing(), "")) == 1


def test_end_of_a_limit_knows_the_limit():
    """So a message names it, and not what is left of it at some later look at the clock."""
    end = Ending(Given(2.5, "--max-time 2.5"), 100.0)
    assert end == 102.5
    assert how_long(end, 100.9) == "2.5 s (--max-time 2.5)"
    assert how_long(Ending(3, 100.0), 0) == "3 s (timeout=3)"
    kept = pickle.loads(pickle.dumps(end))
    assert (kept, kept.limit, kept.given) == (end, end.limit, end.given)
    assert how_long(102.5, 100.0) == "2.5 s (deadline)"
    assert how_long(99.0, 100.0) == how_long(None, 100.0) == "0 s (deadline)"
