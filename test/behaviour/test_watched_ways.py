"""What is told, timed and limited on each way: through proxies, over other sockets."""

import base64
import io
import logging
import math
import socket
import time
from contextlib import ExitStack, contextmanager

import pytest
from kit.every_driver import DRIVERS, with_every_driver
from kit.interrupted import interrupted_everywhere
from kit.proxy_ways import WAYS, SomeProxy, co_get, proxy_of
from kit.silence import SOON, check, deaf, silent
from kit.support import (
    ScriptedServer,
    answering,
    black_hole,
    in_child,
    open_descriptors,
    read_head,
    wait_until,
)
from kit.tls_relay import relay
from kit.told import BODY, HEAD, SENT, TCP, Told, pair

from dugong_like import (
    Budget,
    ConnectFailed,
    HandshakeFailed,
    HostnameNotResolvable,
    HTTPConnection,
    LoopThread,
    Pipeline,
    Proxy,
    Request,
    ScriptedTransport,
    Timeouts,
    TunnelRefused,
    run,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FEW = DRIVERS[::4]
INSIDE = ("https", "tunnel", True)  # TLS inside TLS
EVERY = [*WAYS, INSIDE]
UNIX = pair("connection.connect_unix_socket")


class Relaying(SomeProxy):
    """A proxy with TLS in front of a server with TLS."""

    def __init__(self, port, **options):
        super().__init__(**options)
        self._port = port

    def _serve(self, sock):
        relay(self._port)(sock)


@contextmanager
def through(way, certificate, trusting, **options):
    """Yield a proxy, and the arguments of a connection through it.

    *way*: the scheme of the proxy, its mode, and whether it leads to https.
    """
    scheme, mode, https = way
    tls = certificate.server_context()
    with ExitStack() as stack:
        if way == INSIDE:
            origin = stack.enter_context(ScriptedServer(answering(OK, OK), tls))
            some = Relaying(origin.port, **options)
        else:
            some = SomeProxy(origin=tls if https else None, **options)
        server = stack.enter_context(ScriptedServer(some, tls if scheme == "https" else None))
        more = {"ssl_context": trusting} if scheme == "https" else {}
        proxy = proxy_of(scheme, server, mode=mode, **more)
        yield server, ("localhost", 8080, trusting if https else None, proxy)


def told_by(way, certificate, trusting, driver, told, **options):
    """Do one request on *way*, and return the proxy."""
    with (
        through(way, certificate, trusting, **options) as (_, arguments),
        HTTPConnection(*arguments, timeout=10, trace=told) as conn,
    ):
        assert driver(co_get(conn)) == (200, b"ok")
        return conn.proxy


# ---- through proxies


@pytest.mark.feature("C4", "C6", "C10", "C43")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("way", EVERY, ids=str)
def test_every_tunnel_is_told(driver, way, certificate, trusting):
    told = Told()
    proxy = told_by(way, certificate, trusting, driver, told)
    scheme, _, https = way

    name = f"proxy.{proxy.protocol}"
    assert told.events == [
        *(pair("dns.resolve") if scheme == "socks5" else []),  # the server's
        *(*pair("dns.resolve"), *TCP),  # the proxy's
        *(pair("proxy.start_tls") if scheme == "https" else []),
        *pair(name),
        *(pair("connection.start_tls") if https else []),
        *(*SENT, *HEAD, *BODY, "connection.close"),
    ]
    where = f"localhost:{proxy.port}"
    info = told.info(f"{name}.started")
    assert info == {"proxy": where, "target": "localhost:8080", "timeout": None}
    assert told.info(f"{name}.complete") == {"return_value": True}
    info = told.info("connection.connect_tcp.started")
    assert (info["host"], info["port"], info["timeout"]) == ("localhost", proxy.port, 10)


@pytest.mark.feature("C7", "C10")
@pytest.mark.parametrize("driver", FEW)
def test_a_tunnel_that_is_asked_for_again_on_another_connection(driver, certificate, trusting):
    told = Told()
    told_by(("http", "tunnel", False), certificate, trusting, driver, told, persists=False)

    there = [*pair("dns.resolve"), *TCP, *pair("proxy.connect")]
    assert told.events[: 2 * len(there) + 1] == [*there, "connection.retry", *there]
    info = {"host": "localhost", "port": 8080, "exception": None, "requests": 0}
    assert told.info("connection.retry") == info
    answers = [info["return_value"] for event, info in told if event == "proxy.connect.complete"]
    assert answers == [False, True]


@pytest.mark.feature("C7", "C10")
@pytest.mark.parametrize("driver", FEW)
@pytest.mark.parametrize("reached", [True, False])
def test_a_server_whose_first_address_socks5_does_not_reach(driver, reached):
    """The next address needs another connection to the proxy."""

    def resolver(host, port):
        return [(socket.AF_INET, (f"10.0.0.{number}", port)) for number in (1, 2)]

    some = SomeProxy(reply=b"\5\5\0\1" + bytes(6))  # to the first of the questions
    told = Told()
    with ScriptedServer(some if reached else refusing) as server:
        url = f"socks5://127.0.0.1:{server.port}"
        conn = HTTPConnection("origin.test", proxy=url, resolver=resolver, trace=told, timeout=10)
        with conn:
            if reached:
                assert driver(co_get(conn)) == (200, b"ok")
                assert [address[:4] for address in some.asked] == [b"\x0a\0\0\1", b"\x0a\0\0\2"]
            else:
                with pytest.raises(TunnelRefused, match="connection refused"):
                    driver(co_get(conn))

    first = [*pair("dns.resolve"), *TCP, *pair("proxy.socks5"), "connection.retry"]
    end = "complete" if reached else "failed"
    second = [*TCP, "proxy.socks5.started", f"proxy.socks5.{end}"]
    after = [*SENT, *HEAD, *BODY, "connection.close"] if reached else []
    assert told.events == [*first, *second, *after]
    answers = [info["return_value"] for event, info in told if event == "proxy.socks5.complete"]
    assert answers == [False, True][: 1 + reached]
    info = {"host": "origin.test", "port": 80, "exception": None, "requests": 0}
    assert told.info("connection.retry") == info


@pytest.mark.feature("C6", "C10")
@pytest.mark.parametrize("driver", FEW)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_forwards_is_told_of_by_its_address(driver, scheme, certificate, trusting):
    told = Told()
    tls = scheme == "https"
    with ScriptedServer(answering(OK), certificate.server_context() if tls else None) as server:
        url = f"{scheme}://me:secret@127.0.0.1:{server.port}"
        proxy = Proxy(url, ssl_context=trusting if tls else None)
        with HTTPConnection("origin.test", proxy=proxy, trace=told) as conn:
            assert driver(co_get(conn)) == (200, b"ok")

    there = pair("proxy.start_tls") if tls else []
    assert told.events == [*TCP, *there, *SENT, *HEAD, *BODY, "connection.close"]
    assert told.info("connection.connect_tcp.started")["port"] == server.port
    fields = told.info("http11.send_request_headers.started")["headers"]
    assert ("Proxy-Authorization", "[masked]") in fields
    assert told.info("connection.close") == {"host": "origin.test", "port": 80}


@pytest.mark.feature("C6", "C10")
@pytest.mark.parametrize("driver", FEW)
def test_which_tls_it_is(driver, certificate, trusting):
    """TLS inside TLS: one handshake is told as the proxy's, one as the server's."""
    told = Told()
    told_by(INSIDE, certificate, trusting, driver, told)

    for name in ("proxy.start_tls", "connection.start_tls"):
        info = told.info(f"{name}.started")
        assert (info["server_hostname"], info["timeout"]) == ("localhost", 10)
        assert info["ssl_context"] is trusting
        agreed = told.info(f"{name}.complete")["return_value"]
        assert agreed["version"] == "TLSv1.3"
        assert agreed["session_reused"] is False


def refusing(sock):
    SomeProxy(reply=b"\5\5\0\1" + bytes(6))(sock)


REFUSALS = {
    "http": ("proxy.connect", answering(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")),
    "socks5h": ("proxy.socks5", refusing),
    "https": ("proxy.start_tls", lambda sock: sock.sendall(b"what?")),
}


@pytest.mark.feature("C5", "C10")
@pytest.mark.parametrize("driver", FEW)
@pytest.mark.parametrize("scheme", REFUSALS)
def test_a_proxy_that_does_not_go_along(driver, scheme, trusting):
    name, handler = REFUSALS[scheme]
    told = Told()
    tls = {"ssl_context": trusting} if scheme == "https" else {}
    with ScriptedServer(handler) as server:
        proxy = Proxy(f"{scheme}://127.0.0.1:{server.port}", mode="tunnel", **tls)
        conn = HTTPConnection("origin.test", 80, proxy=proxy, trace=told)
        with pytest.raises(HandshakeFailed if tls else TunnelRefused) as caught:
            driver(conn.co_connect())

    assert told.events == [*TCP, f"{name}.started", f"{name}.failed"]
    failure = told.info(f"{name}.failed")["exception"]
    assert str(failure) in str(caught.value)


@pytest.mark.parametrize("persists", [True, False])
@pytest.mark.parametrize("way", EVERY, ids=str)
def test_what_a_trace_raises_on_the_way_leaves_nothing_open(way, persists, certificate, trusting):
    told = Told()
    told_by(way, certificate, trusting, run, told, persists=persists)
    before = open_descriptors()
    for bad in dict.fromkeys(told.events[: told.events.index(SENT[0])]):
        with pytest.raises(LookupError, match=bad):
            told_by(way, certificate, trusting, run, Told(bad), persists=persists)
    wait_until(lambda: open_descriptors() <= before)


@pytest.mark.parametrize("inner", [False, True])
def test_given_up_anywhere_on_the_way_what_has_begun_has_ended(inner, certificate, trusting):
    told = Told()
    way = ("https", "tunnel", inner)
    with through(way, certificate, trusting, pause=0.0003) as (_, arguments):
        interrupted_everywhere(lambda: HTTPConnection(*arguments, trace=told, timings=True))

    begun = sorted(event.removesuffix(".started") for event in told.events if "started" in event)
    ended = [event.rpartition(".") for event in told.events]
    assert begun == sorted(name for name, _, end in ended if end in {"complete", "failed"})


SECRETS = ("secret", base64.b64encode(b"me:secret").decode(), "6d653a736563726574")


@pytest.mark.feature("C11", "A52")
@pytest.mark.parametrize("mode", ["tunnel", "forward"])
def test_proxies_are_logged_without_their_passwords(caplog, mode):
    def proxy(sock):
        head = read_head(sock)
        assert SECRETS[1].encode() in head
        if head.startswith(b"CONNECT"):
            sock.sendall(b"HTTP/1.1 200 Go\r\n\r\n")
            read_head(sock)
        sock.sendall(OK)

    caplog.set_level(logging.DEBUG, "dugong_like")
    with ScriptedServer(proxy) as server:
        way = Proxy(f"http://me:secret@127.0.0.1:{server.port}", mode=mode)
        with HTTPConnection("origin.test", 80, proxy=way) as conn:
            run(co_get(conn))

    loggers = [record.name for record in caplog.records]
    assert loggers.count("dugong_like.proxy") == (2 if mode == "tunnel" else 0)
    assert ("proxy.connect.started proxy=" in caplog.text) == (mode == "tunnel")
    assert not [secret for secret in SECRETS if secret in caplog.text]


# ---- other ways


@pytest.mark.feature("C4", "C5", "C6")
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_unix_domain_socket_is_told(driver, tmp_path):
    path = str(tmp_path / "socket")
    told = Told()
    limits = Timeouts(connect=9)
    with ScriptedServer(answering(OK), path=path):
        with HTTPConnection("x", uds=path, trace=told, timeout=limits) as conn:
            assert driver(co_get(conn)) == (200, b"ok")
    conn = HTTPConnection("x", uds=path + "2", trace=told)
    with pytest.raises(ConnectFailed) as caught:
        driver(conn.co_connect())

    name = "connection.connect_unix_socket"
    failing = [f"{name}.started", f"{name}.failed"]
    assert told.events == [*UNIX, *SENT, *HEAD, *BODY, "connection.close", *failing]
    assert told[0][1] == {"path": path, "timeout": 9}
    assert told[1][1]["return_value"]["server_address"] == path
    assert told[-1][1]["exception"] is caught.value


@pytest.mark.feature("C6")
@pytest.mark.parametrize("driver", FEW)
def test_nobody_connects_a_socket_of_ones_own(driver, certificate, trusting):
    told = Told()
    with ScriptedServer(answering(OK), certificate.server_context()) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))
        where = ("localhost", 443, trusting)
        with HTTPConnection(*where, sock=sock, trace=told, timings=True) as conn:
            exchange = driver(conn.co_send_request("GET", "/"))
            driver(conn.co_read_response())
            driver(conn.co_readall())

    assert told.events[:4] == [*pair("connection.start_tls"), *SENT[:2]]
    assert exchange.timings.connect is None
    assert exchange.timings.tls > 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": -1}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"trace": "no function"}, TypeError),
        ({"budget": 5}, TypeError),
        ({"trace_file": 5}, TypeError),
    ],
)
def test_own_socket_stays_the_callers_if_one_of_these_is_bad(options, error):
    left, right = socket.socketpair()
    with left, right:
        with pytest.raises(error):
            HTTPConnection("x", sock=left, **options)
        assert left.fileno() >= 0


