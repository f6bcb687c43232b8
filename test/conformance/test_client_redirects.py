"""Where redirects of hostile and careless servers lead a client, and with what: lines 54 to 57.

One server answers for all names, so that nothing but the URL tells origins apart.
"""

import io

import pytest
from kit.sites import DRIVERS, Site, answer_of, ask

from dugong_like import (
    AddressForbidden,
    BasicAuth,
    BearerAuth,
    ConnectFailed,
    InvalidResponse,
    PublicOnly,
    RedirectRefused,
    TooManyRedirects,
)

OK = answer_of(200, body=b"ok")
PAGE = "/dir/page?q0"


def to(location, status=302, *fields, body=b"moved"):
    return answer_of(status, f"Location: {location}", *fields, body=body)


def sent(site):
    """Return method, host and target of each request."""
    return [(seen.method, seen.host, seen.target) for seen in site.seen]


# Location as it is sent, {p} for the port: host and target of the next request, and the fragment
# of the URL then. RFC 3986 section 5.4; otherwise as browsers (WHATWG URL).
LEADS = {
    "/b": ("a.test", "/b", "f"),
    "b": ("a.test", "/dir/b", "f"),
    "./b": ("a.test", "/dir/b", "f"),
    ".": ("a.test", "/dir/", "f"),
    "..": ("a.test", "/", "f"),
    "../b": ("a.test", "/b", "f"),
    "../../../b": ("a.test", "/b", "f"),
    "/x/../b": ("a.test", "/b", "f"),
    "/a/%2e%2e/b": ("a.test", "/b", "f"),
    "?q1": ("a.test", "/dir/page?q1", "f"),
    "#new": ("a.test", PAGE, "new"),
    "b#new": ("a.test", "/dir/b", "new"),
    "b#": ("a.test", "/dir/b", ""),  # an empty one is one
    "b#x y": ("a.test", "/dir/b", "x%20y"),
    "//b.test:{p}/b": ("b.test", "/b", "f"),
    "//b.test:{p}": ("b.test", "/", "f"),
    "//b.test:{p}?q": ("b.test", "/?q", "f"),
    "http://B.TEST:{p}/b": ("b.test", "/b", "f"),
    "HTTP://b.test:{p}/b": ("b.test", "/b", "f"),
    "http:/b": ("a.test", "/b", "f"),
    "http:b": ("a.test", "/dir/b", "f"),
    r"http:\\b.test:{p}\b": ("b.test", "/b", "f"),
    r"\b": ("a.test", "/b", "f"),
    r"/b\c": ("a.test", "/b/c", "f"),
    r"/\b.test:{p}/b": ("b.test", "/b", "f"),
    "http://u:p@b.test:{p}/b": ("b.test", "/b", "f"),
    r"http://a.test\@b.test:{p}/b": None,  # a host with a backslash, or a password without a name
    "http://b.test:{p}\\@a.test/b": ("b.test", "/@a.test/b", "f"),
    "http://a.test#@b.test:{p}/b": None,  # nothing listens on port 80
    "/b c": ("a.test", "/b%20c", "f"),
    "/b%20c": ("a.test", "/b%20c", "f"),
    "/b%zz": ("a.test", "/b%zz", "f"),
    "/b%2Fc%00": ("a.test", "/b%2Fc%00", "f"),
    "/\xc3\xbc": ("a.test", "/%C3%BC", "f"),  # UTF-8
    "/\xfc": ("a.test", "/%FC", "f"),  # Latin-1
    "/b?x=\xc3\xbc&y= z": ("a.test", "/b?x=%C3%BC&y=%20z", "f"),
    "/<b>\"'": ("a.test", "/%3Cb%3E%22'", "f"),
    "/b^`{{}}|": ("a.test", "/b%5E%60%7B%7D|", "f"),
    "/b;p=1?x=/../y": ("a.test", "/b;p=1?x=/../y", "f"),
    "/b, /c": ("a.test", "/b,%20/c", "f"),
    "  /b \t ": ("a.test", "/b", "f"),
    "/b?u=http://c.test/": ("a.test", "/b?u=http://c.test/", "f"),
    "h\xc3\xbctp://b.test/": ("a.test", "/dir/h%C3%BCtp://b.test/", "f"),  # no scheme
    "/http://c.test/": ("a.test", "/http://c.test/", "f"),
    "<http://b.test/>": ("a.test", "/dir/%3Chttp://b.test/%3E", "f"),
    "http://b\xc3\xbc.test:{p}/": ("xn--b-eha.test", "/", "f"),
    "http://a_b.test:{p}/": ("a_b.test", "/", "f"),
    "http://b.test.:{p}/": ("b.test.", "/", "f"),
    "/" + "x" * 8000: ("a.test", "/" + "x" * 8000, "f"),
}


