"""Every argument of everything that `dugong_like` exports: a wrong type is refused by its name.

A new name, or a new argument, is in the table or fails `test_everything_is_tried`.
"""

import asyncio
import inspect
import io
import math
import os
import time

import pytest
from kit.cases import each_case
from kit.frames import MemoryBytes

import dugong_like
from dugong_like import (
    DugongError,
    HTTPConnection,
    LoopThread,
    Pipeline,
    Request,
    ScriptedStream,
    ScriptedTransport,
    run,
)
from dugong_like.client.bulk.options import MapOptions
from dugong_like.client.event_source import SSEOptions
from dugong_like.client.request_building import RequestOptions
from dugong_like.client.sync.options import SyncOptions
from dugong_like.client.transfers.options import DownloadOptions, UploadOptions
from dugong_like.client.websocket import OpeningOptions
from dugong_like.drivers.loop import Loop


class Wrong:
    """Neither a number nor text nor bytes nor a collection nor callable."""


def idle():
    """Wait for nothing."""
    return
    yield


def connection():
    conn = HTTPConnection("script.test", transport=ScriptedTransport(ScriptedStream()))
    conn.connect()
    return conn


def exchange():
    """One whose body is to be written."""
    transport = ScriptedTransport(ScriptedStream([math.inf]))
    conn = HTTPConnection("script.test", transport=transport)
    sent = conn.send_request("PUT", "/", body=dugong_like.BodyFollowing())
    sent.connection = conn  # or that would be closed now
    return sent


def websocket():
    return dugong_like.WebSocket(MemoryBytes())


def in_a_loop(make):
    """Return a function that calls *make*, and runs what it returns, in a running loop."""

    def call(*args, **kwargs):
        async def main():
            made = make(*args, **kwargs)
            return await made if isinstance(made, asyncio.Future) else made

        return asyncio.run(main())

    call.__signature__ = inspect.signature(make)
    return call


def running(make):
    """Return a function that runs the operation that *make* returns."""

    def call(*args, **kwargs):
        return run(make(*args, **kwargs))

    call.__signature__ = inspect.signature(make)
    return call


def stopped(make):
    """Return a function that stops the threads that *make* starts."""

    def call(*args, **kwargs):
        with make(*args, **kwargs):
            pass

    call.__signature__ = inspect.signature(make)
    return call


class Refusing:
    """A dispatcher to which nothing may come."""

    def co_dispatch(self, request):
        raise AssertionError(f"{request} was sent")
        yield

    def co_close(self):
        yield from ()


WAYS = {
    "request": (RequestOptions, lambda client, **options: client.get("http://h/", **options)),
    "map": (MapOptions, lambda client, **options: client.map(["http://h/"], **options)),
    "co_map": (MapOptions, lambda client, **options: client.co_map([], print, **options)),
    "sse": (SSEOptions, lambda client, **options: client.sse("http://h/", **options)),
    "websocket": (
        OpeningOptions,
        lambda client, **options: client.co_websocket("ws://h/", **options),
    ),
    "download": (
        DownloadOptions,
        lambda client, **options: client.co_download("http://h/", io.BytesIO(), **options),
    ),
    "upload": (
        UploadOptions,
        lambda client, **options: client.co_upload(io.BytesIO(), "http://h/", **options),
    ),
    "sync": (
        SyncOptions,
        lambda client, **options: client.co_sync(os.curdir, "http://h/", **options),
    ),
}


def names_of(kind):
    return sorted(kind.__annotations__)


def race(stagger=0.0):
    return run(dugong_like.first_of(idle(), stagger=stagger))


def map_of(requests, concurrency=1, window=1, depth=1, errors="raise", total=None, max_bytes=1):
    options = {"concurrency": concurrency, "window": window, "depth": depth, "errors": errors}
    dugong_like.Client().map(requests, total=total, max_bytes=max_bytes, **options).close()