@pytest.mark.feature("C6")
@pytest.mark.parametrize("driver", FEW)
def test_a_resolver_of_ones_own_is_told(driver):
    def resolver(host, port):
        return [(socket.AF_INET, ("127.0.0.1", server.port))]

    told = Told()
    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("some.test", resolver=resolver, trace=told, timings=True) as conn:
            exchange = driver(conn.co_send_request("GET", "/"))

    assert told.events[: len(TCP) + 2] == [*pair("dns.resolve"), *TCP]
    assert told.info("dns.resolve.started") == {"host": "some.test", "port": 80}
    assert exchange.timings.dns > 0


# ---- how long it took


@pytest.mark.feature("C18")
@pytest.mark.parametrize("way", EVERY, ids=str)
def test_the_proxy_has_its_time(way, certificate, trusting):
    options = {"pause": 0.002, "persists": False}  # seconds between two bytes of the proxy
    with through(way, certificate, trusting, **options) as (server, arguments):
        with HTTPConnection(*arguments, timings=True) as conn:
            conn.connect()
            exchange = conn.send_request("GET", "/")
            conn.read_response()
            conn.readall()
            another = conn.send_request("GET", "/")

    timings = exchange.timings
    assert timings.proxy >= 0.01
    if way[0].startswith("http"):  # the first answer, of more than 100 bytes, counts as well
        assert server.connections == 2
        assert timings.proxy >= 0.2
    assert timings.connect > 0
    assert (timings.tls is not None) == way[2]
    assert another.timings.proxy is another.timings.connect is None


