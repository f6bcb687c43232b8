"""Functions that are called on events: which there are, their order, and how they may wait."""

import asyncio
import gc

import pytest
import trio
import trio.lowlevel
from kit.sending import request_to
from kit.ways import on_asyncio, on_trio

from dugong_like import InvalidOption, StateError, run
from dugong_like.client.events import MANY, NAMES, ONCE, Hooks
from dugong_like.polling.wake import co_sleep

REQUEST = request_to()


def test_names():
    assert set(NAMES) == {*ONCE, *MANY}
    for name in NAMES:
        assert Hooks({name: print}).has(name)
    for wrong in ("", "Pre_request", None):
        with pytest.raises(InvalidOption, match="there are pre_request, "):
            Hooks().bind(wrong, print)


@pytest.mark.parametrize(
    ("there", "here"), [("request", "pre_request"), ("response", "on_headers")]
)
def test_names_of_other_clients(there, here):
    with pytest.raises(InvalidOption, match=f"it is called {here}"):
        Hooks({there: print})


@pytest.mark.parametrize("given", [1, "name", [1], None])
def test_wrong_functions(given):
    with pytest.raises(TypeError):
        Hooks({"on_retry": given})


def test_functions_are_called_in_their_order_with_everything():
    seen = []

    def function(name):
        return lambda *args, **kwargs: seen.append((name, args, kwargs))

    hooks = Hooks({"on_retry": [function(1), function(2)]})
    hooks.bind("on_retry", function(3))
    both = hooks.joined({"on_retry": function(4), "on_redirect": function(5)})
    exc = ValueError()
    run(both.co_call("on_retry", REQUEST, "response", data=b"x", exc=exc))
    given = (("response",), {"data": b"x", "exc": exc, "request": REQUEST})
    assert seen == [(number, *given) for number in range(1, 5)]
    assert not hooks.has("on_redirect")  # joining changes neither
    assert both.has("nothing", "on_redirect")
    assert (bool(hooks), bool(Hooks())) == (True, False)
    del seen[:]
    both.call("on_redirect", REQUEST, "response", exc)
    assert seen == [(5, ("response",), {"data": None, "exc": exc, "request": REQUEST})]


def test_hooks_bound_later_do_not_change_those_of_a_request():
    hooks = Hooks({"on_retry": print})
    joined = hooks.joined(None)
    hooks.bind("on_retry", repr)
    assert joined.functions() == {"on_retry": [print]}


@pytest.mark.parametrize("way", [on_asyncio, on_trio])
def test_coroutine_functions_are_awaited(way):
    seen = []

    async def coroutine(response, **kwargs):
        if way is on_asyncio:
            await asyncio.sleep(0)
        else:
            await trio.lowlevel.checkpoint()
        seen.append("awaited")

    def co_operation(response, **kwargs):
        yield from co_sleep(0.001)
        seen.append("waited")

    way(Hooks({"on_retry": [coroutine, co_operation]}).co_call("on_retry", REQUEST))
    assert seen == ["awaited", "waited"]

    async def failing(response, **kwargs):
        raise LookupError

    with pytest.raises(LookupError):
        way(Hooks({"on_retry": failing}).co_call("on_retry", REQUEST))


@pytest.mark.filterwarnings("error")
def test_coroutine_functions_need_a_loop():
    async def coroutine(response, **kwargs):
        raise AssertionError

    with pytest.raises(StateError, match="AsyncClient"):
        run(Hooks({"on_retry": coroutine}).co_call("on_retry", REQUEST))
    gc.collect()  # no warning that it was never awaited


class Ever:
    def __await__(self):
        while True:
            yield


def test_call_stops_what_would_wait():
    seen = []

    def co_operation(response, **kwargs):
        seen.append("begun")
        yield from co_sleep(60)
        seen.append("never")

    async def coroutine(response, **kwargs):
        seen.append("coroutine")
        await Ever()
        seen.append("never")

    def co_quick(response, **kwargs):
        seen.append("quick")
        yield from co_sleep(0)

    Hooks({"post_request": [co_operation, coroutine, co_quick]}).call("post_request", REQUEST)
    assert seen == ["begun", "coroutine", "quick"]

    def failing(response, **kwargs):
        raise LookupError

    with pytest.raises(LookupError):
        Hooks({"post_request": failing}).call("post_request", REQUEST)
