"""Answers by rules: which rule answers, what is noted, and what a strict check finds."""

import re

import pytest
from kit.sending import PLACE

from dugong_like import Client, ConnectionClosed, MockDispatcher, Response, Retry, StateError
from dugong_like.polling.wake import co_sleep


def client_of(mock, **options):
    return Client(dispatcher=mock, **options)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({}, True),
        ({"method": "post"}, True),
        ({"method": "GET"}, False),
        ({"url": PLACE}, True),
        ({"url": "http://a.test/"}, False),
        ({"url": re.compile(r"http://a\.test/.*")}, True),
        ({"url": re.compile(r"http://a\.test/")}, False),  # all of it
        ({"body": b'{"a": 1}'}, True),
        ({"body": '{"a": 1}'}, True),
        ({"body": b"x"}, False),
        ({"json": {"a": 1}}, True),
        ({"json": {"a": 2}}, False),
        ({"headers": {"x-a": "b"}}, True),
        ({"headers": {"X-A": "c"}}, False),
        ({"headers": {"X-B": "b"}}, False),
    ],
)
def test_rules_that_fit(rule, fits):
    mock = MockDispatcher()
    mock.add(**rule).reply(201)
    mock.add().reply(202)
    response = client_of(mock).post(PLACE, content=b'{"a": 1}', headers={"X-A": "b"})
    assert response.status_code == (201 if fits else 202)


def test_body_that_is_no_json_fits_no_json():
    mock = MockDispatcher()
    mock.add(json={"a": 1})
    with pytest.raises(StateError, match="with a body"):
        client_of(mock).post(PLACE, content=b"{")


def test_replies_come_one_after_the_other():
    mock = MockDispatcher()
    rule = mock.add().reply(201).reply(202, {"X-A": "b"}, b"body").reply(text="ä")
    found = [client_of(mock).get(PLACE) for _ in range(4)]
    assert [one.status_code for one in found] == [201, 202, 200, 200]
    assert [one.text for one in found] == ["", "body", "ä", "ä"]
    assert rule.count == 4
    mock.check()


def test_rule_for_some_requests_only():
    mock = MockDispatcher()
    mock.add().reply(201).times(2)
    mock.add().reply(202)
    assert [client_of(mock).get(PLACE).status_code for _ in range(3)] == [201, 201, 202]
    MockDispatcher().add().times(0)


@pytest.mark.parametrize("requests", range(4))
def test_check_misses_what_did_not_come(requests):
    mock = MockDispatcher()
    mock.add("GET", PLACE).reply(200).reply(201).reply(202)
    for _ in range(requests):
        client_of(mock).get(PLACE)
    if requests == 3:
        with mock:
            pass
        return
    with pytest.raises(AssertionError, match=rf"GET {PLACE} \({3 - requests} missing\)"):
        with mock:
            pass
    with pytest.raises(LookupError):
        with mock:
            raise LookupError


def test_request_that_no_rule_fits_is_an_error_twice():
    mock = MockDispatcher()
    mock.add("GET", "http://b.test/")
    with pytest.raises(
        StateError, match=r"fits GET .*token=\S*\. Its rules: GET http://b"
    ) as caught:
        client_of(mock).get(f"{PLACE}?token=secret")
    assert "secret" not in str(caught.value)
    client_of(mock).get("http://b.test/")
    with pytest.raises(AssertionError, match="no rule"):
        mock.check()


def test_failures_are_new_each_time():
    mock = MockDispatcher()
    mock.add().fail(ConnectionClosed("lost"))
    seen = []
    for method in ("POST", "PATCH"):
        with pytest.raises(ConnectionClosed) as caught:
            client_of(mock).request(method, PLACE)
        seen.append(caught.value)
    assert seen[0] is not seen[1]
    mock = MockDispatcher()
    mock.add().fail(ConnectionClosed("lost")).reply(200)
    assert client_of(mock, retry=Retry(backoff=0)).get(PLACE).attempts == 2
    for wrong in (1, None, ConnectionClosed):
        with pytest.raises(TypeError, match="exception"):
            mock.add().fail(wrong)


def test_calls_are_noted_as_they_were_sent():
    """The client changes a request before it sends it again."""

    class Twice:
        def auth_flow(self, request):
            yield request
            request.headers["X-Round"] = "2"
            yield request

    mock = MockDispatcher()
    mock.add()
    client_of(mock, auth=Twice()).put(PLACE, json=[1])
    assert [call.request.headers.get("x-round") for call in mock.calls] == [None, "2"]
    assert [(call.method, str(call.url), call.json()) for call in mock.calls] == [
        ("PUT", PLACE, [1])
    ] * 2


def test_bodies_are_read_once_as_by_a_server():
    mock = MockDispatcher()
    mock.add().reply(503)
    client = client_of(mock, retry=Retry(2, backoff=0))
    client.put(PLACE, content=(piece for piece in [b"a", b"b"]))
    client.put(PLACE, content=[b"a", b"b"])
    assert [call.content for call in mock.calls] == [b"ab"] * 4  # one, and three


def test_handler_comes_before_the_rules_and_may_wait():
    seen = []

    def co_handler(request):
        yield from co_sleep(0.001)
        seen.append(request.body)
        return Response(201)

    mock = MockDispatcher(lambda request: co_handler(request) if request.body else None)
    mock.add().reply(202)
    assert client_of(mock).post(PLACE, content=[b"x", b"y"]).status_code == 201
    assert client_of(mock).get(PLACE).status_code == 202
    assert seen == [b"xy"]
    with pytest.raises(TypeError, match="Response or None"):
        client_of(MockDispatcher(lambda request: 200)).get(PLACE)


def test_wrong_arguments():
    with pytest.raises(TypeError):
        MockDispatcher(1)
    with pytest.raises(ValueError):
        MockDispatcher().add(url="a.test")
    with pytest.raises(ValueError):
        MockDispatcher().add().reply(99)
    with pytest.raises(TypeError):
        MockDispatcher().add().by(1)
    with pytest.raises(TypeError):
        MockDispatcher().add().times("1")
