"""URLs and origins: what they are taken apart into, and what is refused."""

import copy
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kit.cases import each_case
from kit.support import ScriptedServer, answering, read_head

from dugong_like import (
    URL,
    HTTPConnection,
    InvalidRequest,
    Origin,
    QueryParams,
    default_ssl_context,
    split_credentials,
)
from dugong_like.http.hosts import check_hostname
from dugong_like.http.target import check_target

PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

labels = st.from_regex(r"[a-z0-9]([a-z0-9\-]{0,8}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
zones = st.from_regex(r"(%[A-Za-z0-9._~\-]{1,8})?", fullmatch=True)
addresses = st.ip_addresses(v=4).map(str) | st.builds(
    "{}{}".format, st.ip_addresses(v=6).map(str), zones
)
schemes = st.sampled_from(sorted(PORTS))
ports = st.integers(1, 65535)
targets = st.text(VISIBLE.replace("#", ""), max_size=20).map("/{}".format)


def parts(url):
    return url.scheme, url.host, url.port, url.target


@pytest.mark.feature("C40")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://example.org", ("http", "example.org", 80, "/")),
        ("https://example.org/", ("https", "example.org", 443, "/")),
        ("ws://example.org/chat", ("ws", "example.org", 80, "/chat")),
        ("wss://example.org?x", ("wss", "example.org", 443, "/?x")),
        ("HTTP://Example.ORG:8080/A?B", ("http", "example.org", 8080, "/A?B")),
        ("https://example.org:443/", ("https", "example.org", 443, "/")),
        ("http://example.org:/", ("http", "example.org", 80, "/")),
        ("http://example.org:0080", ("http", "example.org", 80, "/")),
        ("http://example.org?", ("http", "example.org", 80, "/?")),
        ("http://example.org#top", ("http", "example.org", 80, "/")),
        ("http://example.org/a#b/c?d", ("http", "example.org", 80, "/a")),
        ("http://example.org/a?b@c:d//e", ("http", "example.org", 80, "/a?b@c:d//e")),
        ("http://h/%7euser/%2F/../.", ("http", "h", 80, "/%7euser/%2F/../.")),
        ("http://[::1]:81/", ("http", "::1", 81, "/")),
        ("http://[FE80::1%25Eth0]/", ("http", "fe80::1%Eth0", 80, "/")),
        ("http://127.0.0.1", ("http", "127.0.0.1", 80, "/")),
        ("http://bücher.example/", ("http", "xn--bcher-kva.example", 80, "/")),
        ("http://example.org./", ("http", "example.org.", 80, "/")),
        ("http://a_b.example/|{}^`\"<>\\", ("http", "a_b.example", 80, '/|{}^`"<>\\')),
    ],
)  # fmt: skip
def test_urls(text, expected):
    url = URL(text)

    assert parts(url) == expected
    assert (url.origin.scheme, url.origin.host, url.origin.port) == expected[:3]
    assert URL(str(url)) == url
    assert url.origin.url(url.target) == url


@pytest.mark.feature("C40")
@each_case("text", [
        "", "example.org", "//example.org", "/path", "http:", "http:example.org", "http:/h", "http://",
        "http:///path", "http://:80", "http://?x", "http://#x", "http//h", "ftp://h/", "file:///x",
        "socks5://h", "mailto:a@b", "javascript:x", "http+unix://h/", "http://h:x", "http://h:0",
        "http://h:65536", "http://h:999999", "http://h:-1", "http://h:+1", "http://h:٣",
        "http://h: 80",
        "http://h:80:80", "http://::1/", "http://[::1", "http://::1]", "http://[h]", "http://[]",
        "http://[127.0.0.1]", "http://[::1]x", "http://[::g]", "http://[::1%25]", "http://[v1.a]",
        "http://a b/", "http://h/a b", "http://h/?a b", "http://h/\t", "http://h/\r\nX: y", "http://h/\0",
        "http://h\n", "\nhttp://h", " http://h", "http://h ", "http://h/\x7f", "http://h/ü", "http://h/?ü",
        "http://h/#ü", "http://h/# ", "http://h/#a#b", "http://h\\x", "http://a%2eb/", "http://%68/",
        "http://a..b/", "http://.", "http://a,b", "http://h!", "http://a\u2100", "http://a\uff0fb/",
        "ws://h/#x", "wss://h/#",
    ])  # fmt: skip
