"""Credentials for one origin."""

import pytest
from kit.flows import Client

from dugong_like import URL, Auth, BasicAuth, BoundAuth, InvalidRequest, Origin, Request
from dugong_like.http.auth.scope import origin_of, path_of


@pytest.mark.parametrize(
    ("target", "origin", "path"),
    [
        ("/a?u=http://x.test/", None, "/a?u=http://x.test/"),
        ("*", None, "*"),
        ("http://x.test", Origin("http", "x.test"), "/"),
        ("HTTPS://X.test:8443/a?b", Origin("https", "x.test", 8443), "/a?b"),
        ("http://[::1]:81?q", Origin("http", "::1", 81), "/?q"),
    ],
)
def test_targets(target, origin, path):
    request = Request("GET", target)

    assert (origin_of(request), path_of(request)) == (origin, path)


@pytest.mark.parametrize("target", ["", "x.test:443", "ftp://x.test/", "http://u:p@x.test/"])
def test_targets_that_are_neither(target):
    for f in (origin_of, path_of):
        with pytest.raises(InvalidRequest) as failure:
            f(Request("GET", target))
        assert "u:p" not in str(failure.value)


@pytest.mark.reliability(60)
@pytest.mark.parametrize(
    "origin", ["https://x.test", URL("https://x.test/a"), Origin("https", "x.test")]
)
@pytest.mark.parametrize(
    ("url", "goes"),
    [
        ("https://x.test/b", True), ("https://X.TEST:443/", True), ("http://x.test/b", False),
        ("https://x.test:444/", False), ("https://y.x.test/", False), ("https://x.test.y/", False),
        ("/b", False),
    ],
)  # fmt: skip
def test_other_origins_get_nothing(origin, url, goes):
    client = Client(BoundAuth(BasicAuth("a", "b"), origin), lambda *_: (401, [], b""))

    assert client.request(target=url).status_code == 401
    assert client.sent == [("GET", url, "Basic YTpi" if goes else None)]


def test_needs_are_those_of_the_scheme():
    class Needy(Auth):
        requires_request_body = True
        same_connection = True

    bound = BoundAuth(Needy(), "http://x.test")
    assert bound.requires_request_body
    assert bound.same_connection
    assert not bound.requires_response_body
    assert repr(BoundAuth(BasicAuth("secret", "b"), "http://x.test")) == (
        "BoundAuth(BasicAuth(), 'http://x.test')"
    )


def test_wrong_arguments():
    for auth, origin, error in (
        (BasicAuth, "http://x.test", TypeError), ("a:b", "http://x.test", TypeError),
        (Auth(), "x.test", InvalidRequest), (Auth(), None, TypeError),
    ):  # fmt: skip
        with pytest.raises(error):
            BoundAuth(auth, origin)
