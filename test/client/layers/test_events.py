"""Events: each of those that come once comes once, whatever happens to the request."""

import asyncio

import pytest
from kit.sending import PLACE, Arriving, Sends, arriving, is_given_up, request_to
from kit.support import ScriptedServer, read_head

from dugong_like import AsyncClient, BodyTooLarge, Client, ConnectionClosed, MockDispatcher, run
from dugong_like.client.events import ONCE
from dugong_like.client.layers.events import events
from dugong_like.client.response import Response
from dugong_like.polling.wake import Wake


class Seen:
    """Functions for the events that come once; they note that they were called."""

    def __init__(self, failing=None):
        self.names = []
        self.failures = []
        self.hooks = {name: self.function(name, failing) for name in ONCE}

    def function(self, name, failing):
        def called(response, data, exc, request):
            self.names.append(name)
            if name == "post_request":
                self.failures.append(exc)
            if name == failing:
                raise LookupError(name)

        return called


class Answers:
    """A dispatcher that gives one response, whose body arrives in pieces."""

    def __init__(self, response):
        self.response = response

    def co_dispatch(self, request):
        self.response.request = request
        return self.response
        yield

    def co_close(self):
        yield from ()


class Breaks(Arriving):
    def co_read(self, size):
        if self.pieces:
            return self.pieces.pop(0)
        raise ConnectionClosed("lost")
        yield


def client_of(response):
    return Client(dispatcher=Answers(response))


def test_order():
    seen = Seen()
    client_of(arriving()).get(PLACE, hooks=seen.hooks)
    assert (seen.names, seen.failures) == ([*ONCE], [None])


@pytest.mark.parametrize("how", ["read", "iterate", "close", "break", "with", "raw", "twice"])
def test_post_request_comes_once_for_streams(how):
    seen = Seen()
    response = client_of(arriving()).get(PLACE, hooks=seen.hooks, stream=True)
    assert seen.names == ["pre_request", "on_headers"]
    if how == "read":
        response.read()
    elif how == "iterate":
        list(response.iter_bytes())
    elif how == "raw":
        response.raw.read()
    elif how == "break":
        for _ in response.iter_bytes():
            break
        response.close()
    elif how == "with":
        with response:
            pass
    elif how == "twice":
        response.close()
    response.close()
    response.close()
    assert (seen.names, seen.failures) == ([*ONCE], [None])
    assert is_given_up(response)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_responses_without_a_body(stream, method):
    seen = Seen()
    client = Client(dispatcher=MockDispatcher(lambda request: Response(204)))
    response = client.request(method, PLACE, hooks=seen.hooks, stream=stream)
    response.read()
    response.close()
    assert (seen.names, seen.failures) == ([*ONCE], [None])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("read", ["read", "iter_raw", "iter_lines"])
def test_body_that_breaks_off(stream, read):
    seen = Seen()
    response = arriving()
    response._body = Breaks(b"some")
    with pytest.raises(ConnectionClosed) as caught:
        found = client_of(response).get(PLACE, hooks=seen.hooks, stream=stream)
        list(getattr(found, read)())
    found = caught.value.response
    found.close()
    assert (seen.names, seen.failures) == ([*ONCE], [caught.value])


def test_body_that_is_too_large():
    seen = Seen()
    client = Client(dispatcher=Answers(arriving()), max_body=5)
    with pytest.raises(BodyTooLarge) as caught:
        client.get(PLACE, hooks=seen.hooks)
    assert (seen.names, seen.failures) == ([*ONCE], [caught.value])


@pytest.mark.parametrize("failing", ONCE)
@pytest.mark.parametrize("stream", [False, True])
def test_function_that_fails(failing, stream):
    seen = Seen(failing)
    response = arriving()
    with pytest.raises(LookupError, match=failing):
        client_of(response).get(PLACE, hooks=seen.hooks, stream=stream).read()
    assert seen.names == (list(ONCE) if failing != "pre_request" else ["pre_request", ONCE[2]])
    assert failing == "pre_request" or is_given_up(response)


@pytest.mark.parametrize("name", ["data_received", "data_processed"])
@pytest.mark.parametrize("read", ["read", "iter_raw"])
def test_function_for_data_that_fails(name, read):
    def fail(response, **kwargs):
        raise LookupError

    seen = Seen()
    response = client_of(arriving()).get(PLACE, hooks=seen.hooks | {name: fail}, stream=True)
    if (name, read) == ("data_processed", "iter_raw"):
        list(response.iter_raw())  # nothing is decoded
        return
    with pytest.raises(LookupError):
        list(getattr(response, read)())
    assert is_given_up(response)
    assert seen.names == [*ONCE]


def test_request_that_fails():
    seen = Seen()
    failure = ConnectionClosed("no")
    with pytest.raises(ConnectionClosed):
        run(events(request_to(hooks=seen.hooks), Sends(failure)))
    assert (seen.names, seen.failures) == (["pre_request", "post_request"], [failure])


def test_operation_that_is_given_up():
    never = Wake()

    def co_hang(request):
        yield from never.co_wait()

    seen = Seen()
    op = events(request_to(hooks=seen.hooks), co_hang)
    next(op)
    op.close()
    assert seen.names == ["pre_request", "post_request"]
    assert isinstance(seen.failures[0], GeneratorExit)

    def co_wait(response, **kwargs):
        yield from never.co_wait()

    seen, response = Seen(), arriving()
    op = events(request_to(hooks=seen.hooks | {"on_headers": co_wait}), Sends(response))
    next(op)
    op.close()
    assert is_given_up(response)
    assert seen.names == ["pre_request", "post_request"]
    never.close()


def test_function_that_would_wait_is_stopped_when_a_response_is_closed():
    never = Wake()
    seen = []

    def co_function(response, **kwargs):
        seen.append("begun")
        try:
            yield from never.co_wait()
            seen.append("waited")
        finally:
            seen.append("ended")

    async def coroutine(response, **kwargs):
        seen.append("coroutine")

    hooks = {"post_request": [co_function, coroutine]}
    client_of(arriving()).get(PLACE, hooks=hooks, stream=True).close()
    assert seen == ["begun", "ended", "coroutine"]
    never.close()


def test_cancelled_task():
    seen = Seen()
    reached = asyncio.Event()

    async def main():
        def handler(request):
            reached.set()
            yield from Wake().co_wait()

        client = AsyncClient(dispatcher=MockDispatcher(handler))
        task = asyncio.create_task(client.get(PLACE, hooks=seen.hooks))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen.names == ["pre_request", "post_request"]


def test_informational_responses_are_events():
    seen = []

    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" * 2)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def note(response, data, exc, request):
        seen.append((data.status, response.status_code))

    with ScriptedServer(handler) as server, Client() as client:
        client.get(f"http://127.0.0.1:{server.port}/", hooks={"on_informational": note})
        assert next(iter(client.stats().values())).busy == 0
    assert seen == [(103, 200)] * 2


@pytest.mark.parametrize("failing", ONCE[:2])
def test_connection_is_given_back_if_a_function_fails(failing):
    def handler(sock):
        read_head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        sock.recv(1)

    with ScriptedServer(handler) as server, Client() as client:
        with pytest.raises(LookupError):
            client.get(f"http://127.0.0.1:{server.port}/", hooks=Seen(failing).hooks)
        assert all(each.busy == 0 for each in client.stats().values())
