"""What a caller, or an attacker through him, can put on the wire: lines 47 to 51 and 61."""

import enum

import pytest
from kit.cases import each_case
from kit.streams import ScriptedStream, connection, finish

from dugong_like import (
    BodyFollowing,
    ConnectionClosed,
    ExcessBodyData,
    HTTPConnection,
    InvalidRequest,
    StateError,
)

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
@each_case("text", [*BREAKS, *BLANKS])
@each_case("form", ["{}", "{}x", "x{}", "x{}y"])
@each_case("place", ["method", "path", "query", "name", "host"])
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
@each_case("text", sorted(set(BREAKS) - {"\x85\u2028"} | {"\x85\n"}))
@each_case("form", ["{}", "{}x", "x{}", "x{}y"])
@each_case("name", ["X", "Cookie", "Connection", "Accept-Encoding", "Expect", "Upgrade"])
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
@each_case(
    "text", [*BREAKS[:11], " ", "\t", "/", "@", "?", "#", "\\", ":80", "[", "]", "%00", "\u2100"]
)
@each_case("form", ["{}", "example.org{}", "{}example.org", "exa{}mple.org"])
def test_line_47_host_names(text, form):
    for make in (
        HTTPConnection,
        lambda name: HTTPConnection("example.org", proxy=(name, 3128)),
    ):
        with pytest.raises(InvalidRequest):
            make(form.format(text))


@pytest.mark.reliability(47)
@pytest.mark.parametrize("url", [
    "http://pro xy:80", "http://proxy\r\nX: y:80", "ftp://proxy", "proxy:80",
    "http://", "http://[::1", "http://proxy:port", "http://proxy:99999", "http://a/b\\c@d", "http://a\\b",
    "http://proxy\r\n:9", "http://pro\txy:9", "\0http://proxy", "http://proxy:9/\r\nX: y", "http://h:0",
    "http://h?x", "http://h#x", "http://127.0#.0.1", "http://h/path", "\x1fhttp://h", "http://h ",
])  # fmt: skip
def test_line_47_proxies(url):
    with pytest.raises(InvalidRequest):
        HTTPConnection("example.org", proxy=url)


@pytest.mark.reliability(49)
@each_case("name", ["Content-Length", "content-length", "TRANSFER-ENCODING", "Transfer-encoding"])
@each_case("value", ["0", "5", "chunked", "identity", "gzip, chunked", ""])
@each_case("body", [None, b"hello", BodyFollowing(5), BodyFollowing()])
def test_line_49_framing_is_the_library_s(attempt, name, value, body):
    attempt("POST", headers={name: value}, body=body)
    attempt("POST", headers=[("A", "b"), (name, value)], body=body)


