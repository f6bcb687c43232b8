"""URLs as people and programs write them: what a client asks for, or what its error says to write.

RFC 3986, RFC 9110 section 4.2, RFC 7230 errata aside. The Host field and the target that a server
gets are compared, as they are what counts.
"""

import pytest
from kit.cases import each_case
from kit.sites import Site, answer_of, ask

from dugong_like import URL, Client, InvalidRequest, MockDispatcher

OK = answer_of(200, body=b"ok")


def asked(url, query=None, **options):
    """Return Host without its port, and the target, of a GET; or the error."""
    with Site({None: OK}) as site:
        url = url.format(p=site.port) if isinstance(url, str) else url
        if "base_url" in options:
            options["base_url"] = options["base_url"].format(p=site.port)
        more = {} if query is None else {"params": query}
        [result] = ask("blocking", options, ("GET", url, more))
    if isinstance(result, Exception):
        assert isinstance(result, InvalidRequest)
        assert site.connections == 0
        return result
    [seen] = site.seen
    return seen.headers["host"].removesuffix(f":{site.port}"), seen.target


GOOD = {
    "http://a.test:{p}": ("a.test", "/"),
    "http://a.test:{p}/": ("a.test", "/"),
    "http://a.test:{p}?x": ("a.test", "/?x"),
    "http://a.test:{p}#f": ("a.test", "/"),
    "http://a.test:{p}/?": ("a.test", "/?"),
    "http://a.test:{p}/#?x": ("a.test", "/"),
    "HTTP://A.Test:{p}/B": ("a.test", "/B"),
    "http://a.test:0{p}/": None,  # six digits
    "http://a.test:{p}//x//y/": ("a.test", "//x//y/"),
    "http://a.test:{p}/a/../b": ("a.test", "/a/../b"),  # a person's URL is sent as it is
    "http://a.test:{p}/a/./b": ("a.test", "/a/./b"),
    "http://a.test:{p}/%7Ea%2fb%2F": ("a.test", "/%7Ea%2fb%2F"),
    "http://a.test:{p}/%": ("a.test", "/%"),
    "http://a.test:{p}/%zz?%": ("a.test", "/%zz?%"),
    "http://a.test:{p}/a;b=c,d": ("a.test", "/a;b=c,d"),
    "http://a.test:{p}/x@y:z": ("a.test", "/x@y:z"),
    "http://a.test:{p}/?a=b&a=c&&=": ("a.test", "/?a=b&a=c&&="),
    "http://a.test:{p}/?a=b+c%20d": ("a.test", "/?a=b+c%20d"),
    "http://a.test:{p}/?u=http://b.test/?x": ("a.test", "/?u=http://b.test/?x"),
    "http://a.test:{p}/'()*!$": ("a.test", "/'()*!$"),
    "http://a.test:{p}/[x]|^`{{}}": ("a.test", "/[x]|^`{}"),
    "http://a_b.test:{p}/": ("a_b.test", "/"),
    "http://a.test.:{p}/": ("a.test.", "/"),
    "http://xn--bcher-kva.test:{p}/": ("xn--bcher-kva.test", "/"),
    "http://b\u00fccher.test:{p}/": ("xn--bcher-kva.test", "/"),
    "http://B\u00dcCHER.test:{p}/": ("xn--bcher-kva.test", "/"),
    "http://bu\u0308cher.test:{p}/": ("xn--bcher-kva.test", "/"),
    "http://fa\u00df.test:{p}/": ("xn--fa-hia.test", "/"),  # IDNA 2008
    "http://\u4f8b.test:{p}/": ("xn--fsq.test", "/"),
    "http://a\u3002test:{p}/": ("a.test", "/"),  # a full stop of Chinese (UTS 46)
    "http://127.0.0.1:{p}/": ("127.0.0.1", "/"),
    "http://1.test:{p}/": ("1.test", "/"),
    "http://localhost:{p}/": ("localhost", "/"),
    "http://u:p@a.test:{p}/": ("a.test", "/"),
    "http://u%40x:p@a.test:{p}/x@y": ("a.test", "/x@y"),
    "http://a.test:{p}/" + "x" * 8000: ("a.test", "/" + "x" * 8000),
}


