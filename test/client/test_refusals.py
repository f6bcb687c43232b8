"""Responses that ask to wait: which of them pause their origin."""

import time

import pytest

from dugong_like import Response, Retry
from dugong_like.client.refusals import note_status
from dugong_like.client.request import ClientRequest
from dugong_like.connection.origins import IN_A_ROW, Origins


@pytest.fixture
def facts():
    return Origins().facts("http://a.test")


def note(facts, status, times=1, *, method="GET", retry=Retry(), after="30", sent_at=None):  # noqa: B008
    """Note responses; each request is sent when the one before it has been answered."""
    for _ in range(times):
        request = ClientRequest(method, "http://a.test/")
        fields = {"Retry-After": after} if after else {}
        response = Response(status, fields, request=request)
        note_status(facts, retry, request, response, sent_at or time.monotonic())


def seconds(facts):
    """Return for how long nothing is to be sent."""
    return max(facts.resumes - time.monotonic(), 0)


def test_too_many_requests_pauses_the_origin_at_once(facts):
    note(facts, 429)
    assert 20 < seconds(facts) <= 30


def test_an_unavailable_service_pauses_the_origin_when_it_refuses_all(facts):
    note(facts, 503, IN_A_ROW - 1)
    assert seconds(facts) == 0
    note(facts, 503)
    assert 20 < seconds(facts) <= 30


@pytest.mark.parametrize("status", [200, 304, 404, 401])
def test_a_service_that_answers_others_is_available(facts, status):
    for _ in range(50):
        note(facts, 503, IN_A_ROW - 1)
        note(facts, status)
    assert seconds(facts) == 0


@pytest.mark.parametrize("status", [200, 304, 404, 401])
def test_what_was_sent_before_an_answered_request_does_not_show_that_all_are_refused(facts, status):
    note(facts, status, sent_at=8.0)
    for sent_at in (1.0, 2.0, 3.0, 4.0):
        note(facts, 503, sent_at=sent_at)
    assert seconds(facts) == 0
    note(facts, 503, IN_A_ROW, sent_at=9.0)
    assert seconds(facts) > 20


@pytest.mark.parametrize("retry", [Retry(0), Retry(3, budget=0)])
def test_what_is_repeated_no_more_pauses_its_origin(facts, retry):
    """The server has said the same of all others."""
    note(facts, 429, retry=retry)
    assert seconds(facts) > 20


@pytest.mark.parametrize("status", [500, 502, 504, 503])
def test_errors_of_the_server_do_not_show_that_it_is_available(facts, status):
    for _ in range(IN_A_ROW):
        note(facts, status, after=None)
        note(facts, 503)
    assert seconds(facts) > 20


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "options",
    [
        {"retry": None},
        {"retry": Retry(statuses={502})},
        {"retry": Retry(max_wait=20)},
        {"retry": Retry(respect_retry_after=False)},
        {"method": "POST"},
        {"after": None},
        {"after": "soon"},
    ],
)
def test_what_is_not_repeated_then_pauses_nothing(facts, status, options):
    note(facts, status, IN_A_ROW, **options)
    assert facts.resumes == 0
    assert facts.refusals == ()


def test_the_retry_of_a_request_holds_for_it(facts):
    request = ClientRequest("GET", "http://a.test/")
    request.extensions["retry"] = Retry(max_wait=100)
    response = Response(429, {"Retry-After": "90"}, request=request)
    note_status(facts, None, request, response, time.monotonic())
    assert seconds(facts) > 80