@pytest.mark.reliability(53, 57)
@pytest.mark.parametrize("location", LEADS, ids=lambda text: text[:30])
def test_where_a_location_leads(location):
    with Site({None: OK}) as site:
        site._answers["/dir/page"] = [to(location.format(p=site.port)), OK]
        [response] = ask("blocking", {}, ("GET", site.url(path=PAGE + "#f")))
        sites = sent(site)
    if LEADS[location] is None:
        assert isinstance(response, RedirectRefused | ConnectFailed)
        assert len(sites) == 1
        return
    host, target, fragment = LEADS[location]
    assert sites[1:] == [("GET", host, target)]
    assert (response.status_code, response.url.host, response.url.target) == (200, host, target)
    assert response.url.fragment == fragment
    assert [str(one.url) for one in response.history] == [site.url(path=PAGE + "#f")]


REFUSED = [
    *("http:///b", "///b", "////b", "http://", "//", "http://?x", "http://:80/", "http://u:p@/"),
    *("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "file:/etc/passwd"),
    *("ftp://b.test/", "mailto:a@b.test", "about:blank", "gopher://b.test/", "unix:/run/x.sock"),
    *(
        "ws://b.test/",
        "wss://b.test/",
        "httpx://b.test/",
        "view-source:/b",
    ),
    *("http://b.test:99999/", "http://b.test:0/", "http://b.test:-1/", "http://b.test:8x/"),
    *("http://b.test:\xd9\xa1/", "http://b.test:80:80/", "http://b.test: 80/", "http://[::1/b"),
    *("http://[::1]x/", "http://[fe80::1%]/", "http://[v1.x]/", "http://[]/", "http://::1/"),
    *("http://b%2etest/", "http://b.test%00/", "http://b%0d%0a.test/", "http://b test/"),
    *("http://b..test/", "http://.b.test/", "http://b,test/", "http://b.test;x/", "http://*/"),
    *("http://u:p@v@b.test/", "http://u%0d%0a:p@b.test/", "http://u:p%00@b.test/", "http://%:@b/"),
    *(
        "http://a.test%E2%80%A8b/",
        "http://\xe2\x84\x80/",
        "http://b\xef\xbc\x8fc/",
    ),  # CVE-2019-9636
    *("/b\tc", "htt\tp://b.test/", "localhost:80", "b.test:80/b", "a:b"),
]


@pytest.mark.reliability(53, 56, 57)
@pytest.mark.parametrize("location", REFUSED)
def test_locations_that_lead_nowhere(location):
    """The error has the redirect, which can be read, and no other request is sent."""
    with Site({PAGE[:9]: to(location, body=b"moved")}) as site:
        [error] = ask("blocking", {}, ("GET", site.url(path=PAGE)))
    assert isinstance(error, RedirectRefused)
    assert (error.response.status_code, error.response.url.path) == (302, "/dir/page")
    assert (error.method, error.url, error.retryable) == ("GET", site.url(path=PAGE), False)
    assert len(site.seen) == 1
    assert "p%00" not in str(error)


@pytest.mark.reliability(57)
@pytest.mark.parametrize(
    "line",
    [b"Location: /b\rX: y", b"Location: /b\nX: y", b"Location: /b\0", b"Location\0: /b"],
)
def test_a_location_with_line_ends_or_nul_is_no_response(line):
    """RFC 9110 section 5.5; CVE-2019-11236 is its other side."""
    data = b"HTTP/1.1 302 X\r\n" + line + b"\r\nContent-Length: 0\r\n\r\n"
    with Site({None: [data, OK]}) as site:
        [error] = ask("blocking", {}, ("GET", site.url()))
    assert isinstance(error, InvalidResponse)
    assert len(site.seen) == 1


@pytest.mark.reliability(57)
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Location: /b", "Location: /b"], 200),
        (["Location: /b", "location: /c"], None),
        (["Location: /b", "Location:"], None),
        (["Location:"], 302),  # as curl, Go, browsers: there is no Location
        (["Location: \t "], 302),
        (["Content-Location: /b", "Refresh: 0; url=/b", "URI: /b"], 302),
        (["X-Location: /b"], 302),
    ],
)
def test_how_many_locations_there_are(fields, status):
    with Site({"/": answer_of(302, *fields), None: OK}) as site:
        [response] = ask("blocking", {}, ("GET", site.url()))
    if status is None:
        assert isinstance(response, RedirectRefused)
        assert len(site.seen) == 1
    else:
        assert response.status_code == status
        assert (response.next_request, len(site.seen)) == (None, 1 if status == 302 else 2)


