"""Retries: what is repeated, after which pause, how often, and what is left open: nothing."""

import io

import pytest
from kit.cases import each_case
from kit.in_the_middle import in_the_middle
from kit.sending import PLACE, Sends, ToldTime, arriving, is_given_up, request_to

from dugong_like import (
    AnsweredEarly,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DeadlineExceeded,
    HandshakeFailed,
    InvalidOption,
    InvalidResponse,
    Origin,
    PoolTimedOut,
    Retry,
    StateError,
    run,
    within,
)
from dugong_like.client.layers import retry as retry_
from dugong_like.client.layers.retry import SAVED, Budgets, RetryLayer
from dugong_like.polling.wake import Wake

MANY = {"backoff": 0, "budget": None}


def lost(sent):
    return ConnectionClosed("lost", request_sent=sent)


def repeated(request, *outcomes, **options):
    """Return how often *request* was sent, if *outcomes* come first and then 200."""
    sends = Sends(*outcomes, arriving(200))
    layer = RetryLayer(Retry(**MANY | options))
    try:
        run(layer(request, sends))
    except Exception:
        pass
    return len(sends.requests)


@pytest.mark.feature("C26")
@pytest.mark.parametrize(
    ("method", "failure", "times"),
    [
        ("GET", lost("maybe"), 2),
        ("GET", lost("yes"), 2),
        ("PUT", lost("yes"), 2),
        ("POST", lost("no"), 2),
        ("POST", lost("maybe"), 1),
        ("PATCH", lost("yes"), 1),
        ("POST", ConnectFailed("no"), 2),
        ("GET", ConnectionTimedOut("slow", request_sent="maybe", phase="read"), 2),
        ("GET", ConnectionTimedOut("slow", phase="connect"), 2),
        ("POST", ConnectionTimedOut("slow", request_sent="maybe", phase="head"), 1),
        # No attempt has failed: a limit for the whole has passed.
        ("GET", ConnectionTimedOut("of the caller"), 1),
        ("GET", DeadlineExceeded("total"), 1),
        ("GET", PoolTimedOut("busy"), 1),
        ("GET", InvalidResponse("no HTTP", request_sent="yes"), 1),
        ("GET", AnsweredEarly("413", request_sent="yes"), 1),
        ("GET", StateError("closed"), 1),
        ("GET", LookupError("not of the library"), 1),
        ("GET", HandshakeFailed("no common version"), 2),
    ],
)
def test_errors_that_are_repeated(method, failure, times):
    assert repeated(request_to(method=method), failure) == times


@pytest.mark.feature("C26")
@each_case("status", [404, 408, 429, 500, 501, 502, 503, 504])
@each_case("method", ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"])
def test_statuses_that_are_repeated(status, method):
    wanted = status in {429, 502, 503, 504} and method not in {"POST", "PATCH"}
    assert repeated(request_to(method=method), arriving(status)) == 1 + wanted
    assert repeated(request_to(method=method), arriving(status), statuses=[status]) == 1 + (
        method not in {"POST", "PATCH"}
    )
    assert repeated(request_to(method=method), arriving(status), statuses=()) == 1
    assert repeated(request_to(method=method), arriving(503), methods=["post"]) == 1 + (
        method == "POST"
    )


@pytest.mark.parametrize(
    ("body", "times"),
    [
        (b"x", 2),
        ([b"x", b"y"], 2),
        (io.BytesIO(b"x"), 2),
        (iter([b"x"]), 1),
        ((piece for piece in [b"x"]), 1),
    ],
)
def test_bodies_that_can_be_read_again(body, times):
    for outcome in (arriving(503), lost("yes")):
        assert repeated(request_to(method="PUT", content=body), outcome) == times


def test_number_of_repetitions():
    last = arriving(503)
    sends = Sends(lost("no"), arriving(503), last)
    assert run(RetryLayer(Retry(2, **MANY))(request_to(), sends)) is last
    assert last.content == b"somemore"  # it is the caller's
    failures = [lost("yes") for _ in range(3)]
    with pytest.raises(ConnectionClosed) as caught:
        run(RetryLayer(Retry(2, **MANY))(request_to(), Sends(*failures)))
    assert caught.value is failures[-1]
    assert repeated(request_to(), arriving(503), total=0) == 1


def test_pauses_double_up_to_the_longest(monkeypatch):
    time = ToldTime(monkeypatch, retry_)
    layer = RetryLayer(Retry(6, backoff=1, max_wait=10, jitter=False, budget=None))
    time.finish(layer(request_to(), Sends(*[arriving(503)] * 6, arriving(200))))
    assert time.waits == [1, 2, 4, 8, 10, 10]


def test_jitter_makes_pauses_shorter_by_half_at_most():
    pauses = [Retry(backoff=1).pause(1) for _ in range(200)]
    assert all(1 <= pause <= 2 for pause in pauses)
    assert len(set(pauses)) > 100
    assert Retry(backoff=1e9, jitter=False).pause(10**6) == 60
    assert Retry(backoff=0).pause(3) == 0


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7),
        ("0", None),
        ("60", 60),
        ("Thu, 01 Jan 1970 00:16:50 GMT", 10),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),  # it is over
        ("soon", 1),  # nothing that can be read: the usual pause
        ("-5", 1),
        ("1.5", 1),
    ],
)
def test_retry_after(monkeypatch, value, wait):
    time = ToldTime(monkeypatch, retry_)
    layer = RetryLayer(Retry(backoff=1, jitter=False), clock=lambda: time.now)
    sends = Sends(arriving(503, {"Retry-After": value}), arriving(200))
    assert time.finish(layer(request_to(), sends)).status_code == 200
    assert time.waits == [] if wait is None else time.waits == [wait]