FLAGS = {
    "at_once",
    "keep_fragment",
    "verify",
    "keepalive",
    "nodelay",
    "content_md5",
    "auto_window",
    "timings",
    "daemon",
    "expect100",
}
# Right arguments: a function of none, as some can be used once only. Those with defaults are added.
CALLS = {
    "URL": (dugong_like.URL, {"text": "http://h/"}),
    "Target": (dugong_like.Target, {"text": "http://h/"}),
    "Origin": (dugong_like.Origin, {"scheme": "http", "host": "h"}),
    "Request": (Request, {}),
    "BodyFollowing": (dugong_like.BodyFollowing, {}),
    "Headers": (dugong_like.Headers, {}),
    "CaseInsensitiveDict": (dugong_like.CaseInsensitiveDict, {}),
    "BasicAuth": (dugong_like.BasicAuth, {"user": "u", "password": "p"}),
    "DigestAuth": (dugong_like.DigestAuth, {"user": "u", "password": "p"}),
    "BearerAuth": (dugong_like.BearerAuth, {"token": "t"}),
    "NetRCAuth": (dugong_like.NetRCAuth, {"path": os.devnull}),
    "OAuth1": (dugong_like.OAuth1, {"client_key": "k"}),
    "OAuth2": (dugong_like.OAuth2, {"client": "c"}),
    "NegotiateAuth": (dugong_like.NegotiateAuth, {}),
    "FunctionAuth": (dugong_like.FunctionAuth, {"function": lambda: print}),
    "BoundAuth": (dugong_like.BoundAuth, {"auth": dugong_like.Auth, "origin": "http://h"}),
    "H2Options": (dugong_like.H2Options, {}),
    "H2Settings": (dugong_like.H2Settings, {}),
    "AioFuture": (in_a_loop(dugong_like.AioFuture), {"op": idle}),
    "AsyncConnection": (in_a_loop(dugong_like.AsyncConnection), {"connection": connection}),
    "async_connect": (in_a_loop(dugong_like.async_connect), {"hostname": "h"}),
    "HTTPConnection": (HTTPConnection, {"hostname": "h"}),
    "LoopThread": (stopped(LoopThread), {}),
    "LoopThreads": (stopped(dugong_like.LoopThreads), {"count": 1}),
    "Pipeline": (Pipeline, {"conn": connection}),
    "SharedPipeline": (dugong_like.SharedPipeline, {"conn": connection}),
    "Proxy": (dugong_like.Proxy, {"url": "http://p"}),
    "RateLimit": (dugong_like.RateLimit, {"bytes_per_second": 1}),
    "MinimumRate": (dugong_like.MinimumRate, {"bytes_per_second": 1, "seconds": 1}),
    "Budget": (dugong_like.Budget, {}),
    "CachingResolver": (dugong_like.CachingResolver, {}),
    "SocketOptions": (dugong_like.SocketOptions, {}),
    "TLSSessions": (dugong_like.TLSSessions, {}),
    "Timeouts": (dugong_like.Timeouts, {}),
    "ScriptedStream": (ScriptedStream, {}),
    "both": (running(dugong_like.both), {"op1": idle, "op2": idle}),
    "first_of": (race, {}),
    "run": (run, {"op": idle}),
    "stuck": (dugong_like.stuck, {"loop": Loop}),
    "stall": (running(dugong_like.stall), {"seconds": 1, "op": idle}),
    "within": (
        running(dugong_like.within),
        {"deadline": lambda: time.monotonic() + 99, "op": idle},
    ),
    "cipher_supported": (dugong_like.cipher_supported, {"name": "AES"}),
    "read_dump": (dugong_like.read_dump, {"file": io.BytesIO}),
    "tls_context": (dugong_like.tls_context, {}),
    "AsyncWebSocket": (dugong_like.AsyncWebSocket, {"websocket": websocket, "run": lambda: print}),
    "Deflate": (dugong_like.Deflate, {}),
    "Client": (dugong_like.Client, {}),
    "Connector": (dugong_like.Connector, {}),
    "Limits": (dugong_like.Limits, {}),
    "Pool": (dugong_like.Pool, {"connector": dugong_like.Connector}),
    "QueryParams": (dugong_like.QueryParams, {}),
    "split_credentials": (dugong_like.split_credentials, {"text": "http://h/"}),
    "LowestRate": (dugong_like.LowestRate, {"bytes_per_second": 1, "seconds": 1}),
    "Cookies": (dugong_like.Cookies, {}),
    "Response": (dugong_like.Response, {"status_code": 200}),
    "ClientRequest": (dugong_like.ClientRequest, {"method": "GET", "url": "http://h/"}),
    "Retry": (dugong_like.Retry, {}),
    "RequestRate": (dugong_like.RequestRate, {"per_second": 1}),
    "PublicOnly": (dugong_like.PublicOnly, {}),
    "WSGIDispatcher": (dugong_like.WSGIDispatcher, {"app": lambda: print}),
    "ASGIDispatcher": (dugong_like.ASGIDispatcher, {"app": lambda: print}),
    "MockDispatcher": (dugong_like.MockDispatcher, {}),
    "Client.map": (map_of, {"requests": list}),
    "Client.co_map": (
        lambda requests, take: run(dugong_like.Client().co_map(requests, take)),
        {"requests": list, "take": lambda: print},
    ),
    "HTTPConnection.to": (HTTPConnection.to, {"place": "http://h/"}),
    "Exchange.write": (lambda buf: exchange().write(buf), {"buf": b""}),
    "Exchange.finish": (lambda trailers: exchange().finish(trailers), {"trailers": {}}),
    "Exchange.sendfile": (
        lambda file, offset=0, count=None: exchange().sendfile(file, offset, count),
        {"file": io.BytesIO},
    ),
    "HTTPConnection.request": (
        lambda request, on_response=None, on_body=None, on_done=None: connection().request(
            request, on_response, on_body, on_done
        ),
        {"request": Request},
    ),
}
NOT_TRIED = {
    "takes none": {
        *("Auth", "BaseStream", "Wake", "WebSocketHandler", "default_ssl_context", "features"),
        "log_events",
    },
    "types only": {"Co", "Stream", "Transport"},
    "made by the library": {
        *("Answer", "AnswerStream", "DownloadResult", "EventSource", "Exchange", "HTTPResponse"),
        *("HTTPStream", "Lease", "MapResults", "NetworkStream", "PendingAnswer", "Reply"),
        *("SyncResult", "UploadResult", "WebSocket"),
    },
    "a plain record": {
        *("Cookie", "MapItem", "MapProgress", "PollNeeded", "ServerSentEvent", "SyncProgress"),
        *("SyncStep", "Timings"),
    },
    "says no to what it does not know": {"is_temp_network_error"},
    "the arguments of Client, and of its request()": {
        *("AsyncClient", "delete", "download", "get", "head", "options", "patch", "post", "put"),
        *("query", "request", "sse", "stream", "upload", "websocket"),
    },
    "takes scripts of tests, one after the other": {"ScriptedTransport"},
}
SHOWN_AS = {
    "compress": "a content coding",
    "content": "a body",
    "data": "a body",
    "s3_endpoint": "a URL",
    "server_hostname": "hostname",
}
NO_OPERATION = {"op", "op1", "op2"}  # there is one message for all of them
CASES = [
    (name, parameter)
    for name, (call, _) in CALLS.items()
    for parameter, its in inspect.signature(call).parameters.items()
    if its.kind not in {its.VAR_POSITIONAL, its.VAR_KEYWORD} and parameter not in FLAGS
]


