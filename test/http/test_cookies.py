"""A jar: what responses set, what requests send, and the dict in between."""

import copy
import gc
import http.cookiejar
import os
import pickle
import signal
import threading
import urllib.request

import httpx
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from dugong_like import (
    URL,
    Cookie,
    CookieConflict,
    Cookies,
    DugongError,
    Headers,
    InvalidRequest,
    Origin,
    run,
)
from dugong_like.http.cookie import Place, read_set_cookie
from dugong_like.http.cookie_store import CookieStore
from dugong_like.http.public_suffixes import built_in

NOW = 1_700_000_000.0
URL_A = "https://a.example/"
URL_B = "https://b.example/"


def jar_of(*lines, url=URL_A):
    jar = Cookies(is_public_suffix=built_in)
    jar.extract(url, lines, NOW)
    return jar


# Cookies without a domain


def test_cookies_without_a_domain_go_to_the_host_of_the_next_request_only():
    jar = Cookies({"a": "1", "b": "2"})

    assert jar.header(URL_A, NOW) == "a=1; b=2"
    assert jar.header(URL_B, NOW) is None
    assert jar.header("https://sub.a.example/", NOW) is None
    assert jar.header("http://a.example/", NOW) is None  # TLS once, TLS for ever
    assert jar.header("https://a.example:444/x", NOW) == "a=1; b=2"
    assert {(cookie.domain, cookie.secure) for cookie in jar.cookies()} == {("a.example", True)}


def test_bound_without_tls_they_are_sent_with_tls_as_well():
    jar = Cookies({"a": "1"})

    assert jar.header("http://a.example/", NOW) == jar.header(URL_A, NOW) == "a=1"


@pytest.mark.parametrize("place", [URL_A, URL(URL_A), Origin("https", "a.example")])
def test_bind_says_which_host(place):
    jar = Cookies({"a": "1"})
    jar.bind(place)
    jar["b"] = "2"

    assert jar.header(URL_B, NOW) is None
    assert jar.header("http://a.example/", NOW) is None
    assert jar.header(URL_A, NOW) == "a=1; b=2"


def test_later_ones_go_to_the_host_of_the_next_request_again():
    jar = Cookies({"a": "1"})
    jar.header(URL_A, NOW)
    jar["b"] = "2"

    assert jar.header(URL_B, NOW) == "b=2"
    assert jar.header(URL_A, NOW) == "a=1"


def test_a_cookie_of_another_host_with_the_same_name_says_nothing_about_its_host():
    jar = jar_of("session=evil", url="https://evil.example/")
    jar["session"] = "secret"

    assert jar["session"] == "secret"
    assert jar.header(URL_A, NOW) == "session=secret"
    assert jar.header("https://evil.example/", NOW) == "session=evil"


def test_they_replace_what_the_host_has_set():
    jar = Cookies()
    jar.extract("https://www.a.example/x/", ["t=1", "t=2; Domain=a.example; Path=/", "u=3"], NOW)
    jar.extract(URL_A, ["t=4"], NOW)
    jar["t"] = "own"

    assert jar.header("https://www.a.example/x/", NOW) == "u=3; t=own"
    assert jar.header(URL_A, NOW) == "t=4"


def test_the_server_can_replace_and_delete_them():
    jar = Cookies({"a": "1"})
    jar.header(URL_A, NOW)
    jar.extract(URL_A, ["a=2"], NOW)
    assert jar.header(URL_A, NOW) == "a=2"
    jar.extract(URL_A, ["a=; Max-Age=0"], NOW)
    assert jar.header(URL_A, NOW) is None
    assert jar.is_empty


def test_their_path():
    jar = Cookies()
    jar.set("a", "1", path="/x")

    assert jar.header(URL_A, NOW) is None
    assert jar.header("https://a.example/x/y", NOW) == "a=1"


# Cookies of one request


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ({"c": "3"}, "a=1; b=2; c=3"),
        ([("c", "3"), ("c", "4")], "a=1; b=2; c=3; c=4"),
        ({"a": "9"}, "b=2; a=9"),
        ("c=3; a=9", "b=2; c=3; a=9"),
        (" c=3 ;; x ; ", "a=1; b=2; c=3; x"),
        (Cookies({"c": "3"}), "a=1; b=2; c=3"),
        ({}, "a=1; b=2"),
        ("", "a=1; b=2"),
        (None, "a=1; b=2"),
    ],
)
def test_cookies_of_one_request_come_last_and_replace(more, sent):
    jar = jar_of("a=1", "b=2")

    assert jar.header(URL_A, NOW, more) == sent
    assert jar.header(URL_A, NOW) == "a=1; b=2"


