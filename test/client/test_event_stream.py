"""The stream of events behind a source, without a network: what is sent when, and what is an error.

Not here: how callers wait for events (test_event_source.py), and bytes (http/test_sse.py).
"""

import pytest
from kit.sending import PLACE, Sends, ToldTime, request_to

from dugong_like import (
    CertificateInvalid,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DeadlineExceeded,
    DecodingError,
    DNSUnavailable,
    HostnameNotResolvable,
    InvalidOption,
    PoolTimedOut,
    Response,
    SSEError,
    StateError,
    StatusError,
    StreamReset,
    Timeouts,
)
from dugong_like.client import event_stream
from dugong_like.client.event_stream import EventStream
from dugong_like.connection import refusals
from dugong_like.polling import contract
from dugong_like.polling.wake import co_sleep

KIND = {"Content-Type": "text/event-stream"}


class Body:
    """A body of *pieces*: bytes, exceptions, and seconds that pass before the next one."""

    def __init__(self, pieces):
        self.pieces = list(pieces)
        self.is_open = True

    def co_read(self, size):
        while self.pieces:
            piece = self.pieces.pop(0)
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, bytes) and piece:
                return piece
            if piece:
                yield from co_sleep(piece)
        self.is_open = False
        return b""

    def trailers(self):
        return []

    def close(self):
        self.is_open = False


def answer(*pieces, status=200, headers=None):
    response = Response(status, KIND if headers is None else headers)
    response._wire, response._body = None, Body(pieces)
    return response


def stop():
    return answer(status=204)


class Played:
    """A stream that gets *outcomes*, responses or exceptions, in told time.

    Attributes:
        events: the data of those that have arrived.
        pauses: seconds that passed between two requests.

    """

    def __init__(self, monkeypatch, *outcomes, request=None, **options):
        self.outcomes = outcomes
        self.sends = Sends(*outcomes)
        self.ids = []
        self.told = ToldTime(monkeypatch, event_stream, contract, refusals)
        self.stream = EventStream(self.co_send, request or request_to(), **options)
        self.events = []

    def co_send(self, request):
        self.ids.append(request.headers.get("Last-Event-ID"))
        return self.sends(request)

    def play(self):
        for need in self.stream.co_live():
            if need is not None:
                self.told.wait(need)
            while self.stream.events:
                self.events.append(self.stream.events.popleft().data)
        return self.events

    def fails(self, error, match=None):
        with pytest.raises(error, match=match) as caught:
            self.play()
        assert not self.sends.outcomes
        return caught.value

    @property
    def pauses(self):
        return self.told.waits

    def all_closed(self):
        return all(
            outcome.is_closed and not outcome._body.is_open
            for outcome in self.outcomes
            if isinstance(outcome, Response)
        )


@pytest.fixture
def played(monkeypatch):
    made = []

    def make(*outcomes, **options):
        made.append(Played(monkeypatch, *outcomes, **options))
        return made[-1]

    yield make
    assert all(one.all_closed() for one in made)


@pytest.mark.feature("E39")
def test_reconnects_where_it_stood_until_the_server_says_no(played):
    one = played(
        answer(b"data: a\n\nid: 1\nda", b"ta: b\n\nid: 2\ndata: lost\n"),
        answer(b"data: c\n\nid: \xe2\x80\xa6\n\n"),
        answer(b"data: d\n\nid\ndata: e\n\n"),
        stop(),
    )
    assert one.play() == ["a", "b", "c", "d", "e"]
    assert one.ids == [None, "1", "â\x80¦", None]
    assert one.pauses == [3, 3, 3]
    assert one.stream.response.status_code == 204


def test_goes_on_after_a_given_event(played):
    one = played(answer(b"data: a\n\n"), stop(), last_event_id="7")
    assert one.stream.last_event_id == "7"
    assert one.play() == ["a"]
    assert one.ids == ["7", "7"]
    request = request_to(headers={"last-event-id": "…".encode()})
    one = played(answer(b"data: a\n\nid: 8\n\n"), stop(), request=request)
    assert one.stream.last_event_id == "…"
    one.play()
    assert one.ids == ["â\x80¦", "8"]