def test_what_is_no_url(text):
    with pytest.raises(InvalidRequest):
        URL(text)


@pytest.mark.reliability(60)
@pytest.mark.parametrize(
    "text",
    [
        "http://secret@h/", "http://user:secret@h/", "http://user:sec/ret@h/", "http://@h/",
        "http://user:secret@h\\@x/", "ftp://user:secret@h/", "user:secret@h",
    ],
)  # fmt: skip
def test_credentials_are_refused_and_not_shown(text):
    with pytest.raises(InvalidRequest) as caught:
        URL(text)

    assert "secret" not in str(caught.value)
    assert "user" not in str(caught.value).replace("user name", "")
    assert caught.value.__context__ is None


def test_why_credentials_are_refused():
    with pytest.raises(InvalidRequest, match=r"user name or a password: split_credentials\(\)"):
        URL("http://user@h/")
    assert split_credentials("http://user@h/") == (URL("http://h/"), ("user", ""))


@pytest.mark.parametrize("wrong", [None, 5, b"http://h/", ["http://h/"], URL("http://h/")])
def test_a_url_is_made_of_a_string(wrong):
    with pytest.raises(TypeError):
        URL(wrong)


def test_strings_are_what_they_are():
    class Liar(str):
        __slots__ = ()

        def __str__(self):
            return "http://elsewhere/"

        def lower(self):
            return "https"

    assert str(URL(Liar("http://h/a"))) == "http://h/a"
    assert Origin(Liar("http"), Liar("h")) == Origin("http", "h")
    assert Origin("http", "h").url(Liar("/a")) == URL("http://h/a")


@pytest.mark.feature("C40")
def test_values():
    url = URL("https://example.org/a")
    equal = [URL("HTTPS://EXAMPLE.org:443/a"), URL("https://example.org/a#b"), copy.copy(url)]
    other = [
        URL("https://example.org/A"), URL("https://example.org/a?"), URL("https://example.org:444/a"),
        URL("http://example.org/a"), URL("https://example.org./a"), URL("wss://example.org/a"),
        URL("https://example.org/%61"), "https://example.org/a", url.origin, None,
    ]  # fmt: skip

    for one in equal:
        assert one == url
        assert hash(one) == hash(url)
        assert one.origin == url.origin
        assert hash(one.origin) == hash(url.origin)
    assert all(one != url for one in other)
    assert url.origin != "https://example.org"
    assert len({url, *equal}) == 1
    assert pickle.loads(pickle.dumps(url)) == copy.deepcopy(url) == url
    assert pickle.loads(pickle.dumps(url.origin)) == url.origin
    assert repr(url) == "URL('https://example.org/a')"
    assert repr(url.origin) == "Origin('https', 'example.org', 443)"
    for value, name in ((url, "target"), (url, "new"), (url.origin, "port"), (url.origin, "new")):
        with pytest.raises(AttributeError, match="never changed"):
            setattr(value, name, 1)
        with pytest.raises(AttributeError, match="never changed"):
            delattr(value, name)


@pytest.mark.feature("E24")
def test_parts():
    url = URL("https://Example.org:8443/a/b?c=d&c=e#f?g")

    assert (url.scheme, url.host, url.port) == ("https", "example.org", 8443)
    assert url.authority == "example.org:8443"
    assert (url.path, url.query, url.fragment) == ("/a/b", "c=d&c=e", "f?g")
    assert url.target == url.full_path == "/a/b?c=d&c=e"
    assert url.params == QueryParams([("c", "d"), ("c", "e")])
    assert (url.is_ssl, URL("wss://h").is_ssl, URL("http://h").is_ssl) == (True, True, False)
    assert (url.is_absolute_url, url.is_relative_url) == (True, False)
    assert str(url) == "https://example.org:8443/a/b?c=d&c=e#f?g"

    url = URL("http://[FE80::1%25Eth0]:80")
    assert (url.authority, url.path, url.query) == ("[fe80::1%25Eth0]", "/", "")
    assert (url.fragment, URL("http://h/#").fragment) == ("", "")
    assert (URL("http://h?").path, URL("http://h?").query, URL("http://h/?a?b").query) == (
        *("/", "", "a?b"),
    )


