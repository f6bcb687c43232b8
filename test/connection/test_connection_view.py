"""Views of one HTTP/2 connection: each with an order and time limits of its own."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
from kit.h2_site import h2_site

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ConnectionTimedOut,
    HTTPConnection,
    StateError,
)
from dugong_like.connection.connection_view import ConnectionView


@pytest.fixture
def opened():
    """A connection and its server."""
    with h2_site() as server, HTTPConnection("127.0.0.1", server.port, versions=("h2",)) as conn:
        conn.connect()
        yield conn, server


def test_each_view_has_an_order_of_its_own(opened):
    conn, server = opened
    first, second = conn.beside(ConnectionView), conn.beside(ConnectionView)
    first.send_request("PUT", "/echo", body=BodyFollowing(2))
    second.send_request("PUT", "/echo", body=BodyFollowing(3))
    assert (first.body_owed, second.body_owed) == (2, 3)
    second.write(b"abc")
    first.write(b"ab")
    assert not first.is_quiet()
    for view, body in ((first, b"ab"), (second, b"abc")):
        assert view.read_response().status == 200
        assert view.readall() == body
        assert view.is_quiet()
    assert conn.exchange("GET", "/").body == b"hello"
    assert len(server.peers) == 1


def test_time_limits_of_a_view_hold_for_it_alone(opened):
    conn, _ = opened
    view = conn.beside(ConnectionView)
    view.timeout = 0.01
    view.send_request("PUT", "/echo", body=BodyFollowing(2))  # which nobody completes
    with ThreadPoolExecutor(1) as other, pytest.raises(ConnectionTimedOut):
        other.submit(view.read_response).result()
    assert conn.timeout is None
    view.close()
    assert conn.exchange("GET", "/").body == b"hello"


def test_closing_a_view_gives_up_its_exchanges_only(opened):
    conn, server = opened
    view, other = conn.beside(ConnectionView), conn.beside(ConnectionView)
    view.send_request("GET", "/chunked/3000000")
    other.send_request("GET", "/chunked/100000")
    view.read_response()
    view.close()
    assert view.is_quiet()
    assert (other.read_response().status, len(other.readall())) == (200, 100_000)
    assert conn.is_open()
    assert len(server.peers) == 1


def test_view_that_becomes_garbage_leaves_the_connection_open(opened):
    conn, _ = opened
    view = conn.beside(ConnectionView)
    view.send_request("GET", "/chunked/3000000")
    del view
    gc.collect()
    assert conn.exchange("GET", "/").body == b"hello"


def test_view_does_not_connect_anew(opened):
    conn, server = opened
    view = conn.beside(ConnectionView)
    conn.close()
    for call in (lambda: view.exchange("GET", "/"), lambda: view.send_request("GET", "/")):
        with pytest.raises(ConnectionClosed) as caught:
            call()
        assert caught.value.request_sent == "no"
    assert len(server.peers) <= 1


def test_http_1_connection_has_no_views():
    with pytest.raises(StateError, match="HTTP/2"):
        HTTPConnection("localhost").beside(ConnectionView)