@pytest.mark.feature("C18")
def test_a_unix_domain_socket_has_its_time(tmp_path):
    path = str(tmp_path / "socket")
    with ScriptedServer(answering(OK), path=path):
        with HTTPConnection("x", uds=path, timings=True) as conn:
            timings = conn.send_request("GET", "/").timings

    assert timings.connect > 0
    assert timings.dns is timings.proxy is None


@pytest.mark.feature("C18")
def test_a_connection_that_did_not_come_about_takes_no_time():
    asked = []

    def resolver(host, port):
        asked.append(host)
        if len(asked) == 1:
            time.sleep(0.2)
            return []
        return [(socket.AF_INET, ("127.0.0.1", server.port))]

    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("some.test", resolver=resolver, timings=True) as conn:
            with pytest.raises(HostnameNotResolvable, match="no address"):
                conn.connect()
            begun = time.monotonic()
            timings = conn.send_request("GET", "/").timings
            assert 0 < timings.dns < time.monotonic() - begun


# ---- limits


def tunnel(server, scheme="http", **options):
    return Proxy(f"{scheme}://127.0.0.1:{server.port}", mode="tunnel", **options)


@pytest.mark.feature("C3")
@pytest.mark.parametrize("driver", DRIVERS)
def test_looking_up_a_proxy(driver, slow_names):
    way = ("proxy.test", 3128)
    conn = HTTPConnection("10.0.0.1", proxy=way, timeout=Timeouts(dns=SOON, connect=30))
    assert "no address of proxy.test" in str(check(driver, conn.co_connect(), "proxy-dns"))
    conn.timeout = Timeouts(connect=SOON)
    failure = check(driver, conn.co_connect(), "proxy-connect")
    assert "no connection to the proxy proxy.test:3128" in str(failure)


