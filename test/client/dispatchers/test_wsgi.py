"""Applications by WSGI: what they are told, bodies both ways, and everything they do wrong."""

import io
import json
import sys
import tracemalloc
import wsgiref.validate

import pytest

from dugong_like import Client, ConnectionClosed, StateError, WSGIDispatcher

PLACE = "http://a.test/x"


def client_of(app, **options):
    return Client(dispatcher=WSGIDispatcher(app, **options))


def shows(environ, start_response):
    """Answer with the variables as JSON, and the body."""
    shown = {name: value for name, value in environ.items() if isinstance(value, str | int)}
    shown["body"] = environ["wsgi.input"].read().decode("latin-1")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown).encode()]


@pytest.mark.feature("D39")
def test_environ():
    found = (
        client_of(shows, client=("10.0.0.9", 4), environ={"REMOTE_USER": "me"})
        .get(
            "https://a.test:8443/caf%C3%A9/x%2Fy?q=%20a",
            headers=[("X-Many", "1"), ("X-Many", "2"), ("X_Many", "3"), ("Cookie", "a=b")],
            cookies={"c": "d"},
        )
        .json()
    )
    expected = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/café/x/y".encode().decode("latin-1"),
        "QUERY_STRING": "q=%20a",
        "SERVER_NAME": "a.test",
        "SERVER_PORT": "8443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.9",
        "REMOTE_PORT": "4",
        "REMOTE_USER": "me",
        "HTTP_HOST": "a.test:8443",
        "HTTP_X_MANY": "1, 2",
        "HTTP_COOKIE": "a=b; c=d",
        "wsgi.url_scheme": "https",
        "body": "",
    }
    assert expected.items() <= found.items()
    assert "CONTENT_LENGTH" not in found
    assert found["HTTP_USER_AGENT"].startswith("dugong_like/")


@pytest.mark.feature("D39")
@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"abc", "3"),
        (b"", "0"),
        (io.BytesIO(b"abc"), "3"),
        ([b"ab", b"c"], None),
        ((piece for piece in [b"ab", b"c"]), None),
    ],
)
def test_bodies_of_requests(body, length):
    found = client_of(shows).post(PLACE, content=body, headers={"Content-Type": "x/y"}).json()
    assert found["body"] == ("" if length == "0" else "abc")
    assert found.get("CONTENT_LENGTH") == length
    assert found["CONTENT_TYPE"] == "x/y"
    assert found.get("HTTP_TRANSFER_ENCODING") == (None if length else "chunked")


@pytest.mark.parametrize(
    ("root", "path", "script", "info"),
    [
        ("", "/x", "", "/x"),
        ("/app", "/app/x", "/app", "/x"),
        ("/app/", "/app/x", "/app", "/x"),
        ("/app", "/app", "/app", ""),
        ("/app", "/apple", "/app", "/apple"),
        ("/app", "/other", "/app", "/other"),
    ],
)
def test_root_path(root, path, script, info):
    found = client_of(shows, root_path=root).get(f"http://a.test{path}").json()
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == (script, info)


def test_checked_by_the_standard_library():
    @wsgiref.validate.validator
    def app(environ, start_response):
        environ["wsgi.input"].read(2)
        start_response("201 Made It", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"o", b"k"]

    def fixed(environ, start_response):
        return app(dict(environ), start_response)

    response = client_of(fixed).post(PLACE, content=b"xy", headers={"Content-Type": "x/y"})
    assert (response.status_code, response.reason_phrase) == (201, "Made It")
    assert (response.content, response.headers["content-length"]) == (b"ok", "2")


