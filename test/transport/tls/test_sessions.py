"""TLS sessions: which are resumed, how often, and which are not."""

import os
import socket
import ssl
import sys
import time
from types import SimpleNamespace

import pytest
from kit.support import ScriptedServer, in_child

from dugong_like import CertificateInvalid, ConnectionClosed, HandshakeFailed, InvalidOption, run
from dugong_like.transport.tls import sessions
from dugong_like.transport.tls.over_socket import co_start_tls
from dugong_like.transport.tls.sessions import SessionPlace, TLSSessions

BOTH_VERSIONS = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)


def fake(age=0, timeout=300):
    return SimpleNamespace(time=time.time() - age, timeout=timeout)


def test_newest_comes_first_and_each_once():
    store = TLSSessions()
    one, two, other = fake(), fake(), fake()
    store.put("a", one)
    store.put("a", two)
    store.put("b", other)

    assert len(store) == 3
    assert store.take("a") is two
    assert store.take("a") is one
    assert store.take("a") is None
    assert store.take("b") is other
    assert len(store) == 0


def test_store_is_bounded():
    store = TLSSessions(max_entries=2)
    for key in "abc":
        store.put(key, fake())

    assert len(store) == 2
    assert store.take("a") is None
    store.clear()
    assert store.take("c") is None
    for size in (0, -1):
        with pytest.raises(InvalidOption, match="max_entries cannot be"):
            TLSSessions(max_entries=size)


def test_session_that_is_over_is_not_taken():
    store = TLSSessions()
    good = fake(age=100)
    store.put("a", good)
    store.put("a", fake(age=301))

    assert store.take("a") is good
    assert len(store) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="warns about threads")
def test_child_process_has_a_lock_of_its_own():
    store = TLSSessions()

    def put():
        store.put("a", fake())
        return len(store)

    with sessions._lock:
        assert in_child(put) == 1
    assert len(store) == 0


# ---- with real handshakes


def talk(server, context, place, end="goodbye", **options):
    """Connect, receive a byte, end the connection; return whether the session was resumed."""
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.setblocking(False)
    stream = run(co_start_tls(sock, context, "localhost", 5, place=place, **options))
    reused = stream.tls.session_reused
    while stream.recv(1) is None:
        stream.wanted_by_recv(None).poll(30)
    if end == "goodbye":
        stream.send_end_of_stream()
    elif end == "notify":
        stream.notify_close()
    elif end == "garbage":
        with pytest.raises(ConnectionClosed):
            while stream.recv(1) is None:
                stream.wanted_by_recv(None).poll(30)
        stream.notify_close()
    elif end == "idle":
        deadline = time.monotonic() + 5
        while stream.is_idle():
            assert time.monotonic() < deadline
    stream.close()
    return reused


@pytest.fixture
def place():
    return SessionPlace(TLSSessions(), "key")


def hello(sock):
    sock.sendall(b"x")
    sock.recv(1)


@BOTH_VERSIONS
@pytest.mark.parametrize("end", ["goodbye", "notify"])
def test_session_is_resumed_again_and_again(certificate, trusting, place, version, end):
    server_context = certificate.server_context()
    server_context.maximum_version = version
    with ScriptedServer(hello, server_context) as server:
        resumed = [talk(server, trusting, place, end) for _ in range(4)]
    assert resumed == [False, True, True, True]
    assert server_context.session_stats()["hits"] == 3
    assert talk_without_a_place(certificate, trusting) is False


def talk_without_a_place(certificate, trusting):
    with ScriptedServer(hello, certificate.server_context()) as server:
        return talk(server, trusting, None)


@BOTH_VERSIONS
def test_session_of_a_connection_that_the_server_ends_while_it_is_idle(
    certificate, trusting, place, version
):
    def end(sock):
        sock.sendall(b"x")
        sock.unwrap()

    server_context = certificate.server_context()
    server_context.maximum_version = version
    with ScriptedServer(end, server_context) as server:
        assert [talk(server, trusting, place, "idle") for _ in range(2)] == [False, True]


def test_connection_that_is_dropped_leaves_no_session(certificate, trusting, place):
    with ScriptedServer(hello, certificate.server_context()) as server:
        assert [talk(server, trusting, place, "nothing") for _ in range(2)] == [False, False]


def test_connection_that_ended_with_an_error_leaves_no_session(certificate, trusting, place):
    def garbage(sock):
        sock.sendall(b"x")
        socket.socket.send(sock, b"\x17\x03\x03\x00\x20" + b"x" * 32)
        sock.recv(1)

    with ScriptedServer(garbage, certificate.server_context()) as server:
        assert [talk(server, trusting, place, "garbage") for _ in range(2)] == [False, False]


def test_server_without_tickets(certificate, trusting, place):
    context = certificate.server_context()
    context.num_tickets = 0
    with ScriptedServer(hello, context) as server:
        assert [talk(server, trusting, place) for _ in range(2)] == [False, False]
    old = certificate.server_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.options |= ssl.OP_NO_TICKET  # then the server remembers, by number
    with ScriptedServer(lambda sock: (hello(sock), sock.unwrap()), old) as server:
        assert [talk(server, trusting, place) for _ in range(2)] == [False, True]


def test_server_that_has_forgotten_makes_a_whole_handshake(certificate, trusting, place):
    for _ in range(2):  # each has keys of its own
        with ScriptedServer(hello, certificate.server_context()) as server:
            assert talk(server, trusting, place) is False


def test_fingerprint_is_checked_of_a_resumed_session_too(certificate, trusting, place):
    der = ssl.PEM_cert_to_DER_cert(certificate.chain.read_text().split("-----END")[0]
                                   + "-----END CERTIFICATE-----")  # fmt: skip
    import hashlib

    right = (("sha256", hashlib.sha256(der).digest()),)
    wrong = (("sha256", bytes(32)),)
    with ScriptedServer(hello, certificate.server_context()) as server:
        assert talk(server, trusting, place, fingerprints=right) is False
        assert talk(server, trusting, place, fingerprints=right) is True
        with pytest.raises(CertificateInvalid):
            talk(server, trusting, place, fingerprints=wrong)
        assert talk(server, trusting, place) is False  # that one has not been put back


def test_session_with_which_a_handshake_fails_is_not_tried_again(certificate, trusting, place):
    with ScriptedServer(hello, certificate.server_context()) as server:
        talk(server, trusting, place)
    with ScriptedServer(lambda sock: sock.recv(10)) as broken, pytest.raises(HandshakeFailed):
        talk(broken, trusting, place)
    with ScriptedServer(hello, certificate.server_context()) as server:
        assert talk(server, trusting, place) is False
