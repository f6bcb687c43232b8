"""The field Link: links of several fields, relations, and what breaks the grammar."""

import pytest
from kit.support import check_proportion

from dugong_like.http.links import links_by_relation, parse_links


@pytest.mark.parametrize(
    ("values", "links"),
    [
        ("", []),
        ("<a>", [{"url": "a"}]),
        ("<https://h/?p=2>; rel=next", [{"url": "https://h/?p=2", "rel": "next"}]),
        ('<a>; rel="next", <b>; rel="last"',
         [{"url": "a", "rel": "next"}, {"url": "b", "rel": "last"}]),
        (["<a>;rel=x,", "", "<b>"], [{"url": "a", "rel": "x"}, {"url": "b"}]),
        ('<a,b;c>; rel="x"', [{"url": "a,b;c", "rel": "x"}]),
        (r'<a>; title="b, <c>; \"d\""; rel=x', [{"url": "a", "title": 'b, <c>; "d"', "rel": "x"}]),
        ("<a> ; REL = x ; Title=y z", [{"url": "a", "rel": "x", "title": "y z"}]),
        ("<a>; rel=x; rel=y", [{"url": "a", "rel": "x"}]),
        ("<a>; rel=http://h/x", [{"url": "a", "rel": "http://h/x"}]),
        ("<a>; title*=UTF-8'de'%e2%82%ac; title=x",
         [{"url": "a", "title*": "\u20ac", "title": "x"}]),
        ("<a>; title*=nonsense", [{"url": "a"}]),
        ("<a>; url=b", [{"url": "a"}]),
        ("< a >; crossorigin; rel=x", [{"url": "a", "crossorigin": "", "rel": "x"}]),
        ("<>; rel=x", [{"url": "", "rel": "x"}]),
        ("a; rel=x, <b>", [{"url": "b"}]),
        ("<a; rel=x, <b>; rel=y", [{"url": "b", "rel": "y"}]),
        ('<a>; rel="x, <b>; rel=y', [{"url": "a"}, {"url": "b", "rel": "y"}]),
        ("<a> b; rel=x, <c>", [{"url": "c"}]),
        ("<a>,,, <b>", [{"url": "a"}, {"url": "b"}]),
        (",;<", []),
    ],
)  # fmt: skip
def test_links(values, links):
    assert parse_links(values) == links


def test_relations():
    found = links_by_relation(
        '</2>; rel="Next prefetch"; title="two", </9>; rel=last, </x>, </1>; rel=prefetch'
    )

    assert found == {
        "next": {"url": "/2", "rel": "Next prefetch", "title": "two"},
        "prefetch": {"url": "/1", "rel": "prefetch"},
        "last": {"url": "/9", "rel": "last"},
        "/x": {"url": "/x"},
    }
    assert links_by_relation([]) == {}


@pytest.mark.parametrize(
    "piece", ["<", "<a", "<a>", "<a>;", '<a>;b="', "<a>,", '"', ";", "<a>;b=c,", "<a> ", '<a>;"<']
)
def test_time_is_in_proportion_to_the_length(piece):
    def parse(count):
        for begin in ("", "<a>", '<a>;b="', "<a>;b=c"):
            parse_links(begin + piece * count)

    check_proportion(parse, 20_000)
