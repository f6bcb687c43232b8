"""International host names: IDNA 2008 with the package, and nothing else without it."""

# ruff: noqa: RUF001 - characters that look like others are tested

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kit.cases import each_case

from dugong_like import URL, HTTPConnection, InvalidRequest
from dugong_like.http.hosts import check_hostname
from dugong_like.http.idna import ADVICE, NotIDNA, by_codec, by_package, to_ascii

idna = pytest.importorskip("idna")
# Each with the name in ASCII, None if it is refused, and True if the package is needed.
NAMES = [
    # the same in both
    ("bücher.example", "xn--bcher-kva.example", False),
    ("BÜCHER.example", "xn--bcher-kva.example", False),
    ("bu\u0308cher.example", "xn--bcher-kva.example", False),
    ("日本語.jp", "xn--wgv71a119e.jp", False), ("日本語。jp", "xn--wgv71a119e.jp", False),
    ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f", False),
    ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv", False),
    ("उदाहरण.परीक्षा", "xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g", False),
    ("ＥＸＡＭＰＬＥ．org", "example.org", False), ("example。org", "example.org", False),
    ("１２７.0.0.1", "127.0.0.1", False), ("ü.ü.", "xn--tda.xn--tda.", False),
    ("a_b.ü", "a_b.xn--tda", False), ("xn--a.ü", "xn--a.xn--tda", False),
    ("ΒΌΛΟΣ.com", "xn--nxasmq6b.com", False), ("Ⴀ.example", "xn--rkj.example", False),
    # symbols, as in browsers
    ("☃.net", "xn--n3h.net", False), ("💩.la", "xn--ls8h.la", False),
    # other hosts in IDNA 2003: the examples of UTS 46 section 1.3.3
    ("faß.de", "xn--fa-hia.de", True), ("FAẞ.de", "xn--fa-hia.de", True),
    ("βόλος.com", "xn--nxasmm1c.com", True), ("ශ්\u200dරී.com", "xn--10cl1a0b660p.com", True),
    ("نامه\u200cای.com", "xn--mgba3gch31f060k.com", True),
    # characters that are dropped, digits from right to left, and "xn--" in wide letters
    ("b\u00adü.example", "xn--b-eha.example", True), ("❤\ufe0f.ws", "xn--qei.ws", True),
    ("א1.example", "xn--1-zhc.example", True),
    ("ｘｎ－－bcher-kva.example", "xn--bcher-kva.example", True),
    # refused
    ("«.example", None, True), ("\u0301a.example", None, True), ("☃\u0301a.example", None, True),
    ("a\u200db.example", None, True), ("א\u06f0\u0660.example", None, True),
    ("-ü.example", None, True), ("ü-.example", None, True), ("ab--ü.example", None, True),
    ("\ue000.example", None, True), ("\u0378.example", None, True), ("\ud800", None, True),
    ("1\ufe0f\u20e3.example", None, True), ("\U0001f469\u200d\U0001f4bb.example", None, True),
    ("ü" * 60, None, True), ("ü" * 5000, None, True),
]  # fmt: skip


SYMBOLS = {"☃.net", "💩.la", "❤\ufe0f.ws"}


def ascii_by(way, name):
    """Return *name* in ASCII; None if *way* refuses it."""
    try:
        return way(name)
    except NotIDNA:
        return None


@pytest.mark.feature("C40")
@pytest.mark.parametrize(("name", "expected", "needs_package"), NAMES)
def test_names(name, expected, needs_package):
    assert ascii_by(by_package, name) == ascii_by(to_ascii, name) == expected
    assert ascii_by(by_codec, name) == (None if needs_package else expected)


@each_case("name", [name for name, _, _ in NAMES if name not in SYMBOLS])
def test_names_of_the_package_itself(name):
    try:
        expected = idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        expected = None

    if name not in {"xn--a.ü", "a_b.ü"}:  # it looks into labels in ASCII, too
        assert ascii_by(by_package, name) == expected


@pytest.mark.feature("C40")
@pytest.mark.parametrize("name", ["faß.de", "βόλος.com", "a\u200db.example", "«.example"])
def test_the_error_names_the_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "idna", None)

    for enter in (check_hostname, HTTPConnection, lambda host: URL(f"http://{host}/")):
        with pytest.raises(InvalidRequest, match=r"dugong-like\[idna\]"):
            enter(name)
    assert check_hostname("bücher.example") == "xn--bcher-kva.example"
    assert URL("http://x/").join("//bücher.example").host == "xn--bcher-kva.example"


@pytest.mark.feature("C40")
def test_names_where_they_enter():
    assert check_hostname("faß.de") == "xn--fa-hia.de"
    assert URL("http://FAß.de/").host == URL("http://x/").join("//faß.de/").host == "xn--fa-hia.de"
    assert HTTPConnection.to("http://faß.de/").hostname == "xn--fa-hia.de"
    for name in ("«.de", "a℀b", "／.de", "ü\u3000.de", "．", "\u00ad", "ü..de", "％.de", "＠.de"):
        with pytest.raises(InvalidRequest) as caught:
            check_hostname(name)
        assert caught.value.__cause__ is None
    with pytest.raises(InvalidRequest, match="not a host name but a URL"):
        check_hostname("http://ü/")


SHAPES = ("a{}a", "{}", "א{}א", "1{}", "{0}{0}", "{}\u0301", "a.{}.b", "{}\u30fb")


def mapped_by_both(characters, shape):
    """Return the names of *shape* that the codec makes another name of."""
    names = [shape.format(char) for char in characters]
    return [
        name
        for name in names
        if (plain := ascii_by(by_codec, name)) is not None and plain != ascii_by(by_package, name)
    ]


def assigned(step):
    """Return characters: all but those of the largest groups, and of these each *step*th."""
    for code in range(0x80, 0x110000):
        kind = unicodedata.category(chr(code))
        if kind not in {"Cn", "Co", "Cs"} and (kind not in {"Lo", "So"} or code % step == 0):
            yield chr(code)


@pytest.mark.feature("C40")
@pytest.mark.parametrize("shape", SHAPES)
def test_without_the_package_no_name_becomes_another(shape):
    assert mapped_by_both(assigned(step=293), shape) == []


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_without_the_package_no_name_becomes_another_with_any_character(shape):
    assert mapped_by_both(assigned(step=1), shape) == []


@example("0-─")  # what is checked has no symbols, and ends with a hyphen
@example("ー☃-a")
@example("a☃\u0301")
@example("א☃-")
@given(st.text(max_size=8) | st.text("aß\u200d\u0301\u0660א1-.☃üΣς\u30fb\u00b7ー。", max_size=8))
def test_any_name_is_the_same_in_both_or_refused(name):
    found, plain = ascii_by(by_package, name), ascii_by(by_codec, name)

    assert plain is None or found is None or plain.lower() == found.lower()
    for one in (found, plain):
        assert one is None or one.isascii()
    assert plain is None or found is not None


def test_advice():
    with pytest.raises(NotIDNA, match="pip install") as caught:
        by_codec("faß")

    assert str(caught.value) == ADVICE