@pytest.mark.feature("E24")
def test_the_fragment_is_kept_and_not_compared():
    url, plain = URL("http://h/a#b"), URL("http://h/a")

    assert (url.fragment, plain.fragment, url.target) == ("b", "", "/a")
    assert (str(url), str(plain), repr(url)) == ("http://h/a#b", "http://h/a", f"URL('{url}')")
    assert url == plain
    assert hash(url) == hash(plain)
    assert pickle.loads(pickle.dumps(url)).fragment == copy.copy(url).fragment == "b"
    assert "hush" not in repr(URL("http://h/#access_token=hush&x"))
    with pytest.raises(InvalidRequest):
        url.origin.url("/a#b")


FULL = URL("http://h:81/p?q#f")


@pytest.mark.feature("E24")
@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, "http://h:81/p?q#f"), ({"scheme": "HTTPS"}, "https://h:81/p?q#f"),
        ({"host": "Other.example"}, "http://other.example:81/p?q#f"),
        ({"host": "::1"}, "http://[::1]:81/p?q#f"), ({"port": 8080}, "http://h:8080/p?q#f"),
        ({"port": None}, "http://h/p?q#f"), ({"port": 80}, "http://h/p?q#f"),
        ({"scheme": "https", "port": None}, "https://h/p?q#f"),
        ({"authority": "[::1]:443", "scheme": "https"}, "https://[::1]/p?q#f"),
        ({"authority": "o"}, "http://o/p?q#f"), ({"path": "/a/../b"}, "http://h:81/a/../b?q#f"),
        ({"path": ""}, "http://h:81/?q#f"), ({"path": "/%20"}, "http://h:81/%20?q#f"),
        ({"query": "a=b+%20"}, "http://h:81/p?a=b+%20#f"), ({"query": ""}, "http://h:81/p#f"),
        ({"query": None}, "http://h:81/p#f"), ({"query": "a?b"}, "http://h:81/p?a?b#f"),
        ({"query": QueryParams({"a": " "})}, "http://h:81/p?a=%20#f"),
        ({"query": QueryParams()}, "http://h:81/p#f"), ({"target": "/x?y"}, "http://h:81/x?y#f"),
        ({"target": "/x?"}, "http://h:81/x?#f"), ({"fragment": "g/?"}, "http://h:81/p?q#g/?"),
        ({"fragment": ""}, "http://h:81/p?q"), ({"fragment": None}, "http://h:81/p?q"),
        ({"scheme": "ws", "fragment": ""}, "ws://h:81/p?q"),
        ({"path": "//x", "query": "r"}, "http://h:81//x?r#f"),
    ],
)  # fmt: skip
def test_other_parts(parts, expected):
    url = FULL.copy_with(**parts)

    assert str(url) == expected
    assert str(URL(expected)) == expected
    assert url == URL(expected)
    assert str(FULL) == "http://h:81/p?q#f"


@pytest.mark.parametrize(
    ("first", "scheme", "expected"),
    [("http://h/", "https", "https://h/"), ("https://h/", "http", "http://h/"),
     ("http://h:443/", "https", "https://h/"), ("https://h:80/", "https", "https://h:80/"),
     ("http://h/", "wss", "wss://h/"), ("http://h:81/", "https", "https://h:81/")],
)  # fmt: skip
def test_the_default_port_stays_the_default(first, scheme, expected):
    assert str(URL(first).copy_with(scheme=scheme)) == expected


