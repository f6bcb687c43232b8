"""The errors of a client: each names method and URL, and says whether the server may have acted.

One table, blocking and on asyncio; secrets of URLs, fields and proxies are in no message.
"""

import socket
import struct
import traceback

import pytest
from kit.servers import refusing_port
from kit.sites import DRIVERS, Site, answer_of, ask

from dugong_like import (
    BodyTooLarge,
    ConnectFailed,
    ConnectionClosed,
    ConnectionTimedOut,
    DecodingError,
    DugongError,
    HandshakeFailed,
    HostnameNotResolvable,
    InvalidRequest,
    InvalidResponse,
    RedirectRefused,
    StatusError,
    Timeouts,
    TooManyRedirects,
    TunnelRefused,
    UnsupportedResponse,
)

OK = answer_of(200, body=b"ok")
SECRET = "s3cr3t"
QUERY = f"/x?access_token={SECRET}&a=b"


def co_no_names(host, port):
    raise HostnameNotResolvable(f"{host} does not exist", name=host)
    yield


def closing(data):
    def answer(sock, seen):
        sock.sendall(data)

    return answer


def resetting(sock, seen):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(sock, seen):
    while sock.recv(1024):
        pass


HEAD = b"HTTP/1.1 200 X\r\n"
GZIP = answer_of(200, "Content-Encoding: gzip", body=b"no gzip")
SHORT = {"timeout": Timeouts(connect=20, head=0.3, stall=0.3)}
# Answer of the server (None: nobody listens), options of client and request; the class, the
# attributes request_sent and retryable, and the status of the response that the error has.
CASES = {
    "refused": (None, {}, {}, ConnectFailed, "no", True, None),
    "no such name": (None, {"resolver": co_no_names}, {}, HostnameNotResolvable, "no", False, None),
    "refused by a proxy": (None, {"proxy": True}, {}, ConnectFailed, "no", True, None),
    "a bad field": (OK, {}, {"headers": {"A": "b\nc"}}, InvalidRequest, "no", False, None),
    "a bad name": (OK, {}, {"headers": {"A b": "c"}}, InvalidRequest, "no", False, None),
    "a length": (OK, {}, {"headers": {"Content-Length": "1"}}, InvalidRequest, "no", False, None),
    "no answer": (closing(b""), {}, {}, ConnectionClosed, "maybe", True, None),
    "reset": (resetting, {}, {}, ConnectionClosed, "maybe", True, None),
    "half a head": (closing(HEAD), {}, {}, ConnectionClosed, "yes", True, None),
    "half a body": (
        *(closing(HEAD + b"Content-Length: 9\r\n\r\nhal"), {}, {}),
        *(ConnectionClosed, "yes", True, None),
    ),
    "silence": (silent, SHORT, {}, ConnectionTimedOut, "maybe", True, None),
    "no HTTP": (closing(b"SSH-2.0-x\r\n"), {}, {}, InvalidResponse, "yes", False, None),
    "a bad length": (
        *(closing(HEAD + b"Content-Length: x\r\n\r\n"), {}, {}),
        *(InvalidResponse, "yes", False, None),
    ),
    "an unknown transfer coding": (
        *(closing(HEAD + b"Transfer-Encoding: x\r\n\r\n"), {}, {}),
        *(UnsupportedResponse, "yes", False, None),
    ),
    "101 unasked": (
        *(closing(b"HTTP/1.1 101 X\r\nUpgrade: x\r\n\r\n"), {}, {}),
        *(InvalidResponse, "yes", False, None),
    ),
    "no gzip": (GZIP, {}, {}, DecodingError, "yes", False, 200),
    "too large": (OK, {"max_body": 1}, {}, BodyTooLarge, "yes", False, 200),
    "404": (answer_of(404), {"raise_for_status": True}, {}, StatusError, "yes", False, 404),
    "500": (answer_of(500), {"raise_for_status": True}, {}, StatusError, "yes", False, 500),
    "a loop": (
        *(answer_of(302, f"Location: {QUERY}"), {"max_redirects": 2}, {}),
        *(TooManyRedirects, "yes", False, 302),
    ),
    "a bad redirect": (answer_of(302, "Location: x:y"), {}, {}, RedirectRefused, "yes", False, 302),
}