@pytest.mark.reliability(55)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("status", [300, 304, 305, 306, 310, 399, 201, 200, 404, 503])
def test_statuses_that_do_not_redirect(status, driver):
    with Site({"/": to("/b", status, body=b""), None: OK}) as site:
        [response] = ask(driver, {}, ("GET", site.url()))
    assert (response.status_code, response.history, len(site.seen)) == (status, (), 1)


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "X-OWN")


@pytest.mark.reliability(55)
@pytest.mark.parametrize("host", ["a.test", "b.test"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_method_and_body_of_the_next_request(status, method, host):
    """RFC 9110 section 15.4; a body that is not sent takes its fields along (CVE-2023-45803)."""
    body = None if method in {"GET", "HEAD", "OPTIONS"} else b"body"
    about = {"Content-Type": "a/b", "Content-Language": "de", "Content-MD5": "x", "Digest": "y"}
    with Site({"/": [to("{}", status)], None: OK}) as site:
        site._answers["/"] = to(site.url(host, "/b"), status, body=b"")
        options = {"content": body, "headers": about, "follow_redirects": True}
        [response] = ask("blocking", {}, (method, site.url(), options))
    assert response.status_code == 200
    last = site.seen[-1]
    to_get = (status in {301, 302} and method == "POST") or (status == 303 and method != "HEAD")
    assert last.method == ("GET" if to_get else method)
    keeps = body is not None and last.method == method
    assert last.body == (b"body" if keeps else b"")
    kept = {name for name in about if name in last.headers}
    assert len(kept) == (4 if keeps else 0)
    assert ("content-length" in last.headers) is keeps or last.method in {"POST", "PUT", "PATCH"}
    assert "transfer-encoding" not in last.headers


class Once(io.RawIOBase):
    def __init__(self):
        self._data = b"body"

    def readable(self):
        return True

    def readinto(self, buffer):
        data, self._data = self._data, b""
        buffer[: len(data)] = data
        return len(data)


BODIES = {
    "bytes": (lambda: b"body", True),
    "file": (lambda: io.BytesIO(b"body"), True),
    "file from the middle": (lambda: _at(io.BytesIO(b"some body"), 5), True),
    "list": (lambda: [b"bo", b"dy"], True),
    "form": (lambda: b"body", True),
    "generator": (lambda: (piece for piece in (b"bo", b"dy")), False),
    "pipe": (Once, False),
}


def _at(file, place):
    file.seek(place)
    return file


@pytest.mark.reliability(55, 56)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("host", ["a.test", "b.test"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_is_sent_again_or_not_at_all(kind, host, driver):
    make, again = BODIES[kind]
    with Site({None: OK}) as site:
        site._answers["/"] = to(site.url(host, "/b"), 307, body=b"")
        [response] = ask(driver, {}, ("POST", site.url(), {"content": make()}))
    assert [seen.body for seen in site.seen] == [b"body"] * (2 if again else 1)
    if again:
        assert response.status_code == 200
    else:
        assert isinstance(response, RedirectRefused)
        assert response.response.status_code == 307
        assert (response.request_sent, response.method) == ("yes", "POST")


SECRET = {
    "Authorization": "Bearer secret",
    "aUTHORIZATION": "Basic c2VjcmV0",
    "Cookie": "sid=secret",
    "Proxy-Authorization": "Basic c2VjcmV0",
    "X-Api-Key": "secret",
    "X-Amz-Security-Token": "secret",
    "Private-Token": "secret",
    "Cookie2": "secret",
    "Origin": "http://secret.test",
    "Referer": "http://secret.test/",
    "X-CSRF-Token": "secret",
    "Forwarded": "for=secret",
}
SAFE = {
    "Accept": "a/b",
    "Accept-Language": "de",
    "User-Agent": "me",
    "Range": "bytes=1-2",
    "If-None-Match": '"x"',
    "Traceparent": "00-x",
    "Cache-Control": "no-cache",
}


@pytest.mark.reliability(54)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("of_client", [False, True])
@pytest.mark.parametrize("field", [*SECRET, *SAFE])
def test_fields_that_another_origin_gets(field, of_client, driver):
    """And none of the dropped ones comes back when the chain does (CVE-2024-45336)."""
    value = {**SECRET, **SAFE}[field]
    with Site({None: OK}) as site:
        site._answers["/"] = to("/1")
        site._answers["/1"] = to(site.url("b.test", "/2"))
        site._answers["/2"] = to(site.url("a.test", "/3"))
        call = ("GET", site.url(), {} if of_client else {"headers": {field: value}})
        [response] = ask(driver, {"headers": {field: value}} if of_client else {}, call)
    assert response.status_code == 200
    has = [value in seen.headers.get_list(field) for seen in site.seen]
    assert has == [True, True, field in SAFE, field in SAFE]


@pytest.mark.reliability(54)
@pytest.mark.parametrize(
    "other",
    [
        *("http://b.test:{p}/2", "http://sub.a.test:{p}/2", "http://test:{p}/2"),
        *("http://a.test.:{p}/2", "http://a.test.b.test:{p}/2", "http://a.test:{other}/2"),
        *("http://127.0.0.1:{p}/2", "//b.test:{p}/2"),
    ],
)
def test_what_another_origin_is(other):
    """Scheme, host and port, each by itself; `a.test.` is another name."""
    with Site({None: OK}) as site, Site({None: OK}) as second:
        site._answers["/"] = to(other.format(p=site.port, other=second.port))
        options = {"headers": {"Cookie": "a=b", "X-Key": "k"}, "auth": ("user", "secret")}
        [response] = ask("blocking", {}, ("GET", site.url(), options))
        last = (second.seen or site.seen)[-1]
    assert response.status_code == 200
    assert last.target == "/2"
    for name in ("cookie", "x-key", "authorization"):
        assert name in site.seen[0].headers
        assert name not in last.headers


@pytest.mark.reliability(54)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("of_client", [False, True])
@pytest.mark.parametrize("auth", [("user", "secret"), BasicAuth("user", "x"), BearerAuth("token")])
def test_credentials_stay_with_their_origin(auth, of_client, driver):
    with Site({None: OK}) as site:
        site._answers["/"] = to("/1")
        site._answers["/1"] = to(site.url("b.test", "/2"), 307)
        site._answers["/2"] = to(site.url("a.test", "/3"), 308)
        options = {"auth": auth} if of_client else {}
        ask(driver, options, ("GET", site.url(), {} if of_client else {"auth": auth}))
    assert ["authorization" in seen.headers for seen in site.seen] == [True, True, False, False]


@pytest.mark.reliability(54)
def test_credentials_in_a_location_are_for_its_origin():
    with Site({None: OK}) as site:
        site._answers["/"] = to(f"http://u:p@b.test:{site.port}/1")
        site._answers["/1"] = to("/2")
        site._answers["/2"] = to(site.url("c.test", "/3"))
        [response] = ask("blocking", {}, ("GET", site.url()))
    assert ["authorization" in seen.headers for seen in site.seen] == [False, True, True, False]
    assert "u:p" not in str(response.url) + str([one.url for one in response.history])


@pytest.mark.reliability(54)
def test_fields_that_are_to_be_kept():
    with Site({None: OK}) as site:
        site._answers["/"] = to(site.url("b.test", "/1"))
        headers = {"X-Request-ID": "7", "X-Key": "k"}
        ask(
            "blocking", {"keep_fields": ["x-request-id"]}, ("GET", site.url(), {"headers": headers})
        )
    last = site.seen[-1].headers
    assert ("x-request-id" in last, "x-key" in last) == (True, False)


@pytest.mark.reliability(64)
def test_a_host_field_stays_with_its_origin():
    with Site({None: OK}) as site:
        site._answers["/"] = to("/1")
        site._answers["/1"] = to(site.url("b.test", "/2"))
        site._answers["x.test/"] = to("/1")
        site._answers["x.test/1"] = to(site.url("b.test", "/2"))
        ask("blocking", {}, ("GET", site.url(), {"headers": {"Host": f"x.test:{site.port}"}}))
    assert [seen.host for seen in site.seen] == ["x.test", "x.test", "b.test"]


@pytest.mark.reliability(56)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("most", [0, 1, 5])
def test_the_number_of_redirects_is_limited(most, driver):
    with Site({None: to("/loop")}) as site:
        [error] = ask(driver, {"max_redirects": most}, ("GET", site.url()))
    assert isinstance(error, TooManyRedirects)
    assert len(site.seen) == most + 1
    assert [one.status_code for one in error.response.history] == [302] * most
    assert error.response.status_code == 302


@pytest.mark.reliability(56)
@pytest.mark.parametrize("most", [1, 5])
def test_as_many_redirects_as_are_allowed(most):
    answers = {f"/{number}": to(f"/{number + 1}") for number in range(most)}
    with Site({**answers, None: OK}) as site:
        [response] = ask("blocking", {"max_redirects": most}, ("GET", site.url(path="/0")))
    assert (response.status_code, len(response.history), response.attempts) == (200, most, most + 1)


@pytest.mark.reliability(56)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("where", ["client", "request"])
def test_no_redirects_means_none(where, driver):
    """On every level (CVE-2025-50181), and the next request can be sent by hand."""
    off = {"follow_redirects": False}
    with Site({"/": to("/b", body=b"here"), None: OK}) as site:
        options = (off, {}) if where == "client" else ({}, off)
        [response] = ask(driver, options[0], ("GET", site.url(), options[1]))
    assert (response.status_code, response.content, len(site.seen)) == (302, b"here", 1)
    assert str(response.next_request.url) == site.url(path="/b")


@pytest.mark.reliability(56)
@pytest.mark.parametrize("driver", DRIVERS)
def test_no_redirect_from_https_to_http(driver, certificate, trusting):
    """Unless it is allowed; from http to https there is one, which is another origin."""
    context = certificate.server_context()
    with Site({None: OK}) as plain, Site({None: OK}, tls=context) as safe:
        safe._answers["/"] = to(plain.url("localhost", "/"))
        plain._answers["/up"] = to(f"https://localhost:{safe.port}/end")
        up = ("GET", plain.url("localhost", "/up"), {"auth": ("a", "b")})
        down = ("GET", f"https://localhost:{safe.port}/", {"auth": ("a", "b")})
        refused, safer = ask(driver, {"ssl_context": trusting}, down, up)
        [allowed] = ask(driver, {"ssl_context": trusting, "insecure_redirects": True}, down)
    assert isinstance(refused, RedirectRefused)
    assert (safer.status_code, allowed.status_code) == (200, 200)
    assert "authorization" not in safe.seen[1].headers
    assert "authorization" not in plain.seen[-1].headers


@pytest.mark.reliability(56)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Encoding: gzip"],  # its body is none
        ["Content-Encoding: x-unknown"],
        ["Content-Type: text/plain; charset=nonsense"],
    ],
)
def test_the_body_of_a_redirect_is_not_decoded(fields, driver):
    with Site({"/": to("/b", 302, *fields, body=b"no gzip"), None: OK}) as site:
        [response] = ask(driver, {}, ("GET", site.url()))
    assert (response.status_code, site.connections) == (200, 1)


@pytest.mark.reliability(32, 56)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_body_of_a_redirect_may_be_truncated(stream, driver):
    """All that counts has arrived, and the connection is not used again."""

    def cut(sock, seen):
        sock.sendall(b"HTTP/1.1 302 X\r\nLocation: /b\r\nContent-Length: 9\r\n\r\nhal")

    with Site({"/": cut, None: OK}) as site:
        [response] = ask(driver, {}, ("GET", site.url(), {"stream": stream}))
    assert (response.status_code, site.connections) == (200, 2)


@pytest.mark.reliability(56)
@pytest.mark.parametrize("size", [0, 10, 60_000, 100_000, 1_000_000])
def test_a_connection_is_kept_over_a_redirect_with_a_short_body(size):
    with Site({"/": to("/b", body=bytes(size)), None: OK}) as site:
        [response] = ask("blocking", {}, ("GET", site.url()))
    assert response.status_code == 200
    assert site.connections == (1 if size <= 60_000 else 2)


@pytest.mark.reliability(63)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 401, 404, 503])
def test_cookies_of_each_hop(status, driver):
    """Those of a response are sent with the next request, and to their own host only."""
    with Site({None: OK}) as site:
        site._answers["/"] = to("/1", 302, "Set-Cookie: first=1; Path=/")
        site._answers["/1"] = to(site.url("b.test", "/2"), 302, "Set-Cookie: second=2; Path=/")
        site._answers["/2"] = to(site.url("a.test", "/3"), 302, "Set-Cookie: other=3; Path=/")
        site._answers["/3"] = answer_of(status, "Set-Cookie: last=4; Path=/")
        ask(driver, {}, ("GET", site.url()), ("GET", site.url(path="/4")))
    assert [seen.headers.get("cookie") for seen in site.seen] == [
        *(None, "first=1", None, "first=1; second=2", "first=1; second=2; last=4"),
    ]