@each_case(("parts", "error"), [
        ({"scheme": "ftp"}, InvalidRequest), ({"scheme": None}, TypeError),
        ({"scheme": "ws"}, InvalidRequest), ({"host": "a b"}, InvalidRequest),
        ({"host": ""}, InvalidRequest), ({"host": "h:80"}, InvalidRequest),
        ({"host": "u@h"}, InvalidRequest), ({"host": None}, TypeError),
        ({"port": 0}, InvalidRequest), ({"port": "80"}, TypeError), ({"port": True}, TypeError),
        ({"authority": "u@h"}, InvalidRequest), ({"authority": ""}, InvalidRequest),
        ({"authority": "h/x"}, InvalidRequest), ({"authority": "h:0"}, InvalidRequest),
        ({"authority": "h\r\n"}, InvalidRequest), ({"authority": None}, TypeError),
        ({"authority": "h", "host": "h"}, TypeError), ({"authority": "h", "port": 1}, TypeError),
        ({"path": "a"}, InvalidRequest), ({"path": "/a?b"}, InvalidRequest),
        ({"path": "/a#b"}, InvalidRequest), ({"path": "/a b"}, InvalidRequest),
        ({"path": "/\n"}, InvalidRequest), ({"path": "/ü"}, InvalidRequest),
        ({"path": None}, TypeError), ({"path": b"/"}, TypeError),
        ({"query": "a b"}, InvalidRequest), ({"query": "a#b"}, InvalidRequest),
        ({"query": {"a": 1}}, TypeError), ({"query": b"a"}, TypeError),
        ({"target": "a"}, InvalidRequest), ({"target": ""}, InvalidRequest),
        ({"target": "/#"}, InvalidRequest), ({"target": "/", "path": "/"}, TypeError),
        ({"target": "/", "query": ""}, TypeError), ({"fragment": "#"}, InvalidRequest),
        ({"fragment": " "}, InvalidRequest), ({"fragment": 5}, TypeError),
        ({"params": {}}, TypeError), ({"username": "u"}, TypeError),
    ])  # fmt: skip
def test_what_is_no_part(parts, error):
    with pytest.raises(error):
        FULL.copy_with(**parts)


@pytest.mark.feature("E24")
@pytest.mark.parametrize(
    ("text", "params", "expected"),
    [
        ("http://h/", {"a": 1}, "http://h/?a=1"), ("http://h/?", {"a": 1}, "http://h/?a=1"),
        ("http://h/?b", {"a": 1}, "http://h/?b&a=1"), ("http://h/?b&", {"a": 1}, "http://h/?b&a=1"),
        ("http://h/?a=%7e+x&&c", {"a": ["ü", 2]}, "http://h/?a=%7e+x&&c&a=%C3%BC&a=2"),
        ("http://h/p#f", [("a", "b c")], "http://h/p?a=b%20c#f"),
        ("http://h/p?x", "y=%20", "http://h/p?x&y=%20"), ("http://h/?x", None, "http://h/?x"),
        ("http://h/?x", {}, "http://h/?x"), ("http://h/?", "", "http://h/?"),
        ("http://h/?x", QueryParams("y"), "http://h/?x&y"), ("ws://h/", {"a": 1}, "ws://h/?a=1"),
    ],
)  # fmt: skip
def test_params_go_behind_the_query(text, params, expected):
    url = URL(text).with_query(params)

    assert str(url) == expected
    assert url == URL(expected)


def test_params_in_place_of_those_of_the_query():
    url = URL("http://h/?page=1&sig=%7e&page=2")

    assert str(url.copy_with(query=url.params.merge({"page": 3}))) == "http://h/?page=3&sig=%7e"
    for wrong, error in ((5, TypeError), ({"a": b""}, TypeError), ("a b", InvalidRequest)):
        with pytest.raises(error):
            url.with_query(wrong)


