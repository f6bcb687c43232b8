"""Proxy: what may be said of a proxy, and what is refused before anything is sent."""

import pytest
from kit.cases import each_case
from kit.talk import play

from dugong_like import BasicAuth, DigestAuth, InvalidRequest, Proxy, default_ssl_context
from dugong_like.http.h1.limits import Limits
from dugong_like.transport.proxy.proxy import as_proxy


def parts(proxy):
    assert proxy.hostname == proxy.host
    return proxy.scheme, proxy.host, proxy.port


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://proxy.test", ("http", "proxy.test", 80)),
        ("http://proxy.test/", ("http", "proxy.test", 80)),
        ("http://proxy.test:", ("http", "proxy.test", 80)),
        ("HTTP://PROXY.Test:03128/", ("http", "proxy.test", 3128)),
        ("https://proxy.test", ("https", "proxy.test", 443)),
        ("socks5://proxy.test", ("socks5", "proxy.test", 1080)),
        ("socks5h://127.0.0.1:9050", ("socks5h", "127.0.0.1", 9050)),
        ("socks4a://[::1]:1", ("socks4a", "::1", 1)),
        ("http://[fe80::1%25eth0]:3128", ("http", "fe80::1%eth0", 3128)),
        ("http://[FE80::1%Eth0]", ("http", "fe80::1%Eth0", 80)),
        ("http://bücher.test", ("http", "xn--bcher-kva.test", 80)),
    ],
)
def test_urls(url, expected):
    assert parts(Proxy(url)) == expected
    assert Proxy(url).auth is None


@pytest.mark.reliability(47)
@each_case("url", [
        "", "proxy.test", "proxy.test:3128", "//proxy.test", "http:proxy.test", "http:/proxy.test",
        "http://", "http://:80", "http://@", "ftp://proxy.test", "socks4://proxy.test",
        "socks://proxy.test", "http://proxy.test:x", "http://proxy.test:0", "http://proxy.test:65536",
        "http://proxy.test:999999", "http://proxy.test:-1", "http://proxy.test:٣", "http://h:80:80",
        "http://proxy.test/x", "http://proxy.test?x", "http://proxy.test#x", "http://a b",
        "http://proxy\r\n.test", "http://proxy.test\n", " http://proxy.test", "http://[::1",
        "http://::1", "http://[proxy.test]", "http://[127.0.0.1]", "http://[::1%25]", "http://[]",
        "http://[::1]x", "http://[::g]", "http://proxy.test\\@x", "http://a%2eb", "http://a\u2100",
        "http://.", "http://a..b", "\0http://proxy.test", "http://proxy.test\0",
    ])  # fmt: skip
def test_what_is_no_url_of_a_proxy(url):
    with pytest.raises(InvalidRequest):
        Proxy(url)


