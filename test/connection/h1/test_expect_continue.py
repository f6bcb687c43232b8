"""Expect: 100-continue: when a body waits, what ends that, and what is written then."""

import pytest
from kit.support import ScriptedServer, answering, read_exactly, read_head, wait_until

from dugong_like import (
    BodyFollowing,
    ContinueTimedOut,
    HTTPConnection,
    InvalidRequest,
    StateError,
    Timeouts,
)
from dugong_like.connection.exchange import Exchange
from dugong_like.connection.h1 import expect_continue
from dugong_like.connection.h1.sending_states import SENDING, Sending, Sent
from dugong_like.connection.states import follow
from dugong_like.polling.timeouts import stalling

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def continuing(first):
    def handler(sock):
        head = read_head(sock)
        assert b"\r\nExpect: 100-continue\r\n" in head
        sock.sendall(first)
        if first.startswith(b"HTTP/1.1 100"):
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + read_exactly(sock, 5))

    return handler


@pytest.mark.reliability(44)
@pytest.mark.feature("B5", "B15")
def test_body_is_sent_when_the_server_wants_it():
    with ScriptedServer(continuing(b"HTTP/1.1 100 Go\r\nX: y\r\n\r\n")) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(5), expect100=True)
            with pytest.raises(StateError, match="has to wait for 100"):
                conn.write(b"hello")
            response = conn.read_response()
            assert (response.status, response.reason, response.headers["X"]) == (100, "Go", "y")
            conn.write(b"hello")
            assert conn.read_response().status == 200
            assert conn.readall() == b"hello"


@pytest.mark.reliability(44)
@pytest.mark.feature("B15")
def test_final_answer_cancels_the_body():
    refusal = b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno"
    with ScriptedServer(continuing(refusal)) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            for _ in range(2):  # it connects again by itself
                conn.send_request("PUT", "/", body=BodyFollowing(5), expect100=True)
                assert conn.read_response().status == 417
                with pytest.raises(StateError):
                    conn.write(b"hello")
                assert conn.readall() == b"no"
                assert not conn.response_pending()
        wait_until(lambda: server.connections == 2)


@pytest.mark.reliability(44)
@pytest.mark.feature("B15")
def test_body_may_be_sent_when_the_time_for_100_is_over():
    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 100 Late\r\n\r\n" + EMPTY if read_exactly(sock, 5) else b"")

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, expect100_timeout=0.1, timeout=60) as conn:
            conn.send_request("PUT", "/", body=BodyFollowing(5), expect100=True)
            with pytest.raises(ContinueTimedOut, match=r"within 0\.1 s;"):
                conn.read_response()
            conn.write(b"hello")
            assert conn.read_response().status == 200


def test_expect100_goes_with_bodies_that_follow_and_are_not_empty():
    heads = []

    def handler(sock):
        heads.append(read_head(sock))
        sock.sendall(EMPTY)

    with ScriptedServer(handler) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            with pytest.raises(InvalidRequest, match="BodyFollowing"):
                conn.send_request("PUT", "/", body=b"x", expect100=True)
            conn.send_request("PUT", "/", body=BodyFollowing(0), expect100=True)
            assert conn.read_response().status == 200
    assert b"Expect" not in heads[0]


def test_a_request_without_expectation_waits_for_its_response_however_long_that_takes():
    server = ScriptedServer(answering(EMPTY))
    with server, HTTPConnection("127.0.0.1", server.port, expect100_timeout=0) as conn:
        conn.send_request("GET", "/")
        assert conn.read_response().status == 200


def expecting():
    exchange = Exchange("PUT", "/")
    exchange.expects_continue = True
    return exchange


def test_only_bodies_that_follow_are_waited_for():
    assert expect_continue.is_expected(BodyFollowing(5), ())
    assert expect_continue.is_expected(BodyFollowing(), {"accept"})
    assert not expect_continue.is_expected(BodyFollowing(0), ())
    with pytest.raises(InvalidRequest, match="BodyFollowing only"):
        expect_continue.is_expected(None, ())
    with pytest.raises(InvalidRequest, match="Expect follows"):
        expect_continue.is_expected(BodyFollowing(5), {"expect"})


def test_moves_of_the_sender():
    exchange = expecting()
    waiting = follow(SENDING, Sending.READY, expect_continue.after_head(exchange))

    assert waiting is Sending.AWAITING_CONTINUE
    with pytest.raises(StateError, match="has to wait for 100"):
        expect_continue.before_body(exchange)
    assert expect_continue.note_continue(exchange, 100)
    assert expect_continue.before_body(exchange) is Sent.CONTINUED
    assert follow(SENDING, waiting, Sent.CONTINUED) is Sending.BODY
    assert expect_continue.after_head(Exchange("PUT", "/")) is Sent.ANNOUNCED


@pytest.mark.parametrize("status", [101, 102, 103, 199])
def test_another_informational_response_does_not_ask_for_the_body(status):
    exchange = expecting()

    assert not expect_continue.note_continue(exchange, status)
    assert exchange.expects_continue


def test_100_asks_once_and_only_for_a_body_that_waits():
    exchange = expecting()

    assert expect_continue.note_continue(exchange, 100)
    assert not expect_continue.note_continue(exchange, 100)
    assert not expect_continue.note_continue(Exchange("GET", "/"), 100)


def test_timeouts_win_over_the_argument_of_the_connection():
    assert expect_continue.limit_of(Timeouts(expect100=3), 5) == 3
    assert expect_continue.limit_of(stalling(7), 5) == 5
    assert expect_continue.limit_of(Timeouts(), None) is None
