"""A time-out says what was waited for, how the limit was given, and how far it had come.

In memory: nothing but the limit can end a wait, whatever the machine does.
"""

import math
import time
from functools import partial

import pytest
from kit import h2_frames as frames
from kit.every_driver import on_asyncio

from dugong_like import (
    BodyFollowing,
    ConnectionTimedOut,
    HTTPConnection,
    ScriptedStream,
    ScriptedTransport,
    Timeouts,
    run,
    tls_context,
)
from dugong_like.polling.wake import Wake

SOON = 0.01  # seconds
SECRET = "sesame"
TLS = {"ssl_context": tls_context()}
TUNNEL = {"proxy": f"http://me:{SECRET}@proxy.test:1", **TLS}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na"
SETTINGS = frames.settings()
WINDOW = 65535  # bytes of a request body that are taken: the first window of HTTP/2
HEAD_TWO = SETTINGS + frames.headers(1, frames.OK, ("content-length", "2000"))


class Nowhere(ScriptedTransport):
    """A transport that never connects."""

    def co_connect_tcp(self, host, port):
        with Wake() as never:
            yield from never.co_wait()


class Full(ScriptedStream):
    """A stream that takes no more than its rooms."""

    def send(self, parts):
        return super().send(parts) if self.rooms else None


class Window(ScriptedStream):
    """A stream that takes the head of a request and `WINDOW` bytes."""

    def send(self, parts):
        head, end, _ = (self.sent + b"".join(parts)).partition(b"\r\n\r\n")
        room = len(head + end) + WINDOW - len(self.sent)
        self.rooms = [room]
        return super().send(parts) if room else None


def co_get(conn):
    yield from conn.co_send_request("GET", "/a")
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


def co_put(conn):
    yield from conn.co_send_request("PUT", "/a", body=BodyFollowing(100_000))
    while True:
        yield from conn.co_write(bytes(50_000))


def stream(*events, rooms=None):
    made = ScriptedStream(events) if rooms is None else Full(events, rooms)
    return ScriptedTransport(made)


def head(count):
    """Return scripts that end behind the head and *count* bytes of the body, by protocol."""
    parts = HEAD + bytes(count), HEAD_TWO + frames.data(1, bytes(count))
    return {over: partial(stream, part, math.inf) for over, part in zip(BOTH, parts, strict=True)}


def silent():
    return {"http/1.1": partial(stream, math.inf), "h2": partial(stream, SETTINGS, math.inf)}


def narrow():
    return ScriptedTransport(Window([math.inf]))


def both(make):
    return dict.fromkeys(BOTH, make)


def co_post(conn):
    return conn.co_exchange("POST", "/a", body=bytes(100_000))


def co_exchange(conn):
    return conn.co_exchange("GET", "/a")


def co_batch(conn):
    return conn.co_exchange_all([("GET", "/a")])


BOTH = "http/1.1", "h2"
FULL = partial(stream, math.inf, rooms=[])
BODY = "nothing more of the body arrived for {}"
PART_OF_BODY = ", 65,535 of 100,000 bytes of the body written"

# What is waited for: the limit of its own, how to make the transport for each protocol, options,
# the operation, the message, with the limit in the place of {}, and what it says about progress.
PHASES = {
    "connecting": (
        *("connect", both(lambda: Nowhere(ScriptedStream([]))), {}, co_get),
        *("no connection to example.org:80 within {}", ""),
    ),
    "proxy": ("connect", both(partial(stream, math.inf)), TUNNEL, co_get, "", ""),
    "TLS": (
        *("tls", both(partial(stream, math.inf)), TLS, co_get),
        *("no TLS with example.org:443 within {}", ""),
    ),
    "sending a head": ("write", both(FULL), {}, co_get, "nothing could be sent for {}", ""),
    "sending a body": (
        "write",
        {"http/1.1": narrow, "h2": silent()["h2"]},
        *({}, co_put, "nothing could be sent for {}", PART_OF_BODY),
    ),
    "sending a whole body": (
        "write",
        {"http/1.1": narrow, "h2": silent()["h2"]},
        *({}, co_post, "nothing could be sent for {}", PART_OF_BODY),
    ),
    "head": ("read", silent(), {}, co_get, "no response head arrived for {}", ""),
    "head of an exchange": (
        *("read", silent(), {}, co_exchange),
        *("no response head arrived for {}", ""),
    ),
    "head in a batch": ("read", silent(), {}, co_batch, "no response head arrived for {}", ""),
    "head with its own limit": (
        *("head", silent(), {}, co_get),
        *("no response head arrived for {}", ""),
    ),
    "head of an exchange, with its own limit": (
        *("head", silent(), {}, co_exchange),
        *("no response head arrived for {}", ""),
    ),
    "rest of the head": (
        *("read", {"http/1.1": partial(stream, HEAD[:17], math.inf)}, {}, co_get),
        *("nothing more of the response head arrived for {}", ", 17 bytes had"),
    ),
    "body": ("read", head(1500), {}, co_get, BODY, ", 1,500 of 2,000 bytes had"),
    "body of which nothing came": ("read", head(0), {}, co_get, BODY, ", 0 of 2,000 bytes had"),
    "body of unknown length": (
        "read",
        {
            "http/1.1": partial(stream, CHUNKS, math.inf),
            "h2": partial(stream, SETTINGS + frames.headers(1) + frames.data(1, b"a"), math.inf),
        },
        *({}, co_get, BODY, ""),
    ),
    "whole response": ("read", head(500), {}, co_exchange, BODY, ", 500 of 2,000 bytes had"),
    "body in a batch": ("read", head(500), {}, co_batch, BODY, ", 500 of 2,000 bytes had"),
}
CASES = [(phase, over) for phase, (_, made, *_) in PHASES.items() for over in made]


