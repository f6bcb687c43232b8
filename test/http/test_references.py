"""Reference resolution: RFC 3986 section 5.4, and what servers send to browsers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.cases import each_case

from dugong_like import URL, InvalidRequest
from dugong_like.http.references import remove_dots

BASE = URL("http://a/b/c/d;p?q")
NORMAL = {
    "g": "http://a/b/c/g", "./g": "http://a/b/c/g", "g/": "http://a/b/c/g/", "/g": "http://a/g",
    "//g": "http://g/", "?y": "http://a/b/c/d;p?y", "g?y": "http://a/b/c/g?y",
    "#s": "http://a/b/c/d;p?q#s", "g#s": "http://a/b/c/g#s", "g?y#s": "http://a/b/c/g?y#s",
    ";x": "http://a/b/c/;x", "g;x": "http://a/b/c/g;x", "g;x?y#s": "http://a/b/c/g;x?y#s",
    "": "http://a/b/c/d;p?q", ".": "http://a/b/c/", "./": "http://a/b/c/", "..": "http://a/b/",
    "../": "http://a/b/", "../g": "http://a/b/g", "../..": "http://a/", "../../": "http://a/",
    "../../g": "http://a/g",
}  # fmt: skip
ABNORMAL = {
    "../../../g": "http://a/g", "../../../../g": "http://a/g", "/./g": "http://a/g",
    "/../g": "http://a/g", "g.": "http://a/b/c/g.", ".g": "http://a/b/c/.g",
    "g..": "http://a/b/c/g..", "..g": "http://a/b/c/..g", "./../g": "http://a/b/g",
    "./g/.": "http://a/b/c/g/", "g/./h": "http://a/b/c/g/h", "g/../h": "http://a/b/c/h",
    "g;x=1/./y": "http://a/b/c/g;x=1/y", "g;x=1/../y": "http://a/b/c/y",
    "g?y/./x": "http://a/b/c/g?y/./x", "g?y/../x": "http://a/b/c/g?y/../x",
    "g#s/./x": "http://a/b/c/g#s/./x", "g#s/../x": "http://a/b/c/g#s/../x",
    "http:g": "http://a/b/c/g",  # as section 5.2.2 allows
}  # fmt: skip
visible = "".join(map(chr, range(0x21, 0x7F)))


@pytest.mark.feature("E24")
@each_case(("reference", "expected"), [*NORMAL.items(), *ABNORMAL.items()])
def test_examples_of_rfc_3986(reference, expected):
    assert str(BASE.join(reference)) == expected
    assert str(BASE.join(reference.encode())) == expected


def test_a_scheme_that_is_not_known_is_refused():
    with pytest.raises(InvalidRequest):  # g:h, the first of the examples of section 5.4.1
        BASE.join("g:h")


@each_case(("reference", "expected"), [
        # hosts
        ("//h/p", "http://h/p"), ("//h", "http://h/"), ("//h?x", "http://h/?x"),
        ("//h#x", "http://h/#x"), ("//h/../x", "http://h/x"), ("HTTPS://H/P", "https://h/P"),
        ("https://h", "https://h/"), ("//h:/p", "http://h/p"), ("https://h:443/", "https://h/"),
        ("http://h:443/", "http://h:443/"), ("//h:0080/", "http://h/"),
        ("//[::1]:81/p", "http://[::1]:81/p"), ("//[2001:DB8::A]", "http://[2001:db8::a]/"),
        ("//bücher.example/", "http://xn--bcher-kva.example/"),
        # the scheme of the base again, without a host
        ("HTTP:g", "http://a/b/c/g"), ("http:/g", "http://a/g"), ("http:?y", "http://a/b/c/d;p?y"),
        ("http:", "http://a/b/c/d;p?q"), ("http:#s", "http://a/b/c/d;p?q#s"),
        # queries and fragments
        ("?", "http://a/b/c/d;p?"), ("#", "http://a/b/c/d;p?q"), ("g?", "http://a/b/c/g?"),
        ("?a?b#c?d", "http://a/b/c/d;p?a?b#c?d"), ("#a#b", "http://a/b/c/d;p?q#a%23b"),
        ("g?x=//h", "http://a/b/c/g?x=//h"), ("g/http://h", "http://a/b/c/g/http://h"),
        # dot segments, also with dots that are encoded
        ("%2e", "http://a/b/c/"), ("%2E%2e/g", "http://a/b/g"), (".%2e", "http://a/b/"),
        ("%2e./g", "http://a/b/g"), ("/x/%2e%2e/%2e/g", "http://a/g"), ("/%2eg", "http://a/%2eg"),
        ("%2e%2e%2e", "http://a/b/c/%2e%2e%2e"), ("%252e%252e/g", "http://a/b/c/%252e%252e/g"),
        ("..%2fg", "http://a/b/c/..%2fg"), ("/a//../g", "http://a/a/g"), ("/..//h", "http://a//h"),
        ("/a/b/..", "http://a/a/"), ("https://h/a/../b/./", "https://h/b/"),
        # backslashes
        ("\\\\h\\p", "http://h/p"), ("/\\h/p", "http://h/p"), ("\\/h", "http://h/"),
        ("g\\h", "http://a/b/c/g/h"), ("\\g", "http://a/g"), ("..\\..\\g", "http://a/g"),
        ("http:\\\\h\\..\\g", "http://h/g"), ("//h\\@x/", "http://h/@x/"),
        ("?a\\b#c\\d", "http://a/b/c/d;p?a\\b#c\\d"),
        # blanks, and what is not ASCII
        (" g ", "http://a/b/c/g"), ("\t//h/ \t", "http://h/"), ("  ", "http://a/b/c/d;p?q"),
        ("a b?c d#e f", "http://a/b/c/a%20b?c%20d#e%20f"),
        ("ü?ü#ü", "http://a/b/c/%C3%BC?%C3%BC#%C3%BC"), ("\U0001f40b", "http://a/b/c/%F0%9F%90%8B"),
        ("\xa0g", "http://a/b/c/%C2%A0g"), ("g\x85\u2028", "http://a/b/c/g%C2%85%E2%80%A8"),
        # what is encoded stays, and what RFC 3986 does not allow is encoded
        ("%7euser/%C3%BC%fc", "http://a/b/c/%7euser/%C3%BC%fc"), ("%zz%", "http://a/b/c/%zz%"),
        ('a"<>^`{}|b', "http://a/b/c/a%22%3C%3E%5E%60%7B%7D|b"),
        ('?a"<>^`{}|b', "http://a/b/c/d;p?a%22%3C%3E^`{}|b"),
        ('#a"<>^`{}|b', "http://a/b/c/d;p?q#a%22%3C%3E^%60{}|b"),
        ("?a='[x]'&b=$1", "http://a/b/c/d;p?a='[x]'&b=$1"),
        ("g:h/..".replace(":", "%3A"), "http://a/b/c/"), ("./g:h", "http://a/b/c/g:h"),
        ("@g", "http://a/b/c/@g"), ("/@g:h", "http://a/@g:h"),
    ])  # fmt: skip
def test_what_servers_send(reference, expected):
    assert str(BASE.join(reference)) == expected
    assert str(BASE.join(reference.encode())) == expected


def test_bytes_are_encoded_as_they_are():
    """A field value need not be UTF-8: RFC 9110 section 5.5 has bytes of no meaning in it."""
    assert str(BASE.join(b"/caf\xe9?\xe9#\xe9")) == "http://a/caf%E9?%E9#%E9"
    assert str(BASE.join("/café".encode())) == "http://a/caf%C3%A9"
    with pytest.raises(InvalidRequest):
        BASE.join(b"//caf\xe9.example/")


@pytest.mark.reliability(60)
@each_case("reference", [
        "mailto:a@b", "javascript:alert(1)", "ftp://h/", "file:///etc/passwd", "data:,x", "h:80/p",
        "//", "///h", "////h/p", "http://", "http:///h", "/\\/h", "https:h", "https:/h", "https:",
        "//:80/", "//h:x/", "//h:99999/", "//h:0/", "//h:80:80/", "//[::1", "//[h]/", "//::1/",
        "//a%2eb/", "//%68/", "//h h/", "//h\u2100/", "//h,x/", "//.", "//a..b/", "//h%00/",
        "g\n", "\ng", "g\rh", "a\tb", "\0", "a\x7f", "//h\t/", "//h/\r\nX: y", "?\x0b", "#\x1f",
        "//user@h/", "//user:pw@h/", "//@h/", "http://user:pw@h/", "//u@v@h/",
        "\ud800", "/\udcfc",
    ])  # fmt: skip
def test_what_is_refused(reference):
    with pytest.raises(InvalidRequest) as caught:
        BASE.join(reference)

    assert "pw" not in str(caught.value).replace("passwd", "")


def test_types():
    for wrong in (None, 5, bytearray(b"/"), ["/"]):
        with pytest.raises(TypeError, match="reference"):
            BASE.join(wrong)


def test_a_url_is_a_reference_that_is_absolute():
    assert str(BASE.join(URL("https://h/a/../b?c#d"))) == "https://h/b?c#d"


@pytest.mark.feature("E24")
def test_a_redirect_keeps_the_fragment_unless_it_has_one():
    """RFC 9110 section 10.2.2."""
    url = URL("http://a/b#old")

    assert url.join("/c").fragment == ""
    for reference, fragment in [("/c", "old"), ("", "old"), ("//h/", "old"), ("?x", "old"),
                                ("/c#new", "new"), ("/c#", ""), ("#", "")]:  # fmt: skip
        assert url.join(reference, keep_fragment=True).fragment == fragment
    assert str(url.join("/c", keep_fragment=True)) == "http://a/c#old"
    assert url.join("wss://h/", keep_fragment=True).fragment == ""
    with pytest.raises(InvalidRequest):
        url.join("wss://h/#x")


def test_a_reference_leaves_the_path_of_the_base_as_it_is():
    url = URL('http://a/%7e/x/../"{y}/z?{q}')

    assert url.join("").target == url.target
    assert url.join("?r").target == '/%7e/x/../"{y}/z?r'
    assert url.join("g").target == '/%7e/"{y}/g'
    assert URL("http://a").join("g").target == "/g"
    assert URL("http://a?x/y").join("g").target == "/g"
    assert URL("https://a:444/b").join("/g").origin == URL("https://a:444/").origin


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/", "/"), ("/a/b/c/./../../g", "/a/g"), ("/.", "/"), ("/..", "/"), ("/...", "/..."),
     ("//", "//"), ("//..", "/"), ("/a/./", "/a/"), ("/a/.b", "/a/.b"), ("/%2E", "/"),
     ("/a/../..", "/"), ("/.a/..b/c.", "/.a/..b/c.")],
)  # fmt: skip
def test_dot_segments(path, expected):
    assert remove_dots(path) == expected
    assert remove_dots(expected) == expected


@given(st.lists(st.sampled_from(["/", ".", "..", "a", "/./", "/../", "//"]), max_size=12))
def test_dot_segments_are_removed_as_rfc_3986_does_it(pieces):
    """Section 5.2.4, step by step."""
    path = rest = "/" + "".join(pieces)
    output = ""
    while rest:
        if rest.startswith("/./") or rest == "/.":
            rest = "/" + rest[3:]
        elif rest.startswith("/../") or rest == "/..":
            rest = "/" + rest[4:]
            output = output.rpartition("/")[0]
        else:
            end = rest.find("/", 1) if "/" in rest[1:] else len(rest)
            output, rest = output + rest[:end], rest[end:]

    assert remove_dots(path) == output


@given(
    st.text(max_size=30) | st.text("/\\.:?#@%2eE htp[]1\t", max_size=20) | st.binary(max_size=20)
)
def test_any_reference_makes_a_good_url_or_is_refused(reference):
    try:
        url = BASE.join(reference)
    except InvalidRequest:
        return
    assert set(str(url)) <= set(visible)
    assert str(URL(str(url))) == str(url)
    assert str(BASE.join(str(url))) == str(url)
    assert "/../" not in url.path + "/"
