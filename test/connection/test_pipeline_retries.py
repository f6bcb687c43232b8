"""Pipelines: what is sent again, when, and how often."""

import math
import time

import pytest
from kit.every_driver import DRIVERS
from kit.support import ScriptedServer, read_head

from dugong_like import (
    ConnectFailed,
    ConnectionClosed,
    HTTPConnection,
    InvalidOption,
    NotAnswered,
    Pipeline,
    Request,
    Retry,
    ScriptedTransport,
)
from dugong_like.connection import pipeline as module
from dugong_like.connection.origins import ORIGINS
from dugong_like.connection.pipeline import ATTEMPTS, BACKOFF
from dugong_like.polling.contract import POLLIN


def answer(text, *fields, status=200):
    lines = "".join(f"{field}\r\n" for field in fields)
    head = f"HTTP/1.1 {status} Reason\r\n{lines}Content-Length: {len(text)}\r\n\r\n"
    return (head + text).encode()


def gets(count):
    return [Request(target=f"/{number}") for number in range(count)]


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that pipelines make: they are over at once."""
    made = []
    now = [time.monotonic()]

    def co_pause(seconds, reason):
        made.append(seconds)
        now[0] += seconds
        return iter(())

    monkeypatch.setattr(module, "co_pause", co_pause)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return made


@pytest.mark.parametrize("made", range(4, 8))
def test_requests_that_were_made_before_an_error_are_answered_in_order(made, pauses):
    """Although some are sent again, in front of those that were made just before the error."""

    def making():
        yield from gets(made)
        raise ValueError("no more")

    refused = answer("", "Retry-After: 1", status=503)
    numbers = [answer(str(each)) for each in range(made)]
    wires = [refused, *numbers[1:4], refused, numbers[0], *numbers[4:]]
    with HTTPConnection("example.org", transport=ScriptedTransport(wires)) as conn:
        pipeline = Pipeline(conn, making(), depth=8, statuses={503})
        bodies = []
        with pytest.raises(ValueError, match="no more"):
            while True:
                bodies.append(pipeline.next().body)
        bodies += [each.body for each in pipeline]

    assert bodies == [str(each).encode() for each in range(made)]


@pytest.mark.parametrize("looks", range(4))
def test_a_pause_of_the_origin_may_begin_between_any_two_looks_at_it(looks, pauses, monkeypatch):
    """Another connection of the program has been refused meanwhile."""
    seconds = [*[0.0] * looks, 5.0]
    monkeypatch.setattr(Pipeline, "_pause", lambda _: seconds.pop(0) if seconds else 0.0)
    with HTTPConnection(
        "example.org", transport=ScriptedTransport([answer(str(each)) for each in range(2)])
    ) as conn:
        assert [each.body for each in Pipeline(conn, gets(2), depth=1)] == [b"0", b"1"]
    assert seconds == []


# ---- what is known of a request that is given up


@pytest.mark.reliability(41)
def test_error_says_what_is_known():
    transport = ScriptedTransport(*[[answer("whole")[:-2]]] * 2)
    with HTTPConnection("example.org", transport=transport) as conn:
        [request] = requests = gets(1)
        with pytest.raises(NotAnswered, match="sent 2 times") as caught:
            Pipeline(conn, requests, attempts=2).run()
    problem = caught.value
    assert (problem.attempts, problem.request_sent) == (2, "yes")
    assert problem.request is request
    assert problem.response.status == 200
    assert problem.retryable
    assert isinstance(problem, ConnectionClosed)
    assert problem.url == "http://example.org/0"


@pytest.mark.parametrize(
    ("method", "body", "reason"),
    [
        ("POST", list, "POST is not idempotent"),
        ("PUT", iter, "its body cannot be read a second time"),
    ],
)
def test_error_says_why_a_request_is_not_sent_again(method, body, reason):
    request = Request(method, "/", body=body([b"abc"]))
    with HTTPConnection("example.org", transport=ScriptedTransport([])) as conn:
        with pytest.raises(NotAnswered, match=f"is not sent again: {reason}") as caught:
            Pipeline(conn, [request]).run()
    assert caught.value.attempts == 1
    assert caught.value.request_sent == "maybe"


@pytest.mark.reliability(41)
def test_post_that_is_marked_as_safe_is_pipelined_and_sent_again():
    transport = ScriptedTransport([answer("a")], [answer("b")] * 2)
    requests = [Request("POST", f"/{number}", body=b"abc") for number in range(3)]
    for request in requests:
        assert not request.idempotent
        request.idempotent = True
    with HTTPConnection("example.org", transport=transport, content_md5=False) as conn:
        answers = Pipeline(conn, requests).run()
    assert [each.body for each in answers] == [b"a", b"b", b"b"]
    assert transport.streams[0].sent.count(b"POST") == 3
    with pytest.raises(TypeError):
        requests[0].idempotent = "yes"


def test_mark_that_is_taken_away_leaves_it_to_the_method():
    for method, idempotent in ("GET", True), ("POST", False):
        request = Request(method)
        request.idempotent = True
        assert request.idempotent
        request.idempotent = False
        assert request.idempotent is idempotent


# ---- pauses


@pytest.mark.reliability(41)
def test_pauses_grow_while_nothing_is_answered(pauses):
    transport = ScriptedTransport([answer("a")], *[[]] * 4, [answer("b")])
    with HTTPConnection("example.org", transport=transport, timeout=None) as conn:
        pipeline = Pipeline(conn, gets(2), attempts=9, backoff=1, max_wait=3)
        assert [each.body for each in pipeline] == [b"a", b"b"]
    assert len(pauses) == 4  # none after the connection that has answered something
    for pause, most in zip(pauses, (1, 2, 3, 3), strict=True):
        assert most / 2 <= pause <= most


@pytest.mark.parametrize("options", [{}, {"attempts": 8}, {"attempts": 4, "backoff": 8.0}])
def test_each_request_of_a_server_that_ends_all_connections_fails_in_bounded_time(pauses, options):
    """The pauses for one are not longer because others have failed before."""
    attempts, backoff = options.get("attempts", 3), options.get("backoff", 0.1)
    transport = ScriptedTransport(*[[]] * 20 * attempts)
    with HTTPConnection("example.org", transport=transport, timeout=None) as conn:
        pipeline = Pipeline(conn, gets(20), max_wait=20, **options)
        for number in range(20):
            with pytest.raises(NotAnswered) as caught:
                pipeline.next()
            assert caught.value.request.target == f"/{number}"
            assert len(pauses) == attempts - 1
            assert sum(pauses) <= sum(min(backoff * 2**each, 20) for each in range(attempts - 1))
            pauses.clear()
        assert pipeline.next() is None


def test_pauses_by_default_are_what_the_documentation_says():
    """Of a pipeline, of retries, and of a map with both."""
    of_retries = sum(Retry().backoff * 2**number for number in range(Retry().total))
    assert of_retries == 3.5
    assert of_retries + (Retry().total + 1) * 0.3 == pytest.approx(4.7)
    assert pytest.approx(0.3) == BACKOFF * (2 ** (ATTEMPTS - 1) - 1)
    assert pytest.approx(12.7) == BACKOFF * (2 ** (8 - 1) - 1)


def test_server_that_restarts_is_waited_for(pauses):
    script = [answer("a")], ConnectFailed("no"), ConnectFailed("no"), [answer("b")] * 2
    with HTTPConnection("example.org", transport=ScriptedTransport(*script)) as conn:
        assert [each.body for each in Pipeline(conn, gets(3))] == [b"a", b"b", b"b"]
    assert len(pauses) == 2


def test_server_that_is_gone_costs_no_request_more_than_it_has_to(pauses):
    script = [answer("a")], *[ConnectFailed("no")] * 9
    with HTTPConnection("example.org", transport=ScriptedTransport(*script)) as conn:
        pipeline = Pipeline(conn, gets(4))
        assert pipeline.next().body == b"a"
        for _ in range(3):
            with pytest.raises(ConnectFailed):
                pipeline.next()
        assert pipeline.next() is None
    assert len(pauses) == 2  # of the first one only


# ---- answers that ask for another attempt


class Busy:
    """A server that answers with the target, and refuses each third target at first."""

    def __init__(self):
        self.seen = []

    def __call__(self, sock):
        while head := read_head(sock):
            target = head.split(b" ")[1].decode()
            if int(target[1:]) % 3 == 1 and target not in self.seen:
                sock.sendall(answer("no", "Retry-After: 0", status=503))
            else:
                sock.sendall(answer(target))
            self.seen.append(target)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.reliability(41)
def test_answers_that_ask_for_it_are_asked_again_and_the_order_is_kept(driver):
    busy = Busy()
    with ScriptedServer(busy) as server:
        with HTTPConnection("127.0.0.1", server.port, timeout=60) as conn:
            pipeline = Pipeline(conn, gets(50), depth=10, statuses={503})
            answers = driver(pipeline.co_run())
    assert [each.body.decode() for each in answers] == [f"/{number}" for number in range(50)]
    assert [each.request.target for each in answers] == [f"/{number}" for number in range(50)]
    assert len(busy.seen) == 50 + 17


def test_order_is_kept_if_the_connection_is_lost_between():
    no = answer("no", "Retry-After: 0", status=503)
    transport = ScriptedTransport([answer("0"), no, answer("2")], [answer("1"), answer("3")])
    with HTTPConnection("example.org", transport=transport) as conn:
        answers = Pipeline(conn, gets(4), statuses={503}).run()
    assert [each.body for each in answers] == [b"0", b"1", b"2", b"3"]


def test_answer_is_returned_after_as_many_attempts(pauses):
    no = answer("no", status=503)
    with HTTPConnection("example.org", transport=ScriptedTransport([no] * 3)) as conn:
        [only] = Pipeline(conn, gets(1), statuses={503}, attempts=3, backoff=8).run()
    assert only.response.status == 503
    assert [4 <= pauses[0] <= 8, 8 <= pauses[1] <= 16] == [True, True]


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("GET", None, "Retry-After: 61"),
        ("POST", list, "Retry-After: 0"),
        ("PUT", iter, "Retry-After: 0"),
    ],
)
def test_answer_is_returned_if_the_pause_is_too_long_or_the_request_must_not_be_repeated(
    method, body, field
):
    request = Request(method, body=body and body([b"x"]))
    no = answer("no", field, status=503)
    with HTTPConnection("example.org", transport=ScriptedTransport([no])) as conn:
        [only] = Pipeline(conn, [request], statuses={503}).run()
    assert only.response.status == 503


def test_nothing_is_asked_again_unless_it_was_said():
    no = answer("no", "Retry-After: 0", status=503)
    with HTTPConnection("example.org", transport=ScriptedTransport([no])) as conn:
        assert Pipeline(conn, gets(1)).next().response.status == 503


def test_retry_after_pauses_the_whole_origin(pauses):
    no = answer("no", "Retry-After: 30", status=429)
    transport = ScriptedTransport([no, answer("1"), answer("0")], [answer("other")])
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, gets(2), statuses={429})
        op = pipeline.co_next()
        assert ORIGINS.facts("http://example.org").resumes == 0
        assert next(op).mask == POLLIN  # it has paused, and asks again
        assert pauses == [30]
        op.close()
        with HTTPConnection("example.org", transport=transport) as other:
            answers = [each.body for each in pipeline]
            assert pauses == [30]
            ORIGINS.facts("http://example.org").pause(7)
            assert Pipeline(other, gets(1)).next().body == b"other"
    assert answers == [b"0", b"1"]
    assert pauses == [30, 7]


# ---- servers that cannot pipeline


@pytest.mark.reliability(41)
@pytest.mark.parametrize("loss", ["close", "nonsense", "wait"])
def test_server_that_cannot_pipeline_is_served_one_by_one(loss):
    """It answers the first request of what has arrived, and loses the rest."""
    end = {"close": [], "nonsense": [b"nonsense\r\n\r\n"], "wait": [math.inf]}[loss]
    scripts = [["0"], ["1", "2", "3"], ["4", "5"]]  # 32 together; two; two, without those alone
    transport = ScriptedTransport(
        *[[*map(answer, script), *end] for script in scripts],
        [answer(str(number)) for number in range(6, 40)],
        [answer(str(number)) for number in range(20)],
    )
    timeout = 0.05 if loss == "wait" else 60
    for count in 40, 20:
        with HTTPConnection("example.org", transport=transport, timeout=timeout) as conn:
            answers = Pipeline(conn, gets(count), backoff=0).run()
        assert [int(each.body) for each in answers] == [*range(count)]
    assert ORIGINS.facts("http://example.org").one_by_one
    assert len(transport.streams) == 5  # it is remembered


# ---- memory, and what makes the requests


def test_bodies_of_unanswered_requests_are_few():
    transport = ScriptedTransport([answer("a")] * 20)
    with HTTPConnection("example.org", transport=transport, content_md5=False) as conn:
        requests = [Request("PUT", f"/{number}", body=bytes(1000)) for number in range(20)]
        pipeline = Pipeline(conn, requests, max_bytes=3000)
        most = 0
        for answered in range(20):
            pipeline.next()
            most = max(most, transport.streams[0].sent.count(b"PUT") - answered)
        assert pipeline.next() is None
    assert 1 < most <= 4


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_what_makes_the_requests_may_fail_at_any_time_and_no_answer_is_lost(depth):
    def making():
        yield from gets(3)
        raise LookupError

    transport = ScriptedTransport([answer("a"), answer("b"), answer("c")])
    bodies, failures = [], 0
    with HTTPConnection("example.org", transport=transport) as conn:
        pipeline = Pipeline(conn, making(), depth=depth)
        while True:
            try:
                given = pipeline.next()
            except LookupError:
                failures += 1
                continue
            if given is None:
                break
            bodies.append(given.body)
    assert (bodies, failures) == ([b"a", b"b", b"c"], 1)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ({"attempts": 0}, InvalidOption),
        ({"attempts": "3"}, TypeError),
        ({"backoff": -1}, InvalidOption),
        ({"max_wait": "1"}, TypeError),
        ({"statuses": "503"}, TypeError),
        ({"statuses": 503}, TypeError),
        ({"statuses": [5]}, InvalidOption),
        ({"max_bytes": 0}, InvalidOption),
    ],
)
def test_options_are_checked(option, problem):
    with HTTPConnection("example.org") as conn, pytest.raises(problem):
        Pipeline(conn, **option)