@pytest.mark.parametrize("value", ["61", "99999999999999999999", "Fri, 31 Dec 2100 00:00:00 GMT"])
def test_response_that_asks_for_too_long_a_pause_is_returned(monkeypatch, value):
    time = ToldTime(monkeypatch, retry_)
    response = arriving(429, {"Retry-After": value})
    layer = RetryLayer(Retry(max_wait=60, jitter=False), clock=lambda: time.now)
    assert time.finish(layer(request_to(), Sends(response))) is response
    assert response.content == b"somemore"


def test_retry_after_may_be_ignored(monkeypatch):
    time = ToldTime(monkeypatch, retry_)
    layer = RetryLayer(Retry(backoff=1, jitter=False, respect_retry_after=False))
    time.finish(layer(request_to(), Sends(arriving(503, {"Retry-After": "3000"}), arriving(200))))
    assert time.waits == [1]


@pytest.mark.parametrize("outcome", ["response", "failure"])
def test_no_pause_goes_beyond_the_total_time(monkeypatch, outcome):
    time = ToldTime(monkeypatch, retry_)
    layer = RetryLayer(Retry(backoff=4, jitter=False))
    request = request_to()
    request.deadline = time.now + 10
    outcomes = [lost("no") if outcome == "failure" else arriving(503) for _ in range(3)]
    if outcome == "failure":
        with pytest.raises(ConnectionClosed):
            time.finish(layer(request, Sends(*outcomes)))
    else:
        assert time.finish(layer(request, Sends(*outcomes))) is outcomes[1]
    assert time.waits == [4]  # the second one would be 8


def test_budget_is_a_share_of_the_requests_to_an_origin():
    retry = Retry(100, backoff=0, budget=0.5)
    assert repeated(request_to(), *[arriving(503)] * 100, total=100) == 101

    def attempts(url):
        sends = Sends(*[arriving(503) for _ in range(100)])
        run(RetryLayer(retry)(request_to(url), sends))
        return len(sends.requests)

    assert attempts(PLACE) == 1 + SAVED
    assert [attempts(PLACE) for _ in range(4)] == [1, 2, 1, 2]  # every other one
    assert attempts("http://b.test/") == 1 + SAVED
    assert attempts("http://a.test:81/") == 1 + SAVED


def test_budgets_of_the_origins_used_last_are_kept():
    budgets = Budgets(0.0)
    places = [Origin("http", f"h{number}.test") for number in range(retry_.MOST_ORIGINS + 1)]
    budgets.earn(places[0])
    while budgets.spend(places[0]):
        pass
    for place in places[1:]:
        budgets.earn(place)
    assert len(budgets._saved) == retry_.MOST_ORIGINS
    budgets.earn(places[0])
    assert budgets.spend(places[0])  # forgotten


@pytest.mark.feature("D18")
def test_on_retry_is_called_with_what_has_failed():
    seen = []

    def on_retry(response, data, exc, request):
        seen.append((response and response.status_code, exc and str(exc), request.attempts))

    request = request_to(hooks={"on_retry": on_retry})
    layer = RetryLayer(Retry(**MANY))
    run(layer(request, Sends(arriving(503), lost("no"), arriving(200))))
    assert seen == [(503, None, 1), (None, "lost", 2)]