def test_cookies_of_one_request_are_checked():
    jar = Cookies()
    with pytest.raises(InvalidRequest, match="cookie 'a'"):
        jar.header(URL_A, NOW, {"a": "x\r\ny"})
    with pytest.raises(TypeError, match="cookie"):
        jar.header(URL_A, NOW, {"a": 1})
    assert jar.header(URL_A, NOW, {"a": "1"}) == "a=1"
    assert jar.is_empty


# As a dict


def test_names_and_values():
    jar = Cookies([("a", "1"), ("b", "2")])
    jar["a"] = "3"

    assert jar["a"] == "3"
    assert "b" in jar
    assert "c" not in jar
    assert 1 not in jar
    assert list(jar) == jar.keys() == ["a", "b"]
    assert (jar.values(), jar.items()) == (["3", "2"], [("a", "3"), ("b", "2")])
    assert dict(jar) == {"a": "3", "b": "2"}
    assert (len(jar), bool(jar), bool(Cookies())) == (2, True, False)
    del jar["a"]
    assert jar.items() == [("b", "2")]
    for missing in (lambda: jar["a"], lambda: jar.__delitem__("a")):
        with pytest.raises(KeyError, match="a"):
            missing()
    jar.delete("a")
    assert jar.get("a") is None
    assert jar.get("a", "default") == "default"
    assert jar.get("b") == "2"


def test_several_of_one_name_need_a_domain():
    jar = jar_of("n=1", "n=2; Path=/x")
    jar.extract(URL_B, ["n=3"], NOW)

    with pytest.raises(CookieConflict, match=r"3 cookies are called 'n'.*a.example/x") as caught:
        jar["n"]
    assert isinstance(caught.value, DugongError)
    assert not caught.value.retryable
    with pytest.raises(CookieConflict):
        jar.get("n", domain="a.example")
    assert jar.get("n", domain="a.example", path="/x") == "2"
    assert jar.get("n", domain=".B.example") == "3"
    assert jar.get("n", domain="c.example") is None
    jar.delete("n", domain="a.example", path="/")
    jar.delete("n", domain="b.example")
    assert jar["n"] == "2"


def test_a_conflict_of_many_names_a_few_of_them():
    jar = Cookies()
    for count in range(20):
        jar.set("n", "secret", f"h{count}.example")

    with pytest.raises(CookieConflict, match=r"20 cookies.*h4.example/, \.\.\.$") as caught:
        jar["n"]
    assert "secret" not in str(caught.value)


def test_clearing():
    def make():
        jar = jar_of("s=1", "p=2; Max-Age=60", "x=3; Path=/x")
        jar.extract(URL_B, ["q=4"], NOW)
        return jar

    jar = make()
    jar.clear("a.example", "/x")
    assert jar.keys() == ["s", "p", "q"]
    jar.clear(".A.example")
    assert jar.keys() == ["q"]
    jar.clear()
    assert jar.is_empty
    jar = make()
    jar["unbound"] = "5"
    jar.clear_session()
    assert jar.keys() == ["p"]
    jar["unbound"] = "5"
    jar.clear("")
    assert jar.keys() == ["p"]


def test_what_set_makes():
    jar = Cookies(is_public_suffix=built_in)
    jar.set("a", "1", "example.com", "/x", expires=NOW + 5, secure=True)
    jar.set("b", "2", ".Example.COM")
    for name, domain in (("c", "127.0.0.1"), ("d", "localhost"), ("e", "co.uk")):
        jar.set(name, name, domain)

    wide = Cookie("a", "1", "example.com", "/x", NOW + 5, secure=True, host_only=False)
    assert jar.cookies("example.com") == [wide, Cookie("b", "2", "example.com", host_only=False)]
    assert [cookie.host_only for cookie in jar.cookies()[2:]] == [True, True, True]
    assert jar.header("https://www.example.com/x", NOW) == "a=1; b=2"
    assert jar.header("https://www.example.com/x", NOW + 5) == "b=2"
    assert jar.header("http://localhost/", NOW) == "d=d"
    assert jar.header("http://a.co.uk/", NOW) is None
    assert jar.header("http://co.uk/", NOW) == "e=e"


