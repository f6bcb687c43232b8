"""What auth= takes, and functions as authentication."""

import pytest
from kit.flows import Client, response, run

from dugong_like import (
    Auth,
    BasicAuth,
    BearerAuth,
    DigestAuth,
    FunctionAuth,
    InvalidRequest,
    Request,
)
from dugong_like.http.auth.flow import co_authenticate
from dugong_like.http.auth.option import as_auth


@pytest.mark.feature("D8")
@pytest.mark.parametrize("pair", [("me", "pw"), ["me", "pw"]])
def test_pairs_are_basic(pair):
    assert as_auth(pair) == BasicAuth("me", "pw")


def test_schemes_are_taken_as_they_are():
    class Own:
        def auth_flow(self, request):
            yield request

    for auth in (DigestAuth("a", "b"), BearerAuth("a"), Own(), None):
        assert as_auth(auth) is auth


@pytest.mark.parametrize("bad", ["me:secret", b"x", 5, ("secret",), ("a", "b", "c"), {}, object()])
def test_what_is_none(bad):
    with pytest.raises(TypeError, match="auth is") as failure:
        as_auth(bad)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("kind", [BasicAuth, DigestAuth, Auth, dict])
def test_classes_are_not_objects(kind):
    with pytest.raises(TypeError, match=rf"auth is a class, where a {kind.__name__}\(…\)"):
        as_auth(kind)


def test_pairs_that_cannot_be_sent():
    with pytest.raises(InvalidRequest):
        as_auth(("a:b", "c"))
    with pytest.raises(TypeError):
        as_auth(("a", None))


def with_key(request):
    request.headers.set("X-Key", "k")


def sent_by(auth, request=None):
    sent = []

    def co_send(request):
        sent.append((request.target, list(request.headers)))
        yield from ()
        return response()

    run(co_authenticate(auth, request or Request("GET", "/"), co_send))
    return sent


@pytest.mark.feature("E34")
def test_functions_change_a_copy():
    request = Request("GET", "/", {"A": "b"})

    assert sent_by(as_auth(with_key), request) == [("/", [("A", "b"), ("X-Key", "k")])]
    assert list(request.headers) == [("A", "b")]
    other = FunctionAuth(lambda request: Request("GET", "/other"))
    assert sent_by(other) == [("/other", [])]


@pytest.mark.parametrize("result", [5, "x", ()])
def test_functions_return_requests(result):
    with pytest.raises(TypeError, match="returns the request or None"):
        sent_by(FunctionAuth(lambda request: result))


def test_functions_only():
    for bad in (None, "x", dict):
        with pytest.raises(TypeError):
            FunctionAuth(bad)
    assert repr(FunctionAuth(with_key)) == "FunctionAuth(with_key)"


def test_errors_of_functions_come_through():
    with pytest.raises(ZeroDivisionError):
        Client(FunctionAuth(lambda request: 1 / 0), None).request()
