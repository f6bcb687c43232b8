"""Requests to URLs: target and URL, copies, and what a redirected one takes along."""

import io

import pytest
from kit.sending import PLACE, request_to

from dugong_like import URL, ClientRequest, Headers, InvalidRequest, StateError, run


def test_target_is_the_text_of_the_url():
    request = ClientRequest("GET", PLACE)
    assert (request.target, request.url) == (PLACE, URL(PLACE))
    request.target = "https://b.test/y?z"
    assert (request.url.host, request.url.origin.secure) == ("b.test", True)
    request.url = URL("http://c.test/")
    assert request.target == "http://c.test/"
    with pytest.raises(InvalidRequest):
        request.target = "/relative"


@pytest.mark.parametrize(
    ("url", "error"), [("/x", InvalidRequest), ("a.test", InvalidRequest), (b"x", TypeError)]
)
def test_urls_that_are_none(url, error):
    with pytest.raises(error):
        ClientRequest("GET", url)


def test_defaults():
    request = ClientRequest("GET", URL(PLACE), {"A": "b"}, b"x")
    assert (request.stream, request.follow_redirects, request.expect100) == (False,) * 3
    assert (request.timeouts, request.total, request.deadline, request.auth) == (None,) * 4
    assert (request.cookies, request.hooks, request.held, request.attempts) == (None, None, None, 0)
    assert request.extensions == {}
    assert (request.headers.items(), request.body) == ([("A", "b")], b"x")


def test_copy_shares_nothing_that_can_be_changed():
    request = request_to(headers={"A": "b"}, extensions={"mine": 1}, timeout=3)
    copied = request.copy()
    copied.headers["A"] = "c"
    copied.extensions["mine"] = 2
    copied.url = URL("http://b.test/")
    assert request.headers["A"] == "b"
    assert request.extensions["mine"] == 1
    assert str(request.url) == PLACE
    assert copied.timeouts is request.timeouts


def all_of(request):
    source = request.source()
    source.begin()
    pieces = []
    while piece := run(source.co_next()):
        pieces.append(bytes(piece))
    return b"".join(pieces)


def test_bodies_of_copies_begin_at_the_same_place():
    file = io.BytesIO(b"abcdef")
    file.seek(2)
    request = request_to(method="PUT", content=file)
    copied = request.copy()
    assert all_of(request) == all_of(copied) == b"cdef"
    once = request_to(method="PUT", content=iter([b"x"]))
    copied = once.copy()
    assert all_of(once) == b"x"
    assert not copied.rewindable()
    with pytest.raises(StateError):
        all_of(copied)  # and not an empty body


def test_redirected():
    request = request_to(method="POST", content=[b"x"], headers={"A": "b"}, stream=True)
    url, headers = URL("http://b.test/"), Headers({"C": "d"})
    there = request.redirected(url, "PUT", headers)
    assert (there.method, there.url, there.headers) == ("PUT", url, headers)
    assert (there.stream, all_of(there)) == (True, b"x")
    assert request.redirected(url, "GET", headers, with_body=False).body is None
    assert request.method == "POST"
