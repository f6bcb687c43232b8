"""Every kind of error names what it is about: method and URL, or the origin, and that once.

Also what errors say that are easily caused, and that no secret gets into any.
"""

import asyncio
import io
import math
import pickle
import socket

import pytest
from kit import servers
from kit.support import ScriptedServer, answering, black_hole
from kit.ways import on_asyncio

from dugong_like import (
    AsyncConnection,
    BodyFollowing,
    BodyTooLarge,
    Budget,
    CachingResolver,
    CertificateInvalid,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    ContinueTimedOut,
    DNSUnavailable,
    DugongError,
    ExcessBodyData,
    FileTooShort,
    HandshakeFailed,
    Headers,
    HostnameNotResolvable,
    HTTPConnection,
    InvalidOption,
    InvalidRequest,
    InvalidResponse,
    LoopThread,
    LoopThreads,
    Pipeline,
    Proxy,
    Request,
    ScriptedStream,
    ScriptedTransport,
    StateError,
    Target,
    Timeouts,
    TunnelRefused,
    UnsupportedResponse,
    Wake,
    default_ssl_context,
    run,
    tls_context,
    within,
)
from dugong_like.errors import MAX_LABEL
from dugong_like.http.redaction import MASK

SOON = 0.1  # seconds
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SWITCHING = b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = {"Upgrade": "x", "Connection": "Upgrade"}
SECRET = "sesame"  # is in credentials, and in no message


# ---- two ways to use a connection: each calls an operation by the name of its blocking twin


def blocking(owner, name, *args, **kwargs):
    return getattr(owner, name)(*args, **kwargs)


def generator(owner, name, *args, **kwargs):
    return run(getattr(owner, f"co_{name}")(*args, **kwargs))


def awaiting(owner, name, *args, **kwargs):
    return on_asyncio(getattr(owner, f"co_{name}")(*args, **kwargs))


@pytest.fixture(params=[blocking, generator, awaiting])
def do(request):
    return request.param


class Full(ScriptedStream):
    """A stream that takes no more than its rooms."""

    def send(self, parts):
        return super().send(parts) if self.rooms else None


def scripted(*events, rooms=None, **options):
    """Return a connection to http://example.org that follows a script."""
    stream = ScriptedStream(events) if rooms is None else Full(events, rooms)
    return HTTPConnection("example.org", transport=ScriptedTransport(stream), **options)


def write_much(do, conn):
    """Write until it fails."""
    while True:
        do(conn, "write", bytes(10_000))


def get(do, conn, path="/a", *rest):
    do(conn, "send_request", "GET", path, *rest)
    do(conn, "read_response")
    return do(conn, "readall")


# ---- errors about a request: what fails, with which class, and a part of the message


def silence(do):
    get(do, scripted(math.inf, timeout=SOON))


def silence_in_the_body(do):
    get(do, scripted(OK[:-1], math.inf, timeout=SOON))


def no_room(do):
    conn = scripted(math.inf, rooms=[], timeout=SOON)
    get(do, conn)


def no_room_in_a_body(do):
    conn = scripted(math.inf, rooms=[1000, 500], timeout=SOON)
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(1 << 30))
    write_much(do, conn)


def no_room_in_chunks(do):
    conn = scripted(math.inf, rooms=[1000, 10_008, 506], timeout=SOON)
    do(conn, "send_request", "GET", "/a", body=BodyFollowing())
    write_much(do, conn)


def no_room_for_a_whole_body(do):
    conn = scripted(math.inf, rooms=[], timeout=SOON, content_md5=False)
    do(conn, "send_request", "GET", "/a", body=bytes(5000))


def total(do):
    conn = scripted(math.inf)
    do(conn, "send_request", "GET", "/a")
    conn.timeout = Timeouts(total=SOON)  # of reading alone, whatever sending takes
    do(conn, "read_response")


def total_in_an_upload(do):
    conn = scripted(math.inf, rooms=[1000, 500])
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(1 << 30))
    conn.timeout = Timeouts(total=SOON)
    write_much(do, conn)


def limit_in_an_upload(do):
    conn = scripted(math.inf, rooms=[1000, 500])
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(1 << 30))
    run(within(0, conn.co_write(bytes(10_000))))


def no_room_in_a_file(do):
    conn = scripted(math.inf, rooms=[1000, 500], timeout=SOON)
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(1 << 30))
    do(conn, "sendfile", io.BytesIO(bytes(10_000)))


def expect100(do):
    conn = scripted(math.inf, expect100_timeout=SOON)
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(1), expect100=True)
    do(conn, "read_response")


def closed(do):
    get(do, scripted())


def closed_in_the_head(do):
    get(do, scripted(OK[:10]))


def closed_in_the_body(do):
    get(do, scripted(OK[:-1]))


def closed_in_chunks(do):
    get(do, scripted(CHUNKED + b"5\r\nab"))


def reset_by_peer(do):
    get(do, scripted(ConnectionClosed("connection lost: reset")))


