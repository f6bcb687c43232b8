"""What programs written for python-dugong 3.8.2 use, S3QL among them, apart from its operations."""

import asyncio
import math
import ssl
import threading

import pytest
from kit.support import ScriptedServer, read_exactly, read_head

import dugong_like
from dugong_like import (
    BodyFollowing,
    CaseInsensitiveDict,
    ConnectionClosed,
    DNSUnavailable,
    HostnameNotResolvable,
    HTTPConnection,
    ScriptedTransport,
    StateError,
    both,
    run,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def never_answering(sock):
    while sock.recv(65536):
        pass


def scripted(*script, **options):
    return HTTPConnection("example.org", transport=ScriptedTransport(list(script)), **options)


# ---- names and shapes


def test_the_names_of_the_module_are_there():
    assert (dugong_like.HTTP_PORT, dugong_like.HTTPS_PORT) == (80, 443)
    assert dugong_like.ssl is ssl
    assert all(isinstance(port, int) for _, port in dugong_like.DNS_TEST_HOSTNAMES)


def test_the_test_names_can_be_given_as_they_are(monkeypatch):
    asked = []

    def look_up(host, *rest, **options):
        asked.append(host)
        raise dugong_like.transport.connect.dns.socket.gaierror(
            dugong_like.transport.connect.dns.socket.EAI_NONAME, "no such name"
        )

    monkeypatch.setattr("dugong_like.transport.connect.dns.socket.getaddrinfo", look_up)
    conn = HTTPConnection("nothing.invalid", dns_test_hostnames=dugong_like.DNS_TEST_HOSTNAMES)

    with pytest.raises(DNSUnavailable) as caught:
        conn.connect()
    assert caught.value.name == "nothing.invalid"
    assert asked == ["nothing.invalid", *(name for name, _ in dugong_like.DNS_TEST_HOSTNAMES)]


@pytest.mark.parametrize("kind", [HostnameNotResolvable, DNSUnavailable])
def test_errors_of_names_have_the_name(kind):
    assert kind("example.org").name == "example.org"
    assert kind("cannot look up example.org", name="example.org").name == "example.org"


def test_errors_have_their_message_as_msg():
    assert ConnectionClosed("the server is gone").msg == "the server is gone"


def test_a_dict_of_fields_can_be_made_of_nothing():
    assert len(CaseInsensitiveDict(None)) == 0
    assert dict(CaseInsensitiveDict(None, Accept="x")) == {"Accept": "x"}


def test_a_future_takes_the_loop_that_is_set():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        conn = scripted(OK)
        future = dugong_like.AioFuture(conn.co_send_request("GET", "/"))
        assert loop.run_until_complete(future).method == "GET"
    finally:
        asyncio.set_event_loop(None)
        loop.close()


# ---- how much of a body is owed


def test_a_body_of_known_length_is_owed_until_its_last_byte():
    with scripted(OK) as conn:
        assert conn.body_owed is None
        conn.send_request("PUT", "/", body=BodyFollowing(10))
        assert conn.body_owed == 10
        conn.write(b"abc")
        assert conn.body_owed == conn._out_remaining == 7
        conn.write(b"defghij")
        assert conn.body_owed is None
        assert conn._out_remaining is None


def test_a_chunked_body_is_owed_until_it_is_finished():
    with scripted(OK) as conn:
        conn.send_request("PUT", "/", body=BodyFollowing())
        conn.write(b"abc")
        assert conn.body_owed == math.inf
        conn.finish()
        assert conn.body_owed is None


@pytest.mark.parametrize("body", [None, b"", b"abc", BodyFollowing(0)])
def test_nothing_is_owed_of_a_whole_request(body):
    with scripted(OK) as conn:
        conn.send_request("PUT", "/", body=body)
        assert conn.body_owed is None


def test_nothing_is_owed_of_a_body_that_the_server_does_not_want():
    script = [b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"]
    with scripted(*script) as conn:
        conn.send_request("PUT", "/", body=BodyFollowing(10), expect100=True)
        assert conn.body_owed == 10
        assert conn.read_response().status == 417
        assert conn.body_owed is None


def test_nothing_is_owed_after_the_connection_was_closed():
    with scripted(OK) as conn:
        conn.send_request("PUT", "/", body=BodyFollowing(10))
        conn.disconnect()
        assert conn.body_owed is None


def test_a_pool_of_connections_keeps_those_where_nothing_is_left():
    """As S3QL does: only what has neither a response pending nor a body to send goes back."""
    pool = []

    def give_back(conn):
        if conn.response_pending() or conn._out_remaining:
            conn.disconnect()
        pool.append(conn)

    def serve(sock):
        while head := read_head(sock):
            if head.startswith(b"PUT /whole"):
                read_exactly(sock, 3)
            elif head.startswith(b"PUT"):
                never_answering(sock)
                return
            sock.sendall(OK)

    with ScriptedServer(serve) as server:
        fields = CaseInsensitiveDict({"X-Amz-Date": "today"})
        conn = HTTPConnection("127.0.0.1", server.port, timeout=20)
        conn.send_request("PUT", "/half", fields, body=BodyFollowing(10))
        conn.write(b"abc")
        give_back(conn)
        for _ in range(2):
            conn = pool.pop()
            conn.send_request("PUT", "/whole", fields, body=BodyFollowing(3))
            conn.write(b"abc")
            assert (conn.read_response().status, conn.readall()) == (200, b"ok")
            give_back(conn)
        conn.close()

    assert server.connections == 2
    assert fields == {"X-Amz-Date": "today"}, "the caller's mapping was changed"


# ---- waiting for the response to a request that is not complete


@pytest.fixture
def silent():
    with ScriptedServer(never_answering) as server:
        yield HTTPConnection("127.0.0.1", server.port, timeout=60)


@pytest.mark.parametrize("options", [{}, {"trace": lambda name, facts: None}], ids=["", "traced"])
def test_waiting_for_the_response_to_half_a_request_says_what_is_missing(options):
    with ScriptedServer(never_answering) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60, **options) as conn:
            conn.send_request("PUT", "/x", body=BodyFollowing(10))
            conn.write(b"abc")

            with pytest.raises(
                StateError, match="^PUT http://.*/x: .*: 3 of 10 bytes of the body written$"
            ):
                conn.read_response()


def test_waiting_for_the_response_to_an_open_chunked_body_says_so(silent):
    with silent as conn:
        conn.send_request("PUT", "/x", body=BodyFollowing())
        conn.write(b"abc")

        with pytest.raises(StateError, match=r"^PUT http://.*/x: .*finish\(\) was not called$"):
            conn.read_response()


def test_the_error_leaves_the_connection_as_it_was():
    def serve(sock):
        read_head(sock)
        assert read_exactly(sock, 10) == b"abcdefghij"
        sock.sendall(OK)

    with ScriptedServer(serve) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.send_request("PUT", "/x", body=BodyFollowing(10), expect100=False)
        with pytest.raises(StateError):
            conn.read_response()
        conn.write(b"abcdefghij")
        assert conn.read_response().status == 200


def test_an_early_response_that_is_here_is_read():
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    with scripted(refusal) as conn:
        conn.send_request("PUT", "/x", body=BodyFollowing(10))
        assert conn.read_response().status == 413


def test_earlier_responses_can_be_waited_for_while_a_body_is_owed():
    def serve(sock):
        read_head(sock)
        read_head(sock)
        sock.sendall(OK)
        assert read_exactly(sock, 3) == b"abc"
        sock.sendall(OK)

    with ScriptedServer(serve) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            conn.send_request("GET", "/before")
            conn.send_request("PUT", "/x", body=BodyFollowing(3))
            assert conn.read_response().path == "/before"
            assert conn.readall() == b"ok"
            conn.write(b"abc")
            assert conn.read_response().path == "/x"


def test_another_thread_waits_while_this_one_writes():
    waiting = threading.Event()

    def serve(sock):
        read_head(sock)
        assert read_exactly(sock, 3) == b"abc"
        sock.sendall(OK)

    with ScriptedServer(serve) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.send_request("PUT", "/x", body=BodyFollowing(3))
        statuses = []

        def read():
            waiting.set()
            statuses.append(conn.read_response().status)

        reader = threading.Thread(target=read)
        reader.start()
        assert waiting.wait(60)
        conn.write(b"abc")
        reader.join(60)
        assert statuses == [200]


def test_two_operations_of_one_thread_may_do_it():
    def serve(sock):
        read_head(sock)
        assert read_exactly(sock, 3) == b"abc"
        sock.sendall(OK)

    with ScriptedServer(serve) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.send_request("PUT", "/x", body=BodyFollowing(3))
        _, response = run(both(conn.co_write(b"abc"), conn.co_read_response()))
        assert response.status == 200
