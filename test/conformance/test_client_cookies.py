"""Cookies through a client: what servers set, what later requests have, and what the caller gives.

Sections are those of RFC 6265bis. Names lead to one server; only URLs tell them apart.
"""

import time

import pytest
from kit.cases import each_case
from kit.sites import DRIVERS, Site, answer_of, ask, client

from dugong_like import Cookies, InvalidRequest

OK = answer_of(200, body=b"ok")


def sent_after(lines, then, *, here="www.shop.test/dir/page", driver="blocking", **options):
    """Return the field Cookie of a request to *then*, after *here* has set *lines*."""
    host, _, path = here.partition("/")
    there, _, place = then.partition("/")
    with Site({None: OK}) as site:
        site._answers[f"/{path}"] = answer_of(200, *[f"Set-Cookie: {line}" for line in lines])
        first, second = site.url(host, f"/{path}"), site.url(there, f"/{place}")
        ask(driver, options, ("GET", first), ("GET", second))
    return site.seen[1].headers.get("cookie")


SAME = "www.shop.test/dir/next"
# Set-Cookie: what a request to the same folder of the same host has afterwards.
LINES = {
    # section 5.6: pairs
    "a=b": "a=b",
    "a=b; ": "a=b",
    "a=": "a=",
    "a": "a",
    "=b": "b",
    "=": None,
    "": None,
    ";": None,
    "; Path=/": None,
    "  a  =  b  ;": "a=b",
    "a = b = c": "a=b = c",
    "a=b=c==": "a=b=c==",
    'a="b"': 'a="b"',
    'a="b; c"': 'a="b',
    "a=b, c=d": "a=b, c=d",
    "a=b c": "a=b c",
    "a\tb=c": "a\tb=c",
    "a=\xc3\xbc": "a=\xc3\xbc",
    "\xfc=\xff": "\xfc=\xff",
    "a[1]=b": "a[1]=b",
    "a=b; unknown; unknown=x": "a=b",
    "a=b;;;;": "a=b",
    "a=%00%0d%0a": "a=%00%0d%0a",
    "a=" + "x" * 4095: "a=" + "x" * 4095,
    "a=" + "x" * 4096: None,
    "x" * 4097 + "=": None,
    "a=b; Domain=" + "x" * 1025: "a=b",  # too long to mean anything (section 5.6)
    # section 5.6.1: Expires, Max-Age
    "a=b; Max-Age=100": "a=b",
    "a=b; Max-Age=0": None,
    "a=b; Max-Age=-1": None,
    "a=b; Max-Age=-": "a=b",
    "a=b; Max-Age=": "a=b",
    "a=b; Max-Age=1x": "a=b",
    "a=b; Max-Age=+1": "a=b",
    "a=b; Max-Age=" + "9" * 400: "a=b",
    "a=b; Max-Age=-" + "9" * 400: None,
    'a=b; Max-Age="0"': "a=b",
    "a=b; Max-Age=\xd9\xa0": "a=b",  # digits of Arabic are none
    "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT": None,
    "a=b; Expires=Thu, 01-Jan-70 00:00:00 GMT": None,
    "a=b; expires=Fri Jan  1 00:00:00 2100": "a=b",
    "a=b; Expires=Tue, 01 Jan 2999 00:00:00 GMT": "a=b",
    "a=b; Expires=Thu, 01 Jan 1600 00:00:00 GMT": "a=b",  # before 1601: no date
    "a=b; Expires=nonsense": "a=b",
    "a=b; Expires=0": "a=b",
    "a=b; Expires=-1": "a=b",
    "a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=100": "a=b",
    "a=b; Max-Age=0; Expires=Tue, 01 Jan 2999 00:00:00 GMT": None,
    "a=b; Max-Age=0; Max-Age=100": "a=b",
    "a=b; Max-Age=100; Max-Age=0": None,
    # section 5.7: Domain
    "a=b; Domain=shop.test": "a=b",
    "a=b; Domain=.shop.test": "a=b",
    "a=b; Domain=SHOP.TEST": "a=b",
    "a=b; Domain=www.shop.test": "a=b",
    "a=b; Domain=": "a=b",
    "a=b; Domain": "a=b",
    "a=b; Domain=.": "a=b",
    "a=b; Domain=..shop.test": None,
    "a=b; Domain=test": None,
    "a=b; Domain=.test": None,
    "a=b; Domain=other.test": None,
    "a=b; Domain=hop.test": None,
    "a=b; Domain=x.www.shop.test": None,
    "a=b; Domain=shop.test.": None,
    "a=b; Domain=shop.test:80": None,
    'a=b; Domain="shop.test"': None,
    "a=b; Domain=other.test; Domain=shop.test": "a=b",
    "a=b; Domain=shop.test; Domain=other.test": None,
    # Path
    "a=b; Path=/": "a=b",
    "a=b; Path=/dir": "a=b",
    "a=b; Path=/dir/": "a=b",
    "a=b; Path=/di": None,
    "a=b; Path=/DIR": None,
    "a=b; Path=/dir/next": "a=b",
    "a=b; Path=/dir/next/": None,
    "a=b; Path=/other": None,
    "a=b; Path=dir": "a=b",
    "a=b; Path=": "a=b",
    'a=b; Path="/other"': "a=b",
    "a=b; Path=/other; Path=/": "a=b",
    "a=b; path=/%64ir": None,
    # Secure, prefixes, SameSite
    "a=b; Secure": None,
    "a=b; SECURE": None,
    "a=b; secure=false": None,
    "a=b; HttpOnly": "a=b",
    "a=b; SameSite=Strict": "a=b",
    "a=b; SameSite=Lax": "a=b",
    "a=b; SameSite=nonsense": "a=b",
    "a=b; SameSite=None": None,  # without Secure
    "__Secure-a=b": None,
    "__Secure-a=b; Secure": None,
    "__Host-a=b; Path=/": None,
    "__host-a=b; Path=/": None,
    "=__Host-a=b; Path=/": None,  # CVE class: a value that looks like such a name
    "__Hosta=b": "__Hosta=b",
    "a=b; Partitioned": "a=b",
    "a=b; Priority=High": "a=b",
    "$Version=1; a=b": "$Version=1",
}