def lost_while_sending(do):
    get(do, scripted(math.inf, rooms=[ConnectionClosed("connection lost: reset")]))


def lost_in_an_upload(do):
    conn = scripted(math.inf, rooms=[1000, 500, ConnectionClosed("connection lost: reset")])
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(1 << 30))
    write_much(do, conn)


def garbage(do):
    get(do, scripted(b"hello\r\n\r\n"))


def two_lengths(do):
    get(do, scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"))


def unknown_coding(do):
    get(do, scripted(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: br\r\n\r\nx"))


def bad_chunk(do):
    get(do, scripted(CHUNKED + b"zz\r\n"))


def too_large(do):
    get(do, scripted(OK, budget=Budget(max_body=1)))


def broken_again(do):
    conn = scripted(b"hello\r\n\r\n")
    with pytest.raises(InvalidResponse):
        get(do, conn)
    do(conn, "read_response")


def broken_for_writing(do):
    conn = scripted(math.inf)
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(5))
    with pytest.raises(ExcessBodyData):
        do(conn, "write", b"123456")
    do(conn, "write", b"12345")


def too_much(do):
    conn = scripted(math.inf)
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(5))
    do(conn, "write", b"123456")


def body_incomplete(do):
    conn = scripted(math.inf)
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(5))
    do(conn, "finish")


def nothing_to_write(do):
    conn = scripted(OK)
    do(conn, "send_request", "GET", "/a")
    do(conn, "write", b"x")


def body_unread(do):
    conn = scripted(OK, OK)
    do(conn, "send_request", "GET", "/a")
    do(conn, "send_request", "GET", "/b")
    do(conn, "read_response")
    do(conn, "read_response")


def request_inside_a_request(do):
    conn = scripted(OK, OK)
    do(conn, "send_request", "PUT", "/b", body=BodyFollowing(5))
    do(conn, "send_request", "GET", "/a")