@pytest.mark.parametrize("line", ["a=1; Path=/", "a=1; Path=/; Domain=a.example"])
def test_set_replaces_what_a_server_has_set_with_and_without_a_domain(line):
    jar = jar_of(line)
    jar.set("a", "2", "a.example")
    assert jar.header(URL_A, NOW) == "a=2"
    jar.add(Cookie("a", "3", "a.example", host_only=True))
    assert jar.header(URL_A, NOW) == "a=3"
    assert jar["a"] == "3"


def test_add_takes_every_flag():
    cookie = Cookie("a", "1", "example.com", same_site="lax", http_only=True, host_only=True)
    jar = Cookies()
    jar.add(cookie)

    assert jar.cookies() == [cookie]
    assert jar.header("http://www.example.com/", NOW) is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("a", "x\r\n"), InvalidRequest, "value of the cookie 'a'"),
        (("a;b", "x"), InvalidRequest, "not the name of a cookie"),
        (("a", "x", "exa mple"), InvalidRequest, "not a host name"),
        (("a", "x", "https://example.com"), InvalidRequest, "not a host name"),
        (("a", "x", "example.com:80"), InvalidRequest, "not a host name"),
        (("a", "x", "example.com", "x"), InvalidRequest, "its path does not begin with /"),
        (("a", "x", "example.com", "/\r"), InvalidRequest, "its path"),
        (("a", "x", "example.com", 1), TypeError, "path"),
        (("a", "x", 1), TypeError, "domain is a string"),
        (("a", 1), TypeError, "value of the cookie 'a' is a string, not int"),
        ((1, "x"), TypeError, "name of a cookie"),
    ],
)
def test_what_cannot_be_set(arguments, error, message):
    jar = Cookies()

    with pytest.raises(error, match=message):
        jar.set(*arguments)
    assert jar.is_empty


@pytest.mark.parametrize("expires", ["1", float("nan"), float("inf"), True, 10**400])
def test_times_that_cannot_be_set(expires):
    with pytest.raises((InvalidRequest, TypeError), match="expires"):
        Cookies().set("a", "1", "a.example", expires=expires)


@pytest.mark.parametrize("host", ["fe80::1%Eth0", "::1", "xn--fa-hia.example", "a.example."])
def test_hosts_of_every_kind_can_be_saved_and_named(host, tmp_path):
    place = Origin("https", host)
    jar = jar_of("n=v", url=place)
    jar.save(tmp_path / "jar")
    again = Cookies()
    again.load(tmp_path / "jar")

    assert again.header(place, NOW) == "n=v"
    assert again.get("n", domain=host) == "v"
    again.clear(host)
    assert again.is_empty
    again.set("n", "w", host)
    assert again.header(place, NOW) == "n=w"


def test_domains_are_compared_in_ascii():
    jar = Cookies()
    jar.set("n", "v", "B\xfccher.example")

    assert jar.header("https://xn--bcher-kva.example/", NOW) == "n=v"
    assert jar.get("n", domain="b\xfccher.example") == "v"
    for ask in (jar.cookies, jar.clear, lambda domain: jar.get("n", domain=domain)):
        with pytest.raises(InvalidRequest, match="not a host name"):
            ask("https://b")
        with pytest.raises(TypeError, match="domain"):
            ask(1)


# Other sources


@pytest.mark.parametrize("source", [{"a": "1"}, [("a", "1")], (("a", "1"),), Cookies({"a": "1"})])
def test_sources(source):
    assert Cookies(source).items() == [("a", "1")]


@pytest.mark.parametrize("source", ["a=1", b"a", 1, ["a"], [("a", "1", "2")], {"a": 1}, {1: "a"}])
def test_sources_of_wrong_types(source):
    with pytest.raises(TypeError, match="cookie"):
        Cookies(source)


def test_all_or_none():
    jar = Cookies()
    with pytest.raises(InvalidRequest):
        jar.update([("a", "1"), ("b", "\r")])
    assert jar.is_empty


def test_another_jar_with_all_flags():
    jar = jar_of("a=1; Domain=a.example; Path=/x; Max-Age=5; Secure; HttpOnly", "b")
    jar["unbound"] = "2"
    other = Cookies()
    other.update(jar)

    assert other.cookies() == jar.cookies()
    other.update(other)
    assert other.cookies() == jar.cookies()