@pytest.mark.reliability(30)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", CASES)
def test_what_an_error_says(name, driver):
    answer, options, more, kind, request_sent, retryable, status = CASES[name]
    options = dict(options)
    with Site({None: answer}) as site, refusing_port() as refused:
        port = refused if answer is None else site.port
        if "proxy" in options:
            options["proxy"] = f"http://user:{SECRET}@127.0.0.1:{port}"
            options["resolver"] = None
        more = {"headers": {}, **more}
        more["headers"] = {"Authorization": SECRET, "Cookie": f"a={SECRET}", **more["headers"]}
        url = f"http://a.test:{port}{QUERY}"
        [error] = ask(driver, options, ("GET", url, more))
    assert type(error) is kind
    shown = f"http://a.test:{port}/x?access_token=[masked]&a=b"
    assert (error.method, error.url) == ("GET", shown)
    assert str(error).startswith(f"GET {shown}")
    assert str(error).count("http://a.test") == 1
    assert (error.request_sent, error.retryable) == (request_sent, retryable)
    assert error.request.url.origin.port == port
    if status is None:
        assert error.response is None
    else:
        assert error.response.status_code == status
    chain = "".join(traceback.format_exception(error, chain=True)[-1:]) + repr(error)
    assert SECRET not in chain


@pytest.mark.reliability(30, 32)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("where", [0, 1, 2])
def test_an_error_is_about_the_hop_that_failed(where, driver):
    """It names that URL, and has the redirect before it."""
    answers = {f"/{number}": answer_of(302, f"Location: /{number + 1}") for number in range(where)}
    with Site({**answers, None: closing(b"")}) as site:
        [error] = ask(driver, {}, ("GET", site.url(path="/0")))
    assert isinstance(error, ConnectionClosed)
    assert error.url == site.url(path=f"/{where}")
    assert str(error.request.url) == error.url
    if where:
        assert str(error.response.url) == site.url(path=f"/{where - 1}")


@pytest.mark.reliability(68)
@pytest.mark.parametrize("driver", DRIVERS)
def test_tls_errors_name_the_request(driver, certificate, trusting):
    with Site({None: OK}, tls=certificate.server_context()) as site:
        url = f"https://b.test:{site.port}/x"
        call = ("POST", url, {"content": b"x"})
        errors = ask(driver, {"ssl_context": trusting}, call) + ask(driver, {}, call)
    for error in errors:
        assert isinstance(error, HandshakeFailed)
        assert (error.method, error.url, error.request_sent) == ("POST", url, "no")
        assert str(error).startswith(f"POST {url}: ")
        assert not error.retryable
        assert error.phase == "tls"
    assert site.seen == []


@pytest.mark.reliability(61)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_tunnel_that_is_refused(driver):
    with Site({None: answer_of(407, "Proxy-Authenticate: Basic realm=x")}) as site:
        options = {"proxy": f"http://u:{SECRET}@127.0.0.1:{site.port}", "resolver": None}
        [error] = ask(driver, options, ("GET", "https://a.test/x"))
    assert isinstance(error, TunnelRefused)
    assert (error.method, error.url, error.request_sent) == ("GET", "https://a.test/x", "no")
    assert SECRET not in str(error)
    assert len(site.seen) == 1


@pytest.mark.reliability(30)
@pytest.mark.parametrize("driver", DRIVERS)
def test_json_that_is_none_names_the_request(driver):
    """It is a ValueError of the parser, with a note."""
    with Site({None: answer_of(200, body=b"<html>")}) as site:
        [response] = ask(driver, {}, ("GET", site.url(path=QUERY)))
        with pytest.raises(ValueError) as failure:
            response.json()
    notes = "".join(failure.value.__notes__)
    assert "GET http://a.test" in notes
    assert "<html>" in notes
    assert SECRET not in notes


@pytest.mark.reliability(30)
def test_messages_of_very_long_urls_are_short():
    with Site({None: closing(b"")}) as site:
        [error] = ask("blocking", {}, ("GET", site.url(path="/" + "x" * 20_000)))
    assert isinstance(error, DugongError)
    assert len(str(error)) < 1000