def test_id_is_that_of_the_event_before_a_connection_failed(played):
    failure = ConnectionClosed("broken", request_sent="yes")
    one = played(
        answer(b"id: 1\ndata: a\n\nid: 2\ndata: b", failure),
        answer(b"id: 2\ndata: b\n\n", ConnectionClosed("broken")),
        stop(),
    )
    assert one.play() == ["a", "b"]
    assert one.ids == [None, "1", "2"]


@pytest.mark.parametrize(
    ("pieces", "options", "pause"),
    [
        ([b"data: a\n\n"], {}, 3),
        ([b"data: a\n\n"], {"reconnect_after": 0.5}, 0.5),
        ([b"retry: 20\ndata: a\n\n"], {}, 0.02),
        ([b"retry: 20\n\n"], {}, 0.1),  # without an event some time passes
        ([b"retry: 200\ndata: a"], {}, 0.2),  # of an event that is not complete
        ([b"retry: 200"], {}, 3),  # of a line that is not
        ([b"retry: 120000\n\n"], {"max_wait": 10}, 120),  # the server has its reasons
        ([b"retry: 99999999999999\n\n"], {}, 86_400),
        ([b": hello\n"], {}, 3),
        ([], {}, 3),
    ],
)
def test_pause_before_a_reconnection(played, pieces, options, pause):
    one = played(answer(*pieces), stop(), **options)
    one.play()
    assert one.pauses == [pause]
    assert one.stream.reconnect_after in {pause, 0.02}


def test_server_may_ask_for_no_pause(played):
    one = played(answer(b"retry: 0\ndata: a\n\n"), answer(b"data: b\n\n"), answer(), stop())
    assert one.play() == ["a", "b"]
    assert 0.1 <= one.pauses[0] <= 0.2  # the third was empty
    assert len(one.pauses) == 1


def test_pauses_grow_while_connections_fail(played):
    down = [ConnectFailed("no", request_sent="no") for _ in range(6)]
    one = played(answer(b"data: a\n\n"), *down, answer(b":\n"), answer(), stop(), max_wait=40)
    one.play()
    grown = [3, 6, 12, 24, 40, 40, 40]
    assert one.pauses[0] == 3
    for pause, most in zip(one.pauses[1:7], grown[1:], strict=True):
        assert max(3, most / 2) <= pause <= most
    assert one.pauses[7] == 3  # it has sent something
    assert 3 <= one.pauses[8] <= 6


def test_pauses_after_empty_streams_grow(played):
    one = played(*[answer() for _ in range(5)], stop(), reconnect_after=0)
    one.play()
    assert one.pauses[0] == 0.1
    assert one.pauses[-1] >= 0.8


def truncated():
    error = DecodingError("x")
    error.truncated = True
    return error


LOST = {
    "reset, without a reason": StreamReset("x", code=0),
    "reset, as the client violates the protocol": StreamReset("x", code=1),
    "reset, as the client is too fast": StreamReset("x", code=11),
    "cut off in the coding": truncated(),
    "end in the middle": ConnectionClosed("x", request_sent="yes"),
    "nothing for a while": ConnectionTimedOut("x", phase="read"),
    "no answer": ConnectionTimedOut("x", phase="head"),
    "refused": ConnectFailed("x"),
    "no name service": DNSUnavailable("x"),
}
FINAL = {
    "certificate": CertificateInvalid("x"),
    "no such name": HostnameNotResolvable("x"),
    "broken coding": DecodingError("x"),
    "time of the caller": DeadlineExceeded("x"),
    "no place in the pool": PoolTimedOut("x"),
    "client closed": StateError("x"),
    "status, by the client": StatusError("x"),
}


@pytest.mark.parametrize("end", [None, ConnectionClosed("x", request_sent="yes")])
def test_id_that_no_field_can_have_is_an_error_of_the_stream(played, end):
    pieces = [b"id: a\x01\ndata: a\n\n", *([end] if end else [])]
    one = played(answer(*pieces))
    error = one.fails(SSEError, r"ID of the last event .*: 'a\\x01'")
    assert one.events == ["a"]
    assert error.response is not None


@pytest.mark.parametrize(("status", "retryable"), [(503, True), (429, True), (404, False)])
def test_refusals_that_time_may_end_are_retryable(played, status, retryable):
    one = played(answer(b"later", status=status))
    assert one.fails(SSEError).retryable is retryable