@pytest.mark.reliability(63)
@each_case("line", LINES)
def test_one_line(line):
    assert sent_after([line], SAME) == LINES[line]


@pytest.mark.reliability(63)
@pytest.mark.parametrize(
    "line", [f"a=b{chr(code)}c" for code in (0, 1, 10, 13, 31, 127)] + ["a=b; Path=/\x7f"]
)
def test_control_characters(line):
    """Those that no field may have make the response invalid, the others the line."""
    assert sent_after([line], SAME) is None


# Several lines: what is sent then. Longer paths first, then older ones (section 5.8.3).
SEVERAL = {
    ("a=1", "b=2"): "a=1; b=2",
    ("a=1", "a=2"): "a=2",
    ("a=1; Path=/", "a=2; Path=/dir"): "a=2; a=1",
    ("a=1", "A=2"): "a=1; A=2",
    ("a=1", "b=2", "a=3"): "a=3; b=2",  # keeps its time of creation
    ("a=1", "a=; Max-Age=0"): None,
    ("a=1", "a=; Max-Age=0; Path=/"): "a=1",
    ("a=1; Path=/", "a=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=2"): "b=2",
    ("a=1; Domain=shop.test", "a=2"): "a=1; a=2",
    ("a=1; Domain=shop.test", "a=; Max-Age=0"): "a=1",
    ("a=1; Domain=shop.test", "a=; Max-Age=0; Domain=.shop.test"): None,
    ("a=1", "b=2; Domain=other.test", "c=3"): "a=1; c=3",
    ("a=1", "=1", "b"): "a=1; b",
    tuple(f"c{number}=x" for number in range(60)): "; ".join(f"c{n}=x" for n in range(60)),
}