@pytest.mark.feature("E24")
@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("example.org", "https://example.org"), ("example.org/x", "https://example.org/x"),
        ("//example.org/x", "https://example.org/x"), ("localhost:80/a", "http://localhost:80/a"),
        ("http:h/a", "http://h/a"), ("https:/h", "https://h"), ("HTTP:h", "HTTP://h"),
        (" http://h/ ", "http://h/"), ("http://h/\n", "http://h/"),
        ("http://h/a b?c d#e f", "http://h/a%20b?c%20d#e%20f"), ("http://h/ü", "http://h/%C3%BC"),
        ("http://h?ü", "http://h?%C3%BC"), ("http://h/#a#b", "http://h/#a%23b"),
        ("http://bücher.example/ü", "http://bücher.example/%C3%BC"),
        ("[::1]:81/x", "http://[::1]:81/x"), ("h/%20 ", "https://h/%20"),
        ("127.0.0.1", "http://127.0.0.1"), ("LOCALHOST?a", "http://LOCALHOST?a"),
        ("localhost.example/", "https://localhost.example/"),
        ("http://h/" + "a" * 99 + " b", "http://h/" + "a" * 99 + "%20b"),
    ],
)  # fmt: skip
def test_the_error_says_what_to_write(typed, written):
    with pytest.raises(InvalidRequest) as caught:
        URL(typed)

    around = "" if typed == typed.strip() else ", as there is white space around it"
    assert str(caught.value) == f"not a URL{around}: write {written}"
    URL(written)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/path", "not a URL but a path, which URL.join"), ("http://h/\tx", "control character"),
        ("", "scheme, host"), ("http://a b/", "scheme, host"), ("mailto:x", "https:// missing"),
        ("x y", "https:// missing"), ("a/b://c", "scheme, host"),
        ("http://h/?token=a b", "scheme, host"), ("http://h/ " + "a" * 500, "scheme, host"),
        ("http://h/\ud800", "scheme, host"), ("ftp://h/", "not a URL of http"),
    ],
)  # fmt: skip
def test_the_error_says_what_is_wrong_where_it_is_not_clear_what_to_write(typed, said):
    with pytest.raises(InvalidRequest, match=said):
        URL(typed)


def test_what_to_write_for_a_target():
    with pytest.raises(InvalidRequest, match="a query, percent-encoded: write /a%20b: '/a b'"):
        URL("http://h").origin.url("/a b")
    with pytest.raises(InvalidRequest, match="path of a URL, percent-encoded: write /%C3%BC: '/ü'"):
        FULL.copy_with(path="/ü")
    for wrong in ("/\n", "/\ud800", "/?token=a b", "a", "a b", "/a b#c"):
        with pytest.raises(InvalidRequest, match=r", percent-encoded: ['\"]"):
            URL("http://h").origin.url(wrong)
    with pytest.raises(InvalidRequest, match=", percent-encoded: '/a b"):
        FULL.copy_with(path="/a b?c")


@pytest.mark.feature("E25")
def test_equal_origins():
    origin = Origin("https", "example.org")

    assert origin == Origin("HTTPS", "Example.ORG", 443) == URL("https://example.org:443/a").origin
    assert hash(origin) == hash(Origin("https", "example.org", 443))
    others = [("http", "example.org", 443), ("https", "example.org", 80), ("https", "example.com"),
              ("https", "example.org."), ("wss", "example.org")]  # fmt: skip
    assert all(Origin(*other) != origin for other in others)
    assert origin != str(origin)
    assert (origin.is_ssl, Origin("ws", "h").is_ssl) == (True, False)


@pytest.mark.feature("C40")
@pytest.mark.parametrize(
    ("origin", "field", "text", "secure"),
    [
        (("http", "Example.org"), "example.org", "http://example.org", False),
        (("https", "example.org", 80), "example.org:80", "https://example.org:80", True),
        (("wss", "::1"), "[::1]", "wss://[::1]", True),
        (("ws", "fe80::1%eth0", 81), "[fe80::1]:81", "ws://[fe80::1%25eth0]:81", False),
    ],
)
def test_origins(origin, field, text, secure):
    origin = Origin(*origin)

    assert (origin.host_field, str(origin), origin.secure) == (field, text, secure)
    assert URL(text).origin == origin


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("ftp", "h"), InvalidRequest), (("", "h"), InvalidRequest), ((None, "h"), TypeError),
        (("http", ""), InvalidRequest), (("http", "a b"), InvalidRequest),
        (("http", None), TypeError),
        (("http", "[::1]"), InvalidRequest), (("http", "h:80"), InvalidRequest),
        (("http", "h", 0), InvalidRequest), (("http", "h", "80"), TypeError),
        (("http", "h", True), TypeError), (("http", "u@h"), InvalidRequest),
    ],
)  # fmt: skip
def test_what_is_no_origin(arguments, error):
    with pytest.raises(error):
        Origin(*arguments)


