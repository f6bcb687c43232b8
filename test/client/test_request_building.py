"""Building requests: URLs, parameters, fields, the four bodies, and which go together."""

import gzip
import io
import json
import math

import pytest

from dugong_like import URL, InvalidOption, InvalidRequest, Timeouts
from dugong_like.client.request_building import (
    MOST_TYPES,
    RequestBuilder,
    as_content,
    is_form,
    merged_fields,
    split_timeout,
    unknown_option,
)

PLACE = "http://a.test/x"
DEFAULTS = [("User-Agent", "me"), ("Accept", "*/*")]


def built(method="GET", url=PLACE, *, headers=None, **options):
    return RequestBuilder(None, headers, None, DEFAULTS).build(method, url, options)


def test_the_request_has_what_was_given():
    request = built("post", extensions={"a": 1}, stream=True, expect100=True, cookies={"c": "d"})
    assert (request.method, str(request.url)) == ("POST", PLACE)
    assert request.headers.items() == DEFAULTS
    assert (request.extensions, request.cookies) == ({"a": 1}, {"c": "d"})
    assert (request.stream, request.expect100, request.body) == (True, True, None)


def test_requests_share_no_fields():
    builder = RequestBuilder(None, None, None, DEFAULTS)
    one, other = (builder.build("GET", PLACE, {}) for _ in range(2))
    one.headers["Accept"] = "x/y"
    assert other.headers["Accept"] == "*/*"
    assert builder.headers["Accept"] == "*/*"


@pytest.mark.parametrize(
    ("url", "params", "options", "expected"),
    [
        (PLACE, None, {}, PLACE),
        (f"{PLACE}?a=1", {"b": 2}, {}, f"{PLACE}?a=1&b=2"),
        (f"{PLACE}?a#part", {"b": "2"}, {"params": {"c": ["3", "4"]}}, f"{PLACE}?a&b=2&c=3&c=4"),
        (PLACE, None, {"params": "raw=%20"}, f"{PLACE}?raw=%20"),
        (PLACE, None, {"params": {}}, PLACE),
    ],
)  # fmt: skip
def test_parameters(url, params, options, expected):
    request = RequestBuilder(None, None, params, DEFAULTS).build("GET", url, options)
    assert str(request.url).partition("#")[0] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, DEFAULTS),
        ({"accept": "x/y"}, [("User-Agent", "me"), ("accept", "x/y")]),
        ({"ACCEPT": None, b"User-Agent": None}, []),
        ([("X-A", "1"), ("x-a", "2")], [*DEFAULTS, ("X-A", "1"), ("x-a", "2")]),
        ({"X-A": None}, DEFAULTS),
    ],
)
def test_merging_fields(given, expected):
    pairs = list(DEFAULTS)
    assert merged_fields(pairs, given) == expected
    assert pairs == DEFAULTS
    assert built(headers=given).headers.items() == expected


@pytest.mark.parametrize("headers", [{1: "a"}, {"a": 1}, "a: b", 5])
def test_fields_that_are_none(headers):
    with pytest.raises(TypeError):
        built(headers=headers)
    with pytest.raises(TypeError):
        RequestBuilder(None, None, None, DEFAULTS).build("GET", PLACE, {"headers": headers})


def test_credentials_in_the_url_become_authentication():
    request = built(url="http://u%40:p@a.test/x")
    assert str(request.url) == PLACE
    assert request.auth is not None
    assert built(url="http://a.test/@x").auth is None


@pytest.mark.parametrize(
    ("options", "body", "kind"),
    [
        ({"content": "ä"}, "ä".encode(), "text/plain; charset=utf-8"),
        ({"content": bytearray(b"x")}, b"x", None),
        ({"content": b""}, b"", None),
        ({"json": {"ä": [1, None]}}, '{"ä":[1,null]}'.encode(), "application/json"),
        ({"json": 0}, b"0", "application/json"),
        ({"json": False}, b"false", "application/json"),
        ({"json": ""}, b'""', "application/json"),
        ({"data": "text"}, b"text", "text/plain; charset=utf-8"),
    ],
)
def test_whole_bodies(options, body, kind):
    request = built("POST", **options)
    assert bytes(request.body) == body
    assert request.headers.get("content-type") == kind


