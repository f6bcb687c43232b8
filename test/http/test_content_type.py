"""Content-Type: what is read of it, also if it breaks the grammar."""

import pytest
from kit.support import check_proportion

from dugong_like.http.content_type import parse_content_type


@pytest.mark.parametrize(
    ("value", "media_type", "parameters"),
    [
        ("", "", {}),
        ("text/html", "text/html", {}),
        (" Text/HTML ", "text/html", {}),
        ("text/html;charset=utf-8", "text/html", {"charset": "utf-8"}),
        ("text/html ;\tCharset = UTF-8 ; ", "text/html", {"charset": "UTF-8"}),
        ('text/html; charset="utf-8"', "text/html", {"charset": "utf-8"}),
        (r'a/b; c="d\"e;f\\,g"; h=i', "a/b", {"c": 'd"e;f\\,g', "h": "i"}),
        ("a/b; c=1; C=2", "a/b", {"c": "1"}),
        ("a/b; c; d=", "a/b", {"c": "", "d": ""}),
        ("a/b;;; c=d;", "a/b", {"c": "d"}),
        ("a/b; c d=e; f=g", "a/b", {"f": "g"}),
        ('a/b; c="d" e; f=g', "a/b", {"f": "g"}),
        ('a/b; c=d"e;f"; g=h', "a/b", {"g": "h"}),
        ('a/b; c="d; e=f', "a/b", {"e": "f"}),
        ("a/b; =c; d=e", "a/b", {"d": "e"}),
        ("a/b; c=d e; f=g", "a/b", {"c": "d e", "f": "g"}),
        ("a/b; c=d, e/f; g=h", "a/b", {"c": "d"}),
        ("a/b, c/d; e=f", "a/b", {}),
        ("application/vnd.api+json; ext=x", "application/vnd.api+json", {"ext": "x"}),
        ("text", "", {}),
        ("text/", "", {}),
        ("/html", "", {}),
        ("text/html charset=utf-8", "", {}),
        ("charset=utf-8", "", {}),
        ("text/ht ml", "", {}),
        ("a/b; c=\xe9", "a/b", {"c": "\xe9"}),
    ],
)
def test_parsing(value, media_type, parameters):
    assert parse_content_type(value) == (media_type, parameters)


@pytest.mark.parametrize(
    ("value", "charset"),
    [
        ("text/html", ""), ("text/html; charset=", ""), ("text/html; charset=utf-8", "utf-8"),
        ("text/html; charset='utf-8'", "utf-8"), ('text/html; charset=" utf-8 "', "utf-8"),
    ],
)  # fmt: skip
def test_charset(value, charset):
    assert parse_content_type(value).charset == charset


@pytest.mark.parametrize(
    "piece", ['"', "a", ";", ";a", ';a="', ";a=b", '\\"', ',"', " ", "; ", ';"a"', ';a="b" ']
)
def test_time_is_in_proportion_to_the_length(piece):
    def parse(count):
        for begin in ("", "a/b", 'a/b;c="', "a/b;c=d"):
            parse_content_type(begin + piece * count)

    check_proportion(parse, 100_000)
