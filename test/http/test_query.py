"""Parameters of queries: what they are made of, read as, and sent as."""

import copy
import enum
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dugong_like import InvalidRequest, QueryParams
from dugong_like.http.query import encode_params

VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
pairs = st.lists(st.tuples(plain, plain), max_size=6)


class Colour(enum.Enum):
    RED = "red"


class Name(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.feature("E27")
@pytest.mark.parametrize(
    ("params", "text"),
    [
        (None, ""), ({}, ""), ([], ""), ("", ""),
        ({"a": "b"}, "a=b"), ({"a": "b c", "d": "e&f=g#h"}, "a=b%20c&d=e%26f%3Dg%23h"),
        ({"a": 1, "b": -1.5, "c": 1e300}, "a=1&b=-1.5&c=1e%2B300"),
        ({"a": True, "b": False, "c": None}, "a=true&b=false&c="),
        ({"a": [1, "2", None, True]}, "a=1&a=2&a=&a=true"), ({"a": (1, 2), "b": []}, "a=1&a=2"),
        ([("a", 1), ("b", 2), ("a", [3, 4])], "a=1&b=2&a=3&a=4"), ([["a", "b"]], "a=b"),
        (iter([("a", "b")]), "a=b"), ({"a": ""}, "a="), ({"": ""}, "="), ({"": "a"}, "=a"),
        ({"ü": "€"}, "%C3%BC=%E2%82%AC"), ({"a": "+/~-._*'"}, "a=%2B%2F~-._%2A%27"),
        ({"a": "%41"}, "a=%2541"), ({"a": "\r\n\0"}, "a=%0D%0A%00"), ({"a[b]": 1}, "a%5Bb%5D=1"),
        ({"a": Name.RED, "b": Number.ONE}, "a=red&b=1"), ({Name.RED: 1}, "red=1"),
        ("a=%7e&b=x+y&c&d=", "a=%7e&b=x+y&c&d="), ("?a=b", "?a=b"), (Name.RED, "red"),
        (QueryParams("a=%7e"), "a=%7e"),
    ],
)  # fmt: skip
def test_what_is_sent(params, text):
    if not hasattr(params, "__next__"):
        assert encode_params(params) == text
    assert str(QueryParams(params)) == text


@pytest.mark.feature("E27")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", [("a", "b")]), ("a=b=c", [("a", "b=c")]), ("a", [("a", "")]), ("=a", [("", "a")]),
        ("=", [("", "")]), ("&a=b&&", [("a", "b")]), ("a=1;b=2", [("a", "1;b=2")]),
        ("a=x+y%20z%2B", [("a", "x y z+")]), ("%61%3d=%26", [("a=", "&")]),
        ("a=%C3%BC%zz%", [("a", "ü%zz%")]), ("a=%FC", [("a", "\ufffd")]),
        ("a=%EF%BB%BFb", [("a", "\ufeffb")]), ("a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
    ],
)  # fmt: skip
def test_how_a_query_is_read(text, expected):
    assert QueryParams(text).multi_items() == expected


@pytest.mark.feature("E27")
def test_a_mapping_of_first_values():
    params = QueryParams("a=1&b=2&a=3")

    assert dict(params) == {"a": "1", "b": "2"}
    assert list(params.items()) == [("a", "1"), ("b", "2")]
    assert list(params) == list(params.keys()) == ["a", "b"]
    assert list(params.values()) == ["1", "2"]
    assert len(params) == 2
    assert "a" in params
    assert "1" not in params
    assert params["a"] == params.get("a") == "1"
    assert params.get("c") is None
    assert params.get("c", "x") == "x"
    assert params.get_list("a") == params.getlist("a") == ["1", "3"]
    assert params.get_list("c") == []
    assert bool(params)
    assert not QueryParams()
    with pytest.raises(KeyError):
        params["c"]


