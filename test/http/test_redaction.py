"""Secrets never come out: fields that let in, and user names in targets."""

import pytest
from kit.cases import each_case

from dugong_like.connection.exchange import Exchange
from dugong_like.http.redaction import (
    MASK,
    SECRET_ENDINGS,
    SECRET_PARAMETERS,
    SHOWN,
    mask_fields,
    mask_target,
    mask_words,
    masked_lines,
    quoted,
    shown_line,
    shown_text,
    shown_url,
)


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


@each_case("name", sorted({*SECRET_PARAMETERS, *SECRET_ENDINGS}))
def test_parameters_are_known_however_their_names_are_written(name):
    encoded = "".join(f"%{ord(letter):02x}" for letter in name)
    for written in (name, name.upper(), f"{name[0]}-_.{name[1:]}", encoded, f"a[{name}]"):
        assert mask_target(f"/?a=1&{written}=x&b=2") == f"/?a=1&{written}={MASK}&b=2"
        assert mask_target(f"/p;{written}=x") == f"/p;{written}={MASK}"


@pytest.mark.parametrize(
    "name",
    [
        *("access_token", "refresh_token", "id_token", "client_secret", "client_assertion"),
        *("SAMLResponse", "X-Amz-Credential", "X-Amz-Security-Token", "AWSAccessKeyId"),
        *(
            "private_token",
            "oauth_token_secret",
            "subscription-key",
            "PHPSESSID",
            "hub.verify_token",
        ),
    ],
)
def test_parameters_of_widely_used_interfaces_are_known(name):
    assert mask_target(f"/?{name}=x") == f"/?{name}={MASK}"


@pytest.mark.parametrize("name", ["tokens", "design", "monkey", "postcode", "keyboard", "passage"])
def test_names_that_only_look_alike_are_shown(name):
    assert mask_target(f"/?{name}=x") == f"/?{name}=x"


def test_urls_in_urls_are_masked():
    assert mask_target("/?u=http://me:pw@h/") == f"/?u=http://{MASK}@h/"
    assert mask_target("/?u=%2F%3Fkey%3Dx&v=1") == f"/?u={MASK}&v=1"
    assert mask_target("/?u=%252F%253Fkey%253Dx") == f"/?u={MASK}"
    assert mask_target("/?u=%2F%3Fa%3Dx") == "/?u=%2F%3Fa%3Dx"
    assert mask_target("/?u=%" + "25" * 30_000)  # in no time, and no recursion without end


def test_urls_in_a_text_are_masked_word_by_word():
    assert mask_words("['/?key=x', 'y z']") == f"['/?key={MASK}', 'y z']"
    assert mask_words("<http://me:pw@h/?sig=x> y") == f"<http://{MASK}@h/?sig={MASK}> y"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/a b?c=d", "/a b?c=d"),
        ("/a b?key=c d;e#f?g&h=i", f"/a b?key={MASK}&h=i"),
        ("key=x", f"key={MASK}"),
        ("http://me:p/w@h/", "http://...@h/"),
        ("me:pw@h/?key=x", f"...@h/?key={MASK}"),
        ("/?key=a@b", f"...?key={MASK}"),
        ("http://me:pw", f"http://me:{MASK}"),
        ("http://h:80/ ", "http://h:80/ "),
        ("http://[::1]:80/ ", "http://[::1]:80/ "),
        ("me:pw%40h", f"me:{MASK}"),
        ("Cookie x", f"Cookie: {MASK}"),
        ("/cookies x", "/cookies x"),
        ("x-----BEGIN PRIVATE KEY-----x", f"x-----BEGIN {MASK}"),
        ("x" * 100, "x" * SHOWN),
    ],
)
def test_of_text_of_any_kind_only_what_is_surely_no_secret_is_shown(text, shown):
    assert shown_text(text) == shown
    assert quoted(text) == repr(shown)
    assert quoted(text.encode()) == repr(shown.encode())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("h:80", "h:80"),
        ("me:pw", f"me:{MASK}"),
        ("http:h", "http:h"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_behind_a_colon_of_what_should_be_a_host_there_may_be_a_password(text, shown):
    assert shown_url(text) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"A: b\0", b"A: b\0"),
        (b"Cookie: x", b"Cookie: [masked]"),
        (b"X Cookie=x", b"X Cookie: [masked]"),
        (b" x", b" [masked]"),
        (b"\tx", b"\t[masked]"),
        (b"Location: http://me:p\0", b"Location: http://me:[masked]"),
    ],
)
def test_lines_that_are_no_fields_do_not_show_what_may_be_a_value(line, shown):
    assert shown_line(line) == shown


def test_of_other_objects_only_numbers_are_shown():
    assert [quoted(value) for value in (None, True, 5, -2.5)] == ["None", "True", "5", "-2.5"]
    assert quoted(10**10_000) == "int"
    assert quoted({"password": "x"}) == "dict"
    assert quoted(["x"]) == "list"
