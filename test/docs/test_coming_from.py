"""Rows of doc/coming_from.toml: what stands here for names of pulsar's client and of httpcore 2019.

Each test is the example of the other library's documentation, with the names that are here.

Not here: rows that tests of the part itself show.
"""

import asyncio
import gzip

import pytest
import trio
from kit.support import ScriptedServer, answering

from dugong_like import (
    URL,
    AsyncClient,
    BasicAuth,
    Client,
    ConnectFailed,
    DecodingError,
    DugongError,
    HandshakeFailed,
    Headers,
    InvalidRequest,
    Limits,
    MockDispatcher,
    Origin,
    Pool,
    PoolTimedOut,
    QueryParams,
    RedirectRefused,
    Response,
    ResponseClosed,
    ResponseNotRead,
    StatusError,
    StreamConsumed,
    Timeouts,
    TooManyRedirects,
)

PLACE = "https://a.test/x"


def sessions(handler=None, **options):
    """Return a client and the dispatcher that answers it."""
    mock = MockDispatcher(handler)
    mock.add()
    return Client(dispatcher=mock, **options), mock


def always(*arguments, **options):
    return lambda request: Response(*arguments, request=request, **options)


# ---- both


def test_methods():
    client, mock = sessions()
    for method in ("get", "options", "head", "post", "put", "patch", "delete"):
        assert getattr(client, method)(PLACE).status_code == 200
    client.request("GET", PLACE)
    assert [call.method for call in mock.calls] == [
        *("GET", "OPTIONS", "HEAD", "POST", "PUT", "PATCH", "DELETE", "GET")
    ]


def test_coroutines():
    client, _ = sessions(always(200, text="hello"))

    async def mycoroutine():
        async with AsyncClient(client=client) as asynchronous:
            response = await asynchronous.get(PLACE)
        return response.text

    assert asyncio.run(mycoroutine()) == trio.run(mycoroutine) == "hello"


def test_the_request_of_a_response():
    client, mock = sessions()
    response = client.get(PLACE, headers={"X-Field": "1"})
    assert response.request.headers["x-field"] == "1"
    assert (response.request.method, response.request.url) == ("GET", URL(PLACE))


@pytest.mark.feature("D37", "E22")
def test_attributes_of_a_response():
    client, _ = sessions(always(200, {"Content-Type": "text/plain; charset=utf-8"}, b"\xc3\xa4"))
    response = client.get(PLACE)
    assert (response.status_code, response.reason_phrase, response.reason) == (200, "OK", "OK")
    assert (response.ok, response.is_redirect, response.http_version) == (True, False, "1.1")
    assert (response.content, response.text, response.encoding) == (b"\xc3\xa4", "ä", "utf-8")
    assert (str(response.url), response.history, len(response.cookies)) == (PLACE, (), 0)
    assert response.raise_for_status() is response


def test_json():
    client, mock = sessions(always(200, json={"a": [1]}))
    assert client.post(PLACE, json={"entry1": "bla"}).json() == {"a": [1]}
    assert mock.calls[0].json() == {"entry1": "bla"}


def test_params():
    client, mock = sessions()
    assert str(client.get("http://bla.com", params={"page": 2, "key": "foo"}).url) == (
        "http://bla.com/?page=2&key=foo"
    )
    params = {"key1": "value1", "key2": ["value2", "value3"]}
    assert client.get("http://bla.com", params=params).url.full_path == (
        "/?key1=value1&key2=value2&key2=value3"
    )


def test_data(tmp_path):
    client, mock = sessions()
    client.post(PLACE, data={"entry1": "bla", "entry2": "doo"})
    client.post(PLACE, data=(b"blabla" for _ in range(10)))
    client.post(PLACE, data=b"bytes")
    client.post(PLACE, data="text")
    (tmp_path / "report.xls").write_bytes(b"a table")
    with (tmp_path / "report.xls").open("rb") as file:
        client.post(PLACE, files={"file": file})
    assert [call.content for call in mock.calls[:4]] == [
        *(b"entry1=bla&entry2=doo", b"blabla" * 10, b"bytes", b"text")
    ]
    assert b'name="file"; filename="report.xls"' in mock.calls[4].content
    assert b"a table" in mock.calls[4].content


def test_data_of_coroutines():
    client, mock = sessions()

    async def pieces():
        for _ in range(10):
            await asyncio.sleep(0)
            yield b"blabla"

    asyncio.run(AsyncClient(client=client).post(PLACE, data=pieces()))
    assert mock.calls[0].content == b"blabla" * 10