@pytest.mark.reliability(47, 50, 53)
@each_case("url", GOOD)
def test_what_is_asked_for(url):
    result = asked(url)
    if GOOD[url] is None:
        assert isinstance(result, InvalidRequest)
    else:
        assert result == GOOD[url]


BAD = {
    # what is typed, and what the message has to contain
    "example.org/x": "https://example.org/x",
    "example.org": "https://example.org",
    "www.example.org:8080/x": "https://www.example.org:8080/x",
    "localhost:8000": "http://localhost:8000",
    "//example.org/x": "https://example.org/x",
    "/x": "path",
    "": "not a URL",
    " ": "not a URL",
    " http://a.test/": "http://a.test/",
    "http://a.test/ ": "http://a.test/",
    "http://a.test/\n": "http://a.test/",
    "http://a.test/\r\nHost: b.test": "control character",
    "http://a.test\r\n/": "control character",
    "http://a.test/\0": "control character",
    "http://a.test/\x7f": "control character",
    "ht\ttp://a.test/": "control character",
    "http://a.test/a b": "http://a.test/a%20b",
    "http://a.test/?q=a b": "http://a.test/?q=a%20b",
    "http://a.test/\u00fc": "http://a.test/%C3%BC",
    "http://a.test/?q=\u20ac": "http://a.test/?q=%E2%82%AC",
    "http://a.test/\u560d\u560aX": "%E5%98%8D",  # CR LF if it is cut to bytes
    "http://a.test/\U0001f600": "%F0%9F%98%80",
    "http://a.test/\ud800": "",
    "http://a.test/#\u00fc": "",
    "http://": "not a URL",
    "http:///x": "not a URL",
    "http://:80/": "",
    "http://?x": "",
    "http://#x": "",
    "http:/a.test/": "//",
    "http:a.test": "//",
    "http//a.test": "",
    "https:/a.test/x": "",
    r"http:\\a.test\x": "",
    r"http://a.test\x": "",
    r"http://a.test\@b.test/": "",
    "http://a.test:/": None,  # no port is the default one
    "http://a.test:0/": "port",
    "http://a.test:65536/": "port",
    "http://a.test:99999/": "port",
    "http://a.test:-1/": "",
    "http://a.test:8x/": "",
    "http://a.test:\u0661/": "",
    "http://a.test:80:80/": "",
    "http://a.test: 80/": "",
    "http://a b.test/": "",
    "http://a..test/": "",
    "http://.test/": "",
    "http://a.test%00/": "",
    "http://a%2etest/": "",
    "http://a,b/": "",
    "http://a.test;b/": "",
    "http://*.test/": "",
    "http://<a>/": "",
    "http://a\u2100/": "",  # becomes a/c (CVE-2019-9636)
    "http://a\uff0fb/": "",
    "http://a\u00adb\u200d\u2215/": "",
    "http://\u00ad/": "",
    "http://[::1": "",
    "http://::1/": "",
    "http://[::1]x/": "",
    "http://[::g]/": "",
    "http://[1.2.3.4]/": "",
    "http://[v1.a]/": "",
    "http://[]/": "",
    "http://[::1%]/": "",
    "http://[::1%25]/": "",
    "http://[::1%25a/b]/": "",
    "http://u:p@q@a.test/": "%40",
    "http://u:p q@a.test/": "%20",
    "http://u:%zz@a.test/": "%25",
    "http://u:p/q@a.test/": "",
    "http://@/": "",
    "ftp://a.test/": "http",
    "file:///etc/passwd": "",
    "ws://a.test/": "http",
    "wss://a.test/": "http",
    "unix:///run/x": "",
    "httpx://a.test/": "http",
    "javascript:alert(1)": "",
    "mailto:a@b.test": "",
    "data:,x": "",
    "1http://a.test/": "",
}


