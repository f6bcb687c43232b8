"""What a caller, or an attacker through him, can put on the wire: lines 47 to 51 and 61."""

import pytest
from streams import ScriptedStream, connection, finish

from dugong_like import BodyFollowing, ExcessBodyData, HTTPConnection, InvalidRequest, StateError

BREAKS = [
    "\r\n", "\n", "\r", "\0", "\r\n\r\n", "\r\nX: y", "\n\nGET / HTTP/1.1", "\x0b", "\x0c", "\x1f",
    "\x7f", "\x85\u2028", "\u010a", "\u010d", "\u560d\u560a", "\u2028", "\ud800", "\u0100",
]  # fmt: skip
BLANKS = [" ", "\t", " HTTP/1.1\r\nX: "]


@pytest.fixture
def attempt(monkeypatch):
    """A function: try to send a request; it has to be refused before a byte is sent."""

    def attempt(method="GET", path="/", headers=None, **options):
        stream = ScriptedStream()
        conn = connection(monkeypatch, stream)
        with pytest.raises(InvalidRequest):
            finish(conn.co_send_request(method, path, headers, **options))
        assert stream.sent == b""
        assert not conn.response_pending()
        finish(conn.co_send_request("GET", "/next"))
        assert stream.sent.startswith(b"GET /next HTTP/1.1\r\n")

    return attempt


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize("text", [*BREAKS, *BLANKS])
@pytest.mark.parametrize("form", ["{}", "{}x", "x{}", "x{}y"])
@pytest.mark.parametrize("place", ["method", "path", "query", "name", "host"])
def test_lines_47_and_48_nothing_gets_into_a_request(attempt, text, form, place):
    text = form.format(text)
    match place:
        case "method":
            attempt(method=text)
        case "path":
            attempt(path="/" + text)
        case "query":
            attempt(path="/?a=" + text)
        case "name":
            attempt(headers={text: "x"})
        case "host":
            attempt(headers={"hOsT": "example.org" + text})


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize("text", set(BREAKS) - {"\x85\u2028"} | {"\x85\n"})
@pytest.mark.parametrize("form", ["{}", "{}x", "x{}", "x{}y"])
@pytest.mark.parametrize(
    "name", ["X", "Cookie", "Connection", "Accept-Encoding", "Expect", "Upgrade"]
)
def test_lines_47_and_48_nothing_gets_into_a_value(attempt, text, form, name):
    attempt(headers={name: form.format(text)})
    attempt("PUT", headers=[("A", "b"), (name, form.format(text))], body=b"body")


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    "name", ["", ":", "A:", "A: b", "(A)", "A@B", "[A]", "A=B", '"A"', "A/B", "{A}", "\xe9"]
)
def test_line_47_names_are_tokens(attempt, name):
    attempt(headers={name: "x"})


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize(
    "text", [*BREAKS[:11], " ", "\t", "/", "@", "?", "#", "\\", ":80", "[", "]", "%00", "\u2100"]
)
@pytest.mark.parametrize("form", ["{}", "example.org{}", "{}example.org", "exa{}mple.org"])
def test_line_47_host_names(text, form):
    for make in (
        HTTPConnection,
        lambda name: HTTPConnection("example.org", proxy=(name, 3128)),
    ):
        with pytest.raises(InvalidRequest):
            make(form.format(text))


@pytest.mark.reliability(47)
@pytest.mark.parametrize("url", [
    "http://pro xy:80", "http://proxy\r\nX: y:80", "http://u:p@proxy:80", "ftp://proxy", "proxy:80",
    "http://", "http://[::1", "http://proxy:port", "http://proxy:99999", "http://a/b\\c@d", "http://a\\b",
])  # fmt: skip
def test_line_47_proxies(url):
    if url == "http://a/b\\c@d":  # host a, and a path that a proxy does not need
        assert HTTPConnection("x", proxy=url).proxy == ("a", 80)
        return
    with pytest.raises(InvalidRequest):
        HTTPConnection("example.org", proxy=url)


