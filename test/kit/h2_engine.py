"""An `Engine` at the hands of a test: what it has sent as frames, and a talk with a server."""

from dugong_like.http.h2.engine import Engine
from dugong_like.http.h2.options import H2Options
from kit.h2_frames import SETTINGS_ACK, parse_frames, settings

REQUEST = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"example.org"),
    (b":path", b"/"),
)


def request(method=b"GET", *fields, path=b"/"):
    """Return the fields of a request."""
    return ((b":method", method), *REQUEST[1:3], (b":path", path), *fields)


def pairs(lines):
    """Return names and values of field lines, which may begin with CRLF."""
    parts = [line.partition(b":") for line in lines.split(b"\r\n") if line]
    return [(name, value.strip(b" ")) for name, _, value in parts]


def flush(engine):
    """Return the frames that *engine* has queued; they count as sent."""
    wire = b"".join(engine.take_output())
    engine.report_sent(engine.queued)
    return parse_frames(wire)


def started(*pairs, **options):
    """Return an engine that has got the settings *pairs* of a server, and acknowledged them."""
    engine = Engine(H2Options(**options))
    flush(engine)
    assert not engine.receive(settings(*pairs) + SETTINGS_ACK)
    flush(engine)
    return engine


def opened(*pairs, method=b"GET", end=True, **options):
    """Return such an engine, and a stream whose HEADERS has been sent."""
    engine = started(*pairs, **options)
    stream = engine.open(request(method), end)
    flush(engine)
    return engine, stream


def talk(engine, peer, receive=None):
    """Move bytes between *engine* and a `Peer` until both have nothing to say.

    Args:
        engine: gets what the peer says.
        peer: gets what the engine has queued.
        receive: called with the bytes of the peer in place of ``engine.receive``.

    """
    receive = receive or engine.receive
    while True:
        wire = b"".join(engine.take_output())
        engine.report_sent(engine.queued)
        back = peer.take(wire)
        if back:
            receive(back)
        elif not wire:
            return