@pytest.mark.parametrize("driver", [run, on_asyncio], ids=["blocking", "asyncio"])
@pytest.mark.parametrize(("phase", "over"), CASES)
def test_a_time_out_names_its_phase_its_limit_and_the_progress(driver, phase, over):
    own, made, options, op, text, progress = PHASES[phase]
    ways = {
        f"(timeout={SOON})": SOON,
        f"(Timeouts(stall={SOON}))": Timeouts(stall=SOON),
        f"(Timeouts({own}={SOON}))": Timeouts(**{own: SOON}),
        f"(Timeouts({own}={SOON}))  ": Timeouts(**{own: SOON, "stall": 30, "total": 30}),
        f"(Timeouts(total={SOON}))": Timeouts(total=SOON),
    }
    if driver is on_asyncio:  # it knows nothing of how a limit was given
        ways = {given: ways[given] for given in (f"(timeout={SOON})", f"(Timeouts(total={SOON}))")}
    for given, timeout in ways.items():
        port = 443 if "ssl_context" in options else 80
        conn = HTTPConnection(
            *("example.org", port),
            transport=made[over](),
            timeout=timeout,
            versions=(over,),
            **options,
        )
        with pytest.raises(ConnectionTimedOut) as caught:
            driver(op(conn))
        conn.disconnect()
        message = str(caught.value)
        assert given.strip() in message
        assert "http" in message.partition(": ")[0]
        assert "example.org" in message.partition(": ")[0]
        assert SECRET not in message
        if "total" not in given:
            assert text.format(f"{SOON} s {given.strip()}") in message
            assert message.endswith(f"{given.strip()}{progress}")


@pytest.mark.parametrize("op", [co_get, co_exchange, co_batch])
@pytest.mark.parametrize("over", BOTH)
def test_the_limit_for_the_head_is_none_for_the_body(monkeypatch, over, op):
    """The head is here, so another limit holds; in the other order it would be the wrong one.

    By a clock that goes on where nothing comes, and only there: the head is in time.
    """
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for limits in ({"head": SOON, "read": SOON * 2}, {"head": 30, "read": SOON}):
        conn = HTTPConnection("example.org", 80, transport=head(500)[over](), versions=(over,))
        conn.timeout = Timeouts(**limits)
        with pytest.raises(ConnectionTimedOut) as caught:
            for need in op(conn):
                if not need.poll(0):
                    now[0] = need.deadline
        conn.disconnect()
        assert f"(Timeouts(read={limits['read']})), 500 of 2,000 bytes had" in str(caught.value)
        assert caught.value.phase == "read"


@pytest.mark.parametrize("over", BOTH)
def test_the_limit_for_reading_is_none_for_a_whole_body_that_is_sent(over):
    """Nothing can be sent for longer than something may take to arrive."""
    makers = {"http/1.1": narrow, "h2": silent()["h2"]}
    limits = Timeouts(read=30, write=SOON, head=30)
    conn = HTTPConnection(
        "example.org", 80, transport=makers[over](), versions=(over,), timeout=limits
    )

    with pytest.raises(ConnectionTimedOut) as caught:
        run(co_post(conn))
    conn.disconnect()

    assert caught.value.phase == "write"
    assert str(caught.value).endswith(f"(Timeouts(write={SOON})){PART_OF_BODY}")