def test_responses_that_are_not_returned_are_given_up():
    first, long, second = arriving(503), arriving(503, None, *[b"x" * 40000] * 3), arriving(200)
    run(RetryLayer(Retry(**MANY))(request_to(), Sends(first, long, second)))
    assert is_given_up(first)
    assert first._body.closed == 0  # it was read, so the connection can be used again
    assert (is_given_up(long), long._body.closed) == (True, 1)
    assert second.content == b"somemore"


@pytest.mark.parametrize(
    ("status", "headers", "options", "is_received"),
    [
        (200, None, {}, True),
        (503, None, {"method": "POST"}, True),
        (302, {"Location": "/y"}, {"follow_redirects": False}, True),
        (302, {}, {}, True),
        (401, None, {}, True),
        (401, None, {"auth": ("u", "p")}, False),
        (302, {"Location": "/y"}, {}, False),
        (200, None, {"stream": True}, False),
        (503, None, {"method": "POST", "stream": True}, False),
    ],
)
def test_bodies_that_belong_to_an_attempt(status, headers, options, is_received):
    response = arriving(status, headers)
    assert run(RetryLayer(Retry(**MANY))(request_to(**options), Sends(response))) is response
    assert response.is_closed is is_received


@pytest.mark.parametrize("problem", ["hook", "body", "closed"])
def test_response_is_given_up_if_anything_fails(monkeypatch, problem):
    response = arriving(503)
    request = request_to(method="PUT", content=[b"x"])
    layer = RetryLayer(Retry(backoff=1))
    if problem == "hook":

        def fail(response, **kwargs):
            raise LookupError

        request = request_to(hooks={"on_retry": fail})
    elif problem == "body":

        def fail():
            raise LookupError

        monkeypatch.setattr(request, "rewindable", fail)
    op = layer(request, Sends(response))
    if problem == "closed":
        next(op)
        op.close()
    else:
        with pytest.raises(LookupError):
            run(op)
    assert is_given_up(response)


def test_time_limit_of_the_caller_is_no_failure_of_an_attempt():
    never, count = Wake(), 0

    def co_hang(request):
        nonlocal count
        count += 1
        yield from never.co_wait()

    with pytest.raises(ConnectionTimedOut):
        run(RetryLayer(Retry(**MANY))(request_to(), co_hang), timeout=0.01)
    with pytest.raises(ConnectionTimedOut):
        run(within(0, RetryLayer(Retry(**MANY))(request_to(), co_hang)))
    assert count == 2
    never.close()


def test_retry_of_the_request_replaces_that_of_the_client():
    sends = Sends(arriving(503), arriving(503))
    layer = RetryLayer(Retry(**MANY))
    assert run(layer(request_to(retry=None), sends)).status_code == 503
    assert run(layer(request_to(retry=Retry(0)), sends)).status_code == 503
    assert run(RetryLayer(None)(request_to(retry=Retry(**MANY)), Sends(arriving(503), arriving())))
    with pytest.raises(TypeError, match=r"Retry\(…\)"):
        request_to(retry=3)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"total": -1}, InvalidOption),
        ({"total": 1.5}, TypeError),
        ({"statuses": [99]}, InvalidOption),
        ({"statuses": ["503"]}, TypeError),
        ({"statuses": "503"}, TypeError),
        ({"statuses": 503}, TypeError),
        ({"methods": "GET"}, TypeError),
        ({"methods": [1]}, TypeError),
        ({"backoff": -1}, InvalidOption),
        ({"max_wait": None}, TypeError),
        ({"jitter": "no"}, TypeError),
        ({"respect_retry_after": None}, TypeError),
        ({"budget": 2}, InvalidOption),
        ({"budget": "all"}, TypeError),
    ],
)
def test_wrong_arguments(options, error):
    with pytest.raises(error):
        Retry(**options)


def test_repr():
    assert repr(Retry()) == "Retry(3, statuses=[429, 502, 503, 504], budget=0.2)"


@pytest.mark.parametrize("call", [Budgets.earn, Budgets.spend])
@pytest.mark.parametrize("action", [Budgets.earn, Budgets.spend])
def test_a_finalizer_may_count_in_the_middle_of_counting(call, action):
    """It would wait for ever for a lock that its own thread has."""
    origin = Origin("http", "h")
    for budgets in in_the_middle(
        lambda: Budgets(0.5), lambda one: call(one, origin), lambda one: action(one, origin), retry_
    ):
        assert budgets.spend(origin)
