"""The client: arguments, requests it builds, layers in their order, and its life."""

import asyncio
import logging
import math
import ssl

import pytest
import trio
from kit.support import ScriptedServer, answering

from dugong_like import (
    URL,
    Auth,
    BasicAuth,
    DeadlineExceeded,
    InvalidOption,
    InvalidRequest,
    PublicOnly,
    Request,
    RequestRate,
    ResponseNotRead,
    StateError,
    StatusError,
    Timeouts,
    run,
)
from dugong_like.client.async_client import AsyncClient
from dugong_like.client.client import Client
from dugong_like.client.dispatchers.mock import MockDispatcher
from dugong_like.client.pool_limits import DEFAULT_TIMEOUTS
from dugong_like.client.response import Response
from dugong_like.polling.wake import Wake, co_sleep

VERBS = ["get", "head", "options", "post", "put", "patch", "delete", "query"]
PLACE = "http://a.test/x"


def client(handler=None, **options):
    mock = MockDispatcher(handler)
    mock.add()
    return Client(dispatcher=mock, **options), mock


def sent(mock):
    return mock.calls[-1].request


@pytest.mark.feature("D1", "E20", "E39")
@pytest.mark.parametrize("verb", VERBS)
def test_methods_of_http_in_every_way(verb):
    one, mock = client()
    assert getattr(one, verb)(PLACE).status_code == 200
    assert run(getattr(one, f"co_{verb}")(PLACE)).status_code == 200

    async def main():
        return await getattr(AsyncClient(client=one), verb)(PLACE)

    assert asyncio.run(main()).status_code == 200
    assert trio.run(main).status_code == 200
    assert [call.method for call in mock.calls] == [verb.upper()] * 4


@pytest.mark.feature("D1", "E20", "E21", "E23")
def test_any_method_and_requests_that_are_built_first():
    one, mock = client()
    one.request("purge", PLACE)
    request = one.build_request("post", PLACE, content=b"x")
    request.headers["X-A"] = "b"
    one.send(request)
    one.send(request)
    assert [call.method for call in mock.calls] == ["PURGE", "POST", "POST"]
    assert [call.content for call in mock.calls] == [b"", b"x", b"x"]
    assert sent(mock).headers["x-a"] == "b"


@pytest.mark.feature("D33", "D34")
def test_default_fields_and_how_they_are_replaced():
    one, mock = client(headers={"X-A": "client", "Accept": None})
    one.get(PLACE)
    names = [name for name, _ in sent(mock).headers]
    assert names == ["User-Agent", "Accept-Encoding", "X-A"]
    assert sent(mock).headers["user-agent"].startswith("dugong_like/")
    one.get(PLACE, headers={"x-a": "mine", "USER-AGENT": None})
    assert sent(mock).headers.get_list("X-A") == ["mine"]
    assert "user-agent" not in sent(mock).headers
    one.get(PLACE, headers=[("X-B", "1"), ("X-B", "2")])
    assert sent(mock).headers.get_list("X-B") == ["1", "2"]
    one.headers["X-A"] = "changed"
    one.get(PLACE)
    assert sent(mock).headers["X-A"] == "changed"
    plain, mock = client(decompress=False)
    plain.get(PLACE)
    assert "accept-encoding" not in sent(mock).headers


@pytest.mark.feature("D2", "E33")
@pytest.mark.parametrize(
    ("base", "url", "expected"),
    [
        (None, PLACE, PLACE),
        (None, URL(PLACE), PLACE),
        ("http://a.test", "x", "http://a.test/x"),
        ("http://a.test/api", "/x", "http://a.test/api/x"),
        ("http://a.test/api/", "x?y", "http://a.test/api/x?y"),
        ("http://a.test/api", "", "http://a.test/api"),
        ("http://a.test/api", "?q=http://b.test", "http://a.test/api?q=http://b.test"),
        ("http://a.test/api", "http://b.test/x", "http://b.test/x"),
        ("http://a.test/api", "//b.test/x", "http://a.test/api/b.test/x"),
        ("http://a.test/api", "../x", "http://a.test/api/../x"),
    ],
)
def test_base_url(base, url, expected):
    one, mock = client(base_url=base)
    one.get(url)
    assert str(sent(mock).url) == expected


