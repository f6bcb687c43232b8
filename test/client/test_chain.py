"""The layers of a client: their order, and which of them are there."""

import logging
import sys

import pytest

from dugong_like import BasicAuth, ClientRequest, Cookies, MockDispatcher, Response, Retry, run
from dugong_like.client.chain import Chain
from dugong_like.client.decoding import AS_USUAL
from dugong_like.client.mounts import Mounts

PLACE = "http://a.test/x"


class Dispatcher:
    """Answers each request with 200, and notes it."""

    def __init__(self, seen, status=200):
        self.seen = seen
        self.closed = 0
        self._status = status

    def co_dispatch(self, request):
        self.seen.append("dispatcher")
        return Response(self._status, request=request)
        yield

    def co_close(self):
        self.closed += 1
        yield from ()


def chain_of(dispatcher, cookies=None, **options):
    jar = Cookies() if cookies is None else cookies
    return Chain(dispatcher, jar, lambda request: AS_USUAL, **options)


def noting(seen, name):
    def layer(request, co_send):
        seen.append(name)
        response = yield from co_send(request)
        seen.append(f"/{name}")
        return response

    return layer


def test_order():
    seen = []

    class Auth(BasicAuth):
        def auth_flow(self, request):
            seen.append("auth")
            return super().auth_flow(request)

    class Noted(Retry):
        def count(self, origin):
            seen.append("retry")

    class Jar(Cookies):
        def header(self, *arguments):
            seen.append("cookies")
            return super().header(*arguments)

    def guard(host, address):
        seen.append("guard")
        return True

    chain = chain_of(
        Dispatcher(seen),
        Jar(),
        layers=[noting(seen, "first"), noting(seen, "second")],
        retry=Noted(),
        rate=noting(seen, "rate"),
        guard=guard,
    )
    request = ClientRequest("GET", "http://127.0.0.1/")
    request.auth = Auth("u", "p")
    request.cookies = {"a": "b"}
    run(chain.co_send(request))
    above = ["first", "second", "auth", "retry", "cookies", "rate", "guard"]
    assert seen == [*above, "dispatcher", "/rate", "/second", "/first"]


@pytest.mark.parametrize(
    ("options", "is_short"),
    [
        ({}, True),
        ({"stores_cookies": False}, True),
        ({"layers": [noting([], "x")]}, False),
        ({"retry": Retry()}, True),
        ({"rate": noting([], "x")}, False),
        ({"guard": lambda host, address: True}, False),
        ({"mounts": Mounts({"all://b.test": MockDispatcher()})}, False),
    ],
)
def test_layers_that_have_nothing_to_do_are_left_out(options, is_short):
    seen = []
    chain = chain_of(Dispatcher(seen), **options)
    assert chain.is_short == is_short
    assert run(chain.co_send(ClientRequest("GET", PLACE))).status_code == 200
    assert seen == ["dispatcher"]


def test_each_request_passes_the_layers_that_it_needs():
    seen = []
    chain = chain_of(Dispatcher(seen, 503), stores_cookies=False)
    plain, again = ClientRequest("GET", PLACE), ClientRequest("GET", PLACE)
    again.extensions["retry"] = Retry(2, backoff=0)
    for request, count in ((plain, 1), (again, 3), (plain, 1)):
        seen.clear()
        assert run(chain.co_send(request)).status_code == 503
        assert len(seen) == count


def test_logging_that_begins_later(monkeypatch, caplog):
    chain = chain_of(Dispatcher([]))
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "logging")
        run(chain.co_send(ClientRequest("GET", PLACE)))
    with caplog.at_level(logging.INFO, "dugong_like.client"):
        run(chain.co_send(ClientRequest("GET", PLACE)))
    assert len(caplog.records) == 1


def test_closing_closes_all():
    dispatcher, mounted = Dispatcher([]), Dispatcher([])
    chain = chain_of(dispatcher, mounts=Mounts({"all://b.test": mounted}))
    run(chain.co_send(ClientRequest("GET", "http://b.test/")))
    run(chain.co_close())
    assert (dispatcher.seen, mounted.seen) == ([], ["dispatcher"])
    assert (dispatcher.closed, mounted.closed) == (1, 1)


def test_the_same_layers_above_another_dispatcher():
    seen, other = [], Dispatcher([])
    chain = chain_of(Dispatcher(seen), layers=[noting(seen, "mine")])
    response = run(chain.over(other).co_send(ClientRequest("GET", PLACE)))

    assert response.status_code == 200
    assert (seen, other.seen) == (["mine", "/mine"], ["dispatcher"])
    assert chain.dispatcher is not other