def test_limit_of_the_caller_ends_reading_a_refusal():
    refused = answer(100.0, status=503)
    going = EventStream(Sends(refused), request_to()).co_live()
    next(going)
    with pytest.raises(ConnectionTimedOut, match="^mine$"):
        going.throw(ConnectionTimedOut("mine"))
    assert refused.is_closed


@pytest.mark.parametrize("name", LOST)
def test_failures_of_connections_are_no_errors(played, name):
    first = answer(b"data: a\n\n")
    one = played(first, LOST[name], answer(b"data: b\n\n", LOST[name]), stop())
    assert one.play() == ["a", "b"]


@pytest.mark.parametrize("name", LOST)
def test_except_the_first_one_and_without_reconnections(played, name):
    one = played(LOST[name])
    assert one.fails(type(LOST[name])) is LOST[name]
    one = played(answer(b"data: a\n\n", LOST[name]), reconnect=False)
    assert one.fails(type(LOST[name])) is LOST[name]
    assert one.events == ["a"]


@pytest.mark.parametrize("name", FINAL)
def test_other_errors_are_raised(played, name):
    one = played(answer(b"data: a\n\n"), FINAL[name])
    assert one.fails(type(FINAL[name])) is FINAL[name]
    assert one.events == ["a"]


@pytest.mark.parametrize(
    ("method", "reconnect", "count"),
    [
        ("GET", None, 2),
        ("GET", True, 2),
        ("GET", False, 1),
        ("QUERY", None, 2),
        ("POST", None, 1),
        ("POST", False, 1),
        ("POST", True, 2),
        ("PUT", None, 1),
    ],
)
def test_methods_that_are_not_safe_are_repeated_if_asked(played, method, reconnect, count):
    request = request_to(PLACE, method, content=b"x")
    one = played(
        answer(b"data: a\n\n"), *[stop()] * (count - 1), request=request, reconnect=reconnect
    )
    assert one.play() == ["a"]
    assert len(one.sends.requests) == count
    assert {request.method for request in one.sends.requests} == {method}


def test_body_that_can_be_sent_once(played):
    def once(method):
        return request_to(PLACE, method, content=iter([b"a"]))

    with pytest.raises(InvalidOption, match="reconnect: the body .* a second time"):
        played(request=once("POST"), reconnect=True)
    one = played(answer(b"data: a\n\n"), request=once("QUERY"))
    assert one.play() == ["a"]


@pytest.mark.parametrize(
    "kind",
    [
        "text/event-stream",
        "TEXT/Event-Stream",
        "text/event-stream;charset=utf-8",
        "text/event-stream; charset=windows-1252",  # it is UTF-8 all the same
        "text/event-stream;",
        " text/event-stream ; a=b",
    ],
)
def test_content_types_of_streams(played, kind):
    one = played(answer("data: ä\n\n".encode(), headers={"Content-Type": kind}), stop())
    assert one.play() == ["ä"]


@pytest.mark.parametrize(
    ("status", "kind", "body", "words"),
    [
        (200, "text/html", b"<html>\n<body>", ["200 OK", "'text/html'", r"'<html>\n<body>'"]),
        (200, None, b"data: a\n\n", ["without a Content-Type", r"'data: a\n\n'"]),
        (200, "text/event-stream-2", b"", ["'text/event-stream-2'", "''"]),
        (200, "x bogus", b"a", ["'x bogus'"]),
        (200, "", b"a", ["without a Content-Type"]),
        (200, "application/json, text/event-stream", b"a", []),
        (200, "text/html; charset=latin-1", b"\xe4", ["'ä'"]),
        (200, "t" * 500, b"x" * 500, ["'" + "t" * 60 + "'", "'" + "x" * 60 + "'"]),
        (404, "application/json", b'{"error": "x"}', ["404 Not Found", '\'{"error": "x"}\'']),
        (500, "text/event-stream", b"data: a\n\n", ["500 Internal Server Error"]),
        (205, "text/event-stream", b"", ["205"]),
        (206, "text/event-stream", b"data: a\n\n", ["206"]),
        (299, "text/event-stream", b"", ["299"]),
        (304, None, b"", ["304"]),
        (503, None, b"busy", ["503"]),
    ],
)
def test_other_responses_are_errors_that_show_them(played, status, kind, body, words):
    headers = [] if kind is None else [("Content-Type", kind)]
    for before in ([], [answer(b"data: a\n\n")]):  # also of a reconnection (section 9.2.3)
        response = answer(body, status=status, headers=headers)
        one = played(*before, response)
        error = one.fails(SSEError, "no stream of events")
        assert str(error).startswith(f"GET {PLACE}: ")
        for word in words:
            assert word in str(error)
        assert len(str(error)) < 350
        assert error.response is response
        assert error.request is one.stream.request
        assert (error.request_sent, error.retryable) == ("yes", status == 503)
        assert response.content == body
        assert one.events == ["a"] * len(before)


