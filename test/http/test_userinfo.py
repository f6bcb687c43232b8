"""User name and password in a URL: split off, decoded, and in no message."""

import pytest

from dugong_like import URL, InvalidRequest, split_credentials

BASE = URL("http://a/b#c")


@pytest.mark.feature("E24")
@pytest.mark.parametrize(
    ("text", "url", "credentials"),
    [
        ("http://user:pw@h/p?q", "http://h/p?q", ("user", "pw")),
        ("HTTPS://user@h", "https://h/", ("user", "")),
        ("http://user:@h/", "http://h/", ("user", "")),
        ("http://:pw@h/", "http://h/", ("", "pw")),
        ("http://h/", "http://h/", None), ("http://@h/", "http://h/", None),
        ("http://:@h/", "http://h/", None), ("http://h/@x", "http://h/@x", None),
        ("http://h?u:p@x", "http://h/?u:p@x", None), ("http://h/#u:p@x", "http://h/#u:p@x", None),
        ("http://u%40x:p%3A%2F%40%25@h:81/", "http://h:81/", ("u@x", "p:/@%")),
        ("http://u:p:q:r@[::1]:81/", "http://[::1]:81/", ("u", "p:q:r")),
        ("http://%C3%BC:€@h/", "http://h/", ("ü", "€")),
        ("http://a+b:!$&'()*,;=@h/", "http://h/", ("a+b", "!$&'()*,;=")),
    ],
)  # fmt: skip
def test_splitting(text, url, credentials):
    found, pair = split_credentials(text)

    assert (str(found), pair) == (url, credentials)


@pytest.mark.feature("E24")
@pytest.mark.parametrize(
    ("reference", "url", "credentials"),
    [
        ("//u:p@h/../x", "http://h/x", ("u", "p")), ("https://u@h:/", "https://h/", ("u", "")),
        ("\\\\u:p@h\\x", "http://h/x", ("u", "p")), ("//@h/", "http://h/", None),
        ("/x@y", "http://a/x@y", None), ("//u:p@h/#f", "http://h/#f", ("u", "p")),
        (b"//%75:\xc3\xbc@h/\xfc", "http://h/%FC", ("u", "ü")),
    ],
)  # fmt: skip
def test_splitting_a_reference(reference, url, credentials):
    found, pair = split_credentials(reference, BASE)

    assert (str(found), pair) == (url, credentials)


def test_a_redirect_with_credentials_keeps_the_fragment():
    for reference in ("/x", "//u:p@h/x"):
        assert split_credentials(reference, BASE)[0].fragment == ""
        assert split_credentials(reference, BASE, keep_fragment=True)[0].fragment == "c"
    assert split_credentials("//u:p@h/x#", BASE, keep_fragment=True)[0].fragment == ""


@pytest.mark.reliability(60)
@pytest.mark.parametrize(
    "text",
    [
        "http://user:secret@", "http://user:secret@h:x/", "http://user:secret@h h/",
        "http://user:se@secret@h/", "http://user:secret%@h/", "http://user:secret%4@h/",
        "http://user:secret%00@h/", "http://user:secret%0d%0a@h/", "http://user:secret%FC@h/",
        "http://us%3Aer:secret@h/", "http://user:sec/secret@h/", "http://user:secret?@h/",
        "http://user:secret#@h/", "http://user:secret\\@h/", "ftp://user:secret@h/",
        "http:user:secret@h/", "user:secret@h", "http://user:secret\n@h/", "http://user:secret @h/",
        "http://user:secret\ud800@h/", "http://user:secret\x85@h/", "//user:secret@h/",
    ],
)  # fmt: skip
def test_what_is_refused_is_not_shown(text):
    with pytest.raises(InvalidRequest) as caught:
        split_credentials(text)

    assert "secret" not in str(caught.value)
    assert "user" not in str(caught.value).replace("user name", "")
    assert caught.value.__context__ is None


@pytest.mark.reliability(60)
@pytest.mark.parametrize(
    "reference",
    ["//user:secret@", "//user:secret@h:x/", "//user:se@secret@h/", "//user:secret%@h/",
     "//user:secret%00@h/", b"//user:secret\xfc@h/", "//us%3aer:secret@h/", "ftp://user:secret@h/"],
)  # fmt: skip
def test_what_is_refused_in_a_reference_is_not_shown(reference):
    with pytest.raises(InvalidRequest) as caught:
        split_credentials(reference, BASE)

    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_types():
    for wrong in (None, 5, b"http://h/", URL("http://h/")):
        with pytest.raises(TypeError):
            split_credentials(wrong)
