"""Real servers that are reached in special ways, each under several ways of waiting.

nginx on unix domain sockets, and where it demands a certificate; HAProxy, which chooses by the
name in TLS, and takes and passes on the PROXY protocol.

Not here: proxies (test_proxies.py), and the same options with scripts (test_options.py).
"""

import socket
from contextlib import suppress

import pytest
import trustme
from kit import servers
from kit.support import pattern
from kit.ways import WAYS

from dugong_like import (
    CertificateInvalid,
    ConnectionClosed,
    DugongError,
    HandshakeFailed,
    HTTPConnection,
    SocketOptions,
    tls_context,
)


@pytest.fixture(params=WAYS)
def drive(request):
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("routes")


@pytest.fixture(scope="module")
def ports(folder, ca_file, certificate, issue):
    one, two = issue("one.test"), issue("two.test")
    with servers.routes(folder, ca_file, certificate, one, two) as ports:
        yield ports


def co_ask(conn, path="/"):
    yield from conn.co_send_request("GET", path)
    response = yield from conn.co_read_response()
    return response.status, (yield from conn.co_readall())


# ---- unix domain sockets


@pytest.mark.feature("A4")
@pytest.mark.real("unix")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_nginx_on_a_unix_domain_socket(drive, ports, folder, trusting, tls):
    path = str(folder / ("https" if tls else "http"))

    def co_all():
        with HTTPConnection("localhost", 443, trusting if tls else None, uds=path) as conn:
            for _ in range(2):
                for size in (1024, 300_000):
                    assert (yield from co_ask(conn, f"/bytes/{size}")) == (200, pattern(size))
            return conn.tls_version

    assert drive(co_all()) == ("TLSv1.3" if tls else None)


# ---- a server that demands a certificate


@pytest.fixture(scope="module")
def known(ca):
    """A certificate of the authority that nginx knows: the chain, and the key."""
    someone = ca.issue_cert("someone@example.org", common_name="someone")
    chain = b"".join(blob.bytes() for blob in someone.cert_chain_pems)
    return chain, someone.private_key_pem.bytes()


@pytest.mark.feature("A46")
@pytest.mark.real("certificate")
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_client_certificate_for_nginx(drive, ports, ca_file, known, version):
    context = tls_context(ca=ca_file, client_cert=known)
    answers = []
    with HTTPConnection("localhost", ports[version], context, timeout=20) as conn:
        for _ in range(2):
            status, body = drive(co_ask(conn))
            assert (status, conn.tls_version) == (200, version)
            assert body.startswith(b"CN=someone,")
            answers.append(body[-1:])
            conn.disconnect()

    assert answers == [b".", b"r"]  # the second session was the first one, resumed


@pytest.mark.real("certificate")
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_client_without_a_certificate_that_nginx_knows(drive, ports, ca_file, version):
    stranger = trustme.CA().issue_cert("someone@example.org", common_name="someone")
    chain = b"".join(blob.bytes() for blob in stranger.cert_chain_pems)
    for client_cert in (None, (chain, stranger.private_key_pem.bytes())):
        context = tls_context(ca=ca_file, client_cert=client_cert)
        with HTTPConnection("localhost", ports[version], context, timeout=20) as conn:
            with suppress(HandshakeFailed, ConnectionClosed):  # or it says so in HTTP
                status, body = drive(co_ask(conn))
                assert status == 400
                assert b"certificate" in body


# ---- HAProxy: the name in TLS, and the PROXY protocol


@pytest.mark.feature("A48", "C12")
@pytest.mark.real("haproxy")
@pytest.mark.parametrize("name", ["one.test", "two.test"])
def test_haproxy_chooses_by_name_and_tells_who_asks(drive, ports, trusting, name):
    """The certificates are different, so the wrong server would not be accepted."""
    options = SocketOptions(local_address=("127.0.0.2", 0))

    def resolver(host, port):
        return [(socket.AF_INET, ("127.0.0.1", port))]

    port = ports["by-name"]
    by_option = HTTPConnection(
        "127.0.0.1", port, trusting, server_hostname=name, socket_options=options, timeout=20
    )
    by_resolver = HTTPConnection(
        name, port, trusting, resolver=resolver, socket_options=options, timeout=20
    )
    for conn, host in ((by_option, "127.0.0.1"), (by_resolver, name)):
        with conn:
            for _ in range(2):
                said = f"127.0.0.2 {name} {host}:{port}".encode()
                assert drive(co_ask(conn)) == (200, said)


@pytest.mark.real("haproxy")
def test_name_that_haproxy_does_not_know(drive, ports, trusting):
    conn = HTTPConnection(
        "localhost", ports["by-name"], trusting, server_hostname="three.test", timeout=20
    )
    with pytest.raises((HandshakeFailed, ConnectionClosed)) as failure:
        drive(conn.co_connect())
    assert not isinstance(failure.value, CertificateInvalid)
    assert failure.value.request_sent == "no"


@pytest.mark.real("haproxy")
def test_own_socket_with_the_proxy_protocol(drive, ports):
    """The caller says the first bytes himself, and hands the socket over."""
    sock = socket.create_connection(("127.0.0.1", ports["told"]))
    sock.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n")
    with HTTPConnection("localhost", sock=sock, timeout=20) as conn:
        for _ in range(2):
            assert drive(co_ask(conn)) == (200, b"192.0.2.1 1234")


@pytest.mark.real("haproxy")
def test_haproxy_refuses_who_does_not_say_it(drive, ports):
    with HTTPConnection("localhost", ports["told"], timeout=20) as conn:
        with pytest.raises(DugongError):
            drive(co_ask(conn))