@each_case(("name", "parameter"), CASES)
def test_a_wrong_type_is_refused_by_its_name(name, parameter):
    call, right = CALLS[name]
    made = {key: value() if callable(value) else value for key, value in right.items()}
    made[parameter] = Wrong()

    with pytest.raises((TypeError, ValueError, DugongError)) as caught:
        call(**made)

    assert ("is no operation" if parameter in NO_OPERATION else parameter) in str(caught.value)


@each_case(
    ("way", "option"), [(way, name) for way, (kind, _) in WAYS.items() for name in names_of(kind)]
)
def test_a_wrong_option_of_a_client_is_refused_before_anything_is_sent(way, option):
    client = dugong_like.Client(dispatcher=Refusing())

    with pytest.raises((TypeError, ValueError, DugongError)) as caught:
        WAYS[way][1](client, **{option: Wrong()})

    assert SHOWN_AS.get(option, option) in str(caught.value)


def test_everything_is_tried():
    exported = {
        name
        for name in dugong_like.__all__
        if callable(its := getattr(dugong_like, name))
        and not (isinstance(its, type) and issubclass(its, BaseException))
    }
    assert exported == {name for name in CALLS if "." not in name}.union(*NOT_TRIED.values())


@each_case("name", CALLS)
def test_the_right_types_are_taken(name):
    call, right = CALLS[name]
    call(**{key: value() if callable(value) else value for key, value in right.items()})
