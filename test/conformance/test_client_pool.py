"""Retries and the pool of a client: what is sent again, which connection is used again, and that no
place is lost, whatever a server does.

RFC 9110 section 9.2.2, RFC 9112 section 9. `ask` checks after each case that nothing is in use.
"""

import socket
import struct
import threading
import time
from email.utils import formatdate

import pytest
from kit.sites import DRIVERS, Site, answer_of, ask, client

from dugong_like import (
    BodyTooLarge,
    ConnectFailed,
    ConnectionClosed,
    DigestAuth,
    DugongError,
    HandshakeFailed,
    InvalidResponse,
    Limits,
    PoolTimedOut,
    Retry,
    Timeouts,
)

OK = answer_of(200, body=b"ok")
POISON = answer_of(200, body=b"POISON")
AT_ONCE = {"retry": Retry(3, backoff=0, budget=None)}


def closing(data=b""):
    def answer(sock, seen):
        sock.sendall(data)

    return answer


def resetting(data=b""):
    def answer(sock, seen):
        sock.sendall(data)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def stalling(sock, seen):
    sock.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nhal")
    sock.recv(1)


FAILURES = {
    "closed": closing(),
    "reset": resetting(),
    "half a head": closing(b"HTTP/1.1 200 X\r\n"),
    "half a head, reset": resetting(b"HTTP/1.1 200 X\r\nA: "),
    "half a body": closing(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nhal"),
    "half a body, reset": resetting(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nhal"),
    "half a chunk": closing(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal"),
    "429": answer_of(429),
    "502": answer_of(502),
    "503": answer_of(503, "Connection: close"),
    "504": answer_of(504, body=b"x" * 100_000),
}


METHODS = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH")
REPEATED = [
    (method, name)
    for method in METHODS
    for name in FAILURES
    if method != "HEAD" or name not in {"half a body", "half a body, reset", "half a chunk"}
]


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(("method", "name"), REPEATED)
def test_what_retry_repeats(name, method, driver):
    """Idempotent methods; POST and PATCH are never sent twice, whatever has happened."""
    with Site({None: [FAILURES[name], OK]}) as site:
        body = b"body" if method in {"PUT", "POST", "PATCH"} else None
        [result] = ask(driver, AT_ONCE, (method, site.url(), {"content": body}))
    if method in {"POST", "PATCH"}:
        assert len(site.seen) == 1
        assert isinstance(result, ConnectionClosed) or result.status_code == int(name)
    else:
        assert (result.status_code, len(site.seen), result.attempts) == (200, 2, 2)
        assert [seen.body for seen in site.seen] == [body or b""] * 2


BROKEN_OFF = [
    (f"{how} {status}", ends(b"HTTP/1.1 %d X\r\n%s" % (status, fields)))
    for status in (200, 404, 500)
    for how, ends, fields in (
        ("closed", closing, b"Content-Length: 9\r\n\r\nhal"),
        ("reset", resetting, b"Content-Length: 9\r\n\r\nhal"),
        ("chunk", closing, b"Transfer-Encoding: chunked\r\n\r\n9\r\nhal"),
        ("no last chunk", closing, b"Transfer-Encoding: chunked\r\n\r\n3\r\nhal\r\n"),
    )
]


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_that_breaks_off_is_a_failure_unless_it_is_streamed(method, driver):
    """In whichever way it is received: functions for events, limits and statuses do not matter."""
    wrong, seen = [], []

    def note(response, data=None, exc=None, **kw):
        seen.append(data or (exc and type(exc).__name__))

    names = ("on_headers", "data_received", "data_processed", "on_retry", "post_request")
    for name, broken in BROKEN_OFF:
        for way, options in {
            "usual": {},
            "limited": {"max_body": 1000},
            "seen": {"hooks": dict.fromkeys(names, note)},
            "both": {"max_body": 1000, "hooks": dict.fromkeys(names, note)},
            "streamed": {"stream": True},
        }.items():
            seen.clear()
            stream = {"stream": True} if options.pop("stream", False) else {}
            with Site({None: [broken, OK]}) as site:
                [result] = ask(driver, AT_ONCE | options, (method, site.url(), stream))
            if stream:
                good = (len(site.seen), result.status_code) == (1, int(name[-3:]))
            elif method == "POST":
                good = (len(site.seen), type(result)) == (1, ConnectionClosed)
            else:
                good = (len(site.seen), result.content) == (2, b"ok")
                if "hooks" in options:  # what was lost is not seen
                    good = good and seen == ["ConnectionClosed", None, b"ok", b"ok", None]
            if not good:
                wrong.append((name, way, len(site.seen), result, *seen))
    assert wrong == []


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_body_of_a_redirect_or_challenge_may_break_off(driver):
    """Nobody needs it, so nothing is repeated for it."""
    for status, field in (
        (302, b"Location: /end"),
        (401, b"WWW-Authenticate: Digest realm=a,nonce=b"),
    ):
        broken = closing(b"HTTP/1.1 %d X\r\n%s\r\nContent-Length: 9\r\n\r\nhal" % (status, field))
        with Site({"/": [broken, OK], "/end": OK}) as site:
            options = AT_ONCE | {"auth": DigestAuth("u", "p"), "max_body": 1000}
            [result] = ask(driver, options, ("GET", site.url()))
        assert (result.status_code, len(site.seen), result.attempts) == (200, 2, 2)
        assert [old.status_code for old in result.history] == [status]


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_limit_holds_while_a_body_is_received_that_may_be_repeated(driver):
    def endless(sock, seen):
        sock.sendall(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            sock.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    hooks = {"data_received": lambda response, **kw: None}
    for more in ({}, {"hooks": hooks}):
        with Site({None: endless}) as site:
            [result] = ask(driver, AT_ONCE | {"max_body": 99_999}, ("GET", site.url(), more))
        assert (type(result), len(site.seen)) == (BodyTooLarge, 1)


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", FAILURES)
def test_a_body_that_is_gone_is_not_sent_again(name, driver):
    with Site({None: [FAILURES[name], OK]}) as site:
        body = (piece for piece in (b"bo", b"dy"))
        [result] = ask(driver, AT_ONCE, ("PUT", site.url(), {"content": body}))
    assert len(site.seen) == 1
    assert isinstance(result, ConnectionClosed) or result.status_code == int(name)


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", FAILURES)
def test_the_last_failure_is_the_result(name, driver):
    with Site({None: FAILURES[name]}) as site:
        [result] = ask(driver, {"retry": Retry(2, backoff=0)}, ("GET", site.url()))
    assert len(site.seen) == 3
    if isinstance(result, DugongError):
        assert isinstance(result, ConnectionClosed)
        assert result.method == "GET"
    else:
        assert (result.status_code, result.attempts) == (int(name), 3)


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_certainly_not_sent_is_repeated_for_any_method(method, driver):
    """Nobody listens: `request_sent` is no."""
    tries = []

    def co_names(host, port):
        tries.append(host)
        return [(socket.AF_INET, ("127.0.0.1", port))]
        yield

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    options = {**AT_ONCE, "resolver": co_names}
    [error] = ask(driver, options, (method, f"http://a.test:{port}/", {"content": b"x"}))
    assert isinstance(error, ConnectFailed)
    assert len(tries) == 4


@pytest.mark.reliability(41, 68)
@pytest.mark.parametrize("driver", DRIVERS)
def test_failures_that_no_repetition_mends(driver, certificate):
    bad = [closing(b"junk\r\n\r\n"), OK]
    with Site({None: bad}) as site, Site({None: OK}, tls=certificate.server_context()) as safe:
        untrusted = f"https://localhost:{safe.port}/"
        results = ask(driver, AT_ONCE, ("GET", site.url()), ("GET", untrusted))
        assert (len(site.seen), safe.connections) == (1, 1)
    assert isinstance(results[0], InvalidResponse)
    assert isinstance(results[1], HandshakeFailed)


AFTER = {
    # Retry-After, and whether it is waited for and the request sent again
    "0": True,
    "1": True,
    "00001": True,
    "61": False,
    "21600": False,
    "9" * 400: False,
    "-1": True,  # means nothing, as all that follow: the usual pause
    "1.5": True,
    "soon": True,
    "": True,
    "1, 2": True,
    "\xd9\xa1": True,
    "an hour ago": True,
    "in an hour": False,
    "Wednesday, 31-Dec-98 23:59:59 GMT": True,
    "Thu, 01 Jan 1970 00:00:00 GMT": True,
    "Thu, 31 Dec 9999 23:59:59 GMT": False,
}


@pytest.mark.reliability(41)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("value", AFTER, ids=lambda text: text[:30])
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after(status, value, driver):
    """Both forms (RFC 9110 section 10.2.3), up to the limit; beyond it the response is returned."""
    hours = {"an hour ago": -3600, "in an hour": 3600}
    expected = AFTER[value]
    if value in hours:
        value = formatdate(time.time() + hours[value], usegmt=True)
    with Site({None: [answer_of(status, f"Retry-After: {value}"), OK]}) as site:
        began = time.monotonic()
        retry = Retry(1, backoff=0, max_wait=60, jitter=False)
        [response] = ask(driver, {"retry": retry}, ("GET", site.url()))
        took = time.monotonic() - began
    assert response.status_code == (200 if expected else status)
    assert took >= (1 if value in {"1", "00001"} else 0)
    assert len(site.seen) == (2 if expected else 1)


@pytest.mark.reliability(41)
def test_no_storm_of_retries():
    """A dead origin gets a fifth more requests than it is sent, beyond the first ten."""
    with Site({None: answer_of(503)}) as site, client(retry=Retry(3, backoff=0)) as asking:
        for _ in range(50):
            assert asking.get(site.url()).status_code == 503
    assert 50 < len(site.seen) <= 50 + 10 + 10 + 1


# What a server sends first, and on how many connections two requests go then. RFC 9112 9.3, 9.6
REUSE = {
    "as usual": (OK, 1),
    "close": (answer_of(200, "Connection: close", body=b"ok"), 2),
    "CLOSE": (answer_of(200, "Connection: CLOSE", body=b"ok"), 2),
    "close in a list": (answer_of(200, "Connection: x, close ,y", body=b"ok"), 2),
    "close on another line": (answer_of(200, "Connection: x", "Connection: close", body=b"ok"), 2),
    "keep-alive": (answer_of(200, "Connection: keep-alive", body=b"ok"), 1),
    "closed is another word": (answer_of(200, "Connection: closed", body=b"ok"), 1),
    "1.0": (b"HTTP/1.0 200 X\r\nContent-Length: 2\r\n\r\nok", 2),
    "1.0 with keep-alive": (
        b"HTTP/1.0 200 X\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
        1,
    ),
    "1.0 without length": (b"HTTP/1.0 200 X\r\n\r\nok", 2),
    "1.0, keep-alive, no length": (b"HTTP/1.0 200 X\r\nConnection: keep-alive\r\n\r\nok", 2),
    "until the end": (b"HTTP/1.1 200 X\r\n\r\nok", 2),
    "surplus": (OK + b"x", 2),
    "a line end behind": (OK + b"\r\n", 2),
    "two responses": (OK + POISON, 2),
    "chunked": (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1),
    "surplus behind chunks": (
        b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
        2,
    ),
    "both framings": (
        b"HTTP/1.1 200 X\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\n\r\n",
        2,
    ),
    "timeout=1": (answer_of(200, "Keep-Alive: timeout=1", body=b"ok"), 2),
    "timeout=0": (answer_of(200, "Keep-Alive: timeout=0", body=b"ok"), 2),
    "timeout=100": (answer_of(200, "Keep-Alive: timeout=100, max=50", body=b"ok"), 1),
    "max=0": (answer_of(200, "Keep-Alive: max=0", body=b"ok"), 2),
    "max=1": (answer_of(200, "Keep-Alive: max=1", body=b"ok"), 1),
    "a hint that means nothing": (answer_of(200, "Keep-Alive: timeout=x, max", body=b"ok"), 1),
    "404": (answer_of(404, body=b"ok"), 1),
    "500": (answer_of(500, body=b"ok"), 1),
    "500 and much": (answer_of(500, body=b"ok" * 200_000), 1),
    "103 first": (b"HTTP/1.1 103 X\r\n\r\n" + OK, 1),
    "100 unasked": (b"HTTP/1.1 100 X\r\n\r\n" + OK, 1),
    "205 with a body": (answer_of(205, body=b"ok"), 1),
}


@pytest.mark.reliability(36, 38)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", REUSE)
def test_which_connections_are_used_again(name, stream, driver):
    """And the second response is always that of the second request."""
    answer, connections = REUSE[name]
    ends = name in {"until the end", "1.0, keep-alive, no length", "1.0 without length"}
    hooks = {"hooks": {"data_received": lambda *a, **k: None}} if stream else {}
    with Site({"/": closing(answer) if ends else answer, "/2": OK}) as site:
        calls = ("GET", site.url(), hooks), ("GET", site.url(path="/2"), hooks)
        first, second = ask(driver, {}, *calls)
        assert site.connections == connections
    assert first.content[:2] == second.content == b"ok"
    assert second.status_code == 200


NO_BODY = {
    "HEAD": (b"HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\n", 1),
    "HEAD chunked": (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", 1),
    "HEAD with a body": (b"HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\nPOISON", 2),
    "HEAD without length": (b"HTTP/1.1 200 X\r\n\r\n", 1),
    "GET 204": (b"HTTP/1.1 204 X\r\n\r\n", 1),
    "GET 204 with a body": (b"HTTP/1.1 204 X\r\nContent-Length: 6\r\n\r\nPOISON", 2),
    "GET 304": (b"HTTP/1.1 304 X\r\nContent-Length: 6\r\n\r\n", 1),
    "GET 304 with a body": (b"HTTP/1.1 304 X\r\nContent-Length: 6\r\n\r\nPOISON", 2),
    "GET 304 chunked": (b"HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\n\r\n", 1),
    "GET 200 of none": (b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n", 1),
    "HEAD 404 with a body": (answer_of(404, body=b"POISON"), 2),
}


@pytest.mark.reliability(23, 36)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", NO_BODY)
def test_responses_without_a_body(name, driver):
    answer, connections = NO_BODY[name]
    with Site({"/": answer, "/2": OK}) as site:
        calls = (name.split()[0], site.url()), ("GET", site.url(path="/2"))
        first, second = ask(driver, {}, *calls)
        assert site.connections == connections
    assert (first.content, second.content) == (b"", b"ok")


@pytest.mark.reliability(25)
@pytest.mark.parametrize("driver", DRIVERS)
def test_101_unasked_is_an_error(driver):
    with Site({"/": closing(b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n" + OK), "/2": OK}) as site:
        first, second = ask(driver, {}, ("GET", site.url()), ("GET", site.url(path="/2")))
    assert isinstance(first, InvalidResponse)
    assert (second.content, site.connections) == (b"ok", 2)


BROKEN = {
    **{name: answer for name, answer in FAILURES.items() if callable(answer)},
    "no HTTP": closing(b"junk\r\n\r\n"),
    "a bad chunk": closing(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
    "a bad length": closing(b"HTTP/1.1 200 X\r\nContent-Length: x\r\n\r\n"),
    "no gzip": answer_of(200, "Content-Encoding: gzip", body=b"no"),
    "a bad redirect": answer_of(302, "Location: x:y", body=b"no"),
    "too many": answer_of(302, "Location: /", body=b"no"),
    "silence": lambda sock, seen: sock.recv(1),
    "half, then silence": stalling,
}


@pytest.mark.reliability(39, 45)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_pool_of_one_survives_each_failure(name, driver):
    """With one place, a place that is lost would keep the request after the failure waiting."""
    options = {
        "limits": Limits(max_connections=1),
        "timeout": Timeouts(connect=20, pool=20, head=0.3, stall=0.3),
        "max_redirects": 2,
    }
    with Site({"/": BROKEN[name], "/2": OK}) as site:
        calls = [("GET", site.url())] * 3 + [("GET", site.url(path="/2"), {"timeout": 20})]
        *failed, last = ask(driver, options, *calls)
    assert all(isinstance(one, DugongError) for one in failed)
    assert last.content == b"ok"


@pytest.mark.reliability(39, 45)
@pytest.mark.parametrize(
    "name", ["read", "closed at once", "after a piece", "by an error", "never"]
)
def test_streams_and_a_pool_of_one(name):
    """A stream has the place until it is read or closed."""
    limits = Limits(max_connections=1)
    with (
        Site({"/": answer_of(200, body=bytes(300_000)), "/2": OK}) as site,
        client(limits=limits, timeout=Timeouts(connect=20, pool=0.2, head=20, stall=20)) as asking,
    ):
        try:
            with asking.stream("GET", site.url()) as response:
                with pytest.raises(PoolTimedOut) as failure:
                    asking.get(site.url(path="/2"))
                assert (failure.value.busy, failure.value.method) == (1, "GET")
                if name == "read":
                    assert len(response.read()) == 300_000
                    assert asking.get(site.url(path="/2")).content == b"ok"
                elif name == "after a piece":
                    next(response.iter_bytes())
                elif name == "by an error":
                    raise KeyError
        except KeyError:
            pass
        assert asking.get(site.url(path="/2")).content == b"ok"
        assert site.connections == (1 if name == "read" else 2)


@pytest.mark.reliability(45)
def test_threads_and_failures_lose_no_place():
    """8 threads, 3 places, and a server of which every third answer is broken."""
    answers = [OK, FAILURES["reset"], FAILURES["half a body"], OK, answer_of(503), closing(b"junk")]
    count = [0]
    lock = threading.Lock()

    def some(sock, seen):
        with lock:
            count[0] += 1
            answer = answers[count[0] % len(answers)]
        if callable(answer):
            return answer(sock, seen)
        sock.sendall(answer)
        return True

    done = []
    with Site({None: some}) as site, client(limits=Limits(max_connections=3)) as asking:

        def work():
            for number in range(40):
                try:
                    asking.get(site.url(f"h{number % 5}.test"))
                except DugongError:
                    pass
                done.append(number)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert len(done) == 320
        assert sum(one.busy for one in asking.stats().values()) == 0
        assert sum(one.idle for one in asking.stats().values()) <= 3


@pytest.mark.reliability(36, 66)
@pytest.mark.parametrize("driver", DRIVERS)
def test_origins_share_no_connection(driver):
    """Neither other names of one address, nor other ports, nor http and https."""
    with Site({None: OK}) as site:
        hosts = ("a.test", "A.TEST", "b.test", "a.test.", "127.0.0.1")
        ask(driver, {}, *[("GET", site.url(host)) for host in hosts])
        assert site.connections == 4