LINES = [
    "domain=1; Domain=shop.example; Path=/x; Secure; HttpOnly; Max-Age=999999999",
    "host=2; Path=/",
]


@pytest.mark.feature("D36")
def test_a_jar_of_the_standard_library():
    source = http.cookiejar.CookieJar()
    response = http.client.HTTPMessage()
    for line in LINES:
        response.add_header("Set-Cookie", line)
    request = urllib.request.Request("https://www.shop.example/")
    source.extract_cookies(type("Response", (), {"info": lambda self: response})(), request)
    jar = Cookies(source)

    domain, host = sorted(jar.cookies())
    assert domain.replaced(expires=None) == Cookie(
        "domain", "1", "shop.example", "/x", None, True, True, host_only=False
    )
    assert host == Cookie("host", "2", "www.shop.example")


def old_cookie(name, value, domain, path="/", **more):
    plain = {
        "version": 0, "port": None, "port_specified": False, "domain_specified": bool(domain),
        "domain_initial_dot": domain.startswith("."), "path_specified": True, "secure": False,
        "expires": None, "discard": True, "comment": None, "comment_url": None, "rest": {},
    }  # fmt: skip
    return http.cookiejar.Cookie(name=name, value=value, domain=domain, path=path, **plain | more)


def test_cookies_of_the_standard_library_that_are_odd():
    source = http.cookiejar.CookieJar()
    for cookie in (
        old_cookie("suffix", "1", ".co.uk"),
        old_cookie("nameless", None, "a.example"),
        old_cookie("local", "2", "localhost.local"),
        old_cookie("mdns", "3", "printer.local"),
        old_cookie("unbound", "4", ""),
        old_cookie("utf8", "\xc3\xa4", "a.example"),
        old_cookie("address", "5", "[::1].local"),
    ):
        source.set_cookie(cookie)
    jar = Cookies(source, is_public_suffix=built_in)

    assert {cookie[:3] for cookie in jar.cookies()} == {
        ("", "nameless", "a.example"),
        ("local", "2", "localhost"),
        ("mdns", "3", "printer.local"),
        ("unbound", "4", ""),
        ("suffix", "1", "co.uk"),
        ("address", "5", "::1"),
        ("utf8", "\xc3\xa4", "a.example"),
    }
    assert jar.header("https://a.co.uk/", NOW) == "unbound=4"
    for bad in (old_cookie("bad", "x\r\ny", "a.example"), old_cookie("bad", 1, "a.example")):
        source.set_cookie(bad)
        with pytest.raises(InvalidRequest, match="'bad'"):
            Cookies(source)


def test_jars_of_requests_and_httpx():
    from_requests = requests.cookies.RequestsCookieJar()
    from_requests.set("a", "1", domain="a.example", path="/x")
    from_httpx = httpx.Cookies()
    from_httpx.set("b", "2", domain="b.example")
    jar = Cookies(from_requests)
    jar.update(from_httpx)

    assert [cookie[:4] for cookie in jar.cookies()] == [
        ("a", "1", "a.example", "/x"),
        ("b", "2", "b.example", "/"),
    ]


# Files, copies


def test_files_keep_all_flags_and_the_order(tmp_path):
    jar = jar_of("s=1", "p=2; Max-Age=60; Domain=a.example", "", "nameless")
    jar["unbound"] = "3"
    jar.save(tmp_path / "jar")
    again = Cookies()
    again.load(tmp_path / "jar")
    assert again.cookies() == jar.cookies()
    assert again.header(URL_A, NOW + 60) == "s=1; nameless; unbound=3"


@pytest.mark.parametrize("where", ["save", "load"])
def test_files_may_leave_out_what_ends_with_the_session(tmp_path, where):
    jar = jar_of("s=1", "p=2; Max-Age=60")
    jar.save(tmp_path / "jar", session=where != "save")
    again = Cookies()
    again.load(tmp_path / "jar", session=where != "load")

    assert again.keys() == ["p"]


def test_a_file_is_added_to_what_is_there(tmp_path):
    jar_of("a=1", "b=2").save(tmp_path / "jar")
    jar = jar_of("b=3", "c=4")
    jar.load(tmp_path / "jar")

    assert jar.header(URL_A, NOW) == "b=2; c=4; a=1"


