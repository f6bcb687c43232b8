"""Fields of forms: names and values of each type, and how they are encoded."""

import enum
from collections import ChainMap
from urllib.parse import parse_qsl

import pytest

from dugong_like import Request
from dugong_like.http.forms import encode_form, form_fields


class Colour(enum.StrEnum):
    RED = "red"

    def __str__(self):
        return "something else"


class Size(enum.IntEnum):
    LARGE = 3


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({}, b""),
        ({"a": "1"}, b"a=1"),
        ([("a", 1), ("b", 2), ("a", 3)], b"a=1&b=2&a=3"),
        ({"a": [1, "2", None], "b": (True, False)}, b"a=1&a=2&a=&b=true&b=false"),
        ({"a": [], "b": ()}, b""),
        ({"a": None}, b"a="),
        ({"": ""}, b"="),
        ({"a": 1.5, "b": -0.0, "c": 1e100, "d": 10**30},
         b"a=1.5&b=-0.0&c=1e%2B100&d=1000000000000000000000000000000"),
        ({"a": b"\x00\xff &=+%"}, b"a=%00%FF+%26%3D%2B%25"),
        ({"a": bytearray(b"x"), "b": memoryview(b"y")}, b"a=x&b=y"),
        ({"ä b": "€\n"}, b"%C3%A4+b=%E2%82%AC%0A"),
        ({"a": "-._*~'()"}, b"a=-._*%7E%27%28%29"),
        ({"a[]": ["x"], "a[k]": "y"}, b"a%5B%5D=x&a%5Bk%5D=y"),
        ({b"a": 1, 2: 3}, b"a=1&2=3"),
        ({"a": Colour.RED, "b": Size.LARGE}, b"a=red&b=3"),
        (ChainMap({"a": 1}), b"a=1"),
        ((pair for pair in [["a", 1]]), b"a=1"),
    ],
)  # fmt: skip
def test_encoding(data, body):
    assert encode_form(data) == body


def test_every_character_comes_back():
    text = "".join(map(chr, range(0x300))) + "\u2028\U0001f600"
    values = [("all", text), *((char, char) for char in text[1:0x90])]

    parsed = parse_qsl(encode_form(values).decode("ascii"), keep_blank_values=True)

    assert parsed == values


def test_the_result_is_a_body():
    form = encode_form({"a": "1"})

    request = Request("POST", "/", {"Content-Type": form.content_type}, form)
    assert request.rewindable()
    assert form.content_type == "application/x-www-form-urlencoded"
    assert form.length == 3


def test_fields():
    fields = list(form_fields({"a": ["ä", None], "b": 1}))
    assert fields == [(b"a", "ä".encode()), (b"a", b""), (b"b", b"1")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a=1", "data is a mapping, or pairs of names and values, not str"),
        (b"a=1", "data is a mapping"),
        (5, "data is a mapping"),
        (["ab"], "each item is a pair of a name and a value, not str"),
        ([("a",)], "each item is a pair"),
        ({"a": object()}, "field 'a': a value is str, .*, not object: convert it, as by str()"),
        ({"a": {"b": 1}}, "field 'a': .* not dict"),
        ({"a": [[1]]}, "field 'a': .* not list"),
        ({"a": open}, "field 'a': .* not builtin"),
        ({"a": type("F", (), {"read": 1})()}, "not F: files go into files="),
        ({None: "a"}, "the name of a field is a string, not None"),
        ({True: "a"}, "the name of a field is a string, not True"),
        ({1.5: "a"}, "the name of a field is a string"),
    ],
)
def test_other_types_are_refused(data, message):
    with pytest.raises(TypeError, match=message):
        encode_form(data)


def test_text_that_cannot_be_encoded_is_refused():
    with pytest.raises(ValueError, match="surrogates"):
        encode_form({"a": "\ud800"})
