"""A time-out says what was waited for, how the limit was given, and how far it had come.

In memory: nothing but the limit can end a wait, whatever the machine does.
"""

import math

import pytest
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


class Nowhere(ScriptedTransport):
    """A transport that never connects."""

    def co_connect_tcp(self, host, port):
        with Wake() as never:
            yield from never.co_wait()


class Full(ScriptedStream):
    """A stream that takes no more than its rooms."""

    def send(self, parts):
        return super().send(parts) if self.rooms else None


def co_get(conn):
    yield from conn.co_send_request("GET", "/a")
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


def co_put(conn):
    yield from conn.co_send_request("PUT", "/a", body=BodyFollowing(5000))
    while True:
        yield from conn.co_write(bytes(1000))


def stream(*events, rooms=None):
    made = ScriptedStream(events) if rooms is None else Full(events, rooms)
    return ScriptedTransport(made)


# What is waited for: the limit of its own, how to make the transport, options, the operation, the
# message, with the limit in the place of {}, and what it says about progress.
PHASES = {
    "connecting": (
        *("connect", lambda: Nowhere(ScriptedStream([])), {}, co_get),
        *("no connection to example.org:80 within {}", ""),
    ),
    "proxy": (
        *("connect", lambda: stream(math.inf), TUNNEL, co_get),
        *("", ""),
    ),
    "TLS": (
        *("tls", lambda: stream(math.inf), TLS, co_get),
        *("no TLS with example.org:443 within {}", ""),
    ),
    "sending a head": (
        *("write", lambda: stream(math.inf, rooms=[]), {}, co_get),
        *("nothing could be sent for {}", ""),
    ),
    "sending a body": (
        *("write", lambda: stream(math.inf, rooms=[1000, 500]), {}, co_put),
        *("nothing could be sent for {}", ", 500 of 5,000 bytes of the body written"),
    ),
    "head": (
        *("read", lambda: stream(math.inf), {}, co_get),
        *("no response head arrived for {}", ""),
    ),
    "head with its own limit": (
        *("head", lambda: stream(math.inf), {}, co_get),
        *("no response head arrived for {}", ""),
    ),
    "rest of the head": (
        *("read", lambda: stream(HEAD[:17], math.inf), {}, co_get),
        *("nothing more of the response head arrived for {}", ", 17 bytes had"),
    ),
    "body": (
        *("read", lambda: stream(HEAD + bytes(1500), math.inf), {}, co_get),
        *("nothing more of the body arrived for {}", ", 1,500 of 2,000 bytes had"),
    ),
    "body in chunks": (
        "read",
        lambda: stream(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na", math.inf),
        *({}, co_get, "nothing more of the body arrived for {}", ""),
    ),
    "whole response": (
        *("read", lambda: stream(HEAD + bytes(500), math.inf), {}),
        lambda conn: conn.co_exchange("GET", "/a"),
        *("nothing more of the body arrived for {}", ", 500 of 2,000 bytes had"),
    ),
}


@pytest.mark.parametrize("driver", [run, on_asyncio], ids=["blocking", "asyncio"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_time_out_names_its_phase_its_limit_and_the_progress(driver, phase):
    own, make, options, op, text, progress = PHASES[phase]
    ways = {
        f"(timeout={SOON})": SOON,
        f"(Timeouts(stall={SOON}))": Timeouts(stall=SOON),
        f"(Timeouts({own}={SOON}))": Timeouts(**{own: SOON}),
        f"(Timeouts({own}={SOON}))  ": Timeouts(**{own: SOON, "stall": 30, "total": 30}),
        f"(Timeouts(total={SOON}))": Timeouts(total=SOON),
    }
    for given, timeout in ways.items():
        port = 443 if "ssl_context" in options else 80
        conn = HTTPConnection("example.org", port, transport=make(), timeout=timeout, **options)
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