@pytest.mark.reliability(63)
def test_a_file_cannot_widen_a_cookie_to_a_public_suffix(tmp_path):
    jar = Cookies(is_public_suffix=lambda domain: False)
    jar.add(Cookie("n", "v", "co.uk", host_only=False))
    assert jar.header("https://a.co.uk/", NOW) == "n=v"
    jar.save(tmp_path / "jar")
    again = Cookies(is_public_suffix=built_in)
    again.load(tmp_path / "jar")

    assert again.header("https://a.co.uk/", NOW) is None
    assert again.header("https://co.uk/", NOW) == "n=v"


COPIES = {
    "pickle": lambda jar: pickle.loads(pickle.dumps(jar)),
    "copy()": lambda jar: jar.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", COPIES)
def test_copies_are_independent(way):
    jar = jar_of("a=1", "b=2; Max-Age=9")
    jar.bind(URL_B)
    other = COPIES[way](jar)
    assert other.cookies() == jar.cookies()
    other["c"] = "3"
    other.delete("a")

    assert other.header(URL_B, NOW) == "c=3"
    assert jar.keys() == ["a", "b"]
    assert not other.is_empty


def test_nothing_shows_values():
    jar = jar_of("name=secret")

    assert "secret" not in f"{jar!r} {jar.cookies()!r} {jar}"
    assert repr(jar) == "<Cookies of 1 cookie>"


# A layer of a client


def test_what_a_client_needs_is_ten_lines():
    jar = Cookies({"own": "1"})
    seen = []

    def co_cookies(url, fields, co_send):
        if not jar.is_empty:
            value = jar.header(url, NOW, fields.get("Cookie"))
            if value is not None:
                fields.set("Cookie", value)
        response = yield from co_send(url, fields)
        jar.extract(url, response.get_values("Set-Cookie"), NOW)
        return response

    def co_send(url, fields):
        yield from ()
        seen.append(fields.get("Cookie"))
        return Headers([("Set-Cookie", "n=2"), ("Set-Cookie", "own=3")])

    for fields in ([], [("Cookie", "n=4; x=5")]):
        run(co_cookies(URL_A, Headers(fields), co_send))

    assert seen == ["own=1", "own=3; n=4; x=5"]
    assert jar.header(URL_A, NOW) == "own=3; n=2"


# Arguments


def test_arguments_of_wrong_types():
    jar = Cookies()
    for lines in ("a=1", b"a=1"):
        with pytest.raises(TypeError, match="set_cookie_lines is a list"):
            jar.extract(URL_A, lines, NOW)
    with pytest.raises(TypeError, match="a line Set-Cookie"):
        jar.extract(URL_A, [1], NOW)
    for url in ("a.example", "ftp://a.example/", ""):
        with pytest.raises(InvalidRequest):
            jar.header(url, NOW)
        with pytest.raises(InvalidRequest):
            jar.bind(url)
    with pytest.raises(TypeError):
        jar.header(None, NOW)
    with pytest.raises(TypeError, match="not a Cookie"):
        jar.add(("a", "1"))
    with pytest.raises(TypeError, match="is_public_suffix"):
        Cookies(is_public_suffix=1)
    jar.extract(URL_A, [b"a=\xe4"], NOW)
    assert jar.header(URL_A, NOW) == "a=\xe4"


def test_is_empty_follows_every_change(tmp_path):
    jar = Cookies()
    assert jar.is_empty
    for fill, drain in (
        (lambda: jar.set("a", "1"), lambda: jar.delete("a")),
        (lambda: jar.extract(URL_A, ["a=1"], NOW), jar.clear),
        (lambda: jar.extract(URL_A, ["a=1; Max-Age=1"], NOW), lambda: jar.header(URL_A, NOW + 1)),
        (lambda: jar.update({"a": "1"}), jar.clear_session),
        (
            lambda: jar.extract(URL_A, ["a=1"], NOW),
            lambda: jar.extract(URL_A, ["a=; Max-Age=0"], NOW),
        ),
        (lambda: jar.save(tmp_path / "x"), lambda: jar.load(tmp_path / "x")),
    ):
        fill()
        assert jar.is_empty is (len(jar) == 0)
        drain()
        assert jar.is_empty


# Other threads, handlers of signals, the garbage collector, child processes


def test_the_lock_is_free_while_code_of_the_user_runs():
    inside = []

    def is_public_suffix(domain):
        thread = threading.Thread(target=lambda: inside.append(jar.header(URL_A, NOW)))
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        return False

    jar = Cookies(is_public_suffix=is_public_suffix)
    jar.extract("https://www.a.example/", ["a=1; Domain=a.example"], NOW)
    jar.set("b", "2", "a.example")

    assert inside == [None, "a=1"]


class Watched:
    """A store whose every use is noted: whether the lock was held."""

    def __init__(self, jar):
        self.jar, self.store, self.held = jar, jar._store, {}

    def __getattr__(self, name):
        self.held.setdefault(name, set()).add(self.jar._lock._is_owned())
        return getattr(self.store, name)

    def __len__(self):  # atomic
        return len(self.store)


def test_the_store_is_used_under_the_lock_only(tmp_path):
    jar = Cookies()
    jar._store = watched = Watched(jar)
    jar.extract("http://a.example/", ["a=1", "b=2; Max-Age=1"], NOW)
    jar["unbound"] = "1"
    jar.header(URL_A, NOW)
    jar.header(URL_A, NOW + 1)
    jar.bind(URL_B)
    jar.save(tmp_path / "jar")
    jar.load(tmp_path / "jar")
    jar.update(jar.copy())
    jar.get("a")
    jar.delete("a", "a.example")
    jar.clear_session()
    jar.clear(URL_B.split("/")[2])
    assert "a" not in jar

    methods = {name for name in vars(CookieStore) if not name.startswith("_")}
    assert watched.held == {name: {True} for name in methods - {"index_again"}}


def test_threads_share_a_jar():
    jar = Cookies()
    problems = []

    def work(number):
        try:
            url = f"https://h{number % 3}.example/"
            for count in range(300):
                jar.extract(url, [f"n{count % 7}={number}", "x=1; Max-Age=1", "y=1"], NOW + count)
                jar.header(url, NOW + count, {"own": "1"})
                jar[f"u{number}"] = "1"
                jar.delete(f"u{number}")
                assert len(jar.cookies()) >= 0
                if count % 50 == 0:
                    jar.clear(f"h{number % 3}.example")
        except BaseException as exc:
            problems.append(exc)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)

    assert problems == []
    assert sorted(cookie.name for cookie in jar.cookies("h0.example")) == sorted(
        {cookie.name for cookie in jar.cookies("h0.example")}
    )


