"""Request targets: which form may stand where, and that none changes the way."""

import pytest
from kit.cases import each_case

from dugong_like import InvalidRequest, Target
from dugong_like.http.h1.request_head import RequestHeads
from dugong_like.http.header_validation import NO_FIELDS, FieldLines
from dugong_like.http.target import check_target

FORBIDDEN = ["\r", "\n", "\0", "\x0b", "\x7f", "\x1f", " ", "#", "\u010a", "\u560d", "\u2028", "é"]
ABSOLUTE = [
    "http://a.test", "http://a.test/", "HTTPS://A.test:8080/b?c=d", "http://[::1]:81/x",
    "http://a.test?b", "http://1.2.3.4/", "http://a%20b/",
]  # fmt: skip
NO_HOST = [
    "http://", "http:///a", "http://a:b@c.test/", "http://@c.test/", "http://a.test:65536/",
    "http://a.test:/", "http://a.test:x/", "ftp://a.test/", "http:/a.test/", "http://a.test\\/b",
    "http://::1/", "http://[a.test]/", "httpx://a.test/",
]  # fmt: skip


@pytest.mark.parametrize("target", ["/", "/a?b=c&d", "//x", "/%20", "*", '/[]{}|\\^"<>`'])
def test_targets_are_visible_ascii(target):
    check_target(target, "OPTIONS")


@pytest.mark.reliability(47, 48)
@pytest.mark.parametrize(
    "target",
    ["", "a", "?a", "http://x/", "/a b", "/ü", "**", "/a#b", *("/" + x for x in FORBIDDEN)],
)
def test_other_targets_are_refused(target):
    with pytest.raises(InvalidRequest, match="percent-encoded"):
        check_target(target, "OPTIONS")


@pytest.mark.parametrize(
    ("target", "said"),
    [("/a b?ü", "write /a%20b?%C3%BC: "), ("/a\n", "encoded: "), ("a b", "encoded: "),
     ("/a b#c", "encoded: "), ("/?token=a b", "encoded: "), ("http://h/a b", "that is URL")],
)  # fmt: skip
def test_the_error_says_what_to_write(target, said):
    with pytest.raises(InvalidRequest) as caught:
        check_target(target, "GET")

    assert said in str(caught.value)
    assert ("write" in str(caught.value)) is said.startswith("write")


@pytest.mark.feature("C13")
@pytest.mark.parametrize("text", [*ABSOLUTE, "*", "/", "/a?b", "a.test:443", "[::1]:1"])
def test_targets_of_every_form(text):
    target = Target(text)

    assert target == text
    assert type(Target(target)) is Target


@pytest.mark.reliability(47, 48)
@each_case("text", ["", "a", "a.test:", "a:b", "?a", *NO_HOST,
     *("http://a.test/" + x for x in FORBIDDEN), *("http://a.test" + x for x in FORBIDDEN),
     *("http://a" + x + "/" for x in FORBIDDEN),
     *("a.test" + x + ":443" for x in FORBIDDEN),
     *("a.test:443" + x for x in FORBIDDEN)])  # fmt: skip
def test_other_texts_are_no_target(text):
    with pytest.raises(InvalidRequest):
        Target(text)


@pytest.mark.parametrize("text", [None, 5, b"/"])
def test_targets_are_strings(text):
    with pytest.raises(TypeError):
        Target(text)


def test_a_string_that_claims_to_be_another_one_is_what_it_is():
    class Odd(str):  # noqa: SLOT000
        def __str__(self):
            return "/harmless"

    with pytest.raises(InvalidRequest):
        Target(Odd("a b"))


@pytest.mark.parametrize("text", ABSOLUTE)
def test_absolute_form_has_to_be_said(text):
    check_target(Target(text), "GET")
    with pytest.raises(InvalidRequest):
        check_target(text, "GET")
    with pytest.raises(InvalidRequest):
        check_target("/".join(Target(text).partition("/")), "GET")  # no longer a Target


@pytest.mark.parametrize("text", ["a.test:443", "[::1]:1", "1.2.3.4:65535"])
def test_authority_form_goes_with_connect_only(text):
    check_target(text, "CONNECT")
    check_target(Target(text), "CONNECT")
    for target in (text, Target(text)):
        with pytest.raises(InvalidRequest):
            check_target(target, "GET")


@pytest.mark.reliability(47, 48)
@each_case("text", ["/", "*", "", "a", "a:", ":1", "a:0", "a:65536", "a:1/", "u@a:1",
     "http://a.test:1", "::1:1", *("a" + x + ":1" for x in FORBIDDEN),
     *("a:1" + x for x in FORBIDDEN)])  # fmt: skip
def test_connect_goes_with_host_and_port_only(text):
    with pytest.raises(InvalidRequest, match="CONNECT"):
        check_target(text, "CONNECT")


@pytest.mark.parametrize("target", ["*", Target("*")])
def test_star_goes_with_options_only(target):
    check_target(target, "OPTIONS")
    with pytest.raises(InvalidRequest, match="OPTIONS only"):
        check_target(target, "GET")


# ---- in a head


def head(method, path, host=None, *, name="origin.test", prefix=""):
    fields = NO_FIELDS if host is None else FieldLines({"Host": host})
    return RequestHeads(name, prefix).build(method, path, fields, "").decode()


@pytest.mark.feature("C13")
def test_absolute_form_goes_out_as_it_is_if_host_agrees():
    first = "GET http://Origin.test/a?b HTTP/1.1\r\nHost: origin.test\r\n"
    assert head("GET", Target("http://Origin.test/a?b")).startswith(first)
    other = head("GET", Target("http://other.test:81/"), "other.test:81")
    assert other.startswith("GET http://other.test:81/ HTTP/1.1\r\n")
    assert other.count("Host:") == 1
    assert "\r\nHost: other.test:81\r\n" in other


@pytest.mark.parametrize(
    ("text", "host"),
    [("http://other.test/", None), ("http://origin.test:80/", None), ("http://origin.test/", "x"),
     ("http://origin.test.evil/", None), ("http://other.test/", "other.test:81")],
)  # fmt: skip
def test_absolute_form_that_names_another_host_is_refused(text, host):
    with pytest.raises(InvalidRequest, match="have to be the same"):
        head("GET", Target(text), host)


def test_a_forward_proxy_cannot_be_led_elsewhere():
    prefix = "http://origin.test"
    assert head("GET", Target("http://origin.test/a"), prefix=prefix) == head(
        "GET", "/a", prefix=prefix
    )
    for target, host in [
        (Target("http://other.test/"), None), (Target("http://other.test/"), "other.test"),
        (Target("https://origin.test/"), None),
    ]:  # fmt: skip
        with pytest.raises(InvalidRequest):
            head("GET", target, host, prefix=prefix)
    with pytest.raises(InvalidRequest, match="given as the host"):
        head("CONNECT", "other.test:443", prefix=prefix)


def test_connect_says_in_host_where_to():
    assert head("CONNECT", "other.test:443").startswith(
        "CONNECT other.test:443 HTTP/1.1\r\nAccept-Encoding"
    )
    assert "\r\nHost: other.test:443\r\n" in head("CONNECT", "other.test:443")
    assert "\r\nHost: OTHER.test\r\n" in head("CONNECT", "other.test:443", "OTHER.test")
    for host in ("origin.test", "other.test:80", "other.test:443:443", "", 5):
        with pytest.raises(InvalidRequest, match="Host"):
            head("CONNECT", "other.test:443", host)