@pytest.mark.reliability(63)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("lines", SEVERAL, ids=lambda lines: "|".join(lines)[:50])
def test_several_lines(lines, driver):
    assert sent_after(list(lines), SAME, driver=driver) == SEVERAL[lines]


HOSTS = {
    # the place that sets a=b with this attribute, the place that may get it, and if it does
    ("www.shop.test/", "", "www.shop.test/"): True,
    ("www.shop.test/", "", "WWW.SHOP.TEST/"): True,
    ("www.shop.test/", "", "shop.test/"): False,
    ("www.shop.test/", "", "x.www.shop.test/"): False,
    ("www.shop.test/", "", "www.shop.test./"): False,
    ("www.shop.test/", "Domain=shop.test", "shop.test/"): True,
    ("www.shop.test/", "Domain=shop.test", "x.y.shop.test/"): True,
    ("www.shop.test/", "Domain=shop.test", "myshop.test/"): False,
    ("www.shop.test/", "Domain=shop.test", "shop.test.evil.test/"): False,
    ("shop.test/", "Domain=shop.test", "www.shop.test/"): True,
    ("shop.co.uk/", "Domain=co.uk", "other.co.uk/"): False,
    ("shop.co.uk/", "Domain=CO.UK", "other.co.uk/"): False,  # CVE-2023-46218
    ("shop.com/", "Domain=com", "other.com/"): False,
    ("a.github.io/", "Domain=github.io", "b.github.io/"): False,
    ("127.0.0.1/", "Domain=127.0.0.1", "127.0.0.1/"): True,
    ("127.0.0.1/", "Domain=0.0.1", "127.0.0.1/"): False,
    ("127.0.0.1/", "Domain=.1", "127.0.0.1/"): False,
    ("localhost/", "", "localhost/"): True,
    ("localhost/", "Domain=localhost", "localhost/"): True,
    ("localhost/", "Domain=localhost", "x.localhost/"): False,
    ("intranet/", "Domain=intranet", "x.intranet/"): False,
    # Secure: over TLS, or to this machine
    ("localhost/", "Secure", "localhost/"): True,
    ("127.0.0.1/", "Secure", "127.0.0.1/"): True,
    ("x.localhost/", "Secure", "x.localhost/"): True,
    ("www.shop.test/", "Secure", "www.shop.test/"): False,
    # paths of requests
    ("h.test/", "Path=/a", "h.test/a"): True,
    ("h.test/", "Path=/a", "h.test/a?x"): True,
    ("h.test/", "Path=/a", "h.test/a/b"): True,
    ("h.test/", "Path=/a", "h.test/ab"): False,
    ("h.test/", "Path=/a", "h.test/A"): False,
    ("h.test/", "Path=/a", "h.test//a"): False,
    ("h.test/a/b/c", "", "h.test/a/b/d"): True,
    ("h.test/a/b/c", "", "h.test/a/b"): True,
    ("h.test/a/b/c", "", "h.test/a/"): False,
    ("h.test/a/b/", "", "h.test/a/b/c"): True,
    ("h.test/a", "", "h.test/b"): True,
}


@pytest.mark.reliability(63)
@each_case("case", HOSTS)
def test_who_gets_a_cookie(case):
    here, attribute, there = case
    got = sent_after([f"a=b; {attribute}"], there, here=here)
    assert got == ("a=b" if HOSTS[case] else None)


@pytest.mark.reliability(63)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 404, 500, 503])
def test_each_status_may_set_cookies(status, driver):
    with Site({"/": answer_of(status, "Set-Cookie: a=b"), None: OK}) as site:
        ask(driver, {}, ("GET", site.url()), ("GET", site.url()))
    assert site.seen[1].headers.get("cookie") == "a=b"


