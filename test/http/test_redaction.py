"""Secrets never come out: fields that let in, and user names in targets."""

import pytest

from dugong_like.connection.exchange import Exchange
from dugong_like.http.redaction import MASK, mask_fields, mask_target, masked_lines


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/a@b", "/a@b"),
        ("http://me:secret@host/x@y", f"http://{MASK}@host/x@y"),
        ("https://me@host", f"https://{MASK}@host"),
        ("socks5://a:b@c:1080", f"socks5://{MASK}@c:1080"),
        ("http://p:a@ss@host/", f"http://{MASK}@host/"),
        ("host:443", "host:443"),
        ("/a?b=c&Password=x%20y&d=e", f"/a?b=c&Password={MASK}&d=e"),
        ("/a?access_token=x", f"/a?access_token={MASK}"),
        ("/a?X-Amz-Date=1&X-Amz-Signature=x#f", f"/a?X-Amz-Date=1&X-Amz-Signature={MASK}#f"),
        ("/a?sv=1&sig=x;y=z", f"/a?sv=1&sig={MASK};y=z"),
        ("/token=x?tokens=1&design=2", "/token=x?tokens=1&design=2"),
    ],
)
def test_targets_lose_user_name_and_password(target, shown):
    assert mask_target(target) == shown


@pytest.mark.parametrize(
    "name", ["Authorization", "proxy-authorization", "Cookie", "SET-COOKIE", "Authentication-Info"]
)
def test_values_that_let_in_are_masked(name):
    assert mask_fields([(name, "secret"), ("X", "open")]) == [(name, MASK), ("X", "open")]
    assert masked_lines(f"\r\n{name}: secret\r\nX:open \r\n".encode()) == [
        (name, MASK),
        ("X", "open"),
    ]


def test_a_url_in_a_value_is_masked():
    assert mask_fields([("Location", "http://me:pw@h/")]) == [("Location", f"http://{MASK}@h/")]


def test_an_exchange_does_not_show_them():
    assert "secret" not in repr(Exchange("GET", "http://me:secret@host/"))


def test_values_of_fields_in_common_use_for_keys_are_masked():
    fields = [
        ("X-Api-Key", "k"),
        ("PRIVATE-TOKEN", "t"),
        ("X-Amz-Security-Token", "s"),
        ("X-Tag", "v"),
    ]
    assert mask_fields(fields) == [
        ("X-Api-Key", MASK), ("PRIVATE-TOKEN", MASK), ("X-Amz-Security-Token", MASK), ("X-Tag",
        "v"),
    ]  # fmt: skip