def closed_behind_the_last_response(do):
    conn = scripted(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    do(conn, "send_request", "GET", "/b")
    do(conn, "send_request", "GET", "/a")
    do(conn, "read_response")
    do(conn, "read_response")


def file_too_short(do):
    conn = scripted(math.inf)
    do(conn, "send_request", "GET", "/a", body=BodyFollowing(5))
    do(conn, "sendfile", io.BytesIO(b"123"), 0, 5)


def bad_field(do):
    get(do, scripted(OK), "/a", {"a b": "c"})


def bad_trailer(do):
    conn = scripted(math.inf)
    do(conn, "send_request", "GET", "/a", body=BodyFollowing())
    do(conn, "finish", {"Host": "x"})


def last_of_several(do):
    conn = scripted(OK)
    do(conn, "send_requests", [("GET", "/a", {"Connection": "close"}), ("GET", "/b")])


def body_read_already(do):
    conn = scripted(OK, OK)
    request = Request("GET", "/a", body=iter([b"x"]))
    do(conn, "send", request)
    do(conn, "send", request)


def stream_too_generous(do):
    class Generous:
        def read(self, size):
            return bytes(size + 1)

    do(scripted(OK), "send", Request("GET", "/a", body=Generous()))


def in_a_pipeline(do):
    do(Pipeline(scripted(b"hello\r\n\r\n"), [Request("GET", "/a")]), "run")


def body_to_follow_in_a_pipeline(do):
    do(Pipeline(scripted(OK), [Request("GET", "/a", body=BodyFollowing())]), "run")


def in_a_stream(do):
    do(scripted(b"hello\r\n\r\n").request(Request("GET", "/a")), "run")


def body_to_follow_in_a_stream(do):
    do(scripted(OK).request(Request("GET", "/a", body=BodyFollowing())), "run")


def through_a_forward_proxy(do):
    get(do, scripted(b"hello\r\n\r\n", proxy=f"http://me:{SECRET}@proxy.test"))


REQUESTS = {
    silence: (ConnectionTimedOut, f": no response head arrived for {SOON} s (timeout={SOON})"),
    silence_in_the_body: (
        ConnectionTimedOut,
        f": nothing more of the body arrived for {SOON} s (timeout={SOON}), 1 of 2 bytes had",
    ),
    no_room: (ConnectionTimedOut, f": nothing could be sent for {SOON} s (timeout={SOON})"),
    no_room_in_a_body: (
        ConnectionTimedOut,
        f"could be sent for {SOON} s (timeout={SOON}), 500 of 1,073,741,824 bytes of the body",
    ),
    no_room_in_chunks: (ConnectionTimedOut, f"(timeout={SOON}), 10,500 bytes of the body written"),
    no_room_for_a_whole_body: (
        ConnectionTimedOut,
        f"(timeout={SOON}), 0 of 5,000 bytes of the body written",
    ),
    total: (ConnectionTimedOut, f": it could not be read within {SOON} s (Timeouts(total={SOON}))"),
    total_in_an_upload: (
        ConnectionTimedOut,
        f"be sent within {SOON} s (Timeouts(total={SOON})), 500 of 1,073,741,824 bytes of the b",
    ),
    limit_in_an_upload: (
        ConnectionTimedOut,
        ": the deadline has passed, 500 of 1,073,741,824 bytes of the body written",
    ),
    no_room_in_a_file: (
        ConnectionTimedOut,
        f"could be sent for {SOON} s (timeout={SOON}), 500 of 1,073,741,824 bytes of the body",
    ),
    expect100: (ContinueTimedOut, f": no 100 (Continue) within {SOON} s; the body may"),
    closed: (ConnectionClosed, ": the server closed the connection without a response"),
    closed_in_the_head: (ConnectionClosed, ": the connection ended inside the head"),
    closed_in_the_body: (ConnectionClosed, ": the connection ended with 1 of 2 body bytes"),
    closed_in_chunks: (ConnectionClosed, ": the connection ended"),
    reset_by_peer: (ConnectionClosed, ": connection lost: reset"),
    lost_while_sending: (ConnectionClosed, ": connection lost: reset"),
    lost_in_an_upload: (
        ConnectionClosed,
        ": connection lost: reset, 500 of 1,073,741,824 bytes of the body written",
    ),
    garbage: (InvalidResponse, ": not a status line"),
    two_lengths: (InvalidResponse, ": two values of Content-Length"),
    unknown_coding: (UnsupportedResponse, ": "),
    bad_chunk: (InvalidResponse, ": "),
    too_large: (BodyTooLarge, ": "),
    broken_again: (ConnectionClosed, "until reset() is called: GET http://example.org/a: not a"),
    broken_for_writing: (ConnectionClosed, "until reset() is called: GET http://example.org/a: 6 "),
    too_much: (ExcessBodyData, ": 6 bytes of body data where 5 were announced"),
    body_incomplete: (StateError, ": the body is not complete, 5 bytes are missing"),
    nothing_to_write: (StateError, ": there is no body to write"),
    body_unread: (StateError, ": the body of the last response has not been read to its end: call"),
    request_inside_a_request: (StateError, ": it is not possible to send a request while"),
    closed_behind_the_last_response: (
        ConnectionClosed,
        "until reset() is called: http://example.org: <HTTPResponse 200 OK to GET /b> was the last",
    ),
    file_too_short: (FileTooShort, ": "),
    bad_field: (InvalidRequest, ": name of a header field is not a token: 'a b'"),
    bad_trailer: (InvalidRequest, "annot be a trailer field"),
    last_of_several: (InvalidRequest, ": <Exchange GET /a> would be the last request"),
    body_read_already: (StateError, ": the body has been read, and cannot be read a second time"),
    stream_too_generous: (StateError, ": Generous gave 65537 bytes where 65536 were asked for"),
    in_a_pipeline: (InvalidResponse, ": not a status line"),
    body_to_follow_in_a_pipeline: (InvalidRequest, ": the body of a request in a pipeline"),
    in_a_stream: (InvalidResponse, ": not a status line"),
    body_to_follow_in_a_stream: (InvalidRequest, ": the body of a stream cannot follow"),
    through_a_forward_proxy: (InvalidResponse, ": not a status line"),
}


@pytest.mark.parametrize("failing", REQUESTS)
def test_an_error_about_a_request_names_it_once(do, failing):
    kind, text = REQUESTS[failing]
    with pytest.raises(kind) as caught:
        failing(do)

    exc = caught.value
    assert type(exc) is kind
    assert str(exc).count("GET http://example.org/a") == 1
    assert str(exc).startswith("GET http://example.org/a: ") or kind is ConnectionClosed
    assert text in str(exc)
    assert (exc.method, exc.url) == ("GET", "http://example.org/a")
    assert SECRET not in repr(exc)
    again = pickle.loads(pickle.dumps(exc))
    assert (str(again), again.method, again.url) == (str(exc), exc.method, exc.url)


# ---- errors about connecting, and of a connection that carries no request


def refused(do, port):
    get(do, HTTPConnection("127.0.0.1", port))


def refused_at_once(do, port):
    do(HTTPConnection("127.0.0.1", port), "connect")


def no_name(do, port):
    def resolver(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    get(do, HTTPConnection("example.test", port, resolver=resolver))


def no_name_service(do, port):
    def resolver(host, port):
        raise socket.gaierror(socket.EAI_AGAIN, "ask again")

    get(do, HTTPConnection("example.test", port, resolver=resolver))


def scripted_failure(do, port):
    transport = ScriptedTransport(ConnectFailed("not now"))
    get(do, HTTPConnection("127.0.0.1", port, transport=transport))


def slow_dns(do, port):
    def co_resolver(host, port):
        with Wake() as never:
            yield from never.co_wait()

    limits = Timeouts(dns=SOON)
    get(do, HTTPConnection("example.test", port, resolver=co_resolver, timeout=limits))


def nothing_pending(do, port):
    do(HTTPConnection("127.0.0.1", port), "read_response")


def no_body(do, port):
    do(HTTPConnection("127.0.0.1", port), "readall")


def no_request(do, port):
    do(HTTPConnection("127.0.0.1", port), "write", b"x")


def not_connected(do, port):
    do(HTTPConnection("127.0.0.1", port), "read_raw", 1)


def pending_and_no_more(do, port):
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"
    conn = HTTPConnection("127.0.0.1", port, transport=ScriptedTransport([last]))
    do(conn, "send_request", "GET", "/a")
    do(conn, "send_request", "GET", "/b", {"Connection": "close"})
    do(conn, "connect")


def reused_socket(do, port):
    left, right = socket.socketpair()
    with right:
        conn = HTTPConnection("127.0.0.1", port, sock=left)
        conn.connect()
        conn.reset()
        do(conn, "connect")


PLACES = {
    refused: ("127.0.0.1", ConnectFailed, "cannot connect to "),
    refused_at_once: ("127.0.0.1", ConnectFailed, "cannot connect to "),
    scripted_failure: ("127.0.0.1", ConnectFailed, "not now"),
    no_name: ("example.test", HostnameNotResolvable, "the resolver"),
    no_name_service: ("example.test", DNSUnavailable, "the resolver"),
    slow_dns: (
        "example.test",
        ConnectionTimedOut,
        f"no address of example.test within {SOON} s (Timeouts(dns={SOON}))",
    ),
    nothing_pending: ("127.0.0.1", StateError, "no response is pending: send a request first"),
    no_body: ("127.0.0.1", StateError, "there is no body to read: call read_response() first"),
    no_request: ("127.0.0.1", StateError, "there is no body to write"),
    not_connected: ("127.0.0.1", StateError, "the connection is closed"),
    pending_and_no_more: (
        "127.0.0.1",
        ConnectionClosed,
        "the connection takes no further",
    ),
    reused_socket: ("127.0.0.1", StateError, ""),
}


def check_place(exc, origin, text, detour=""):
    assert str(exc).startswith(f"{origin}{detour}: {text}")
    assert str(exc).count(origin) == 1
    assert (exc.method, exc.url) == ("", origin)
    assert SECRET not in repr(exc)


@pytest.mark.parametrize("failing", PLACES)
def test_an_error_about_connecting_names_the_origin_once(do, failing):
    host, kind, text = PLACES[failing]
    with servers.refusing_port() as port, pytest.raises(kind) as caught:
        failing(do, port)

    assert type(caught.value) is kind
    check_place(caught.value, f"http://{host}:{port}", text)


@pytest.mark.parametrize("limit", [SOON, Timeouts(connect=SOON), Timeouts(total=SOON)])
def test_a_time_out_of_connecting_names_the_origin_once(do, limit):
    with (
        black_hole() as hole,
        pytest.raises(ConnectionTimedOut, match=rf"within {SOON} s") as caught,
    ):
        get(do, HTTPConnection(*hole, timeout=limit))

    origin = f"http://{hole[0]}:{hole[1]}"
    check_place(caught.value, origin, "")


def read_on(sock):
    """Read what comes, and say nothing."""
    while sock.recv(65536):
        pass


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (answering(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), ""),
        (answering(b"hello\r\n\r\n"), "the proxy 127.0.0.1:{port}: not a status line"),
        (answering(b""), ""),
        (read_on, f"nothing arrived from the proxy for {SOON} s (timeout={SOON})"),
    ],
    ids=["refused", "no HTTP", "closed", "silent"],
)
def test_an_error_with_a_proxy_names_it_and_the_origin(do, handler, text):
    kinds = (TunnelRefused, InvalidResponse, ConnectionClosed, ConnectionTimedOut)
    limit = SOON if handler is read_on else 30
    with ScriptedServer(handler) as server:
        proxy = f"http://me:{SECRET}@127.0.0.1:{server.port}"
        conn = HTTPConnection("h.test", 1, default_ssl_context(), proxy, timeout=limit)
        with pytest.raises(kinds) as caught:
            get(do, conn)

    detour = f" through the proxy http://127.0.0.1:{server.port}"
    check_place(caught.value, "https://h.test:1", text.format(port=server.port), detour)