def test_a_handler_of_signals_may_come_in_anywhere():
    """It is called between any two steps of the store: here at each of them."""
    url = "http://www.a.example/"
    jar = jar_of(*(f"n{count}=1; Max-Age=99; Domain=a.example" for count in range(7)))
    jar.extract(url, [f"n{count}=1; Max-Age=99" for count in range(7)], NOW)
    depth, calls = [0], [0]

    def tracer(frame, event, arg):
        if not frame.f_code.co_filename.endswith("cookie_store.py") or depth[0]:
            return None
        frame.f_trace_opcodes = True
        depth[0] = 1
        try:
            calls[0] += 1
            for flags in ("", "; Domain=a.example"):
                age = calls[0] % 2  # "m" comes and goes
                lines = [f"n3=2; Max-Age=0{flags}", f"n4=2{flags}", f"m=1; Max-Age={age}{flags}"]
                jar.extract(url, lines, NOW)
            jar.header(url, NOW)
        finally:
            depth[0] = 0
        return tracer

    import sys

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        for _ in range(2):
            jar.extract(url, ["n3=1", "n3=1; Domain=a.example", "n5=1; Max-Age=0", "n6=1"], NOW)
            jar.header(url, NOW)
            jar.header(URL_A, NOW)
            jar.clear("www.a.example", "/")
            jar["u"] = "1"
            jar.update({"v": "2"})
            jar.cookies()
    finally:
        sys.settrace(before)

    jar.clear()
    assert (jar.is_empty, len(jar)) == (True, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_process_may_use_it_while_another_thread_has_the_lock():
    jar = jar_of("a=1")
    taken, done = threading.Event(), threading.Event()

    def hold():
        with jar._lock:
            taken.set()
            done.wait(100)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(100)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(60)
            jar.extract(URL_A, ["b=2"], NOW)
            status = 0 if jar.header(URL_A, NOW) == "a=1; b=2" else 2
        finally:
            os._exit(status)
    done.set()
    thread.join(100)

    assert os.waitpid(child, 0)[1] == 0
    assert jar.header(URL_A, NOW) == "a=1"


def test_a_jar_that_is_gone_is_collected():
    import weakref

    jar = Cookies({"a": "1"})
    gone = weakref.ref(jar)
    del jar
    gc.collect()

    assert gone() is None


# Round trips of made up cookies

HOSTS = ["a.example", "www.a.example", "b.example", "127.0.0.1", "localhost"]
PATHS = ["/", "/x", "/x/", "/x/y"]
TEXT = st.text(st.sampled_from('ab"=, \xe4\\'), max_size=5)
COOKIES = st.builds(
    lambda name, value, flags, path: f"{name}={value}{flags}; Path={path}",
    TEXT,
    TEXT,
    st.sampled_from(["", "; Secure", "; Max-Age=5", "; Domain=a.example", "; Max-Age=0"]),
    st.sampled_from(PATHS),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["http", "https"]),
        st.sampled_from(HOSTS),
        st.lists(COOKIES, max_size=3),
        st.integers(0, 3),
    ),
    max_size=8,
)


