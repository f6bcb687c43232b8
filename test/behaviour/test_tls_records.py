"""TLS as the servers of Python do it: tickets that come late, records that are cut.

Not here: new keys and new handshakes in the middle (test_tls_events.py).
"""

import hashlib
import random
import re
import ssl
import threading
import time
from queue import Queue

import pytest
from kit.s_server import digits, in_background, pieces, sized
from kit.support import (
    ScriptedServer,
    read_exactly,
    read_head,
)
from kit.ways import on_asyncio

from dugong_like import (
    BodyFollowing,
    HTTPConnection,
    run,
)

pytestmark = pytest.mark.usefixtures("nothing_is_left_open")


@pytest.fixture(params=[run, on_asyncio])
def drive(request):
    return request.param


@pytest.mark.parametrize("cut", [0, 1, 5, 60, None])
def test_tickets_that_come_late_are_nothing(certificate, trusting, drive, cut):
    """Also in two halves: before the request and after it, on an idle connection."""
    go_on = threading.Event()
    heads = []

    def handler(sock):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                server.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65536))
        tickets = outgoing.read()
        assert len(tickets) > 100
        sock.sendall(tickets[:cut])
        go_on.set()
        for _ in range(2):
            incoming.write(sock.recv(65536))
            heads.append(server.read(65536))
            server.write(sized(b"90"))
            sock.sendall((b"" if cut is None else tickets[cut:]) + outgoing.read())
            tickets = b""

    context = certificate.server_context()
    with ScriptedServer(handler) as server:
        conn = HTTPConnection("localhost", server.port, trusting, timeout=30)
        drive(conn.co_connect())
        assert go_on.wait(30)
        time.sleep(0.05)
        for path in ("/a", "/b"):
            drive(conn.co_connect())  # looks whether it is still good
            drive(conn.co_send_request("GET", path))
            assert drive(conn.co_read_response()).status == 200
            assert drive(conn.co_readall()) == b"90"
        conn.close()
    assert server.connections == 1
    assert [head.split(b" ", 2)[1] for head in heads] == [b"/a", b"/b"]


def test_certificate_asked_for_in_the_middle_of_a_body(certificate, ca, drive):
    """New tickets follow when it has been answered (RFC 8446 section 4.6)."""
    body = digits(100_000)
    wire = sized(body)
    asked = []

    def handler(sock):
        for _ in range(3):
            read_head(sock)
            sock.sendall(wire[:50_000])
            sock.verify_client_post_handshake()
            asked.append(sock.sendall(wire[50_000:]))
        sock.recv(1)

    context = certificate.server_context()
    context.verify_mode = ssl.CERT_OPTIONAL
    ca.configure_trust(context)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    client.post_handshake_auth = True
    with ScriptedServer(handler, context) as server:
        conn = HTTPConnection("localhost", server.port, client, timeout=30)
        for _ in range(3):
            drive(conn.co_send_request("GET", "/"))
            drive(conn.co_read_response())
            assert drive(conn.co_readall()) == body
        conn.close()
    assert server.connections == 1
    assert len(asked) == 3


# ---- both directions at full speed


def echo(sock):
    """Answer each PUT with its own body, sized where that was chunked and the other way round."""
    while head := read_head(sock):
        known = re.search(rb"Content-Length: (\d+)", head)
        if known:
            body = read_exactly(sock, int(known[1]))
            sock.sendall(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces(body, 3))
                + b"0\r\n\r\n"
            )
            continue
        body = b""
        while size := int(read_line(sock), 16):
            body += read_exactly(sock, size + 2)[:-2]
        assert read_line(sock) == b"\r\n"
        sock.sendall(sized(body))


def read_line(sock):
    line = b""
    while not line.endswith(b"\r\n"):
        line += sock.recv(1)
    return line


SECONDS, LEAST = 3.5, 50  # for so long, and so many requests, however slow the machine is


@pytest.mark.slow
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_two_threads_at_full_speed_over_one_connection(certificate, trusting, version):
    context = certificate.server_context()
    context.maximum_version = version
    source = random.Random(7).randbytes(2_000_000)
    sent, received = hashlib.sha256(), hashlib.sha256()
    under_way = Queue(16)
    counts = [0, 0]

    def write():
        until = time.monotonic() + SECONDS
        chance = random.Random(8)
        try:
            while time.monotonic() < until or counts[0] <= LEAST:
                size = chance.choice([1, 100, 5000, 65536, 400_000])
                start = chance.randrange(len(source) - size)
                length = size if chance.random() < 0.5 else None
                conn.send_request("PUT", f"/{counts[0]}", body=BodyFollowing(length))
                under_way.put((start, size))
                body = memoryview(source)[start : start + size]
                for piece in pieces(body, chance.choice([1, 2, 7])):
                    conn.write(piece)
                    sent.update(piece)
                conn.finish()
                counts[0] += 1
        finally:
            under_way.put(None)

    def read():
        while item := under_way.get():
            start, size = item
            response = conn.read_response()
            assert (response.status, response.path) == (200, f"/{counts[1]}")
            body = conn.readall()
            assert body == source[start : start + size]
            received.update(body)
            counts[1] += 1

    with ScriptedServer(echo, context) as server:
        with HTTPConnection("localhost", server.port, trusting, timeout=20) as conn:
            conn.connect()
            with in_background(write):
                read()
            assert conn.get_ssl_cipher()[1] == version.name.replace("_", ".")
    assert server.connections == 1
    assert counts[0] == counts[1] > LEAST
    assert sent.digest() == received.digest()