@pytest.mark.reliability(54)
@pytest.mark.parametrize(
    "where",
    [
        *("http://127.0.0.1:{p}/", "http://127.1:{p}/", "http://2130706433:{p}/"),
        *("http://0x7f000001:{p}/", "http://0177.0.0.1:{p}/", "http://localhost:{p}/"),
        *("http://[::1]:{p}/", "http://[::ffff:127.0.0.1]:{p}/", "http://[::]:{p}/"),
        *("http://0:{p}/", "http://0.0.0.0:{p}/", "http://10.0.0.1:{p}/", "http://[fe80::1]/"),
        *("http://169.254.169.254/", "http://[64:ff9b::7f00:1]/", "http://[fd00::1]/"),
        *("http://100.64.0.1/", "http://224.0.0.1/", "http://255.255.255.255/"),
    ],
)
def test_a_guard_sees_each_hop_and_each_way_to_write_an_address(where):
    """Server-side request forgery by redirect: an address that is not public is never asked."""
    public = PublicOnly()

    def guard(host, address):
        return host == "public.test" or public(host, address)

    with Site({None: OK}) as site:
        site._answers["public.test/"] = to(where.format(p=site.port))
        [error] = ask("blocking", {"guard": guard}, ("GET", site.url("public.test")))
        assert len(site.seen) == site.connections == 1
    assert isinstance(error, AddressForbidden)
    assert (error.request_sent, error.method) == ("no", "GET")
