"""Checks of the arguments of a client: right ones pass, wrong ones say what would be right."""

import json

import pytest

from dugong_like import InvalidOption, MockDispatcher, PublicOnly, RequestRate, Retry
from dugong_like.client.arguments import (
    check_client_arguments,
    check_default_encoding,
    check_retry,
)

RIGHT = {
    "base_url": None,
    "follow_redirects": True,
    "max_redirects": 20,
    "keep_fields": (),
    "insecure_redirects": False,
    "retry": None,
    "store_cookies": True,
    "decompress": True,
    "max_body": None,
    "default_encoding": "utf-8",
    "raise_for_status": False,
    "json": json,
    "hooks": None,
    "layers": (),
    "guard": None,
    "rate": None,
    "dispatcher": None,
    "mounts": None,
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"follow_redirects": 1},
        {"max_redirects": 0},
        {"max_body": 0},
        {"keep_fields": {"x-a"}},
        {"retry": Retry()},
        {"default_encoding": lambda data: None},
        {"default_encoding": "latin-1"},
        {"guard": PublicOnly()},
        {"rate": RequestRate(1)},
        {"dispatcher": MockDispatcher(), "mounts": {}},
        {"layers": [print]},
        {"hooks": {}},
    ],
)
def test_right_arguments(options):
    check_client_arguments(RIGHT | options)


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"follow_redirects": "yes"}, TypeError, "follow_redirects"),
        ({"decompress": None}, TypeError, "decompress"),
        ({"max_redirects": True}, TypeError, "max_redirects"),
        ({"max_body": -1}, InvalidOption, "max_body"),
        ({"max_body": "1"}, TypeError, "max_body"),
        ({"base_url": b"http://a.test"}, TypeError, "base_url"),
        ({"keep_fields": "x-a"}, TypeError, "collection"),
        ({"keep_fields": [b"x-a"]}, TypeError, "strings"),
        ({"keep_fields": 1}, TypeError, "keep_fields"),
        ({"retry": 3}, TypeError, r"Retry\(…\)"),
        ({"retry": Retry}, TypeError, r"Retry\(…\)"),
        ({"default_encoding": "no such"}, LookupError, "no such"),
        ({"default_encoding": None}, TypeError, "function"),
        ({"guard": "public"}, TypeError, "guard"),
        ({"rate": 5}, TypeError, "rate"),
        ({"dispatcher": MockDispatcher}, TypeError, "co_dispatch"),
        ({"dispatcher": print}, TypeError, "co_dispatch"),
        ({"layers": print}, TypeError, "layers"),
        ({"layers": [1]}, TypeError, "layers"),
        ({"hooks": [print]}, TypeError, "mapping"),
        ({"mounts": ["http://"]}, TypeError, "mapping"),
        ({"json": object()}, TypeError, "loads"),
        ({"guard": print, "dispatcher": MockDispatcher()}, InvalidOption, "guard"),
        ({"guard": print, "mounts": {"http://": MockDispatcher()}}, InvalidOption, "guard"),
    ],
)
def test_wrong_arguments(options, error, why):
    with pytest.raises(error, match=why):
        check_client_arguments(RIGHT | options)


def test_single_checks():
    check_retry(None)
    check_default_encoding("UTF-16")
    with pytest.raises(LookupError):
        check_default_encoding("base64")  # a codec, but none of text
