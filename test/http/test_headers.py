"""CaseInsensitiveDict, Headers, and the message that responses give out."""

import collections
import copy
import enum
import pickle
from collections.abc import MutableMapping

import pytest

from dugong_like import CaseInsensitiveDict, Headers, InvalidOption
from dugong_like.http.headers import as_text, field_pairs


@pytest.mark.feature("B37")
def test_keys_are_found_in_any_case_and_remembered_as_set_last():
    headers = CaseInsensitiveDict()
    headers["Accept"] = "a"
    assert headers["aCCEPT"] == "a"
    assert list(headers) == ["Accept"]
    headers["ACCEPT"] = "b"
    assert list(headers.items()) == [("ACCEPT", "b")]
    assert list(headers.lower_items()) == [("accept", "b")]
    assert "accept" in headers
    assert 5 not in headers
    assert headers.get("x") is None
    assert len(headers) == 1
    del headers["accept"]
    assert not headers
    with pytest.raises(KeyError):
        headers["accept"]
    assert isinstance(headers, MutableMapping)


@pytest.mark.feature("B37")
def test_of_several_equal_keys_the_last_one_wins():
    pairs = [("A", "1"), ("b", "2"), ("a", "3")]
    for headers in (
        CaseInsensitiveDict(pairs),
        CaseInsensitiveDict(dict(pairs)),
        CaseInsensitiveDict({"A": "1"}, b="2", a="3"),
    ):
        assert dict(headers.lower_items()) == {"a": "3", "b": "2"}
        assert "a" in list(headers)
    headers = CaseInsensitiveDict({"A": "1"})
    headers.update({"a": "2", "A": "3"})
    assert dict(headers) == {"A": "3"}


@pytest.mark.feature("B37")
def test_comparison_ignores_case():
    headers = CaseInsensitiveDict({"A": "1"})
    assert headers == {"a": "1"} == headers
    assert headers == CaseInsensitiveDict(a="1")
    assert headers == {"A": "0", "a": "1"}
    assert headers != {"a": "2"}
    assert headers != 5
    with pytest.raises(TypeError):
        hash(headers)


@pytest.mark.feature("B37")
def test_copies_are_independent():
    headers = CaseInsensitiveDict({"A": "1"})
    for other in (headers.copy(), CaseInsensitiveDict(headers), copy.deepcopy(headers)):
        other["b"] = "2"
        assert dict(headers) == {"A": "1"}
        assert list(other) == ["A", "b"]
    assert repr(headers) == "CaseInsensitiveDict({'A': '1'})"


class Odd(str):  # noqa: SLOT000
    """A string whose methods say something else."""

    def __format__(self, spec):
        return "odd\r\n"

    def lower(self):
        return "odd"


class Named(str, enum.Enum):  # noqa: UP042 - of 3.11, whose str() is its name
    NAME = "A"


class Bytes(bytes):
    """Bytes whose methods say something else."""

    def decode(self, *_):
        return "odd\r\n"


A_B = [("A", "b")]


def test_pairs_come_in_their_order():
    pairs = [("B", "1"), ["a", b"2"], ("B", 3)]

    for given in (pairs, tuple(pairs), iter(pairs)):
        assert list(field_pairs(given)) == pairs
    assert list(field_pairs({"A": "b", "a": "c"})) == [("A", "b"), ("a", "c")]
    for fields in (
        CaseInsensitiveDict(A="b"),
        Headers(A_B),
        dict(A_B),
        collections.OrderedDict(A_B),
    ):
        assert list(field_pairs(fields)) == A_B


def test_text_is_an_exact_str():
    strings = [(Odd("2"), "2"), (Named.NAME, "A"), ("x", "x")]
    for part, text in [*strings, (b"\xff", "ÿ"), (Bytes(b"a"), "a")]:
        assert as_text(part) == text
        assert type(as_text(part)) is str
    for part in (5, None, bytearray(b"a")):
        assert as_text(part) is part


@pytest.mark.parametrize(
    "fields", ["abc", b"abc", ["ab"], [("a",)], [("a", "b", "c")], {"a"}, [[]], 5, [5], [b"ab"]]
)
def test_what_is_neither_a_mapping_nor_pairs_is_refused(fields):
    with pytest.raises(TypeError):
        field_pairs(fields)


def many():
    return Headers([("A", "1"), ("b", "2"), ("a", "3"), ("A", "1")])


@pytest.mark.feature("A22", "A23")
def test_headers_keep_every_field_in_its_place():
    headers = many()
    headers.add("C", "4")
    headers.add_pairs([("B", "5")])
    headers.add_pairs({"d": "6"})
    assert list(headers) == [
        *[("A", "1"), ("b", "2"), ("a", "3"), ("A", "1")],
        *[("C", "4"), ("B", "5"), ("d", "6")],
    ]
    assert len(headers) == 7
    assert headers.items() == list(headers)
    assert headers.keys() == ["A", "b", "a", "A", "C", "B", "d"]
    assert list(headers.get_values("A")) == ["1", "3", "1"]
    assert list(headers.get_values("x")) == []
    assert headers.get("B") == "2"
    assert headers.get("x") is None
    assert headers.get("x", "y") == "y"
    assert "B" in headers
    assert "x" not in headers
    assert 5 not in headers
    assert headers
    assert not Headers()


