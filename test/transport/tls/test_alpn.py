"""Which protocols a handshake offers, whatever its context is used for otherwise."""

import ssl
import threading
from contextlib import suppress

import pytest
from kit.interrupted import interrupted_at_each_line
from kit.support import ScriptedServer

from dugong_like import HTTPConnection, ProtocolNotNegotiated, tls_context
from dugong_like.transport.tls import alpn
from dugong_like.transport.tls.alpn import offering


def offered_by(context, *protocols):
    """Return what a TLS object offers that is made of *context* while it offers *protocols*."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = []

    def make():
        made.append(context.wrap_bio(incoming, outgoing, server_hostname="h"))

    offering(context, protocols, make)
    with suppress(ssl.SSLWantReadError):
        made[0].do_handshake()
    hello = outgoing.read()
    return [name for name in (b"h2", b"http/1.1", b"imap") if bytes([len(name)]) + name in hello]


@pytest.mark.parametrize("own", [("http/1.1",), ("h2", "http/1.1"), ("imap",)])
def test_an_offer_is_that_of_one_handshake(own):
    context = tls_context(alpn=own)

    assert offered_by(context, "h2") == [b"h2"]
    assert offered_by(context) == [name.encode() for name in own]


def test_a_context_of_the_callers_offers_http_1_1_afterwards():
    context = ssl.create_default_context()

    assert offered_by(context) == []
    assert offered_by(context, "h2", "http/1.1") == [b"h2", b"http/1.1"]
    assert offered_by(context) == [b"http/1.1"]


def test_threads_with_one_context_do_not_get_each_others_offers():
    context = tls_context()
    wrong = []

    def offer(*protocols):
        for _ in range(30):
            got = offered_by(context, *protocols)
            if got != [name.encode() for name in protocols or ("http/1.1",)]:
                wrong.append(got)

    threads = [threading.Thread(target=offer, args=args) for args in [("h2",), (), ("imap",)] * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("protocols", [("h2",), ()])
def test_interrupted_offers_leave_no_lock_to_other_threads(protocols):
    context = tls_context()

    def is_free():
        free = alpn._lock.acquire(timeout=20)
        if free:
            alpn._lock.release()
        found.append(free)

    for _ in interrupted_at_each_line(lambda: offered_by(context, *protocols)):
        found = []
        other = threading.Thread(target=is_free)
        other.start()
        other.join()
        assert found == [True]
    assert offered_by(context) == [b"http/1.1"]


@pytest.mark.parametrize("chosen", ["h2", None])
def test_a_protocol_that_was_not_asked_for(certificate, trusting, chosen):
    context = certificate.server_context()
    if chosen is not None:
        context.set_alpn_protocols([chosen])
    versions = ("http/1.1",) if chosen else ("h2",)
    with ScriptedServer(lambda sock: sock.recv(1), context) as server:
        conn = HTTPConnection("localhost", server.port, trusting, versions=versions, timeout=20)
        if chosen:  # the default is not to ask for it, so that nobody can choose it
            conn.connect()
            assert conn.alpn is None
        else:
            with pytest.raises(ProtocolNotNegotiated, match="no protocol, not h2") as failure:
                conn.connect()
            assert not failure.value.retryable
            assert (failure.value.request_sent, failure.value.phase) == ("no", "tls")
        conn.close()