@pytest.mark.reliability(47, 50, 53)
@each_case("url", [url for url in BAD if BAD[url] is not None])
def test_what_is_refused(url):
    """Before anything is sent; and where it is clear, the message says what to write."""
    [error] = ask("blocking", {}, ("GET", url))
    assert isinstance(error, InvalidRequest)
    assert BAD[url] in str(error)
    for character in "\r\n\0\x7f":
        assert character not in str(error)


@pytest.mark.reliability(53)
@pytest.mark.parametrize("host", ["[::1]", "[0:0:0:0:0:0:0:1]"])
def test_ipv6(host):
    try:
        site = Site({None: OK}, host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with site:
        url = f"http://{host}:{site.port}/x"
        [response] = ask("blocking", {"resolver": None}, ("GET", url))
    assert response.status_code == 200
    assert site.seen[0].headers["host"] == f"{host}:{site.port}"


JOINS = {
    # base, what is given: Host and target. What is given is below the base, always.
    ("http://a.test:{p}", "x"): ("a.test", "/x"),
    ("http://a.test:{p}", "/x"): ("a.test", "/x"),
    ("http://a.test:{p}/", "x"): ("a.test", "/x"),
    ("http://a.test:{p}/api", "x"): ("a.test", "/api/x"),
    ("http://a.test:{p}/api", "/x"): ("a.test", "/api/x"),
    ("http://a.test:{p}/api/", "/x"): ("a.test", "/api/x"),
    ("http://a.test:{p}/api/", "x/"): ("a.test", "/api/x/"),
    ("http://a.test:{p}/api", ""): ("a.test", "/api"),
    ("http://a.test:{p}/api/", ""): ("a.test", "/api/"),
    ("http://a.test:{p}/api", "?q"): ("a.test", "/api?q"),
    ("http://a.test:{p}/api", "x?q=1#f"): ("a.test", "/api/x?q=1"),
    ("http://a.test:{p}/api", "http://b.test:{p}/y"): ("b.test", "/y"),
    ("http://a.test:{p}/api", "HTTP://b.test:{p}/y"): ("b.test", "/y"),
    ("http://a.test:{p}/api", "//b.test/y"): ("a.test", "/api/b.test/y"),
    ("http://a.test:{p}/api", "x:y"): ("a.test", "/api/x:y"),
    ("http://a.test:{p}/api", "user@host"): ("a.test", "/api/user@host"),
    ("http://a.test:{p}/web", "2020/http://b.test/"): ("a.test", "/web/2020/http://b.test/"),
    ("http://a.test:{p}/web", "/save/https://b.test/x?y"): (
        *("a.test", "/web/save/https://b.test/x?y"),
    ),
    ("http://a.test:{p}/api", "?u=http://b.test"): ("a.test", "/api?u=http://b.test"),
    ("http://a.test:{p}/api", "x#http://b.test"): ("a.test", "/api/x"),
    ("http://a.test:{p}/api", "../x"): ("a.test", "/api/../x"),
    ("http://a.test:{p}/api", "x y"): InvalidRequest,
    ("http://a.test:{p}/api", "\u00fc"): InvalidRequest,
    ("http://a.test:{p}/api", "x\r\nY: z"): InvalidRequest,
    ("http://a.test:{p}/api", r"\\b.test\x"): ("a.test", r"/api/\\b.test\x"),
    ("http://a.test:{p}/api", "ftp://b.test/"): InvalidRequest,
}


@pytest.mark.reliability(50, 53)
@pytest.mark.parametrize("case", JOINS, ids="|".join)
def test_base_url(case):
    """A relative URL never leads to another host, and a path with a URL in it is one."""
    base, url = case
    result = asked(url, base_url=base)
    if JOINS[case] is InvalidRequest:
        assert isinstance(result, InvalidRequest)
    else:
        assert result == JOINS[case]


PARAMS = [
    # query of the URL, params of the client, of the request: the query that is sent
    ("", None, {"a": "b"}, "a=b"),
    ("", None, {}, ""),
    ("", {}, None, ""),
    ("?", None, {"a": "b"}, "a=b"),
    ("?x=1", None, {"a": "b"}, "x=1&a=b"),
    ("?x=1&", None, {"a": "b"}, "x=1&a=b"),
    ("?x=1", None, {"x": "2"}, "x=1&x=2"),
    ("?x=%7E+", None, {"a": "~ "}, "x=%7E+&a=~%20"),
    ("", {"c": "1"}, {"a": "b"}, "c=1&a=b"),
    ("?x=1", {"c": "1"}, {"a": "b"}, "x=1&c=1&a=b"),
    ("", None, {"a": ["1", "2"]}, "a=1&a=2"),
    ("", None, {"a": 1, "b": 2.5}, "a=1&b=2.5"),
    ("", None, {"a": True, "b": False}, "a=true&b=false"),
    ("", None, {"a": ""}, "a="),
    ("", None, {"a": []}, ""),
    ("", None, {"a&b": "c=d&e"}, "a%26b=c%3Dd%26e"),
    ("", None, {"a": "#?/"}, "a=%23%3F%2F"),
    ("", None, {"a": "%20"}, "a=%2520"),
    ("", None, {"a": "+"}, "a=%2B"),
    ("", None, {"a": "\u00fc\u20ac"}, "a=%C3%BC%E2%82%AC"),
    ("", None, {"a": "b\r\nc"}, "a=b%0D%0Ac"),
    ("", None, "a=b&c", "a=b&c"),
    ("", None, "a=b%20c", "a=b%20c"),
    ("?x", None, "a=b", "x&a=b"),
    ("#f", None, {"a": "b"}, "a=b"),
    ("?x#f", None, {"a": "b"}, "x&a=b"),
]


@pytest.mark.reliability(47)
@pytest.mark.parametrize("case", PARAMS, ids=str)
def test_params(case):
    """They are added behind the query, which stays as it is."""
    before, of_client, of_request, query = case
    host, target = asked(f"http://a.test:{{p}}/{before}", of_request, params=of_client)
    assert host == "a.test"
    path, _, sent = target.partition("?")
    assert (path, sent) == ("/", query)


@pytest.mark.reliability(47)
@pytest.mark.parametrize("pairs", [[("a", "1"), ("b", "2"), ("a", "3")], (("a", "1"), ("a", "2"))])
def test_params_as_pairs(pairs):
    _, target = asked("http://a.test:{p}/", pairs)
    assert target == "/?" + "&".join(f"{name}={value}" for name, value in pairs)


@pytest.mark.reliability(53)
def test_a_url_object_and_its_text_are_one():
    with Site({None: OK}) as site:
        url = URL(site.url(path="/x?y#z"))
        [first, second] = ask("blocking", {}, ("GET", url), ("GET", str(url)))
    assert first.url == second.url == url
    assert [seen.target for seen in site.seen] == ["/x?y", "/x?y"]


@pytest.mark.reliability(53)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("port", ["", ":", ":80", ":443", ":080"])
def test_default_ports(scheme, port):
    """The Host field has the port unless it is that of the scheme (RFC 9110 section 7.2)."""
    mock = MockDispatcher()
    mock.add().reply(200)
    with Client(dispatcher=mock) as client:
        response = client.get(f"{scheme}://a.test{port}/")
    number = int(port[1:] or 0) or {"http": 80, "https": 443}[scheme]
    assert response.url.origin.port == number
    is_default = number == {"http": 80, "https": 443}[scheme]
    assert response.url.origin.host_field == ("a.test" if is_default else f"a.test:{number}")