@pytest.mark.feature("E27")
def test_changes_make_new_ones_and_keep_the_rest_byte_for_byte():
    params = QueryParams("a=%7e&b=x+y&a=2&c")
    before = str(params)

    assert str(params.set("a", "n w")) == "a=n%20w&b=x+y&c"
    assert str(params.set("d", [1, 2])) == "a=%7e&b=x+y&a=2&c&d=1&d=2"
    assert str(params.set("a", [])) == "b=x+y&c"
    assert str(params.add("b", None)) == "a=%7e&b=x+y&a=2&c&b="
    assert str(params.add("e", [1, 2])) == "a=%7e&b=x+y&a=2&c&e=1&e=2"
    assert str(params.remove("a")) == "b=x+y&c"
    assert params.remove("z") == params
    assert str(params.merge("a=%41&z=1&a=3")) == "a=%41&a=3&b=x+y&c&z=1"
    assert str(params.merge({"b": 1, "a": [4, 5]})) == "a=4&a=5&b=1&c"
    assert params.merge(None) == params
    assert str(params) == before
    with pytest.raises(AttributeError):
        params.new = 1


@pytest.mark.feature("E27")
def test_equality():
    one = QueryParams("a=1&b=2&a=3")
    equal = [QueryParams("b=2&a=1&a=%33"), QueryParams({"a": [1, 3], "b": 2}), copy.copy(one)]
    other = [QueryParams("a=3&b=2&a=1"), QueryParams("a=1&b=2"), QueryParams(), "a=1&b=2&a=3", None]

    for params in equal:
        assert params == one
        assert hash(params) == hash(one)
    assert all(params != one for params in other)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert repr(one) == "QueryParams('a=1&b=2&a=3')"


@pytest.mark.reliability(60)
def test_secrets_are_not_shown():
    assert "hush" not in repr(QueryParams({"a": 1, "access_token": "hush"}))
    for wrong in ("token=hush b", "token=hush#", "token=hush\n", "token=hush\ud800"):
        with pytest.raises(InvalidRequest) as caught:
            QueryParams(wrong)
        assert "hush" not in str(caught.value)
    for value in (b"hush", {"x": "hush"}, ["a", ["hush"]], "hush\ud800"):
        with pytest.raises((InvalidRequest, TypeError)) as caught:
            QueryParams({"a": value})
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [
        5, b"a=b", ["a"], ["ab"], [("a",)], [("a", 1, 2)], [5], {1: 2}, {None: 1}, {b"a": 1},
        {"a": b"b"}, {"a": object()}, {"a": {}}, {"a": {"b": 1}}, {"a": [[1]]}, {"a": {1}},
        {"a": Colour.RED}, {"a": 1j},
    ],
)  # fmt: skip
def test_wrong_types(params):
    for make in (QueryParams, encode_params):
        with pytest.raises(TypeError, match="params: "):
            make(params)


@pytest.mark.parametrize(
    ("text", "written"),
    [("q=a b", "q=a%20b"), ("q=ü", "q=%C3%BC"), ("q=a#b", "q=a%23b"), (" q", "%20q")],
)
def test_text_is_refused_with_what_to_write(text, written):
    with pytest.raises(InvalidRequest, match=f"as in {written};"):
        QueryParams(text)
    assert str(QueryParams(written)) == written


@pytest.mark.parametrize("text", ["a\n", "a\tb", "\0", "a\x7f", "\ud800"])
def test_text_that_no_query_has(text):
    with pytest.raises(InvalidRequest):
        QueryParams(text)


@given(pairs)
def test_pairs_come_back(given_pairs):
    params = QueryParams(given_pairs)

    assert params.multi_items() == given_pairs
    assert str(params) == encode_params(given_pairs)
    again = QueryParams(str(params))
    assert again.multi_items() == given_pairs
    assert str(again) == str(params)
    assert set(str(params)) <= set(VISIBLE) - set("#+")


@given(st.text(VISIBLE.replace("#", "")))
def test_text_stays_byte_for_byte(text):
    assert str(QueryParams(text)) == "&".join(filter(None, text.split("&")))
    assert encode_params(text) == text