def test_cookies():
    client, mock = sessions(always(200, {"Set-Cookie": "sessionid=server"}))
    response = client.get(PLACE)
    assert response.cookies["sessionid"] == client.cookies["sessionid"] == "server"
    client.get(PLACE)
    client.get(PLACE, cookies={"sessionid": "test"})
    none, other = sessions(always(200, {"Set-Cookie": "a=b"}), store_cookies=False)
    none.get(PLACE)
    none.get(PLACE)
    sent = [call.request.headers.get("cookie") for call in (*mock.calls, *other.calls)]
    assert sent == [None, "sessionid=server", "sessionid=test", None, None]


def test_authentication():
    client, mock = sessions()
    client.get(PLACE, auth=("u", "p"))
    client.get(PLACE, auth=BasicAuth("u", "p"))
    assert [call.request.headers["authorization"] for call in mock.calls] == ["Basic dTpw"] * 2


@pytest.mark.feature("D20")
def test_redirects():
    mock = MockDispatcher()
    mock.add(url="http://github.com").reply(301, {"Location": "https://github.com/"})
    mock.add(url="https://github.com")
    client = Client(dispatcher=mock)
    response = client.get("http://github.com")
    assert (response.status_code, [one.status_code for one in response.history]) == (200, [301])
    response = client.get("http://github.com", follow_redirects=False)
    assert (response.status_code, response.is_redirect, response.history) == (301, True, ())
    assert response.next().status_code == 200
    assert client.head("http://github.com").status_code == 301


def test_number_of_redirects():
    client, _ = sessions(always(302, {"Location": PLACE}), max_redirects=3)
    with pytest.raises(TooManyRedirects):
        client.get(PLACE)


def test_decompression():
    compressed = gzip.compress(b"hello")
    answer = always(200, {"Content-Encoding": "gzip"}, compressed)
    client, mock = sessions(answer)
    assert client.get(PLACE).text == "hello"
    assert "gzip" in mock.calls[0].request.headers["accept-encoding"]
    with client.stream("GET", PLACE) as response:
        assert b"".join(response.iter_raw()) == compressed
    assert client.get(PLACE, decompress=False).content == compressed
    client, mock = sessions(answer, decompress=False)
    assert client.get(PLACE).content == compressed
    assert "accept-encoding" not in mock.calls[0].request.headers


def test_default_fields():
    client, mock = sessions(headers={"User-Agent": "me/1", "Accept": None})
    client.get(PLACE)
    client.get(PLACE, headers={"User-Agent": None})
    assert [call.request.headers.get("user-agent") for call in mock.calls] == ["me/1", None]
    assert "accept" not in mock.calls[0].request.headers


def test_streams():
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\none two"
    with ScriptedServer(answering(*[answer] * 4)) as server, Client() as client:
        place = f"http://127.0.0.1:{server.port}/"
        response = client.get(place, stream=True)
        with pytest.raises(ResponseNotRead):
            response.content
        assert response.raw.read() == b"one two"
        with pytest.raises(StreamConsumed):
            response.read()
        response = client.get(place, stream=True)
        assert response.read() == response.content == b"one two"
        response = client.get(place, stream=True)
        assert b"".join(response.iter_bytes(3)) == b"one two"
        response = client.get(place, stream=True)
        response.close()
        with pytest.raises(ResponseClosed):
            list(response.iter_bytes())


def test_life():
    with Client(dispatcher=MockDispatcher()) as client:
        pass
    assert client.is_closed


# ---- pulsar


def test_streams_of_coroutines():
    client, _ = sessions(always(200, content=b"one two"))

    async def body_coroutine():
        asynchronous = AsyncClient(client=client)
        response = await asynchronous.get(PLACE, stream=True)
        pieces = [data async for data in response.aiter_bytes()]
        with pytest.raises(StreamConsumed):
            [data async for data in response.aiter_bytes()]
        response = await asynchronous.get(PLACE, stream=True)
        return b"".join(pieces), await response.aread()

    assert asyncio.run(body_coroutine()) == (b"one two", b"one two")


@pytest.mark.feature("D16", "D17")
def test_data_processed_and_recv_body():
    client, _ = sessions(always(200, {"Content-Encoding": "gzip"}, gzip.compress(b"hello")))
    received, taken = [], []

    def new_data(response, data=None, **kw):
        if response.status_code == 200:
            taken.append(response.recv_body())

    def raw_data(response, data=None, **kw):
        received.append(data)

    def before(response, **kw):
        response.recv_body()  # from now on it keeps what is decoded

    hooks = {"on_headers": before, "data_processed": new_data, "data_received": raw_data}
    client.get(PLACE, hooks=hooks)
    assert b"".join(taken) == b"hello"
    assert gzip.decompress(b"".join(received)) == b"hello"