def test_a_proxy_that_refuses_is_named(do):
    with servers.refusing_port() as port, pytest.raises(ConnectFailed) as caught:
        get(do, HTTPConnection("h.test", proxy=f"socks5h://me:{SECRET}@127.0.0.1:{port}"))

    detour = f" through the proxy socks5h://127.0.0.1:{port}"
    check_place(caught.value, "http://h.test", "cannot connect to ", detour)


# ---- TLS, and what is no TLS


def test_a_certificate_that_does_not_fit(do, certificate):
    with ScriptedServer(read_on, tls=certificate.server_context()) as server:
        with pytest.raises(CertificateInvalid) as caught:
            get(do, HTTPConnection("127.0.0.1", server.port, default_ssl_context()))

    check_place(caught.value, f"https://127.0.0.1:{server.port}", "certificate not accepted: ")


def say_hello(sock):
    sock.sendall(b"220 mail.test ESMTP\r\n")
    read_on(sock)


@pytest.mark.parametrize("plain", [say_hello, lambda sock: sock.sendall(OK) or read_on(sock)])
def test_a_server_without_tls(do, plain):
    with ScriptedServer(plain) as server:
        with pytest.raises(HandshakeFailed, match="is it http://") as caught:
            get(do, HTTPConnection("127.0.0.1", server.port, default_ssl_context()))

    assert not caught.value.retryable, "it will be the same the next time"
    check_place(
        caught.value, f"https://127.0.0.1:{server.port}", "TLS handshake failed: no TLS is spoken"
    )