class Result:
    """What an application returns: it notes how much was taken, and that it was closed."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.closed = 0

    def __iter__(self):
        while self.pieces:
            piece = self.pieces.pop(0)
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self):
        self.closed += 1


def answers(result, status="200 OK", fields=()):
    def app(environ, start_response):
        start_response(status, list(fields))
        return result

    return app


def test_body_is_taken_as_it_is_read():
    result = Result(b"", b"one", b"two", b"three")
    with client_of(answers(result)).stream("GET", PLACE) as response:
        assert len(result.pieces) == 2
        pieces = response.iter_bytes()
        assert next(pieces) == b"one"
        assert len(result.pieces) == 2
        assert list(pieces) == [b"two", b"three"]
        assert result.closed == 1
    assert result.closed == 1


def test_a_large_body_is_not_copied_for_each_part_that_is_read():
    large = bytes(8_000_000)
    peaks = []

    def app(environ, start_response):
        tracemalloc.start()
        try:
            assert environ["wsgi.input"].read(1000) == large[:1000]
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        start_response("200 OK", [])
        return [large]

    with client_of(app).stream("PUT", PLACE, content=large) as response:
        pieces = response.iter_bytes(1000)
        tracemalloc.start()
        try:
            assert next(pieces) == large[:1000]
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert sum(map(len, pieces)) == len(large) - 1000
    assert max(peaks) < len(large) / 2


def test_response_that_is_closed_closes_the_result():
    result = Result(b"one", b"two")
    with client_of(answers(result)).stream("GET", PLACE):
        pass
    assert (result.closed, result.pieces) == (1, [b"two"])


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No"), ("GET", "304 Same")]
)
def test_responses_without_a_body(method, status):
    result = Result(b"body")
    response = client_of(answers(result, status, [("Content-Length", "4")])).request(method, PLACE)
    assert (response.content, result.closed) == (b"", 1)
    assert response.headers["content-length"] == "4"


@pytest.mark.parametrize("sent", [b"abc", b"abcdefg"])
def test_content_length_holds(sent):
    client = client_of(answers([sent], fields=[("Content-Length", "5")]))
    if len(sent) > 5:
        assert client.get(PLACE).content == b"abcde"
        return
    with pytest.raises(ConnectionClosed, match="2 bytes less"):
        client.get(PLACE)


def test_write_and_late_start():
    def app(environ, start_response):
        write = start_response("200 OK", [])
        write(b"one ")
        write(b"two ")
        return [b"three"]

    def generator(environ, start_response):
        start_response("200 OK", [("X-A", "b")])
        yield b"late"

    assert client_of(app).get(PLACE).content == b"one two three"
    assert client_of(generator).get(PLACE).headers["x-a"] == "b"


def test_start_response_again_with_an_exception():
    def app(environ, start_response):
        start_response("200 OK", [])
        try:
            raise LookupError("mine")
        except LookupError:
            start_response("503 Sorry", [("X-A", "b")], sys.exc_info())
        return [b"sorry"]

    def too_late(environ, start_response):
        start_response("200 OK", [])
        yield b"begun"
        try:
            raise LookupError("mine")
        except LookupError:
            start_response("503 Sorry", [], sys.exc_info())

    response = client_of(app).get(PLACE)
    assert (response.status_code, response.headers.items()) == (503, [("X-A", "b")])
    with pytest.raises(LookupError, match="mine"):
        client_of(too_late).get(PLACE)


def fails(environ, start_response):
    raise LookupError("mine")


def fails_late(environ, start_response):
    start_response("200 OK", [])
    yield b"begun"
    raise LookupError("mine")


def test_exceptions_of_the_application():
    for app in (fails, fails_late):
        with pytest.raises(LookupError, match="mine"):
            client_of(app).get(PLACE)
    response = client_of(fails, raise_app_exceptions=False).get(PLACE)
    assert (response.status_code, response.content) == (500, b"Internal Server Error")
    with pytest.raises(ConnectionClosed) as caught:
        client_of(fails_late, raise_app_exceptions=False).get(PLACE)
    assert isinstance(caught.value.__cause__, LookupError)
    result = Result(LookupError("mine"))
    with pytest.raises(LookupError):
        client_of(answers(result)).get(PLACE)
    assert result.closed == 1


def twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


@pytest.mark.parametrize(
    ("app", "why"),
    [
        (lambda environ, start_response: [b"x"], "start_response"),
        (twice, "twice"),
        (answers(["text"]), "bytes"),
        (answers([], "OK"), "status"),
        (answers([], "20 OK"), "status"),
    ],
)
def test_applications_that_violate_the_interface(app, why):
    with pytest.raises(StateError, match=why):
        client_of(app).get(PLACE)


def test_cookies_and_redirects_are_those_of_a_client():
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/x":
            start_response("302 Found", [("Location", "/y"), ("Set-Cookie", "a=b")])
            return []
        return shows(environ, start_response)

    response = client_of(app).get(PLACE)
    assert response.json()["HTTP_COOKIE"] == "a=b"
    assert [old.status_code for old in response.history] == [302]


@pytest.mark.parametrize(
    "options",
    [
        {"app": None},
        {"app": 1},
        {"raise_app_exceptions": "no"},
        {"root_path": 1},
    ],
)
def test_wrong_arguments(options):
    with pytest.raises(TypeError):
        WSGIDispatcher(**{"app": shows} | options)


def test_repr_and_end():
    dispatcher = WSGIDispatcher(shows)
    assert repr(dispatcher).startswith("WSGIDispatcher(")
    with Client(dispatcher=dispatcher) as client:
        client.get(PLACE)