@pytest.mark.feature("C3")
@pytest.mark.parametrize("driver", DRIVERS)
def test_looking_up_a_server_for_a_proxy_that_wants_addresses(driver, slow_names):
    for limits, phase in ((Timeouts(dns=SOON), "dns"), (Timeouts(connect=SOON), "connect")):
        conn = HTTPConnection("origin.test", proxy="socks5://127.0.0.1:1", timeout=limits)
        assert "no address of origin.test" in str(check(driver, conn.co_connect(), phase))


@pytest.mark.feature("C3")
@pytest.mark.parametrize("driver", DRIVERS)
def test_connecting_to_a_proxy(driver):
    with black_hole() as hole:
        limits = Timeouts(connect=SOON, stall=30)
        conn = HTTPConnection("origin.test", proxy=hole, timeout=limits)
        failure = check(driver, conn.co_connect(), "proxy-connect")
        assert f"no connection to the proxy {hole[0]}:{hole[1]}" in str(failure)


@pytest.mark.feature("C3")
@pytest.mark.parametrize(
    ("driver", "limits"),
    with_every_driver(Timeouts(tls=SOON, connect=30), Timeouts(connect=SOON), SOON),
)
def test_tls_with_a_proxy_and_through_it(driver, limits, trusting):
    with ScriptedServer(silent) as server:
        way = tunnel(server, "https", ssl_context=trusting)
        conn = HTTPConnection("x", proxy=way, timeout=limits)
        failure = check(driver, conn.co_connect(), "proxy-tls")
        assert f"no TLS with 127.0.0.1:{server.port}" in str(failure)
    # A proxy that answers at once, whatever else this machine does.
    way = Proxy("http://proxy.test", mode="tunnel")
    script = ScriptedTransport([b"HTTP/1.1 200 Go\r\n\r\n", math.inf])
    conn = HTTPConnection("x", 443, trusting, way, timeout=limits, transport=script)
    assert "no TLS with x:443" in str(check(driver, conn.co_connect(), "tls"))


