"""The layer of cookies: what is sent with which request, and what is taken from responses."""

import pytest
from kit.sending import PLACE, Sends, arriving, request_to

from dugong_like import Cookies, InvalidRequest, run
from dugong_like.client.layers.cookies import CookieLayer

NOW = 1_700_000_000.0


def cookies_of(*lines, url=PLACE):
    cookies = Cookies()
    cookies.extract(url, lines, NOW)
    return cookies


def sent(cookies, request, response=None, **options):
    """Return the fields Cookie of *request* as it is sent, or None."""
    sends = Sends(response or arriving())
    run(CookieLayer(cookies, clock=lambda: NOW, **options)(request, sends))
    return sends.requests[0].headers.get_list("cookie") or None


@pytest.mark.parametrize(
    ("stored", "options", "expected"),
    [
        ([], {}, None),
        (["a=1"], {}, ["a=1"]),
        (["a=1", "b=2; Path=/x/deep"], {}, ["a=1"]),
        ([], {"cookies": {"c": "3"}}, ["c=3"]),
        ([], {"cookies": {}}, None),
        (["a=1"], {"cookies": {"c": "3"}}, ["a=1; c=3"]),
        (["a=1", "b=2"], {"cookies": {"a": "mine"}}, ["b=2; a=mine"]),
        # Names of the request's own field win, too.
        ([], {"headers": {"Cookie": "q=9"}}, ["q=9"]),
        (["a=1", "b=2"], {"headers": {"Cookie": "a=mine; q=9"}}, ["b=2; a=mine; q=9"]),
        (["a=1"], {"headers": [("cookie", "q=9"), ("COOKIE", "a=5")]}, ["q=9; a=5"]),
        (
            ["a=1"],
            {"headers": {"Cookie": "q=9; c=4"}, "cookies": {"c": "3"}},
            ["a=1; q=9; c=3"],
        ),
        ([], {"headers": {"Cookie": "q=9; c=4"}, "cookies": {"c": "3"}}, ["q=9; c=3"]),
    ],
)
def test_cookies_that_are_sent(stored, options, expected):
    assert sent(cookies_of(*stored), request_to(**options)) == expected


def test_the_request_itself_is_not_changed():
    request = request_to(cookies={"c": "3"})
    sends = Sends(arriving())
    run(CookieLayer(cookies_of("a=1"))(request, sends))
    assert "cookie" not in request.headers
    assert sends.requests[0] is not request
    assert request.attempts == 1  # it counts although a copy was sent


def test_attempts_count_also_if_sending_fails():
    request = request_to(cookies={"c": "3"})
    with pytest.raises(LookupError):
        run(CookieLayer(Cookies())(request, Sends(LookupError())))
    assert request.attempts == 1


def test_nothing_is_copied_without_cookies():
    request = request_to()
    sends = Sends(arriving())
    run(CookieLayer(Cookies())(request, sends))
    assert sends.requests == [request]


@pytest.mark.parametrize("stores", [True, False])
def test_cookies_of_responses(stores):
    cookies = Cookies()
    response = arriving(401, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Max-Age=10")])
    sent(cookies, request_to(), response, stores=stores)
    assert sent(cookies, request_to()) == (["a=1; b=2"] if stores else None)
    assert sent(cookies, request_to("http://b.test/")) is None


def test_cookies_expire_by_the_clock():
    cookies = cookies_of("a=1; Max-Age=10")
    layer = CookieLayer(cookies, clock=lambda: NOW + 11)
    sends = Sends(arriving())
    run(layer(request_to(), sends))
    assert "cookie" not in sends.requests[0].headers


def test_secure_cookies_stay_away_from_http():
    cookies = cookies_of("a=1; Secure", url="https://a.test/")
    assert sent(cookies, request_to()) is None
    assert sent(cookies, request_to("https://a.test/")) == ["a=1"]


@pytest.mark.parametrize("value", ["1\r\nX-A: b", "1; d=2", "\0"])
@pytest.mark.parametrize("headers", [None, {"Cookie": "q=9"}])
def test_cookies_that_cannot_be_sent(value, headers):
    with pytest.raises(InvalidRequest):
        sent(Cookies(), request_to(cookies={"c": value}, headers=headers))