@pytest.mark.parametrize(
    ("target", "error"),
    [("", InvalidRequest), ("a", InvalidRequest), ("/a#b", InvalidRequest), ("/ ", InvalidRequest),
     ("*", InvalidRequest), ("?a", InvalidRequest), ("//h/a\n", InvalidRequest), (b"/", TypeError)],
)  # fmt: skip
def test_what_is_no_target(target, error):
    with pytest.raises(error):
        Origin("http", "h").url(target)


@pytest.mark.feature("C40")
@given(schemes, names | addresses, ports | st.none(), targets)
def test_parts_make_a_url_that_has_them(scheme, host, port, target):
    url = Origin(scheme, host, port).url(target)

    assert parts(url) == (scheme, host, PORTS[scheme] if port is None else port, target)
    assert parts(URL(str(url))) == parts(url)
    check_target(url.target, "GET")
    assert check_hostname(url.host) == url.host


@given(
    schemes.flatmap(lambda text: st.sampled_from([text, text.upper(), text.title()])),
    names.flatmap(lambda text: st.sampled_from([text, text.upper()])),
    st.sampled_from(["", ":"]),
    targets | st.just(""),
)
def test_what_is_the_same_is_equal(scheme, host, colon, target):
    url = URL(f"{scheme}://{host}{colon}{target}")
    written_out = URL(f"{scheme.lower()}://{host.lower()}:{url.port}{target or '/'}")

    assert url == written_out
    assert str(url) == str(written_out)


@given(
    st.text(max_size=30)
    | st.text("htps:/[]@#?%.1a \r\n\\", max_size=30).map("http://".__add__)
    | st.text(max_size=10).map("http://h/".__add__)
    | st.text(max_size=10).map("http://h".__add__)
)
@example("http://h/\x85")
@example("http://a。b/")
@example("http://\u212a/")  # the sign of kelvin, a k in lower case
@example("http://h:\uff18\uff10/")
def test_any_text_is_a_good_url_or_refused(text):
    try:
        url = URL(text)
    except InvalidRequest:
        return
    assert URL(str(url)) == url
    assert str(URL(str(url))) == str(url)
    assert str(url).isascii()
    assert all("\x20" < char < "\x7f" for char in str(url))
    assert url.origin.url(url.target) == url
    assert check_hostname(url.host) == url.host
    check_target(url.target, "GET")
    HTTPConnection(url.host, url.port)


@pytest.mark.feature("C40")
def test_connection_to_a_url():
    heads = []

    def handler(sock):
        heads.append(read_head(sock))
        sock.sendall(OK)

    with ScriptedServer(handler) as server:
        url = URL(f"http://127.0.0.1:{server.port}/a?b#c")
        for place in (url, url.origin, str(url)):
            with HTTPConnection.to(place, timeout=5) as conn:
                assert conn.timeout == 5
                conn.send_request("GET", url.target)
                assert conn.read_response().status == 200

    for head in heads:
        assert head.startswith(b"GET /a?b HTTP/1.1\r\n")
        assert f"Host: {url.origin.host_field}\r\n".encode() in head


def test_connection_speaks_tls_where_the_scheme_says_so(certificate, trusting):
    with ScriptedServer(answering(OK), tls=certificate.server_context()) as server:
        for scheme in ("https", "wss"):
            origin = Origin(scheme, "localhost", server.port)
            with HTTPConnection.to(origin, ssl_context=trusting) as conn:
                conn.connect()
                assert conn.tls_version is not None

    assert HTTPConnection.to("https://h/").ssl_context is default_ssl_context()
    assert HTTPConnection.to("http://h/", ssl_context=trusting).ssl_context is None
    assert HTTPConnection.to("ws://h/").ssl_context is None


def test_connection_of_a_subclass_with_arguments():
    class Mine(HTTPConnection):
        pass

    conn = Mine.to("http://[::1]:81/", content_md5=False)

    assert type(conn) is Mine
    assert (conn.hostname, conn.port, conn.content_md5) == ("::1", 81, False)
    with pytest.raises(InvalidRequest):
        HTTPConnection.to("example.org")
    with pytest.raises(TypeError):
        HTTPConnection.to(5)