@pytest.mark.feature("A23")
def test_headers_are_set_and_removed_in_any_case():
    headers = many()
    headers.set("a", "9")
    headers.set("new", "8")
    assert list(headers) == [("a", "9"), ("b", "2"), ("new", "8")]
    headers = many()
    headers.remove("a")
    assert list(headers) == [("b", "2")]
    with pytest.raises(KeyError):
        headers.remove("a")
    headers = many()
    headers.remove_value("a", "1")
    assert list(headers) == [("b", "2"), ("a", "3"), ("A", "1")]
    with pytest.raises(ValueError, match="no field b: 3"):
        headers.remove_value("b", "3")
    headers.clear()
    assert list(headers) == []


def test_headers_are_equal_if_they_mean_the_same():
    assert many() == Headers([("B", "2"), ("a", "1"), ("a", "3"), ("a", "1")])
    assert many() != Headers([("A", "3"), ("b", "2"), ("a", "1"), ("A", "1")])
    assert many() != many().items()
    other = many().copy()
    other.clear()
    assert len(many()) == 4
    assert repr(Headers({"A": "1"})) == "Headers([('A', '1')])"
    assert copy.deepcopy(many()) == many()
    with pytest.raises(TypeError):
        hash(many())


@pytest.mark.feature("A22")
def test_headers_take_bytes_and_give_strings():
    headers = Headers([(b"A", b"\xe4"), ("B", b"c")])
    headers.add(b"C", "d")
    headers.set(b"b", b"e")
    assert headers.items() == [("A", "ä"), ("b", "e"), ("C", "d")]
    with pytest.raises(TypeError, match="header field A is neither str nor bytes but NoneType"):
        headers.add("A", None)


@pytest.mark.parametrize("bad", ["text", [("a",)], [("a", "b", "c")], [("a", 5)], [(5, "a")], 7])
def test_headers_take_nothing_but_pairs_of_strings(bad):
    headers = many()
    with pytest.raises(TypeError):
        Headers(bad)
    with pytest.raises(TypeError):
        headers.add_pairs(bad)
    with pytest.raises(TypeError):
        headers.add("a", 5)
    with pytest.raises(TypeError):
        headers.set(5, "a")
    assert headers == many()


VALUES = [(b"A", "é日".encode()), (b"B", b"\xff, x"), ("C", "c")]


@pytest.mark.feature("E26")
def test_encoding_says_how_values_are_read():
    headers = Headers(VALUES)
    raw = headers.raw
    assert headers.encoding == "iso-8859-1"
    assert headers["a"] == "é日".encode().decode("latin-1")

    headers.encoding = "utf-8"
    assert (headers.encoding, headers["a"], headers.get("A")) == ("utf-8", "é日", "é日")
    assert headers["b"] == "ÿ, x"  # invalid as UTF-8, so each byte is one character
    assert headers.get_list("b", split_commas=True) == ["ÿ", "x"]
    assert headers.items() == list(headers) == [("A", "é日"), ("B", "ÿ, x"), ("C", "c")]
    assert headers.values() == ["é日", "ÿ, x", "c"]
    assert list(headers.get_values("a")) == ["é日"]
    assert headers.setdefault("a", "x") == "é日"
    assert "é日" in repr(headers)
    assert headers.raw == raw
    assert headers == Headers(VALUES)

    headers.encoding = None
    assert headers.encoding == "iso-8859-1"
    assert Headers(raw, encoding="utf-8")["a"] == "é日"


@pytest.mark.feature("E26")
def test_encoding_says_how_values_are_written():
    headers = Headers({"A": "日"}, encoding="utf-8")
    headers.add("B", "ü")
    headers["C"] = "ß"
    headers.update({"D": "é"})
    headers.add_pairs([("E", "à".encode())])
    sent = [(name, value.encode()) for name, value in zip(b"ABCDE", "日üßéà", strict=True)]
    assert [(name[0], value) for name, value in headers.raw] == sent
    headers.remove_value("B", "ü")
    assert "b" not in headers
    with pytest.raises(ValueError, match="no field B"):
        headers.remove_value("B", "ü")


def test_encoding_goes_with_copies_and_bytes_with_everything():
    headers = Headers(VALUES, encoding="utf-8")
    copies = [headers.copy(), copy.deepcopy(headers), pickle.loads(pickle.dumps(headers))]
    assert [(each.encoding, each["a"]) for each in copies] == [("utf-8", "é日")] * 3
    others = [Headers(headers), Headers(encoding="utf-8"), Headers([("X", "x")])]
    others[1].add_pairs(headers)
    others[2].update(headers)
    assert [dict(each.raw)[b"A"] for each in others] == ["é日".encode()] * 3
    assert [name for name, _ in field_pairs(headers)] == ["A", "B", "C"]
    assert list(field_pairs(headers)) == Headers(VALUES).items() == headers.wire_items()
    assert headers.has_pairs(headers.wire_items())


@pytest.mark.parametrize("name", ["nope", "base64", "a\0", ""])
def test_encoding_is_a_codec_of_text(name):
    headers = Headers()
    with pytest.raises(InvalidOption, match="encoding"):
        headers.encoding = name
    with pytest.raises(InvalidOption, match="encoding"):
        Headers(encoding=name)
    assert headers.encoding == "iso-8859-1"


def test_encoding_refuses_what_it_cannot_write():
    headers = Headers(encoding="ascii")
    with pytest.raises(TypeError, match="encoding"):
        headers.encoding = 5
    for change in (headers.add, headers.set):
        with pytest.raises(UnicodeEncodeError):
            change("A", "é")
    assert len(headers) == 0