def expected(stored, url, now):
    """Return the header by going through a plain list, as the RFC says it."""
    place = Place.of(url)
    target, found = place.path, []
    for order, (cookie, _) in enumerate(stored):
        host = place.host
        fits = host == cookie.domain if cookie.host_only else (
            host == cookie.domain or host.endswith(f".{cookie.domain}")
        )  # fmt: skip
        path = cookie.path
        inside = target == path or target.startswith(path if path[-1] == "/" else f"{path}/")
        alive = cookie.expires is None or cookie.expires > now
        if fits and inside and alive and (place.secure or not cookie.secure):
            found.append((-len(path), order, cookie))
    texts = [f"{c.name}={c.value}" if c.name else c.value for _, _, c in sorted(found)]
    return "; ".join(texts) or None


@pytest.mark.examples
@given(STEPS)
def test_a_jar_agrees_with_a_plain_list(steps):
    jar = Cookies(is_public_suffix=built_in)
    stored, now = [], NOW
    for scheme, host, lines, seconds in steps:
        now += seconds
        url = f"{scheme}://{host}/x/y"
        jar.extract(url, lines, now)
        stored = [(c, key) for c, key in stored if c.expires is None or c.expires > now]
        for line in lines:
            cookie = read_set_cookie(line, Place.of(url), now, built_in)
            if cookie is None or overlays(stored, cookie, Place.of(url)):
                continue
            key = cookie.name, cookie.domain, cookie.path, cookie.host_only
            place = next((n for n, (_, k) in enumerate(stored) if k == key), None)
            if cookie.expires is not None and cookie.expires <= now:
                stored = [entry for entry in stored if entry[1] != key]
            elif place is None:
                stored.append((cookie, key))
            else:
                stored[place] = cookie, key
        for other in HOSTS:
            for to in (f"https://{other}/x/y", f"http://{other}/x"):
                assert jar.header(to, now) == expected(stored, to, now)
    again = pickle.loads(pickle.dumps(jar))
    assert again.cookies() == jar.cookies()


def overlays(stored, cookie, place):
    """Return True if *cookie* must leave a secure one alone."""
    if place.secure:
        return False
    for old, _ in stored:
        domains = [f".{old.domain}", f".{cookie.domain}"]
        related = domains[0].endswith(domains[1]) or domains[1].endswith(domains[0])
        path = old.path
        inside = cookie.path == path or cookie.path.startswith(
            path if path[-1] == "/" else f"{path}/"
        )
        if old.secure and old.name == cookie.name and related and inside:
            return True
    return False


def test_an_insecure_response_leaves_secure_cookies_alone():
    jar = jar_of("n=safe; Secure; Path=/login")
    insecure = "http://a.example/"
    jar.extract(insecure, ["n=evil; Path=/login", "n=evil; Path=/login/x"], NOW)
    jar.extract(insecure, ["n=; Path=/login; Max-Age=0"], NOW)
    jar.extract("http://sub.a.example/", ["n=evil; Domain=a.example; Path=/login"], NOW)
    jar.extract(insecure, ["n=other; Path=/"], NOW)

    assert jar.header("https://a.example/login", NOW) == "n=safe; n=other"
    assert jar.header("http://a.example/login", NOW) == "n=other"
    jar.extract(URL_A, ["n=new; Path=/login"], NOW)
    assert jar.header("http://a.example/login", NOW) == "n=new; n=other"