@pytest.mark.parametrize(
    "options",
    [
        {"content": b"x", "data": {"a": "b"}},
        {"content": b"x", "files": {"a": b"b"}},
        {"json": 1, "data": {"a": "b"}},
        {"json": 1, "files": {"a": b"b"}},
    ],
)
def test_one_body_only(options):
    with pytest.raises(InvalidOption, match="one body"):
        built("POST", **options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"content": {"a": 1}}, TypeError),
        ({"content": io.StringIO("x")}, TypeError),
        ({"content": 5}, TypeError),
        ({"json": math.inf}, ValueError),
        ({"json": {1, 2}}, TypeError),
        ({"cookies": [("a", "b")]}, TypeError),
        ({"content": b"x", "compress": "nonsense"}, ValueError),
        ({"content": b"x", "progress": 1}, TypeError),
        ({"compress": "nonsense"}, ValueError),
        ({"compress": []}, ValueError),
        ({"extensions": [("a", 1)]}, TypeError),
        ({"progress": 1}, TypeError),
    ],
)
def test_values_that_are_none(options, error):
    with pytest.raises(error):
        built("POST", **options)


def test_json_is_written_by_what_the_client_has():
    builder = RequestBuilder(None, None, None, [], lambda value: json.dumps(value, indent=1))
    assert builder.build("POST", PLACE, {"json": [1]}).body == b"[\n 1\n]"


def test_compressed_body():
    from dugong_like import MockDispatcher, run

    mock = MockDispatcher()
    mock.add()
    request = built("POST", content=b"x" * 1000, compress="gzip")
    assert request.headers["content-encoding"] == "gzip"
    run(mock.co_dispatch(request))
    assert gzip.decompress(mock.calls[0].content) == b"x" * 1000


@pytest.mark.parametrize(
    ("data", "is_one"),
    [({}, True), ([("a", "b")], True), ((), True), ([b"a"], False), (b"a", False), ("a=b", False)],
)
def test_what_is_a_form(data, is_one):
    assert is_form(data) is is_one


def test_content_is_sent_as_it_is():
    file = io.BytesIO(b"x")
    assert as_content(file) == (file, "")
    with pytest.raises(TypeError, match="json= or data="):
        as_content({})


def test_total_time_is_kept_apart():
    assert split_timeout(None) == (Timeouts(), None)
    assert split_timeout(Timeouts(connect=1, total=5)) == (Timeouts(connect=1), 5)
    known = Timeouts(connect=1)
    assert split_timeout(known)[0] is known  # which is quick to compare
    assert split_timeout(Timeouts(total=5))[0] is split_timeout(Timeouts(total=5))[0]
    with pytest.raises(InvalidOption):
        split_timeout(-1)


def test_unknown_options_name_the_right_one():
    assert "follow_redirects" in str(unknown_option("allow", [], {"allow": "follow_redirects"}))
    assert "there are a, b" in str(unknown_option("c", ["b", "a"], {}))


def test_urls_that_are_none():
    for url, error in (("a.test", InvalidRequest), (5, TypeError), ("/x", InvalidRequest)):
        with pytest.raises(error):
            built(url=url)
    with pytest.raises(TypeError):
        built(method=5)
    assert built(url=URL(PLACE)).url == URL(PLACE)


def test_type_of_a_body_goes_with_the_fields_of_the_client_of_that_moment():
    builder = RequestBuilder(None, {"X-A": "1"}, None, DEFAULTS)
    for value in ("1", "2", "1"):
        builder.headers.set("X-A", value)
        for options, kind in [
            ({"json": 1}, "application/json"),
            ({"content": "a"}, "text/plain; charset=utf-8"),
            ({"data": {"a": "b"}}, "application/x-www-form-urlencoded"),
            ({"json": 1}, "application/json"),
        ]:
            request = builder.build("POST", "http://h/", options)
            assert "Content-Type: " + kind in request.fields().text
            assert (request.headers["content-type"], request.headers["x-a"]) == (kind, value)
            request.headers.set("Content-Type", "x/y")
            assert request.fields()["content-type"] == "x/y"
    builder.headers.set("content-type", "a/b")
    assert builder.build("POST", "http://h/", {"json": 1}).headers.get_list("content-type") == [
        "a/b"
    ]
    own = builder.build("POST", "http://h/", {"json": 1, "headers": {"Content-Type": "c/d"}})
    assert own.headers.get_list("content-type") == ["c/d"]


def test_types_that_are_kept_are_few():
    builder = RequestBuilder(None, None, None, DEFAULTS)
    for _ in range(100):
        request = builder.build("POST", "http://h/", {"files": {"a": b"x"}})
        assert request.headers["content-type"] == request.body.content_type
    assert len(builder._typed) <= MOST_TYPES