@pytest.mark.feature("C3")
@pytest.mark.parametrize(("driver", "scheme"), with_every_driver("http", "socks5h", "socks4a"))
def test_a_proxy_that_goes_on_and_on(driver, scheme):
    """`connect` limits all that is said; `stall` would have nothing to say."""

    def proxy(sock):
        for byte in b"HTTP/1.1 100 Wait\r\nA: " + b"b" * 1000 if scheme == "http" else b"":
            sock.sendall(bytes([byte]))
            time.sleep(0.02)
        silent(sock)

    with ScriptedServer(proxy) as server:
        for limits in (Timeouts(connect=SOON, stall=30), Timeouts(connect=SOON, tls=30, dns=30)):
            conn = HTTPConnection("x", proxy=tunnel(server, scheme), timeout=limits)
            failure = check(driver, conn.co_connect(), "proxy")
            assert f"no tunnel through the proxy 127.0.0.1:{server.port}" in str(failure)


@pytest.mark.feature("C3")
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_total_limit_holds_for_the_whole_way(driver, trusting):
    with ScriptedServer(silent) as server:
        for way in (tunnel(server), tunnel(server, "https", ssl_context=trusting)):
            conn = HTTPConnection("x", proxy=way, timeout=Timeouts(total=SOON, connect=30))
            check(driver, conn.co_connect(), "total")