@pytest.mark.parametrize("plain", [say_hello, lambda sock: sock.sendall(OK) or read_on(sock)])
@pytest.mark.parametrize("secure", [False, True])
def test_a_proxy_without_tls(do, plain, secure):
    """It is named, and of a server nothing is said."""
    with ScriptedServer(plain) as server:
        proxy = f"https://127.0.0.1:{server.port}"
        context = default_ssl_context() if secure else None
        with pytest.raises(HandshakeFailed, match="is it http://") as caught:
            get(do, HTTPConnection("h.test", 1, context, proxy))

    origin = "https://h.test:1" if secure else "http://h.test:1"
    check_place(
        caught.value, origin,
        f"the proxy 127.0.0.1:{server.port}: TLS handshake failed: no TLS is spoken",
        f" through the proxy {proxy}",
    )  # fmt: skip
    assert caught.value.phase == "proxy-tls"
    assert not caught.value.retryable
    assert "server" not in str(caught.value)


def test_a_proxy_that_chooses_another_protocol(do, certificate, ca_file):
    context = certificate.server_context()
    context.set_alpn_protocols(["h2"])
    offering = tls_context(ca=ca_file, alpn=["h2"])
    with ScriptedServer(read_on, tls=context) as server:
        proxy = Proxy(f"https://localhost:{server.port}", ssl_context=offering)
        with pytest.raises(HandshakeFailed, match="the peer chose the protocol h2") as caught:
            get(do, HTTPConnection("h.test", proxy=proxy))

    check_place(
        caught.value, "http://h.test",
        f"the proxy localhost:{server.port}: the peer chose the protocol h2",
        f" through the proxy https://localhost:{server.port}",
    )  # fmt: skip
    assert "server" not in str(caught.value)


def test_a_server_that_hangs_up_during_the_handshake(do):
    with ScriptedServer(lambda sock: sock.recv(65536)) as server:
        with pytest.raises(HandshakeFailed, match="is TLS spoken on this port") as caught:
            get(do, HTTPConnection("127.0.0.1", server.port, default_ssl_context()))

    check_place(caught.value, f"https://127.0.0.1:{server.port}", "")


def test_a_handshake_that_takes_too_long(do):
    limits = Timeouts(tls=SOON)
    with ScriptedServer(read_on) as server:
        conn = HTTPConnection("127.0.0.1", server.port, default_ssl_context(), timeout=limits)
        with pytest.raises(
            ConnectionTimedOut, match=rf"within {SOON} s \(Timeouts\(tls={SOON}\)\)"
        ) as caught:
            get(do, conn)

    check_place(caught.value, f"https://127.0.0.1:{server.port}", "no TLS with ")


@pytest.mark.parametrize("first", [b"\x15\x03\x01\x00\x02\x02\x46", b"\x15", b"\x15\x03\r\n\r\n"])
def test_a_server_with_tls_where_none_is_expected(do, first):
    with pytest.raises(InvalidResponse, match="TLS: is it https://, and TLS missing") as caught:
        get(do, scripted(first, b""))

    assert str(caught.value).startswith("GET http://example.org/a: ")


def test_a_server_of_http_2(do):
    settings = b"\x00\x00\x06\x04" + bytes(5) + b"\x00\x03\x00\x00\x00\x64"
    with pytest.raises(InvalidResponse, match="but HTTP/2, which is not spoken here"):
        get(do, scripted(settings))


def test_real_servers_with_the_wrong_scheme(do, start):
    for name in ("granian", "nginx"):
        conn = HTTPConnection("127.0.0.1", start(name).port, default_ssl_context())
        with pytest.raises(HandshakeFailed, match="no TLS is spoken on this port"):
            get(do, conn)
    with pytest.raises(InvalidResponse, match="but TLS: is it https://"):
        get(do, HTTPConnection("127.0.0.1", start("granian", tls=True).port))
    page = get(do, HTTPConnection("127.0.0.1", start("nginx", tls=True).port))
    assert b"The plain HTTP request was sent to HTTPS port" in page  # an answer, and no error