def test_body_of_an_error_is_read_in_part(played):
    response = answer(*[b"x" * 50_000] * 9, status=400)
    played(response).fails(SSEError)
    assert response.content == b"x" * 65_536
    response = answer(b"begin", 600, b"end", status=400)
    one = played(response)
    one.fails(SSEError, "begins with 'begin'")
    assert response.text == "begin"
    assert sum(one.pauses) == 5
    response = answer(b"begin", ConnectionClosed("broken"), status=400)
    played(response).fails(SSEError, "begins with 'begin'")


def test_event_that_is_too_large(played):
    response = answer(b"data: a\n\ndata: b\n\ndata: " + b"x" * 200)
    one = played(response, max_event_size=100)
    error = one.fails(SSEError, "GET http://a.test/x: an event of the stream has more than 100")
    assert error.response is response
    assert one.events == ["a", "b"]
    one = played(answer(b"data: " + b"x" * 2_000_000 + b"\n\n"), stop(), max_event_size=None)
    assert len(one.play()[0]) == 2_000_000
    played(answer(b"data: " + b"x" * 2_000_000 + b"\n\n")).fails(SSEError, "1048576 bytes")


def test_total_time_is_for_all(played):
    def request():
        made = request_to(timeout=Timeouts(total=10))
        assert made.total == 10
        return made

    one = played(answer(b"data: a\n\n"), answer(2, b"data: b\n\n"), stop(), request=request())
    totals = []
    one.stream._send = lambda request: (totals.append(request.total), one.co_send(request))[1]
    assert one.play() == ["a", "b"]
    assert totals == [10, 7, 2]
    one = played(answer(b"data: a\n\n"), stop(), request=request(), reconnect_after=30)
    one.stream._send = lambda request: (totals.append(request.total), one.co_send(request))[1]
    one.play()
    assert one.pauses == [10]  # and no time is left for the request
    assert totals[-1] == 0


@pytest.mark.parametrize("stall", [60.0, 5, None])
def test_time_limits_of_the_request_and_of_the_stream(played, stall):
    timeouts = Timeouts(connect=1, stall=2, pool=3, dns=4, head=5, expect100=6)
    options = {} if stall == 60.0 else {"stall": stall}
    for given in (timeouts, 2, None):
        request = request_to(timeout=given)
        played(stop(), request=request, **options).play()
        limits = request.timeouts
        assert limits.to_read == stall
        if given is timeouts:
            reach = (limits.to_reach, limits.to_shake_hands, limits.dns, limits.expect100)
            assert reach == (1, 1, 4, 6)
            assert (limits.to_read_head, limits.to_write, limits.to_wait_for_pool) == (5, 2, 3)
        elif given == 2:
            assert (limits.to_reach, limits.to_read_head, limits.to_write) == (2, 2, 2)
        else:
            assert (limits.to_reach, limits.to_read_head, limits.to_write) == (None, stall, None)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("reconnect", "yes", TypeError),
        ("reconnect_after", "3", TypeError),
        ("reconnect_after", -1, InvalidOption),
        ("reconnect_after", None, TypeError),
        ("max_wait", object(), TypeError),
        ("max_wait", -0.1, InvalidOption),
        ("last_event_id", 7, TypeError),
        ("last_event_id", None, TypeError),
        *(("last_event_id", bad, InvalidOption) for bad in ("a\0", "a\nb", "\x7f", "\ud800")),
        ("max_event_size", 0, InvalidOption),
        ("max_event_size", 1.5, TypeError),
        ("stall", -1, InvalidOption),
        ("stall", 0, InvalidOption),
        ("stall", "x", TypeError),
    ],
)
def test_wrong_options_are_refused_by_their_names(name, value, error):
    with pytest.raises(error, match=name):
        EventStream(Sends(), request_to(), **{name: value})