@pytest.mark.feature("C3")
@pytest.mark.parametrize("driver", DRIVERS)
def test_reading_and_writing_through_a_tunnel(driver):
    def proxy(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 Go\r\n\r\n")
        deaf(sock)

    with ScriptedServer(proxy) as server:
        way = tunnel(server)
        with HTTPConnection("x", proxy=way, timeout=Timeouts(read=SOON)) as conn:
            check(driver, co_get(conn), "read")


@pytest.fixture
def full(tmp_path):
    """The path of a unix domain socket whose queue is full."""
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        fillers = []
        while True:
            filler = socket.socket(socket.AF_UNIX)
            filler.setblocking(False)
            fillers.append(filler)
            if filler.connect_ex(path):
                break
        yield path
        for filler in fillers:
            filler.close()


@pytest.mark.feature("C3")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("limits", [Timeouts(connect=SOON, stall=9), Timeouts(dns=9, connect=SOON)])
def test_connecting_to_a_unix_domain_socket(driver, limits, full):
    told = Told()
    failure = check(
        driver, HTTPConnection("x", uds=full, timeout=limits, trace=told).co_connect(), "connect"
    )
    assert f"no connection to {full}" in str(failure)
    assert told.events[-1] == "connection.connect_unix_socket.failed"


@pytest.mark.feature("C3")
@pytest.mark.parametrize("driver", FEW)
def test_a_socket_of_ones_own_is_limited_as_well(driver, trusting):
    with ScriptedServer(silent) as server:
        for limits, phase in ((Timeouts(tls=SOON), "tls"), (Timeouts(read=SOON), "read")):
            sock = socket.create_connection(("127.0.0.1", server.port))
            context = trusting if phase == "tls" else None
            with HTTPConnection("x", 80, context, sock=sock, timeout=limits) as conn:
                check(driver, co_get(conn), phase)


# ---- how connections are used, and how they end


def test_a_body_that_is_given_up_is_told(monkeypatch):
    def pieces():
        yield b"ab"
        raise LookupError("no more")

    told = Told()
    with ScriptedServer(silent) as server:
        with HTTPConnection("127.0.0.1", server.port, trace=told) as conn:
            with pytest.raises(LookupError, match="no more"):
                conn.send(Request("PUT", "/", body=pieces()))
            assert told.events[-1] == "http11.send_request_body.failed"


@pytest.mark.feature("C4")
def test_a_pipeline_is_told_in_its_order():
    told = Told()
    with ScriptedServer(answering(OK, OK)) as server:
        with HTTPConnection("127.0.0.1", server.port, trace=told, timings=True) as conn:
            pipeline = Pipeline(conn, [Request("GET", f"/{number}") for number in range(2)])
            answers = run(pipeline.co_run())
    targets = [info["target"] for event, info in told if event == HEAD[0]]
    assert targets == ["/0", "/1"]
    assert len(answers) == 2


def test_tls_inside_tls_of_a_stream_is_dumped_as_plain_text(certificate, trusting):
    def proxy(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 Go\r\n\r\n")
        relay(origin.port)(sock)

    dump, tls = io.BytesIO(), certificate.server_context()
    with ScriptedServer(answering(OK), tls) as origin, ScriptedServer(proxy, tls) as server:
        conn = HTTPConnection("localhost", server.port, trusting, trace_file=dump, timeout=30)
        conn.send_request("CONNECT", "origin.test:443")
        with conn.read_response().stream as stream:
            stream.start_tls(trusting, "localhost")
            stream.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert stream.read(100) == OK
    assert b"\nGET / HTTP/1.1\r\n" in dump.getvalue()
    assert OK in dump.getvalue()


@pytest.mark.feature("C4")
def test_streams_that_call_back_are_told():
    told = Told()
    with ScriptedServer(answering(OK, OK)) as server, LoopThread() as thread:
        with HTTPConnection("127.0.0.1", server.port, trace=told, timings=True) as conn:
            streams = [conn.request(Request("GET", "/")) for _ in range(2)]
            for stream in streams:
                stream.activate(thread)
            assert [stream.completion_future.result(30) for stream in streams] == [200, 200]
            assert streams[1].response.timings.total > 0
    assert told.events.count("http11.response_closed.complete") == 2


def test_the_end_of_an_idle_connection_is_seen():
    told = Told()
    with ScriptedServer(lambda sock: (read_head(sock), sock.sendall(OK))) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trace=told, budget=Budget(max_body=9))
        assert run(co_get(conn)) == (200, b"ok")
        wait_until(lambda: not conn.is_open())
        assert "closed the idle connection" in str(conn.close_reason)
        conn.close()
    assert told.events[-1] == "connection.close"


def test_a_trace_that_raises_at_the_end_keeps_nobody_waiting():
    with ScriptedServer(answering(OK)) as server:
        conn = HTTPConnection("127.0.0.1", server.port, trace=Told("connection.close"))
        conn.connect()
        future = conn.shutdown_future
        with pytest.raises(LookupError):
            conn.close()
        assert future.result(timeout=30) is None
        assert run(conn.co_wait_closed()) is None


def test_a_child_process_writes_nothing_to_the_dump():
    dump = io.BytesIO()
    with ScriptedServer(answering(OK)) as server:
        with HTTPConnection("127.0.0.1", server.port, trace_file=dump) as conn:
            conn.connect()
            assert in_child(lambda: b"closed" in dump.getvalue()) == 0
    assert dump.getvalue().count(b"closed") == 1