@pytest.mark.parametrize(
    "script", [[b""], [ConnectionClosed("reset")], [b"hello\r\n\r\n"], [OK[:5]], [math.inf]]
)
def test_the_port_of_https_without_a_context(do, script):
    transport = ScriptedTransport(script)
    conn = HTTPConnection("h.test", 443, transport=transport, timeout=SOON)
    with pytest.raises(DugongError) as caught:
        get(do, conn)

    assert str(caught.value).startswith("GET http://h.test:443/a: ")
    advice = "on the port of https: is TLS missing?"
    assert str(caught.value).count(advice) == 1


def test_an_answer_on_the_port_of_https_is_no_mistake(do):
    transport = ScriptedTransport([OK[:-1]])
    with pytest.raises(ConnectionClosed, match="1 of 2 body bytes missing$"):
        get(do, HTTPConnection("h.test", 443, transport=transport))


# ---- errors that are passed on


def test_an_error_after_another_request_names_both(do):
    conn = scripted(b"hello\r\n\r\n")
    with pytest.raises(InvalidResponse):
        get(do, conn, "/first")
    with pytest.raises(ConnectionClosed) as caught:
        get(do, conn, "/second")

    assert str(caught.value).startswith("GET http://example.org/second: the connection is broken")
    assert str(caught.value).count("GET http://example.org/first: not a status line") == 1
    assert caught.value.url == "http://example.org/second"
    assert str(conn.close_reason) == str(caught.value.__cause__)
    assert str(conn.close_reason).startswith("GET http://example.org/first: not a status line")
    assert str(conn.shutdown_future.exception()) == str(conn.close_reason)


def test_an_error_that_several_have_waited_for():
    """One look-up may be for several connections; each error names its own."""
    asked = Wake()

    def co_resolver(host, port):
        yield from asked.co_wait()
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    resolver = CachingResolver(co_resolver)
    contexts = [None, default_ssl_context(), None]
    conns = [HTTPConnection("h.test", 1, context, resolver=resolver) for context in contexts]
    connecting = [conn.co_connect() for conn in conns]
    for operation in connecting:
        next(operation)
    asked.set()
    problems = []
    for operation in connecting:
        with pytest.raises(HostnameNotResolvable) as caught:
            run(operation)
        problems.append(caught.value)
    asked.close()

    assert [exc.url for exc in problems] == [
        "http://h.test:1",
        "https://h.test:1",
        "http://h.test:1",
    ]
    for exc in problems:
        assert str(exc).startswith(f"{exc.url}: the resolver")
        assert isinstance(exc.__cause__, socket.gaierror)


def test_a_stream_that_is_driven_already_names_its_request(do):
    stream = scripted(OK).request(Request("GET", "/a"))
    do(stream, "run")
    with pytest.raises(StateError, match="^GET http://example.org/a: another operation drives"):
        do(stream, "run")
    with pytest.raises(StateError, match="^GET http://example.org/a: this has been activated"):
        stream.activate()


def test_a_stream_that_is_taken_too_late_names_the_origin(do):
    conn = scripted(SWITCHING)
    do(conn, "send_request", "GET", "/a", UPGRADE)
    response = do(conn, "read_response")
    conn.close()
    with pytest.raises(StateError, match="^http://example.org: the connection was closed before"):
        response.stream


def test_the_end_of_an_idle_connection_names_the_origin(do):
    conn = scripted(OK, b"")
    get(do, conn)

    assert not conn.is_open()
    assert str(conn.close_reason) == "http://example.org: the server has closed the idle connection"


def test_two_operations_at_once():
    conn = scripted(math.inf)
    conn.send_request("GET", "/a")
    reading = conn.co_read_response()
    next(reading)
    with pytest.raises(
        StateError, match=r"^GET http://example.org/a: another operation is reading"
    ):
        conn.read_response()
    reading.close()


def test_a_limit_of_the_caller(do):
    conn = scripted(math.inf)
    conn.send_request("GET", "/a")
    with pytest.raises(ConnectionTimedOut, match=r"^GET http://example.org/a: the deadline has"):
        run(within(0, conn.co_read_response()))


def test_awaited_operations_name_it():
    async def main():
        conn = AsyncConnection(scripted(b"hello\r\n\r\n"))
        await conn.send_request("GET", "/a")
        await conn.read_response()

    with pytest.raises(InvalidResponse, match="^GET http://example.org/a: not a status line"):
        asyncio.run(main())


def test_closing_a_connection_under_its_streams():
    conn = scripted(OK)
    stream = conn.request(Request("GET", "/a"))
    stream.activate()
    conn.close()

    assert isinstance(stream.exception, ConnectionClosed)
    assert str(stream.exception).startswith("GET http://example.org/a: the connection was closed")