@pytest.mark.feature("D2")
def test_params_of_client_request_and_url():
    one, mock = client(params={"key": "k"})
    one.get("http://a.test/x?a=%7E", params={"b": ["1", "2"], "c": "ä &"})
    assert str(sent(mock).url) == "http://a.test/x?a=%7E&key=k&b=1&b=2&c=%C3%A4%20%26"


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("example.org/x", InvalidRequest),
        ("http://a.test/a b", InvalidRequest),
        ("ftp://a.test/", InvalidRequest),
        ("", InvalidRequest),
        (None, TypeError),
        (b"http://a.test/", TypeError),
    ],
)
def test_urls_that_are_none(url, error):
    one, mock = client()
    with pytest.raises(error):
        one.get(url)
    assert mock.calls == []


@pytest.mark.feature("D3", "D4", "D5", "D6", "E14", "E18")
@pytest.mark.parametrize(
    ("options", "body", "kind"),
    [
        ({"content": b"x"}, b"x", None),
        ({"content": "ä"}, "ä".encode(), "text/plain; charset=utf-8"),
        ({"content": [b"a", b"b"]}, b"ab", None),
        ({"data": {"a": ["1", "2"], "b": "c d"}}, b"a=1&a=2&b=c+d", "application/x-www-form-"),
        ({"data": [("a", "1"), ("a", "2")]}, b"a=1&a=2", "application/x-www-form-urlencoded"),
        ({"data": b"x"}, b"x", None),
        ({"json": {"a": "ä"}}, '{"a":"ä"}'.encode(), "application/json"),
        ({"json": []}, b"[]", "application/json"),
        ({"json": None}, b"", None),
        ({}, b"", None),
    ],
)
def test_bodies(options, body, kind):
    one, mock = client()
    one.post(PLACE, **options)
    assert mock.calls[0].content == body
    found = sent(mock).headers.get("content-type")
    assert found == kind if kind is None else found.startswith(kind)
    one.post(PLACE, headers={"Content-Type": "x/y"}, **options)
    assert sent(mock).headers.get_list("content-type") == ["x/y"]


@pytest.mark.feature("D5", "E14")
def test_files():
    one, mock = client()
    one.post(PLACE, data={"a": "b"}, files={"f": ("name.txt", b"content")})
    assert sent(mock).headers["content-type"].startswith("multipart/form-data; boundary=")
    for part in (b'name="a"', b'name="f"; filename="name.txt"', b"content"):
        assert part in mock.calls[0].content


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"content": b"x", "json": 1}, InvalidOption, "one body"),
        ({"content": {"a": "b"}}, TypeError, "json= or data="),
        ({"content": 1}, TypeError, "int"),
        ({"json": object()}, TypeError, "json"),
        ({"json": math.nan}, ValueError, "json"),
        ({"allow_redirects": True}, TypeError, "follow_redirects"),
        ({"query_params": {}}, TypeError, "params"),
        ({"trust_env": False}, TypeError, "trust_env is an argument of the client"),
        ({"max_body": 1}, TypeError, "max_body is an argument of the client"),
        ({"proxies": {}}, TypeError, "it is called proxy"),
        ({"timeout": (3, 30)}, TypeError, r"Timeouts\(connect="),
        ({"nonsense": 1}, TypeError, "there are auth, "),
        ({"auth": 1}, TypeError, "auth"),
        ({"timeout": -1}, InvalidOption, "timeout"),
        ({"hooks": {"nonsense": print}}, InvalidOption, "pre_request"),
        ({"hooks": {"response": print}}, InvalidOption, "it is called on_headers"),
        ({"headers": {"a": 1}}, TypeError, "header field"),
        ({"cookies": "a=b"}, TypeError, "mapping"),
        ({"follow_redirects": "no"}, TypeError, "follow_redirects is True or False, not 'no'"),
        ({"stream": None}, TypeError, "stream is True or False"),
        ({"expect100": "yes"}, TypeError, "expect100 is True or False"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(options, error, why):
    one, mock = client()
    with pytest.raises(error, match=why):
        one.post(PLACE, **options)
    assert mock.calls == []


async def co_layer(request, co_send):
    return await co_send(request)


class ByAwaiting:
    """What programs for other libraries have as a layer."""

    async def __call__(self, request, co_send):
        return await co_send(request)


@pytest.mark.feature("E19")
@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"dispatch": 1}, TypeError, "dispatcher"),
        ({"http2": True}, TypeError, "H2Options.*versions="),
        ({"retries": 3}, TypeError, r"Retry\(total=…\)"),
        ({"timeout": (3, 30)}, TypeError, r"Timeouts\(connect="),
        ({"guard": PublicOnly}, TypeError, "guard is a function or an object"),
        ({"rate": RequestRate}, TypeError, "rate is a function or an object"),
        ({"pool_size": 1}, TypeError, "limits"),
        ({"nonsense": 1}, TypeError, "nonsense"),
        ({"max_redirects": -1}, InvalidOption, "max_redirects"),
        ({"max_body": -1}, InvalidOption, "max_body"),
        ({"timeout": "1"}, TypeError, "timeout"),
        ({"layers": [1]}, TypeError, "layer"),
        ({"layers": [co_layer]}, TypeError, "generator function.*yield from co_send"),
        ({"layers": [ByAwaiting()]}, TypeError, "generator function"),
        ({"app": print}, TypeError, "ASGIDispatcher"),
        ({"verify": ssl.create_default_context()}, TypeError, "it goes in ssl_context"),
        ({"cert": ("a", "b", "c", "d")}, TypeError, "cert is .* not 4 elements"),
        ({"cert": ["a"]}, TypeError, "cert is .* not 1 elements"),
        ({"base_url": "a.test"}, InvalidRequest, "https://"),
        ({"json": object()}, TypeError, "dumps"),
        ({"auth": ("a",)}, TypeError, "auth"),
        ({"mounts": {"a.test": None}}, InvalidOption, "all://"),
    ],
)
def test_wrong_arguments_of_the_client(options, error, why):
    with pytest.raises(error, match=why):
        Client(**options)


