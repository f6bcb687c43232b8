"""Bearer tokens: fixed, and from functions."""

import pytest
from kit.flows import Client

from dugong_like import BearerAuth, InvalidRequest, Wake
from dugong_like.polling.wake import co_checkpoint


def accepts(*tokens):
    def respond(method, path, value, body):
        good = value is not None and value.removeprefix("Bearer ") in tokens
        return (200, [], b"") if good else (401, [("WWW-Authenticate", "Bearer")], b"")

    return respond


@pytest.mark.feature("D10")
def test_token_goes_with_the_first_request_and_once():
    client = Client(BearerAuth("mF_9.B5f-4.1JqM"), accepts())

    assert client.request().status_code == 401
    assert client.sent == [("GET", "http://server.test/a?b=c", "Bearer mF_9.B5f-4.1JqM")]


def test_function_is_asked_for_each_request():
    tokens = iter(["a", "b", "c"])
    client = Client(BearerAuth(lambda: next(tokens)), accepts("a", "b"))

    assert [client.request().status_code for _ in range(2)] == [200, 200]
    assert [sent[2] for sent in client.sent] == ["Bearer a", "Bearer b"]


@pytest.mark.parametrize(
    ("tokens", "status", "sent"),
    [(["old", "new"], 200, 2), (["old", "old"], 401, 1), (["old", "older", "new"], 401, 2)],
)
def test_refused_token_is_replaced_once(tokens, status, sent):
    given = iter(tokens)
    client = Client(BearerAuth(lambda: next(given)), accepts("new"))

    assert client.request().status_code == status
    assert len(client.sent) == sent


def test_function_may_be_an_operation():
    def co_token():
        with Wake() as wake:
            wake.set()
            yield from wake.co_wait()
        yield from co_checkpoint()
        return "good"

    client = Client(BearerAuth(co_token), accepts("good"))
    assert client.request().status_code == 200


@pytest.mark.parametrize("bad", ["", "a b", "a\r\nX: y", None, b"a"])
def test_tokens_that_cannot_be_sent(bad):
    with pytest.raises((InvalidRequest, TypeError)):
        BearerAuth(bad)
    with pytest.raises((InvalidRequest, TypeError)):
        Client(BearerAuth(lambda: bad), accepts()).request()


def test_values_that_show_nothing():
    assert repr(BearerAuth("secret")) == "BearerAuth()"
    assert BearerAuth("a") == BearerAuth("a") != BearerAuth("b")
    assert len({BearerAuth("a"), BearerAuth("a")}) == 1
    assert BearerAuth("a") != "a"