def two_at_once(do, stream):
    reading = stream.co_read(1)
    next(reading)
    try:
        do(stream, "read", 1)
    finally:
        reading.close()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda do, stream: do(stream, "read", 1),
            f"nothing arrived for {SOON} s (timeout={SOON})",
        ),
        (lambda do, stream: do(stream, "readinto", bytearray(1)), "nothing arrived for "),
        (lambda do, stream: stream.close() or do(stream, "read", 1), "the stream is closed"),
        (lambda do, stream: stream.close() or do(stream, "write", b"x"), "the stream is closed"),
        (two_at_once, "another operation is reading on this stream"),
    ],
    ids=["read", "readinto", "closed", "closed for writing", "two at once"],
)
def test_an_upgraded_stream_names_the_origin(do, call, text):
    conn = scripted(SWITCHING, math.inf, timeout=SOON)
    do(conn, "send_request", "GET", "/a", UPGRADE)
    with do(conn, "read_response").stream as stream, pytest.raises(DugongError) as caught:
        call(do, stream)

    assert str(caught.value).startswith(f"http://example.org (upgraded): {text}")
    assert (caught.value.method, caught.value.url) == ("", "http://example.org")


def test_a_broken_upgraded_stream_names_the_origin_once(do):
    conn = scripted(SWITCHING, ConnectionClosed("connection lost: reset"))
    do(conn, "send_request", "GET", "/a", UPGRADE)
    stream = do(conn, "read_response").stream
    for _ in range(2):
        with pytest.raises(ConnectionClosed, match=r"connection lost: reset$") as caught:
            do(stream, "read", 1)
        assert str(caught.value).count("http://example.org (upgraded): ") == 1


# ---- URLs


@pytest.mark.parametrize(
    ("method", "path", "label"),
    [
        ("GET", "/a?b=c&d", "GET http://example.org/a?b=c&d"),
        (
            "GET",
            f"/a?user=me&password={SECRET}",
            f"GET http://example.org/a?user=me&password={MASK}",
        ),
        ("GET", f"//me:{SECRET}@other/", f"GET http://example.org//{MASK}@other/"),
        ("OPTIONS", "*", "OPTIONS http://example.org"),
        ("GET", Target("http://example.org/x"), "GET http://example.org/x"),
        ("CONNECT", "h.test:443", "CONNECT h.test:443"),
        ("GET", "/" + "x" * 10_000, ("GET http://example.org/" + "x" * 10_000)[:MAX_LABEL] + "..."),
    ],
)
def test_labels(do, method, path, label):
    with pytest.raises(InvalidResponse) as caught:
        conn = scripted(b"hello\r\n\r\n")
        do(conn, "send_request", method, path)
        do(conn, "read_response")

    assert str(caught.value).startswith(f"{label}: not a status line")
    assert SECRET not in f"{caught.value!r} {caught.value.url}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"http://me:{SECRET}@h.test/a"),
        ("GET", f"me:{SECRET}@h.test"),
        ("CONNECT", f"me:{SECRET}@h.test:443"),
        ("GET", "/a\r\nb"),
        ("GET", "/\N{SNOWMAN}"),
        ("GET", "*"),
        ("G\r\nT", "/a"),
    ],
)
def test_what_cannot_be_sent_gets_into_no_message_as_it_is(do, method, path):
    with pytest.raises(InvalidRequest) as caught:
        do(scripted(OK), "send_request", method, path)

    assert "http://example.org" in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "headers",
    [
        f"Authorization: {SECRET}",
        [f"Authorization: {SECRET}"],
        [("Authorization", SECRET, "x")],
        {"Authorization": f"{SECRET}\n"},
        {"Authorization": [SECRET]},
        {f"Authorization: {SECRET}": ""},
        [("Authorization", SECRET), ("Authorization", SECRET)],
        {"Host": f"me:{SECRET}@h"},
    ],
)
def test_fields_with_secrets_that_cannot_be_sent(do, headers):
    with pytest.raises((InvalidRequest, TypeError)) as caught:
        get(do, scripted(OK), "/a", headers)

    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("headers", [[("Cookie", [SECRET])], [SECRET]])
def test_secrets_that_are_no_fields(headers):
    with pytest.raises(TypeError) as caught:
        Headers(headers)

    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("line", [b"Set-Cookie : %s", b"Set-Cookie: \0%s", b"Set-Cookie: %s\0"])
@pytest.mark.parametrize("end", [b"\r\n\r\n", b""])
def test_fields_with_secrets_that_cannot_be_received(do, line, end):
    head = OK[: OK.index(b"\r\n") + 2] + line % SECRET.encode() + end
    with pytest.raises(InvalidResponse) as caught:
        get(do, scripted(head, math.inf, timeout=30))

    assert "Set-Cookie" in str(caught.value)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    "proxy", [{"http": f"http://me:{SECRET}@p"}, f"me:{SECRET}@p:1", f"{SECRET}@p"]
)
def test_proxies_with_secrets_that_cannot_be(proxy):
    with pytest.raises((InvalidRequest, TypeError)) as caught:
        HTTPConnection("h", proxy=proxy)

    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    ("host", "port", "origin"),
    [
        ("::1", None, "http://[::1]"),
        ("fe80::1%eth0", 8080, "http://[fe80::1%25eth0]:8080"),
        ("EXAMPLE.org", 80, "http://EXAMPLE.org"),
        ("example.org", 443, "http://example.org:443"),
    ],
)
def test_origins(host, port, origin):
    with pytest.raises(StateError) as caught:
        HTTPConnection(host, port).read_response()

    assert caught.value.url == origin


