"""Names of other libraries: errors that say what is meant, for attributes and for arguments."""

import copy
import importlib
import pickle
import re

import pytest

import dugong_like
from dugong_like import AsyncClient, Client, ClientRequest, Limits, MockDispatcher, Response, Retry
from dugong_like.client.other_names import (
    OF_CLIENT,
    OF_PACKAGE,
    OF_REQUEST,
    OF_RESPONSE,
    no_attribute,
    unknown_argument,
)

RESPONSE = Response(200, request=ClientRequest("GET", "http://a.test/"))


def test_attributes_that_a_response_has_elsewhere():
    for name in OF_RESPONSE:
        assert not hasattr(RESPONSE, name)
        with pytest.raises(AttributeError, match=f"'{name}': here it is") as caught:
            getattr(RESPONSE, name)
        assert (caught.value.name, caught.value.obj) == (name, RESPONSE)
    with pytest.raises(AttributeError, match="a Response has no attribute 'statos'$"):
        RESPONSE.statos
    assert getattr(RESPONSE, "status", None) is None


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_attributes_that_a_client_has_elsewhere(kind):
    client = kind(dispatcher=MockDispatcher(lambda _: Response(200)))
    for name in OF_CLIENT:
        with pytest.raises(AttributeError, match=f"^{kind.__name__} .*'{name}': here it is"):
            getattr(client, name)
    for name, own in (("timeout", "timeout"), ("transport", "dispatcher"), ("auth", "auth")):
        with pytest.raises(AttributeError, match=f"'{name}': {own} is an argument of it only"):
            getattr(client, name)
    with pytest.raises(AttributeError, match="has no attribute 'gett'$"):
        client.gett


def test_a_blocking_client_is_closed_by_close():
    with pytest.raises(AttributeError, match=re.escape("here it is close()")):
        Client().aclose


def test_attributes_that_a_request_has_elsewhere():
    request = ClientRequest("GET", "http://a.test/")
    for name, own in OF_REQUEST.items():
        with pytest.raises(
            AttributeError, match=f"a ClientRequest .*'{name}': here it is"
        ) as caught:
            getattr(request, name)
        assert caught.value.obj is request
        assert hasattr(request, re.match(r"\w+", own)[0])
    with pytest.raises(AttributeError, match="no attribute 'contents'$"):
        request.contents
    assert copy.copy(request).url == pickle.loads(pickle.dumps(request)).url == request.url


def test_names_of_packages():
    for name in OF_PACKAGE:
        with pytest.raises(AttributeError, match=f"'{name}': here it is"):
            getattr(dugong_like, name)
    with pytest.raises(AttributeError, match="'dugong_like' has no attribute 'Clyent'$"):
        dugong_like.Clyent
    with pytest.raises(ImportError):
        importlib.import_module("dugong_like.exceptions")


def test_what_is_said_exists():
    for text in OF_PACKAGE.values():
        name = re.match(r"\w+", text)[0]
        assert hasattr(dugong_like, name) or name == "http"
    for text in OF_RESPONSE.values():
        assert hasattr(RESPONSE, re.match(r"\w+", text)[0]) or text.startswith("request.")
    for text in OF_CLIENT.values():
        assert hasattr(Client, re.match(r"\w+", text)[0]) or text.startswith("the argument mounts")


@pytest.mark.parametrize(
    ("make", "name", "own"),
    [
        (Limits, "max_keepalive_connections", "max_keepalive"),
        (Limits, "limit_per_host", "max_per_origin"),
        (Retry, "backoff_factor", "backoff"),
        (Retry, "status_forcelist", "statuses"),
        (Client, "http1", "versions"),
    ],
)
def test_arguments_that_are_called_otherwise(make, name, own):
    with pytest.raises(TypeError, match=f"'{name}': it is called {own}"):
        make(**{name: 1})


@pytest.mark.parametrize("make", [Limits, Retry])
def test_arguments_that_there_are_not(make):
    with pytest.raises(TypeError, match="no argument 'bogus'; there are .*max_"):
        make(bogus=1)


def test_http2_is_no_flag():
    with pytest.raises(TypeError, match=re.escape('versions=("h2", "http/1.1")')):
        Client(http2=True)


def test_errors():
    assert str(no_attribute(1, "a number", "x", {"x": "y"})) == (
        "a number has no attribute 'x': here it is y"
    )
    assert str(unknown_argument("x", ["b", "a"], {})) == "there is no argument 'x'; there are a, b"