@pytest.mark.feature("D19")
def test_events():
    client, _ = sessions()
    seen = []

    def handler(name):
        def note(response, exc=None, **kw):
            seen.append((name, response and response.status_code, exc))

        return note

    client.bind_event("on_headers", handler("client"))
    client.get(PLACE, hooks={name: handler(name) for name in ("pre_request", "post_request")})
    assert seen == [("pre_request", None, None), ("client", 200, None), ("post_request", 200, None)]


def test_pool_size():
    client = Client(limits=Limits(max_per_origin=10))
    assert isinstance(client.dispatcher, Pool)
    assert client.stats() == {}
    for wrong, right in {
        "pool_size": "max_per_origin",
        "allow_redirects": "follow_redirects",
        "source_address": "local_address",
        "proxies": "proxy",
        "ssl": "ssl_context",
        "dispatch": "dispatcher",
        "pool_limits": "limits",
    }.items():
        with pytest.raises(TypeError, match=right):
            Client(**{wrong: 10})


@pytest.mark.feature("E20")
def test_names_of_arguments_of_a_request():
    client, mock = sessions()
    for wrong, right in {
        "allow_redirects": "follow_redirects",
        "query_params": "params",
        "wait_continue": "expect100",
        "ssl": "ssl_context, or verify and cert",
        "proxies": "proxy",
        "version": "http_version",
    }.items():
        with pytest.raises(TypeError, match=right):
            client.get(PLACE, **{wrong: 1})
    assert mock.calls == []


@pytest.mark.feature("D40")
def test_exceptions():
    assert issubclass(ConnectFailed, DugongError)
    assert issubclass(HandshakeFailed, DugongError)
    client, _ = sessions(always(404))
    with pytest.raises(StatusError) as caught:
        client.get(PLACE).raise_for_status()
    assert caught.value.response.status_code == 404


# ---- httpcore of 2019


def test_requests_that_are_built_first():
    client, mock = sessions()
    request = client.build_request("get", PLACE, headers={"host": "a.test"}, content=b"x")
    assert (request.method, request.url, request.body) == ("GET", URL(PLACE), b"x")
    assert request.headers["host"] == "a.test"
    assert client.send(request).request.url == URL(PLACE)
    assert client.send(request, stream=True).read() == b""
    assert len(mock.calls) == 2


@pytest.mark.feature("E24")
def test_url():
    url = URL("https://example.org:123/path/to?key=val#tag")
    assert (url.scheme, url.authority, url.host, url.port) == (
        *("https", "example.org:123", "example.org", 123),
    )
    assert (url.path, url.query, url.full_path) == ("/path/to", "key=val", "/path/to?key=val")
    assert (url.fragment, url.is_ssl, url.is_absolute_url) == ("tag", True, True)
    assert url.is_relative_url is False
    assert url.origin == Origin("https", "example.org", 123)
    assert str(url.copy_with(path="/other", query="", fragment="")).startswith(
        "https://example.org:123/other"
    )
    assert str(URL("https://example.org/a/b").join("../c")) == "https://example.org/c"
    assert str(URL("https://example.org").with_query({"a": 1})) == "https://example.org/?a=1"


@pytest.mark.feature("E25")
def test_origin():
    assert URL("https://example.org").origin == URL("HTTPS://EXAMPLE.ORG:443").origin
    origin = URL("https://example.org").origin
    assert (origin.is_ssl, origin.host, origin.port) == (True, "example.org", 443)


@pytest.mark.feature("E26")
def test_headers():
    headers = Headers({"Content-Type": "application/json"})
    assert headers["content-type"] == "application/json"
    headers = Headers([("a", "1, 2"), ("A", "3")])
    assert headers.get_list("a", split_commas=True) == ["1", "2", "3"]
    assert headers.raw == [(b"a", b"1, 2"), (b"A", b"3")]


def test_query_params():
    params = QueryParams("a=1&a=2&b=3")
    assert params.get_list("a") == ["1", "2"]
    assert params.multi_items() == [("a", "1"), ("a", "2"), ("b", "3")]


@pytest.mark.feature("E19", "E35")
def test_limits_and_timeouts():
    limits = Limits(max_keepalive=10, max_connections=100)
    assert (limits.max_keepalive, limits.max_connections) == (10, 100)
    timeout = Timeouts(connect=5, read=5, write=5, pool=5)
    assert (timeout.connect, timeout.pool) == (5, 5)
    client = Client(limits=limits, timeout=timeout)
    assert client.build_request("GET", PLACE).timeouts == timeout


@pytest.mark.feature("E29")
@pytest.mark.parametrize(
    "name",
    [
        *(PoolTimedOut, DecodingError, TooManyRedirects, RedirectRefused, StreamConsumed),
        *(ResponseNotRead, ResponseClosed, InvalidRequest),
    ],
)
def test_names_of_exceptions(name):
    assert issubclass(name, DugongError)