@pytest.mark.reliability(49)
@pytest.mark.parametrize(
    "name", ["Content-Length", "content-length", "TRANSFER-ENCODING", "Transfer-encoding"]
)
@pytest.mark.parametrize("value", ["0", "5", "chunked", "identity", "gzip, chunked", ""])
@pytest.mark.parametrize("body", [None, b"hello", BodyFollowing(5), BodyFollowing()])
def test_line_49_framing_is_the_library_s(attempt, name, value, body):
    attempt("POST", headers={name: value}, body=body)
    attempt("POST", headers=[("A", "b"), (name, value)], body=body)


@pytest.mark.reliability(49)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "body", [None, b"", b"hello", BodyFollowing(0), BodyFollowing(5), BodyFollowing()]
)
def test_line_49_one_framing_for_each_request(monkeypatch, method, body):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    finish(conn.co_send_request(method, "/", {"A": "b"}, body))

    framing = stream.sent.lower().count(b"content-length:") + stream.sent.lower().count(
        b"transfer-encoding:"
    )
    assert framing == (body is not None or method in {"POST", "PUT"})


@pytest.mark.reliability(50)
@pytest.mark.parametrize("path", [
    "http://evil.example/", "https://evil.example", "evil.example", "evil.example:80",
    "@evil.example/", "", "?a", "*", "/ HTTP/1.1", "\\\\evil.example\\", " /", "/#fragment", "#",
])  # fmt: skip
def test_line_50_other_forms_of_targets(attempt, path):
    attempt(path=path)


@pytest.mark.reliability(50)
@pytest.mark.parametrize(
    "path", ["//evil.example/", "///", "/http://evil.example/", "/@evil.example", "/\\x"]
)
@pytest.mark.parametrize("proxy", [None, ("127.0.0.1", 3128)])
def test_line_50_no_path_changes_the_host(monkeypatch, path, proxy):
    stream = ScriptedStream()
    finish(connection(monkeypatch, stream, proxy=proxy).co_send_request("GET", path))

    line, host, *_ = stream.sent.split(b"\r\n")
    prefix = "http://script.test" if proxy else ""
    assert (line, host) == (f"GET {prefix}{path} HTTP/1.1".encode(), b"Host: script.test")


@pytest.mark.reliability(51)
@pytest.mark.parametrize(
    "writes", [[b"123456"], [b"12345", b"6"], [b"", b"1", b"23456"], [b"1" * 10**6]]
)
def test_line_51_more_than_announced(monkeypatch, writes):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(5)))
    head = stream.sent
    for data in writes[:-1]:
        finish(conn.co_write(data))
    with pytest.raises((ExcessBodyData, StateError)):  # StateError: the body was complete
        finish(conn.co_write(writes[-1]))

    assert stream.sent == head + b"".join(writes[:-1])


@pytest.mark.reliability(51)
@pytest.mark.parametrize("written", [b"", b"1234"])
def test_line_51_less_than_announced(monkeypatch, written):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream, ScriptedStream())
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing(5)))
    finish(conn.co_write(written))
    sent = stream.sent
    for call in (conn.co_finish, lambda: conn.co_send_request("GET", "/")):
        with pytest.raises(StateError, match=f"{5 - len(written)} bytes are missing"):
            finish(call())

    assert stream.sent == sent
    conn.reset()
    assert stream.closed
    finish(conn.co_send_request("GET", "/"))


@pytest.mark.reliability(47, 49)
@pytest.mark.parametrize(
    "trailers", [{"A": "b\r\nc"}, {"A\n": "b"}, {"Content-Length": "5"}, {"Host": "x"}]
)
def test_line_47_trailers(monkeypatch, trailers):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    finish(conn.co_send_request("PUT", "/", body=BodyFollowing()))
    head = stream.sent
    with pytest.raises(InvalidRequest):
        finish(conn.co_finish(trailers))
    assert stream.sent == head
    finish(conn.co_finish({"A": "b"}))
    assert stream.sent == head + b"0\r\nA: b\r\n\r\n"