@pytest.mark.reliability(49)
@each_case("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@each_case("body", [None, b"", b"hello", BodyFollowing(0), BodyFollowing(5), BodyFollowing()])
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
    for call in (lambda: conn.co_send_request("GET", "/"), conn.co_finish):
        with pytest.raises(StateError, match=f"{5 - len(written)} bytes are missing"):
            finish(call())
    with pytest.raises(ConnectionClosed):
        finish(conn.co_write(b"hello"))

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


class Odd(str):  # noqa: SLOT000
    """A string whose methods say something else than it is."""

    def __format__(self, spec):
        return "odd\r\nX: injected"

    def lower(self):
        return "odd"

    def __eq__(self, other):
        return False

    __hash__ = str.__hash__


def co_give(stream):
    yield from ()
    return stream


class Named(str, enum.Enum):  # noqa: UP042 - of 3.11, which formats as its name
    METHOD, PATH, NAME, VALUE, HOST = "PUT", "/path", "Name", "value", "script.test"


@pytest.mark.reliability(47, 49)
def test_line_47_subclasses_of_str_are_what_they_are(monkeypatch):
    for make in (Odd, str):
        stream = ScriptedStream()
        conn = connection(monkeypatch, stream)
        fields = {make("Name"): make("value")} if make is str else [(Odd("Name"), Odd("value"))]
        conn.send_request(make("PUT"), make("/path"), fields)
        assert stream.sent.startswith(b"PUT /path HTTP/1.1\r\n")
        assert stream.sent.endswith(b"\r\nName: value\r\nContent-Length: 0\r\n\r\n")
        assert b"odd" not in stream.sent
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request(Named.METHOD, Named.PATH, {Named.NAME: Named.VALUE, "host": Named.HOST})
    assert stream.sent.startswith(b"PUT /path HTTP/1.1\r\n")
    assert b"\r\nName: value\r\nhost: script.test\r\n" in stream.sent
    for method, path, name in [
        ("CONNECT", "/", "A"), ("GET", "*", "A"), ("GET", "/", "Content-Length"),
        ("GET", "/", "Transfer-Encoding"),
    ]:  # fmt: skip
        with pytest.raises(InvalidRequest):
            conn.send_request(Odd(method), Odd(path), [(Odd(name), "5")])
    monkeypatch.setattr("dugong_like.transport.connect.open.co_open", lambda *_: co_give(stream))
    HTTPConnection(Odd("odd.test")).send_request("GET", "/")
    assert b"Host: odd.test\r\n" in stream.sent


@pytest.mark.reliability(47)
@pytest.mark.parametrize("headers", ["abc", b"abc", ["ab"], [("a",)], [("a", "b", "c")], [[]], 5])
def test_line_47_headers_that_are_no_pairs(monkeypatch, headers):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    with pytest.raises(TypeError):
        conn.send_request("GET", "/", headers)
    assert stream.sent == b""
    conn.send_request("PUT", "/", body=BodyFollowing())
    with pytest.raises(TypeError):
        conn.finish(headers)


@pytest.mark.reliability(12, 47, 49)
@pytest.mark.parametrize("length", [5.5, 5.0, float("nan"), float("inf"), "5", b"5", [5]])
def test_line_49_lengths_are_numbers(monkeypatch, length):
    with pytest.raises(TypeError):
        BodyFollowing(length)
    stream = ScriptedStream()
    connection(monkeypatch, stream).send_request("PUT", "/", body=BodyFollowing(True))
    assert b"Content-Length: 1\r\n" in stream.sent
    with pytest.raises(AttributeError):
        BodyFollowing(5).length = length


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    "host", ["::1%lo\r\nX: y", "fe80::1%\0", "::1%", "fe80::1%a b", "1.2.3.4%eth0"]
)
def test_line_47_zones(host):
    for options in ({"hostname": host}, {"hostname": "x", "proxy": (host, 80)}):
        with pytest.raises(InvalidRequest):
            HTTPConnection(**options)
    assert HTTPConnection("fe80::1%eth0.5").hostname == "fe80::1%eth0.5"


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"hostname": None}, TypeError), ({"hostname": 5}, TypeError),
        ({"hostname": b"a"}, TypeError),
        ({"port": 80.5}, TypeError), ({"port": True}, TypeError), ({"port": "80"}, TypeError),
        ({"port": 0}, InvalidRequest), ({"port": 65536}, InvalidRequest),
        ({"proxy": ("h",)}, TypeError), ({"proxy": b"h"}, TypeError), ({"proxy": 5}, TypeError),
        ({"proxy": ("h", "80")}, TypeError), ({"proxy": ("h", -1)}, InvalidRequest),
        ({"buffer_size": 0}, ValueError), ({"buffer_size": -1}, ValueError),
    ],
)  # fmt: skip
def test_line_47_arguments_of_the_constructor(options, error):
    with pytest.raises(error):
        HTTPConnection(**{"hostname": "script.test", **options})


FORBIDDEN = [
    ("GET", {"Expect": "100-continue"}, None),
    ("TRACE", {}, b"body"),
    ("GET", {"TE": "trailers, chunked;q=1"}, None),
    ("GET", {"Connection": "close, Host"}, None),
    ("GET", {"Connection": "content-length"}, None),
    ("PUT", {"Trailer": "X-Sum, Content-Length"}, b"x"),
]


@pytest.mark.reliability(47)
@pytest.mark.parametrize(("method", "headers", "body"), FORBIDDEN)
def test_line_47_what_no_client_may_say(monkeypatch, method, headers, body):
    stream = ScriptedStream()
    with pytest.raises(InvalidRequest):
        connection(monkeypatch, stream).send_request(method, "/", headers, body)
    assert stream.sent == b""


@pytest.mark.reliability(47)
def test_line_47_host_has_to_be_that_of_the_target_through_a_proxy(monkeypatch):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream, proxy="http://127.0.0.1:3128/")
    with pytest.raises(InvalidRequest, match=r"Host has to be script\.test"):
        conn.send_request("GET", "/", {"Host": "other.test"})
    conn.send_request("GET", "/", {"host": "script.test"})
    assert stream.sent.startswith(b"GET http://script.test/ HTTP/1.1\r\n")


@pytest.mark.reliability(22)
@pytest.mark.parametrize(
    "name",
    [
        "If-Match", "Range", "Set-Cookie", "WWW-Authenticate", "Proxy-Connection", "Age", "Date",
        "Location", "Retry-After", "Vary", "Warning", "Expires", "Transfer-Encoding",
    ],
)  # fmt: skip
def test_line_22_fields_that_mean_nothing_behind_a_body(monkeypatch, name):
    stream = ScriptedStream()
    conn = connection(monkeypatch, stream)
    conn.send_request("PUT", "/", body=BodyFollowing())
    with pytest.raises(InvalidRequest):
        conn.finish({name: "x"})
    conn.finish()
    assert stream.sent.endswith(b"\r\n\r\n0\r\n\r\n")