def test_a_message_may_be_empty():
    exc = ConnectionClosed()
    exc.label("GET", "http://h/")
    exc.label("GET", "http://other/")

    assert str(exc) == "GET http://h/"


# ---- mistakes that are easily made


def test_an_answer_of_the_wrong_call_is_no_operation():
    for threads in (LoopThread(), LoopThreads(2)):
        with threads, pytest.raises(TypeError, match=r"^int is no operation; .* co_ missing\?$"):
            threads.submit(5)


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (
            lambda: HTTPConnection("http://h/"),
            InvalidRequest,
            "HTTPConnection.to(url): 'http://h/'",
        ),
        (
            lambda: HTTPConnection("h:80"),
            InvalidRequest,
            "the port is an argument of its own: 'h:80'",
        ),
        (lambda: HTTPConnection("h/a"), InvalidRequest, "goes with the request: 'h/a'"),
        (lambda: HTTPConnection("[::1]"), InvalidRequest, "no brackets here, and the port is an"),
        (
            lambda: HTTPConnection("[::1]:80"),
            InvalidRequest,
            "no brackets here, and the port is an",
        ),
        (lambda: HTTPConnection(f"me:{SECRET}@h"), InvalidRequest, "not a host name"),
        (
            lambda: HTTPConnection(f"http://me:{SECRET}@h/"),
            InvalidRequest,
            "HTTPConnection.to(url)",
        ),
        (lambda: HTTPConnection(b"h"), TypeError, "hostname is a string"),
        (lambda: HTTPConnection("h", "80"), TypeError, "port is a number, not '80'"),
        (
            lambda: HTTPConnection("h", timeout="5"),
            TypeError,
            "a number of seconds, or None, not '5'",
        ),
        (lambda: HTTPConnection("h", timeout=-1), InvalidOption, "a time limit of -1 seconds"),
        (lambda: Timeouts(read="5"), TypeError, "read is a number of seconds, or None, not '5'"),
        (lambda: HTTPConnection("h", expect100_timeout="5"), TypeError, "expect100_timeout is a n"),
        (
            lambda: HTTPConnection("h", expect100_timeout=-1),
            InvalidOption,
            "-1 seconds for expect100_t",
        ),
        (
            lambda: HTTPConnection.to("example.org/a"),
            InvalidRequest,
            "write https://",
        ),
        (
            lambda: HTTPConnection("h", proxy="p:3128"),
            InvalidRequest,
            "is http:// missing in front?",
        ),
    ],
)
def test_arguments_of_a_connection(make, kind, text):
    with pytest.raises(kind) as caught:
        make()

    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda do, conn: do(conn, "send_request", "PUT", "/", None, "text"),
            "str: encode it, as by",
        ),
        (
            lambda do, conn: do(conn, "send_request", "PUT", "/", None, 5),
            "memoryview are needed, not int",
        ),
        (
            lambda do, conn: do(conn, "send_request", "PUT", "/", None, io.BytesIO()),
            "BytesIO: for streams there are sendfile(), and send() with Request(…, body=stream)",
        ),
        (
            lambda do, conn: do(conn, "send_request", "PUT", "/", None, iter([b"x"])),
            "list_iterator: for iterators there is send() with Request(…, body=iterator)",
        ),
        (lambda do, conn: do(conn, "write", "text"), "not str: encode it, as by text.encode()"),
        (lambda do, conn: do(conn, "send", Request("PUT", "/", body="text")), "not str: encode it"),
        (
            lambda do, conn: do(conn, "send", Request("PUT", "/", body=5)),
            "iterable of bytes, not int",
        ),
        (
            lambda do, conn: do(conn, "send", Request("PUT", "/", body=io.StringIO("text"))),
            "StringIO is no binary file to read: that is what open() returns for a mode with 'b'",
        ),
        (lambda do, conn: do(conn, "read", "5"), "len_ is a number of bytes, not '5'"),
        (lambda do, conn: do(conn, "readinto", "x"), "a bytearray or a memoryview to read into is"),
        (lambda do, conn: do(conn, "readinto", b"x"), "bytes, which is read-only"),
        (lambda do, conn: do(conn, "write", memoryview(b"1234")[::2]), "contiguous"),
    ],
)
def test_arguments_of_operations(do, call, text):
    with pytest.raises(TypeError) as caught:
        call(do, scripted(OK))

    assert text in str(caught.value)


def test_async_with_needs_an_async_connection():
    async def main():
        async with HTTPConnection("h"):
            pass

    with pytest.raises(TypeError, match="async_connect"):
        asyncio.run(main())