@pytest.mark.reliability(24, 63)
def test_a_response_before_the_last_sets_none():
    """Neither an informational one (RFC 6265bis section 3 knows final ones), nor a trailer."""
    hint = b"HTTP/1.1 103 X\r\nSet-Cookie: a=b\r\n\r\n"
    trailer = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nSet-Cookie: c=d\r\n\r\n"
    with Site({None: hint + trailer}) as site:
        ask("blocking", {}, ("GET", site.url()), ("GET", site.url()))
    assert "cookie" not in site.seen[1].headers


@pytest.mark.reliability(63)
@pytest.mark.parametrize("driver", DRIVERS)
def test_secure_cookies_and_tls(driver, issue, ca):
    """Only TLS sets and gets them, and nothing without it replaces one (section 5.7, step 17)."""
    import ssl

    context = ssl.create_default_context()
    ca.configure_trust(context)
    secure = ["Set-Cookie: s=1; Secure; Path=/", "Set-Cookie: __Host-h=2; Secure; Path=/"]
    server = issue("h.test").server_context()
    with Site({None: OK}, tls=server) as safe, Site({None: OK}) as plain:
        safe._answers["/set"] = answer_of(200, *secure)
        plain._answers["/set"] = answer_of(200, "Set-Cookie: s=evil; Path=/")
        https, http = f"https://h.test:{safe.port}", f"http://h.test:{plain.port}"
        places = (f"{https}/set", f"{http}/set", f"{http}/", f"{https}/")
        ask(driver, {"ssl_context": context}, *[("GET", place) for place in places])
    assert "cookie" not in plain.seen[1].headers
    assert safe.seen[1].headers["cookie"] == "s=1; __Host-h=2"


# What the caller gives: cookies of the client, of the request, and a field; what is sent.
GIVEN = {
    ("", "", "x=1"): "x=1",
    ("", "", "x=1; y"): "x=1; y",
    ("", "r=2", ""): "r=2",
    ("c=3", "", ""): "c=3",
    ("c=3", "r=2", ""): "c=3; r=2",
    ("c=3", "c=2", ""): "c=2",
    ("c=3", "", "c=1"): "c=1",
    ("c=3", "", "x=1"): "c=3; x=1",
    ("", "r=2", "x=1"): "x=1; r=2",
    ("c=3", "r=2", "x=1"): "c=3; x=1; r=2",
    ("c=3", "x=2", "x=1"): "c=3; x=2",
}


@pytest.mark.reliability(63)
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("case", GIVEN, ids="|".join)
def test_cookies_that_the_caller_gives(case, driver):
    of_client, of_request, field = case
    options = {}
    if of_request:
        options["cookies"] = dict([of_request.split("=")])
    if field:
        options["headers"] = {"cookie": field}
    of_client = dict([of_client.split("=")]) if of_client else None
    with Site({None: OK}) as site:
        ask(driver, {"cookies": of_client}, ("GET", site.url(), options))
    assert site.seen[0].headers.get_list("cookie") == [GIVEN[case]]


@pytest.mark.reliability(63)
def test_several_fields_of_the_caller_are_one():
    """RFC 6265bis section 5.8.1: one field; joined by semicolons, not by commas."""
    with Site({None: answer_of(200, "Set-Cookie: s=1")}) as site:
        twice = {"headers": [("Cookie", "a=1"), ("Cookie", "b=2")]}
        ask("blocking", {}, ("GET", site.url()), ("GET", site.url(), twice))
    assert site.seen[1].headers.get_list("cookie") == ["s=1; a=1; b=2"]


