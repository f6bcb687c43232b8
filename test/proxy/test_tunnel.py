"""The conversation with a proxy about a tunnel, cut everywhere."""

import pytest

from dugong_like import ConnectionClosed, InvalidResponse, TunnelRefused
from dugong_like.http1.limits import MAX_INFORMATIONAL, Limits
from dugong_like.proxy.tunnel import Tunnel
from dugong_like.transport.buffer import ReceiveBuffer


def play(pieces, end=False):
    tunnel = Tunnel("example.org:443", Limits())
    buffer = ReceiveBuffer(1 << 18)
    for piece in pieces:
        buffer.room()[: len(piece)] = piece
        buffer.end += len(piece)
        if tunnel.receive(buffer):
            return True
    if end:
        tunnel.end_of_stream()
    return False


def cuts(wire):
    for cut in range(len(wire) + 1):
        yield wire[:cut], wire[cut:]
    yield tuple(bytes([byte]) for byte in wire)


def test_request_names_the_authority_twice():
    request = Tunnel("[::1]:443", Limits()).request

    assert request == b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"


@pytest.mark.reliability(61)
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 299 Established\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 102 Wait\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_2xx_opens_the_tunnel(wire):
    for pieces in cuts(wire):
        assert play(pieces) is True
    for cut in range(len(wire)):
        assert play([wire[:cut]]) is False


@pytest.mark.reliability(61)
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nwhy",
        b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nw\r\n2\r\nhy\r\n0\r\n\r\n",
    ],
)
def test_anything_else_refuses_it_and_says_why(wire):
    for pieces in cuts(wire):
        with pytest.raises(TunnelRefused, match=r"example\.org:443: 403 No") as refusal:
            play(pieces)
        assert (refusal.value.status, refusal.value.reason) == (403, "No")
        assert refusal.value.body == b"why"


@pytest.mark.reliability(61)
@pytest.mark.parametrize("status", [101, 304, 407, 500])
def test_refusal_without_a_body(status):
    with pytest.raises(TunnelRefused) as refusal:
        play([b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status])
    assert refusal.value.status == status
    assert refusal.value.body == b""


def test_refusal_until_close_ends_with_the_stream():
    with pytest.raises(TunnelRefused) as refusal:
        play([b"HTTP/1.1 502 Bad\r\n\r\nwh", b"y"], end=True)
    assert refusal.value.body == b"why"


@pytest.mark.reliability(61)
def test_broken_body_does_not_hide_the_refusal():
    with pytest.raises(TunnelRefused) as refusal:
        play([b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwhy\r\nzzz\r\n"])
    assert refusal.value.body == b"why"


@pytest.mark.reliability(61)
def test_long_refusal_is_cut_off():
    with pytest.raises(TunnelRefused) as refusal:
        play([b"HTTP/1.1 502 Bad\r\n\r\n", b"x" * 100_000])
    assert refusal.value.body == b"x" * 65536


@pytest.mark.reliability(61)
@pytest.mark.parametrize("wire", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Go\r\n\r\n"])
def test_end_without_an_answer(wire):
    with pytest.raises(ConnectionClosed, match="instead of opening a tunnel"):
        play([wire], end=True)


@pytest.mark.reliability(61)
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\n\r\nearly bytes",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\n\n",
        b"HTTP/1.1 407 No\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 102 Wait\r\n\r\n" * (MAX_INFORMATIONAL + 1),
    ],
)
def test_what_is_no_answer_at_all(wire):
    with pytest.raises(InvalidResponse):
        play([wire])