def test_a_proxy_is_a_value():
    url = "http://a:b@proxy.test"
    other = [
        Proxy("http://proxy.test"), Proxy("http://a:c@proxy.test"), Proxy(url, mode="tunnel"),
        Proxy(url, headers={"X": "y"}), Proxy("http://a:b@proxy.test:81"), "http://a:b@proxy.test",
        Proxy("https://a:b@proxy.test:80"), Proxy("http://proxy.test", auth=DigestAuth("a", "b")),
    ]  # fmt: skip

    assert Proxy(url) == Proxy("HTTP://proxy.test:80/", auth=BasicAuth("a", "b"))
    assert Proxy(url, headers={"x": "y"}) == Proxy(url, headers=[("X", "y")])
    assert hash(Proxy(url)) == hash(Proxy(url))
    assert all(proxy != Proxy(url) for proxy in other)
    with pytest.raises(AttributeError, match="never changed"):
        Proxy(url).hostname = "other.test"
    with pytest.raises(AttributeError):
        Proxy(url).nonsense = 1


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    ("url", "options", "error"),
    [
        (5, {}, TypeError), (b"http://h", {}, TypeError), (None, {}, TypeError),
        ("http://h", {"mode": "direct"}, InvalidRequest),
        ("http://h", {"mode": None}, InvalidRequest),
        ("http://h", {"ssl_context": True}, InvalidRequest),
        ("socks5://h", {"ssl_context": True}, InvalidRequest),
        ("https://h", {"ssl_context": True}, TypeError),
        ("http://h", {"auth": ("a", "b")}, TypeError), ("http://h", {"auth": "a:b"}, TypeError),
        ("http://a@h", {"auth": BasicAuth("a", "b")}, InvalidRequest),
        ("socks5://h", {"mode": "forward"}, InvalidRequest),
        ("socks5://h", {"headers": {"A": "b"}}, InvalidRequest),
        ("socks5://h", {"auth": DigestAuth("a", "b")}, InvalidRequest),
        ("socks5://h", {"auth": BasicAuth("a", "")}, InvalidRequest),
        ("socks5://a@h", {}, InvalidRequest), ("socks4a://a:b@h", {}, InvalidRequest),
        ("http://h", {"headers": "A: b"}, TypeError), ("http://h", {"headers": [5]}, TypeError),
        ("http://h", {"headers": {5: "b"}}, TypeError),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(url, options, error):
    with pytest.raises(error):
        Proxy(url, **options)


@pytest.mark.reliability(47)
@pytest.mark.parametrize(
    "headers",
    [
        {"A": "b\r\nX: y"}, {"A\r\n": "b"}, {"A": "\0"}, {"A": "\u010a"}, {"": "b"}, {"A b": "c"},
        {"A": None}, {"content-LENGTH": "5"}, {"Transfer-Encoding": "chunked"}, {"HOST": "x"},
        {"connection": "close"}, {"Expect": "100-continue"}, {"Upgrade": "x"}, {"TE": "trailers"},
        {"Trailer": "x"}, {"Keep-Alive": "x"}, {"HTTP2-Settings": "x"}, {"A": 5},
        [("Proxy-Authorization", "x"), ("proxy-authorization", "y")],
    ],
)  # fmt: skip
def test_fields_that_cannot_be(headers):
    with pytest.raises(InvalidRequest):
        Proxy("http://proxy.test", headers=headers)


@pytest.mark.feature("B8")
def test_each_pair_is_a_field_for_the_proxy():
    headers = [("X-Tag", "one"), (b"x-tag", b"tw\xf6"), ("Via", "1.1 me")]
    proxy = Proxy("http://proxy.test", headers=iter(headers), auth=BasicAuth("a", "b"))
    credentials = "Proxy-Authorization: Basic YTpi\r\n"

    for _ in range(2):
        sent = proxy.conversation("example.org", 443, Limits(), []).to_send.decode("latin-1")
        assert "\r\nX-Tag: one\r\nx-tag: twö\r\nVia: 1.1 me\r\n" + credentials in sent
        lines = proxy.forwarding().lines("GET", "/", ())
        assert lines == "X-Tag: one\r\nx-tag: twö\r\nVia: 1.1 me\r\n" + credentials
    assert proxy.forwarding().lines("GET", "/", {"x-tag": ""}) == "Via: 1.1 me\r\n" + credentials
    same = Proxy("http://proxy.test", headers=headers, auth=BasicAuth("a", "b"))
    assert (same == proxy, hash(same) == hash(proxy)) == (True, True)
    assert Proxy("http://proxy.test", headers=headers[1:], auth=BasicAuth("a", "b")) != proxy


def test_context():
    context = default_ssl_context()

    assert Proxy("http://h").ssl_context is None
    assert Proxy("https://h").ssl_context is context
    assert Proxy("https://h", ssl_context=context).ssl_context is context


@pytest.mark.feature("A24")
@pytest.mark.parametrize(
    ("url", "mode", "http", "https"),
    [
        ("http://h", "auto", True, False), ("http://h", "forward", True, None),
        ("http://h", "tunnel", False, False), ("https://h", "auto", True, False),
        ("https://h", "tunnel", False, False), ("socks5://h", "auto", False, False),
        ("socks5h://h", "tunnel", False, False), ("socks4a://h", "auto", False, False),
    ],
)  # fmt: skip
def test_modes(url, mode, http, https):
    proxy = Proxy(url, mode=mode)

    assert proxy.forwards("example.org", https=False) is http
    if https is None:
        with pytest.raises(InvalidRequest):
            proxy.forwards("example.org", https=True)
    else:
        assert proxy.forwards("example.org", https=True) is https


def test_servers_that_socks_cannot_name():
    for scheme, name in (("socks5h", "a" * 256), ("socks4a", "::1")):
        with pytest.raises(InvalidRequest):
            Proxy(f"{scheme}://h").forwards(name, https=False)
    assert not Proxy("socks5://h").forwards("a" * 256, https=False)  # looked up here


@pytest.mark.parametrize(
    ("url", "addresses", "sent"),
    [
        ("http://a:b@h", [], b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n"
         b"Proxy-Authorization: Basic YTpi\r\n\r\n"),
        ("socks4a://h", [], b"\4\1\1\xbb\0\0\0\1\0example.org\0"),
        ("socks4a://me@h", [], b"\4\1\1\xbb\0\0\0\1me\0example.org\0"),
        ("socks5h://h", [], b"\5\1\0"),
        ("socks5h://a:b@h", [], b"\5\2\0\2"),
    ],
)  # fmt: skip
def test_conversations(url, addresses, sent):
    conversation = Proxy(url).conversation("example.org", 443, Limits(), addresses)

    assert conversation.to_send == sent
    assert not conversation.opened


def test_socks5_is_given_addresses():
    proxy = Proxy("socks5://h")
    assert proxy.wants_addresses
    assert not Proxy("socks5h://h").wants_addresses
    conversation = proxy.conversation("example.org", 443, Limits(), ["1.2.3.4"])

    asked = b"\5\1\0\1\1\2\3\4\1\xbb"
    assert play(conversation, [(b"\5\1\0", b"\5\0"), (asked, b"\5\0\0\1" + bytes(6))])


def test_pairs_and_urls():
    proxy = Proxy("socks5h://h")

    assert as_proxy(None) is None
    assert as_proxy(proxy) is proxy
    assert as_proxy("socks5h://h") == proxy
    assert parts(as_proxy(("h", 3128))) == ("http", "h", 3128)
    assert parts(as_proxy(["fe80::1%25x", 1])) == ("http", "fe80::1%25x", 1)
    for wrong in (5, b"h", ("h",), ("h", "80"), (5, 80), {"h": 80}):
        with pytest.raises(TypeError):
            as_proxy(wrong)


# ---- the environment


@pytest.mark.feature("A57")
@pytest.mark.reliability(62)
def test_proxy_of_the_environment(monkeypatch):
    environ = {"https_proxy": "http://a:b@proxy.test:3128", "no_proxy": "10.0.0.0/8"}

    found = Proxy.from_env("https", "example.org", 443, environ)
    assert found == Proxy("http://a:b@proxy.test:3128")
    assert Proxy.from_env("http", "example.org", 80, environ) is None
    assert Proxy.from_env("https", "10.1.1.1", 443, environ) is None
    monkeypatch.setenv("http_proxy", "proxy.test")
    monkeypatch.delenv("no_proxy", raising=False)
    assert parts(Proxy.from_env("http", "example.org", 80)) == ("http", "proxy.test", 80)


@pytest.mark.reliability(47, 62)
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("ftp", "example.org", 80), InvalidRequest), (("http", "a b", 80), InvalidRequest),
        (("http", "example.org", 0), InvalidRequest), (("http", "example.org", "80"), TypeError),
        (("http", None, 80), TypeError), (("http", "example.org", 80), InvalidRequest),
    ],
)  # fmt: skip
def test_environment_that_makes_no_sense(arguments, error):
    with pytest.raises(error):
        Proxy.from_env(*arguments, {"http_proxy": "http://proxy\r\n.test"})


@pytest.mark.reliability(62)
@pytest.mark.parametrize("variable", ["https_proxy", "all_proxy"])
@pytest.mark.parametrize(
    "value",
    ["nonsense:x", "ftp://proxy.test", "http://me:se cret@proxy.test", "http://proxy.test/x"],
)
def test_variable_that_names_no_proxy_is_an_error_and_is_named(variable, value):
    for name in (variable, variable.upper()):
        with pytest.raises(InvalidRequest, match=f"^{variable} in the environment: ") as failure:
            Proxy.from_env("https", "example.org", 443, {name: value})
        assert "se cret" not in str(failure.value)
