"""Redirects: what is followed, with which method, body and fields, and what is refused."""

import io

import pytest
from kit.cases import each_case

from dugong_like import (
    POLLIN,
    ConnectionClosed,
    ConnectionTimedOut,
    Headers,
    PollNeeded,
    RedirectRefused,
    TooManyRedirects,
)
from dugong_like.client.client import Client
from dugong_like.client.dispatchers.mock import MockDispatcher
from dugong_like.client.layers import redirects
from dugong_like.client.layers.redirects import OF_A_BODY, SAFE, co_skip_body

HERE = "https://a.test/dir/page?q"
STATUSES = (300, 301, 302, 303, 304, 305, 306, 307, 308)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
TO_GET = {(301, "POST"), (302, "POST"), *((303, method) for method in METHODS if method != "HEAD")}


def chain(*steps, here=HERE):
    """Return a client whose dispatcher redirects from each URL to the next."""
    mock = MockDispatcher()
    url = here
    for status, location in steps:
        mock.add(url=url).reply(status, {"Location": location}, b"moved")
        url = location
    mock.add().reply(200, content=b"here")
    return Client(dispatcher=mock, store_cookies=False), mock


@pytest.mark.feature("D26", "E32")
@each_case("place", ["https://a.test/new", "https://b.test/new"])
@each_case("method", METHODS)
@each_case("status", STATUSES)
def test_method_and_body_by_status(status, method, place):
    client, mock = chain((status, place))
    body = None if method in {"GET", "HEAD"} else b"body"
    response = client.request(
        method, HERE, content=body, follow_redirects=True, headers={"Content-Type": "x/y"}
    )

    if status in {300, 304, 305, 306}:
        assert (response.status_code, len(mock.calls), response.history) == (status, 1, ())
        assert response.next_request is None
        return
    assert (response.status_code, response.content, str(response.url)) == (200, b"here", place)
    assert [one.status_code for one in response.history] == [status]
    first, second = mock.calls
    changed = (status, method) in TO_GET
    assert second.method == ("GET" if changed else method)
    assert second.content == (b"" if changed else first.content)
    has_type = "content-type" in second.request.headers
    assert has_type is not (changed or body is None)
    assert response.attempts == 2


@pytest.mark.feature("D26")
@pytest.mark.parametrize("method", METHODS)
def test_head_is_followed_only_if_asked(method):
    client, mock = chain((302, "https://a.test/new"))
    response = client.request(method, HERE)
    assert response.status_code == (302 if method == "HEAD" else 200)
    if method == "HEAD":
        assert (response.next_request.method, str(response.next_request.url)) == (
            "HEAD",
            "https://a.test/new",
        )
        assert len(mock.calls) == 1


@pytest.mark.feature("E22", "E33")
def test_one_redirect_is_followed_by_hand():
    client, _ = chain((301, "https://a.test/1"), (302, "https://a.test/2"))
    first = client.get(HERE, follow_redirects=False)
    second = first.next()
    third = second.next()
    assert [one.status_code for one in (first, second, third)] == [301, 302, 200]
    assert [one.status_code for one in third.history] == [301, 302]
    with pytest.raises(Exception, match="no redirect that can be followed"):
        third.next()


LOCATIONS = [
    ("/x", "https://a.test/x"),
    ("x", "https://a.test/dir/x"),
    ("../x", "https://a.test/x"),
    ("?y", "https://a.test/dir/page?y"),
    ("//b.test/x", "https://b.test/x"),
    ("HTTPS://B.test:443/x", "https://b.test/x"),
    ("https://a.test:8443/x", "https://a.test:8443/x"),
    ("/a b", "https://a.test/a%20b"),
    ("/\xc3\xa4", "https://a.test/%C3%A4"),
    ("  /x  ", "https://a.test/x"),
    ("", HERE),
]


@pytest.mark.feature("D26")
@pytest.mark.parametrize(("location", "url"), LOCATIONS)
def test_location_is_resolved_at_the_url_of_the_request(location, url):
    mock = MockDispatcher()
    mock.add(url=HERE).reply(302, {"Location": location}).reply(200)
    mock.add().reply(200)
    client = Client(dispatcher=mock)
    assert str(client.get(HERE).url) == url


