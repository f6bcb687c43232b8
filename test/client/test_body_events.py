import pytest

from dugong_like.client.body_events import BodyEvents
from dugong_like.client.events import Hooks
from dugong_like.client.request import ClientRequest
from dugong_like.polling.contract import run

REQUEST = ClientRequest("GET", "http://a.test/")


@pytest.fixture
def told():
    return []


@pytest.fixture
def events(told):
    def note(name):
        return lambda response, data, exc, request: told.append((name, response, data, exc))

    names = ("data_received", "data_processed", "post_request")
    return BodyEvents(REQUEST, Hooks({name: note(name) for name in names}))


def test_data_is_reported_at_once(events, told):
    run(events.co_report("response", "data_received", b"ab"))

    assert told == [("data_received", "response", b"ab", None)]


def test_data_is_kept_until_it_is_taken_in_its_order(events, told):
    events.keep()
    run(events.co_report("response", "data_received", b"ab"))
    run(events.co_report("response", "data_processed", b"AB"))

    assert events.is_kept
    assert told == []
    assert events.take_kept() == [("data_received", b"ab"), ("data_processed", b"AB")]
    assert not events.is_kept
    assert events.take_kept() == []


def test_decoded_bytes_are_collected_from_the_first_call_on(events):
    run(events.co_report("response", "data_processed", b"before"))
    assert events.take_processed() == b""
    run(events.co_report("response", "data_processed", b"A"))
    run(events.co_report("response", "data_received", b"not these"))
    run(events.co_report("response", "data_processed", b"B"))

    assert events.take_processed() == b"AB"
    assert events.take_processed() == b""
    events.forget_processed()
    run(events.co_report("response", "data_processed", b"C"))
    assert events.take_processed() == b""


def test_end_is_reported_once_and_only_if_it_is_to_be(events, told):
    run(events.co_end("response"))
    events.end("response", None)
    assert told == []
    events.reports_end = True

    run(events.co_end("response"))
    events.end("response", ValueError())

    assert told == [("post_request", "response", None, None)]


def test_end_by_an_error_is_reported_with_it_and_once(events, told):
    error = ValueError()
    events.reports_end = True

    events.end("response", error)
    run(events.co_end("response"))

    assert told == [("post_request", "response", None, error)]


def test_end_is_over_before_its_function_is_called(told):
    """Which may close the response, or read it."""
    events = BodyEvents(REQUEST, Hooks({"post_request": lambda *_, **__: told.append(end())}))
    events.reports_end = True

    def end():
        events.end("response", None)
        return "once"

    run(events.co_end("response"))

    assert told == ["once"]