@pytest.mark.reliability(54, 63)
def test_cookies_of_one_request_are_not_kept_and_go_nowhere_else():
    with Site({None: OK}) as site:
        site._answers["/"] = answer_of(302, "Location: /1")
        site._answers["/1"] = answer_of(302, f"Location: {site.url('b.test', '/2')}")
        site._answers["/2"] = answer_of(302, f"Location: {site.url('a.test', '/3')}")
        once = {"cookies": {"a": "1"}}
        ask("blocking", {}, ("GET", site.url(), once), ("GET", site.url(path="/4")))
    got = [seen.headers.get("cookie") for seen in site.seen]
    assert got == ["a=1", "a=1", None, None, None]


@pytest.mark.reliability(63)
@pytest.mark.parametrize(
    "cookies",
    [{"a": "b;c"}, {"a": "b\r\nX: y"}, {"a;b": "c"}, {"a=b": "c"}, {"": "c"}, {"a": "\u20ac"}],
)
@pytest.mark.parametrize("where", ["client", "request"])
def test_cookies_that_cannot_be_sent(cookies, where):
    with Site({None: OK}) as site:
        if where == "client":
            with pytest.raises(InvalidRequest, match="cookie"):
                client(cookies=cookies)
        else:
            [error] = ask("blocking", {}, ("GET", site.url(), {"cookies": cookies}))
            assert isinstance(error, InvalidRequest)
        assert not site.seen


@pytest.mark.reliability(54, 63)
@pytest.mark.parametrize("driver", DRIVERS)
def test_cookies_without_a_domain_are_for_the_first_host(driver):
    with Site({None: OK}) as site:
        site._answers["/"] = answer_of(302, f"Location: {site.url('evil.test', '/')}")
        site._answers["evil.test/"] = OK
        ask(driver, {"cookies": {"a": "b"}}, ("GET", site.url()), ("GET", site.url("c.test")))
        bound = {"cookies": {"a": "b"}, "base_url": site.url("home.test")}
        ask(driver, bound, ("GET", site.url()), ("GET", "/x"))
    got = [(seen.host, seen.headers.get("cookie")) for seen in site.seen]
    assert got[:3] == [("a.test", "a=b"), ("evil.test", None), ("c.test", None)]
    assert got[-1] == ("home.test", "a=b")
    assert [value for host, value in got[3:] if host != "home.test"] == [None] * (len(got) - 4)


@pytest.mark.reliability(63)
def test_a_client_that_stores_none():
    with Site({None: answer_of(200, "Set-Cookie: a=b")}) as site:
        [response, _] = ask(
            "blocking", {"store_cookies": False}, ("GET", site.url()), ("GET", site.url())
        )
    assert "cookie" not in site.seen[1].headers
    assert response.cookies["a"] == "b"


@pytest.mark.reliability(63)
def test_a_flood_of_cookies_is_limited_and_linear():
    """50 lines of 4 KiB, or 10,000 of different names, over many responses (section 6.1)."""
    many = [f"Set-Cookie: n{number}={'x' * 20}; Path=/" for number in range(900)]
    jar = Cookies()
    with Site({None: answer_of(200, *many)}) as site:
        began = time.thread_time()
        options = {"cookies": jar}
        results = ask(
            "blocking", options, *[("GET", site.url(f"h{n}.shop.test")) for n in range(8)]
        )
        assert time.thread_time() - began < 5
    assert len(jar) <= 8 * 180
    assert all(getattr(one, "status_code", 0) in (0, 200) for one in results)


@pytest.mark.reliability(64)
def test_a_host_field_changes_no_scope():
    """CVE-2026-6276: the URL says whose cookies they are."""
    with Site(
        {None: answer_of(200, "Set-Cookie: a=b; Domain=victim.test", "Set-Cookie: c=d")}
    ) as site:
        fake = {"headers": {"Host": "www.victim.test"}}
        ask(
            "blocking",
            {},
            ("GET", site.url("a.test"), fake),
            ("GET", site.url("www.victim.test")),
            ("GET", site.url("a.test"), fake),
        )
    assert [seen.headers.get("cookie") for seen in site.seen] == [None, None, "c=d"]