REFUSED = [
    ("http://a.test/", "https to http"),
    ("ftp://a.test/", "ftp"),
    ("javascript:alert(1)", "Location"),
    ("data:text/html,x", "Location"),
    ("file:///etc/passwd", "file"),
    ("https://a.test:99999/", "port"),
    ("https://[::1/", "Location"),
    ("https:///x", "Location"),
    ("wss://a.test/", "wss"),
]


@pytest.mark.parametrize(("location", "why"), REFUSED)
def test_unsafe_and_invalid_ones_are_refused_with_the_response(location, why):
    client, mock = chain((302, location), here=HERE)
    with pytest.raises(RedirectRefused, match=why) as caught:
        client.get(HERE)
    assert caught.value.response.status_code == 302
    assert caught.value.response.content == b"moved"
    assert (caught.value.method, caught.value.url) == ("GET", HERE)
    assert (caught.value.request_sent, caught.value.retryable) == ("yes", False)
    assert len(mock.calls) == 1
    response = client.get(HERE, follow_redirects=False)
    assert (response.status_code, response.next_request) == (302, None)


def test_https_to_http_if_that_was_allowed():
    mock = MockDispatcher()
    mock.add(url=HERE).reply(302, {"Location": "http://a.test/"})
    mock.add().reply(200)
    client = Client(dispatcher=mock, insecure_redirects=True)
    assert str(client.get(HERE).url) == "http://a.test/"


def test_different_locations_are_refused_and_equal_ones_are_one():
    for second, works in (("/1", True), ("/2", False)):
        mock = MockDispatcher()
        mock.add(url=HERE).reply(302, [("Location", "/1"), ("Location", second)])
        mock.add().reply(200)
        client = Client(dispatcher=mock)
        if works:
            assert client.get(HERE).status_code == 200
        else:
            with pytest.raises(RedirectRefused, match="several fields Location"):
                client.get(HERE)


@pytest.mark.feature("D26")
@pytest.mark.parametrize("most", [0, 1, 5])
def test_number_is_limited(most):
    mock = MockDispatcher()
    mock.add().reply(302, {"Location": "/again"}, b"loop")
    client = Client(dispatcher=mock, max_redirects=most)
    with pytest.raises(TooManyRedirects, match=f"more than {most} redirects") as caught:
        client.get(HERE)
    assert len(mock.calls) == most + 1
    assert caught.value.response.content == b"loop"


FIELDS = {
    "Authorization": "Bearer secret",
    "Cookie": "a=b",
    "Proxy-Authorization": "Basic x",
    "X-Api-Key": "secret",
    "Host": "other.test",
    "Origin": "https://a.test",
    "Referer": "https://a.test/",
    "Accept": "text/html",
    "Accept-Language": "de",
    "User-Agent": "test",
    "Range": "bytes=0-1",
    "If-Range": '"x"',
    "traceparent": "00-0-0-00",
}


@pytest.mark.feature("D26", "D35")
@pytest.mark.parametrize(
    ("place", "same"),
    [
        ("https://a.test/x", True),
        ("https://a.test:443/x", True),
        ("https://a.test:444/x", False),
        ("https://b.test/x", False),
        ("https://sub.a.test/x", False),
    ],
)
def test_fields_for_another_origin_are_those_that_are_safe(place, same):
    client, mock = chain((307, place))
    client.get(HERE, headers=FIELDS)
    sent = mock.calls[1].request.headers
    for name in FIELDS:
        assert (name in sent) is (same or name.lower() in SAFE), name


def test_fields_that_are_kept_on_request_and_none_comes_back_on_a_later_hop():
    steps = ((302, "https://b.test/1"), (302, "https://a.test/2"))
    mock = MockDispatcher()
    client, mock = chain(*steps)
    client.get(HERE, headers=FIELDS, auth=("user", "password"))
    assert "authorization" in mock.calls[0].request.headers
    for call in mock.calls[1:]:
        assert not {"authorization", "x-api-key", "cookie"} & {
            name.lower() for name, _ in call.request.headers
        }
    mock = MockDispatcher()
    mock.add(url=HERE).reply(302, {"Location": "https://b.test/"})
    mock.add().reply(200)
    Client(dispatcher=mock, keep_fields=["X-API-Key"]).get(HERE, headers=FIELDS)
    assert mock.calls[1].request.headers["x-api-key"] == "secret"
    assert "authorization" not in mock.calls[1].request.headers


