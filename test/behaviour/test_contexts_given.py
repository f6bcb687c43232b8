"""What is given as an SSL context and is none, or none for a client, while nothing is open yet."""

import asyncio
import socket
import ssl

import pytest
from kit.support import ScriptedServer, answering, open_descriptors, read_head
from kit.ways import WAYS

from dugong_like import HTTPConnection, InvalidOption, Proxy, async_connect, tls_context
from dugong_like.drivers import aio

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")


class Lookalike:
    check_hostname = False
    verify_mode = ssl.CERT_NONE
    verify_flags = 0
    protocol = ssl.PROTOCOL_TLS_CLIENT


NONE = [True, False, 0, "context", b"", {}, object(), ssl.SSLContext, Lookalike(), Lookalike]


def on_trio(make):
    trio = pytest.importorskip("trio")

    async def main():
        make()

    trio.run(main)


def on_asyncio(make):
    async def main():
        make()

    asyncio.run(main())


def connection(context):
    HTTPConnection("server.test", ssl_context=context)


def through_a_proxy(context):
    HTTPConnection("server.test", ssl_context=context, proxy="http://proxy.test")


def with_options(context):
    HTTPConnection("server.test", 443, context, server_hostname="x.test", fingerprint=FINGERPRINT)


def without_a_name(context):
    HTTPConnection("server.test", 443, context, server_hostname=None)


def to(context):
    HTTPConnection.to("https://server.test", ssl_context=context)


def to_plain(context):
    HTTPConnection.to("http://server.test", ssl_context=context)


def asynchronous(context):
    on_asyncio(lambda: async_connect("server.test", ssl_context=context))


def asynchronous_trio(context):
    on_trio(lambda: async_connect("server.test", ssl_context=context))


def proxy(context):
    Proxy("https://proxy.test", ssl_context=context)


FINGERPRINT = "sha256:" + 64 * "0"
MAKERS = [connection, through_a_proxy, with_options, without_a_name, to, to_plain]
MAKERS += [asynchronous, asynchronous_trio, proxy]


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_no_context_is_a_type_error_when_it_is_given(make):
    for given in NONE:
        with pytest.raises(TypeError, match="ssl_context is an ssl.SSLContext, not "):
            make(given)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("context", ["protocol", "purpose"])
def test_context_for_servers_is_refused_when_it_is_given(make, context, certificate):
    given = {
        "protocol": certificate.server_context,
        "purpose": lambda: ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
    }[context]()
    with pytest.raises(InvalidOption, match="for servers"):
        make(given)


def test_context_that_checks_names_needs_one():
    with pytest.raises(InvalidOption, match="check_hostname"):
        HTTPConnection("server.test", 443, tls_context(), server_hostname=None)


def test_derived_context_is_one():
    class Derived(ssl.SSLContext):
        pass

    context = Derived(ssl.PROTOCOL_TLS_CLIENT)
    assert HTTPConnection("server.test", ssl_context=context).ssl_context is context


def test_socket_stays_the_callers_if_the_context_is_none():
    mine, other = socket.socketpair()
    with mine, other:
        with pytest.raises(TypeError):
            HTTPConnection("server.test", ssl_context=object(), sock=mine)
        other.send(b"x")
        assert mine.recv(1) == b"x"


@pytest.mark.parametrize("way", WAYS)
def test_stream_is_untouched_by_what_is_no_context(way, certificate):
    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 Go\r\n\r\n")
        sock.sendall(sock.recv(2))

    with ScriptedServer(handler) as server, HTTPConnection("127.0.0.1", server.port) as conn:
        conn.send_request("CONNECT", "server.test:443")
        with conn.read_response().stream as stream:
            for given, error in (
                *((one, TypeError) for one in [None, *NONE]),
                (certificate.server_context(), InvalidOption),
            ):
                with pytest.raises(error):
                    way(stream.co_start_tls(given, "server.test"))
            stream.write(b"ok")
            assert way(stream.co_read(2)) == b"ok"


def test_nothing_is_connected_to_with_such_a_context():
    """The proxy would be, before the handshake fails."""
    with ScriptedServer(answering(b"HTTP/1.1 200 Go\r\n\r\n")) as server:
        before = open_descriptors()
        with pytest.raises(TypeError):
            HTTPConnection("server.test", 443, object(), ("127.0.0.1", server.port))
        with pytest.raises(TypeError):
            asyncio.run(refused(server.port))
        assert open_descriptors() <= before
    assert server.connections == 0


async def refused(port):
    async with async_connect("server.test", 443, Lookalike(), ("127.0.0.1", port)) as conn:
        await aio.run(conn.connection.co_connect())


@pytest.mark.parametrize(
    "options",
    [
        {"max_fields": "x"},
        {"max_informational": 1.5},
        {"max_chunk_line": None},
        {"max_line_size": "1"},
        {"buffer_size": 1.5},
        {"buffer_size": "1"},
        {"on_informational": "x"},
        {"dns_test_hostnames": "a.example"},
    ],
    ids=str,
)
def test_other_options_of_a_wrong_type_are_refused_by_their_name(options):
    (name,) = options
    with pytest.raises(TypeError, match=name):
        HTTPConnection("example.org", **options)


@pytest.mark.parametrize(
    "options", [{"max_fields": -1}, {"buffer_size": 0}, {"buffer_size": 10**30}]
)
def test_numbers_that_make_no_sense_are_refused_by_their_name(options):
    (name,) = options
    with pytest.raises(InvalidOption, match=name):
        HTTPConnection("example.org", **options)