def test_with_and_async_with_name_the_other_client():
    with pytest.raises(TypeError, match="AsyncClient"):
        run_async(Client())
    with pytest.raises(TypeError, match="async with"):
        with AsyncClient():
            pass


@pytest.mark.parametrize("name", ["auth", "timeout", "verify", "proxies", "headers", "base_url"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_settings_are_not_changed_by_attributes_that_nothing_reads(kind, name):
    one = kind()
    with pytest.raises(AttributeError, match="proxy" if name == "proxies" else name):
        setattr(one, name, None)


def test_body_of_a_stream_has_to_be_read_with_a_mock_as_elsewhere():
    one, _ = client(lambda request: Response(200, content=b"body"))
    with one.stream("GET", PLACE) as response:
        with pytest.raises(ResponseNotRead):
            _ = response.text
        assert list(response.iter_bytes()) == [b"body"]


def run_async(one):
    async def main():
        async with one:
            pass

    asyncio.run(main())


@pytest.mark.feature("D8", "E11")
def test_login_by_argument_client_and_url():
    basic = "Basic dTpw"
    one, mock = client(auth=("u", "p"))
    one.get(PLACE)
    assert sent(mock).headers["authorization"] == basic
    one.get(PLACE, auth=None)
    assert "authorization" not in sent(mock).headers
    other, mock = client()
    other.get(PLACE, auth=BasicAuth("u", "p"))
    assert sent(mock).headers["authorization"] == basic
    other.get("http://u:p@a.test/x")
    assert (sent(mock).headers["authorization"], str(sent(mock).url)) == (basic, PLACE)


@pytest.mark.feature("D9", "D11", "E11", "E34")
def test_challenges_are_answered_and_in_the_history():
    from dugong_like import DigestAuth

    challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256'

    def handler(request):
        if "authorization" in request.headers:
            return Response(200)
        return Response(401, {"WWW-Authenticate": challenge})

    one, mock = client(handler, auth=DigestAuth("u", "p"))
    response = one.post(PLACE, content=b"x")
    assert [old.status_code for old in response.history] == [401]
    assert (response.status_code, response.attempts) == (200, 2)
    assert [call.content for call in mock.calls] == [b"x", b"x"]
    assert one.post(PLACE).history == ()  # the challenge is remembered


@pytest.mark.feature("D7", "E9", "D20")
def test_cookies_are_kept_and_sent():
    def handler(request):
        return Response(200, {"Set-Cookie": "a=b"})

    one, mock = client(handler)
    one.get(PLACE)
    assert "cookie" not in sent(mock).headers
    one.get(PLACE)
    assert sent(mock).headers["cookie"] == "a=b"
    one.get(PLACE, cookies={"c": "d"})
    assert set(sent(mock).headers["cookie"].split("; ")) == {"a=b", "c=d"}
    one.get("http://b.test/")
    assert "cookie" not in sent(mock).headers
    assert one.cookies.get("a", domain="a.test") == "b"
    other, mock = client(handler, store_cookies=False)
    other.get(PLACE)
    other.get(PLACE)
    assert "cookie" not in sent(mock).headers


def test_cookies_of_a_challenge_are_sent_with_the_answer():
    def handler(request):
        if "authorization" in request.headers:
            return Response(200)
        fields = {"WWW-Authenticate": 'Digest realm="r", nonce="n"', "Set-Cookie": "s=1"}
        return Response(401, fields)

    from dugong_like import DigestAuth

    one, mock = client(handler, auth=DigestAuth("u", "p"))
    one.get(PLACE)
    assert sent(mock).headers["cookie"] == "s=1"


@pytest.mark.feature("D7")
def test_cookies_of_the_caller_go_to_the_base_url_only():
    one, mock = client(cookies={"a": "b"}, base_url=PLACE)
    one.get("")
    assert sent(mock).headers["cookie"] == "a=b"
    one.get("http://b.test/")
    assert "cookie" not in sent(mock).headers


def layer(name, seen):
    def co_layer(request, co_send):
        seen.append(f"{name} before")
        response = yield from co_send(request)
        seen.append(f"{name} after")
        return response

    return co_layer


@pytest.mark.feature("E30", "E32")
def test_layers_in_their_order_once_for_each_hop():
    seen = []

    def handler(request):
        seen.append(str(request.url.path))
        return Response(302, {"Location": "/2"}) if request.url.path == "/x" else None

    one, _ = client(handler, layers=[layer("outer", seen), layer("inner", seen)])
    one.get(PLACE)
    hop = ["outer before", "inner before", "{}", "inner after", "outer after"]
    assert seen == [step.format("/x") for step in hop] + [step.format("/2") for step in hop]


@pytest.mark.feature("D38", "E30")
def test_any_object_may_dispatch_the_requests():
    class Numbers:
        def __init__(self):
            self.count = 0
            self.closed = False

        def co_dispatch(self, request):
            yield from co_sleep(0)
            self.count += 1
            return Response(200, text=f"{request.method} {request.url} {self.count}")

        def co_close(self):
            self.closed = True
            yield from ()

    numbers = Numbers()
    with Client(dispatcher=numbers) as one:
        assert one.get(PLACE).text == f"GET {PLACE} 1"
        assert asyncio.run(AsyncClient(client=one).put(PLACE)).text == f"PUT {PLACE} 2"
    assert numbers.closed


@pytest.mark.feature("D17", "D18", "D19", "D16", "E33")
def test_events_once_and_many_times():
    seen = []

    def note(name):
        def called(response, data=None, exc=None, *, request):
            seen.append((name, response and response.status_code, data, exc))

        return called

    names = ["pre_request", "on_headers", "post_request", "data_received", "data_processed"]
    one, _ = client(lambda request: Response(200, content=b"body"))
    for name in names[:3]:
        one.bind_event(name, note(name))
    one.get(PLACE, hooks={name: note(name) for name in names[3:]})
    assert seen == [
        ("pre_request", None, None, None),
        ("on_headers", 200, None, None),
        ("data_received", 200, b"body", None),
        ("data_processed", 200, b"body", None),
        ("post_request", 200, None, None),
    ]
    with one.stream("GET", PLACE) as response:
        del seen[:]
        assert seen == []
        response.read()
    assert [name for name, *_ in seen] == ["post_request"]
    error = StateError("no")
    one = Client(dispatcher=MockDispatcher(failing(error)))
    for name in names[:3]:
        one.bind_event(name, note(name))
    del seen[:]
    with pytest.raises(StateError):
        one.get(PLACE)
    assert [(name, exc) for name, _, _, exc in seen] == [
        ("pre_request", None),
        ("post_request", error),
    ]


@pytest.mark.feature("D18")
def test_event_for_each_informational_response():
    seen = []
    answer = b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n" * 2 + b"HTTP/1.1 204 X\r\n\r\n"

    def note(response, data=None, exc=None, *, request):
        seen.append((response.status_code, data.status, data.headers["link"], request.method))

    with ScriptedServer(answering(answer)) as server, Client() as one:
        one.get(f"http://127.0.0.1:{server.port}/", hooks={"on_informational": note})
    assert seen == [(204, 103, "</a>", "GET")] * 2


def failing(exc):
    def handler(request):
        raise exc

    return handler


@pytest.mark.feature("D18", "D11")
def test_functions_on_events_may_wait():
    seen = []

    def co_operation(response, **kwargs):
        yield from co_sleep(0.001)
        seen.append("operation")

    async def coroutine(response, **kwargs):
        seen.append("coroutine")

    one, _ = client(hooks={"pre_request": co_operation})
    one.get(PLACE)
    assert seen == ["operation"]
    both = AsyncClient(client=one)

    async def main():
        await both.get(PLACE, hooks={"pre_request": coroutine})

    asyncio.run(main())
    trio.run(main)
    assert seen == ["operation", *["operation", "coroutine"] * 2]
    with pytest.raises(StateError, match="AsyncClient"):
        one.get(PLACE, hooks={"pre_request": coroutine})


def test_exception_in_an_event_ends_the_request():
    def refuse(response, **kwargs):
        raise LookupError("mine")

    for name in ("pre_request", "on_headers", "data_received", "post_request"):
        one, _ = client(lambda request: Response(200, content=b"x"))
        with pytest.raises(LookupError, match="mine"):
            one.get(PLACE, hooks={name: refuse})


@pytest.mark.feature("E33")
def test_status_is_raised_on_request():
    one, _ = client(lambda request: Response(404), raise_for_status=True)
    with pytest.raises(StatusError) as caught:
        one.get(PLACE)
    assert caught.value.response.status_code == 404


@pytest.mark.feature("D29", "E3", "E35")
def test_total_time_covers_the_whole_request():
    never = Wake()

    def hang(request):
        yield from never.co_wait()

    for options in ({"timeout": Timeouts(total=0.01)}, {}):
        one, _ = client(hang, **options)
        with pytest.raises(DeadlineExceeded, match=r"GET http://a\.test/x: .*0\.01 s") as caught:
            one.get(PLACE, **({} if options else {"timeout": Timeouts(total=0.01)}))
        assert (caught.value.phase, caught.value.request.method) == ("total", "GET")

    def redirects(request):
        yield from co_sleep(0.004)
        return Response(302, {"Location": "/again"})

    one, _ = client(redirects, max_redirects=10_000)
    with pytest.raises(DeadlineExceeded):
        one.get(PLACE, timeout=Timeouts(total=0.05))


@pytest.mark.feature("E3", "E35")
def test_time_limits_of_a_request():
    one, mock = client()
    one.get(PLACE)
    assert sent(mock).timeouts is DEFAULT_TIMEOUTS
    one.get(PLACE, timeout=Timeouts(connect=1, total=5))
    assert (sent(mock).timeouts, sent(mock).total) == (Timeouts(connect=1), 5)
    one.get(PLACE, timeout=3)
    assert sent(mock).timeouts == Timeouts(stall=3)
    one.get(PLACE, timeout=None)
    assert sent(mock).timeouts == Timeouts()


@pytest.mark.feature("D41", "E2", "E21")
def test_life():
    one, _ = client()
    with one:
        assert not one.is_closed
    assert one.is_closed
    with pytest.raises(StateError, match="closed"):
        one.get(PLACE)

    async def main():
        shared, _ = client()
        async with AsyncClient(client=shared) as both:
            await both.get(PLACE)
        assert not shared.is_closed
        own = AsyncClient(dispatcher=MockDispatcher())
        await own.aclose()
        assert own.is_closed

    asyncio.run(main())
    with pytest.raises(InvalidOption, match="headers"):
        AsyncClient(client=one, headers={})


@pytest.mark.feature("C21", "D15", "E16")
def test_stream_closes_the_response():
    one, _ = client(lambda request: Response(200, content=b"body"))
    with one.stream("GET", PLACE) as response:
        assert list(response.iter_bytes(2)) == [b"bo", b"dy"]
    assert response.is_closed
    response = one.get(PLACE, stream=True)
    assert not response.is_closed
    assert response.read() == b"body"

    async def main():
        async with AsyncClient(client=one).stream("GET", PLACE) as response:
            return [piece async for piece in response.aiter_bytes(3)]

    assert asyncio.run(main()) == [b"bod", b"y"]


@pytest.mark.feature("E33")
def test_default_encoding_of_the_client():
    latin = {"Content-Type": "text/plain; charset=latin-1"}
    for encoding in ("cp437", lambda data: "cp437"):
        one, _ = client(lambda request: Response(200, content=b"\xe4"), default_encoding=encoding)
        assert one.get(PLACE).text == "\u03a3"
        one, _ = client(lambda request: Response(200, latin, b"\xe4"), default_encoding=encoding)
        assert one.get(PLACE).text == "\xe4"


@pytest.mark.feature("E33")
def test_mounts():
    default, inner, outer = (MockDispatcher(lambda _, n=n: Response(200, text=n)) for n in "dio")
    one = Client(
        dispatcher=default,
        mounts={"https://": outer, "https://*.a.test": inner, "all://b.test:81": inner},
    )
    for url, name in [
        ("http://a.test/", "d"),
        ("https://x.test/", "o"),
        ("https://a.test/", "i"),
        ("https://s.a.test/", "i"),
        ("https://ba.test/", "o"),
        ("http://b.test:81/", "i"),
        ("http://b.test/", "d"),
    ]:
        assert one.get(url).text == name, url


def test_one_line_of_the_log_for_each_request_without_secrets(caplog):
    one, _ = client(lambda request: Response(302 if request.url.path == "/x" else 200, {
        "Location": "/y?token=secret"
    }))  # fmt: skip
    with caplog.at_level(logging.INFO, "dugong_like.client"):
        one.get("http://u:pw@a.test/x?password=secret")
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in lines] == ["GET http", "GET http"]
    assert "302 Found, HTTP/1.1" in lines[0]
    assert "200 OK" in lines[1]
    assert "secret" not in "".join(lines)
    assert "pw" not in "".join(lines)


@pytest.mark.feature("D4")
def test_json_of_the_callers_choice():
    class Mine:
        @staticmethod
        def dumps(value):
            return b"mine"

        @staticmethod
        def loads(data):
            return data + b"!"

    one, mock = client(lambda request: Response(200, content=request.body), json=Mine)
    assert one.post(PLACE, json=1).json() == b"mine!"


def test_repr():
    one, _ = client()
    assert repr(one).startswith("<Client <dugong_like.client.dispatchers.mock.MockDispatcher")
    one.close()
    assert repr(one) == "<Client closed>"
    assert repr(AsyncClient(client=one)) == "<AsyncClient of <Client closed>>"


@pytest.mark.feature("D11")
def test_flow_may_send_requests_of_its_own():
    class Token(Auth):
        def auth_flow(self, request):
            response = yield Request("POST", "http://token.test/", body=b"grant")
            body = yield from response.co_read()
            request.headers["Authorization"] = f"Bearer {body.decode()}"
            yield request

    def handler(request):
        return Response(200, text="secret" if request.url.host == "token.test" else "fine")

    one, mock = client(handler, auth=Token())
    response = one.get(PLACE, cookies={"a": "b"})
    assert (response.text, response.history) == ("fine", ())
    first, second = mock.calls
    assert (first.content, first.request.headers.get("cookie")) == (b"grant", None)
    assert second.request.headers["authorization"] == "Bearer secret"


def test_cookie_of_the_caller_wins_over_one_that_is_kept():
    one, mock = client(lambda request: Response(200, {"Set-Cookie": "a=b"}))
    one.get(PLACE)
    one.get(PLACE, headers={"Cookie": "a=own; c=d"})
    assert sent(mock).headers.get_list("cookie") == ["a=own; c=d"]