def test_cookies_of_one_request_go_to_its_origin_only():
    for place, value in (("https://a.test/x", "a=b"), ("https://b.test/x", None)):
        client, mock = chain((302, place))
        client.get(HERE, cookies={"a": "b"})
        assert [call.request.headers.get("cookie") for call in mock.calls] == ["a=b", value]


def test_login_in_location_is_for_that_place():
    client, mock = chain((302, "https://user:pass%20word@b.test/x"))
    assert str(client.get(HERE).url) == "https://b.test/x"
    assert mock.calls[1].request.headers["authorization"] == "Basic dXNlcjpwYXNzIHdvcmQ="


class Once:
    """A body that can be read once."""

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration


@pytest.mark.feature("E29")
@pytest.mark.parametrize("place", ["https://a.test/x", "https://b.test/x"])
def test_body_that_cannot_be_read_again_is_not_redirected(place):
    client, mock = chain((307, place))
    mock.co_dispatch = first_without_reading(mock)
    with pytest.raises(RedirectRefused, match="second time"):
        client.put(HERE, content=Once())


def first_without_reading(mock):
    def co_dispatch(request):
        body, request.body = request.body, None
        response = yield from MockDispatcher.co_dispatch(mock, request)
        request.body = body
        return response

    return co_dispatch


def test_stream_is_sent_again_from_where_it_began():
    client, mock = chain((308, "https://b.test/x"))
    file = io.BytesIO(b"skipped, sent")
    file.seek(9)
    client.put(HERE, content=file)
    assert [call.content for call in mock.calls] == [b"sent", b"sent"]


@pytest.mark.feature("D18")
def test_event_for_each_redirect():
    client, _ = chain((301, "https://a.test/1"), (302, "https://a.test/2"))
    seen = []

    def on_redirect(response, data=None, exc=None, *, request):
        seen.append((response.status_code, str(request.url)))

    client.get(HERE, hooks={"on_redirect": on_redirect})
    assert seen == [(301, HERE), (302, "https://a.test/1")]


def test_failure_behind_a_redirect_has_the_response_before_it():
    mock = MockDispatcher()
    mock.add(url=HERE).reply(302, {"Location": "/x"})
    mock.add().fail(ConnectionClosed("gone"))
    client = Client(dispatcher=mock)
    with pytest.raises(ConnectionClosed) as caught:
        client.get(HERE)
    assert caught.value.response.status_code == 302


def test_tables_are_lower_case_and_do_not_overlap_with_secrets():
    for name in SAFE | OF_A_BODY:
        assert name == name.lower()
    assert not SAFE & {
        "authorization",
        "cookie",
        "host",
        "origin",
        "referer",
        "proxy-authorization",
    }
    assert Headers([("A", "b")]) == Headers([("a", "b")])


class Stuck:
    """A response whose body does not arrive."""

    is_closed = is_whole = False
    num_bytes_downloaded = 0

    def take_body(self, *, decoded):
        assert not decoded

    def co_raw_piece(self):
        yield PollNeeded(0, POLLIN)

    def close(self):
        self.is_closed = True


@pytest.mark.parametrize("phase", ["", "total", "pool"])
def test_limit_of_the_caller_ends_it_while_a_body_is_skipped(phase):
    response = Stuck()
    going = co_skip_body(response)
    next(going)
    with pytest.raises(ConnectionTimedOut, match="^mine$"):
        going.throw(ConnectionTimedOut("mine", phase=phase))
    assert response.is_closed


def test_body_that_does_not_arrive_is_skipped_for_a_while_only(monkeypatch):
    monkeypatch.setattr(redirects, "MAX_SKIPPING", -1)
    response = Stuck()
    with pytest.raises(StopIteration):
        next(co_skip_body(response))
    assert response.is_closed
