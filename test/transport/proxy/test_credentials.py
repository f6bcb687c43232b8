"""The credentials for a proxy: found, checked, sent, and renewed after a challenge."""

import pytest

from dugong_like import BasicAuth, DigestAuth, Headers, InvalidRequest, Proxy
from dugong_like.http.h1.limits import Limits
from dugong_like.http.h1.response_head import parse_head
from dugong_like.transport.proxy.credentials import (
    check_for_socks,
    check_login,
    choose_auth,
    decode_login,
    learn,
    login_message,
    session_for,
)


@pytest.mark.parametrize(
    ("userinfo", "user", "password"),
    [
        ("a:b", "a", "b"), ("a", "a", ""), (":b", "", "b"), ("", "", ""), ("a:b:c", "a", "b:c"),
        ("a%40b:%2F%3a%25", "a@b", "/:%"), ("%C3%BC:%e2%82%ac", "ü", "€"),
    ],
)  # fmt: skip
def test_credentials_are_decoded(userinfo, user, password):
    assert Proxy(f"http://{userinfo}@proxy.test").auth == BasicAuth(user, password)


BAD_LOGINS = [
    "se cret", "secret\r\nX: y", "secret%0d%0aX", "secret%00", "secret%zz", "secret%", "secret#x",
    "secret/x", "secret?x", "secret@x", "secret\\", "[secret", "secret%3Ax:y", "secret%ff",
    "secret:secret%0a", "secrét", "http://secret", "secret:8/0",
]  # fmt: skip


@pytest.mark.reliability(47, 60)
@pytest.mark.parametrize("login", BAD_LOGINS)
def test_bad_credentials_are_refused_and_not_shown(login):
    with pytest.raises(InvalidRequest) as failure:
        Proxy(f"http://{login}@proxy.test:3128")
    error = failure.value
    while error is not None:
        assert "secret" not in str(error)
        assert "secr" not in str(error)
        error = error.__cause__


@pytest.mark.reliability(60)
def test_nothing_shows_credentials():
    proxy = Proxy(
        "https://user:secret@proxy.test",
        headers={"Proxy-Authorization": "secret", "X-User": "user"},
    )
    assert repr(proxy) == str(proxy) == "<Proxy https://proxy.test:443>"


@pytest.mark.reliability(60)
def test_own_authorization_wins():
    headers = {"proxy-authorization": "mine"}
    proxy = Proxy("http://proxy.test", auth=BasicAuth("a", "b"), headers=headers)
    sent = proxy.conversation("example.org", 443, Limits(), []).to_send

    assert b"\r\nproxy-authorization: mine\r\n" in sent
    assert sent.lower().count(b"proxy-authorization") == 1
    assert proxy.forwarding().lines("GET", "/", ()) == "proxy-authorization: mine\r\n"


@pytest.mark.reliability(47)
def test_logins_that_socks5_cannot_carry():
    check_login(BasicAuth("a" * 255, "b" * 255))
    for login in (("", "x"), ("x", ""), ("a" * 256, "b"), ("a", "ä" * 128)):
        with pytest.raises(InvalidRequest):
            check_login(BasicAuth(*login))


def test_credentials_come_from_one_place_only():
    basic = BasicAuth("a", "b")

    assert choose_auth(None, None) is None
    assert choose_auth(basic, None) is choose_auth(None, basic) is basic
    with pytest.raises(InvalidRequest, match="in the URL of a proxy and in auth"):
        choose_auth(basic, basic)
    with pytest.raises(TypeError, match="is a class"):
        choose_auth(BasicAuth, None)
    with pytest.raises(TypeError, match="session"):
        choose_auth(("a", "b"), None)


def test_what_socks_takes():
    for scheme in ("socks5", "socks5h", "socks4a"):
        check_for_socks(None, scheme)
        with pytest.raises(InvalidRequest, match="BasicAuth only"):
            check_for_socks(DigestAuth("a", "b"), scheme)
    check_for_socks(BasicAuth("a", "b"), "socks5")
    check_for_socks(BasicAuth("a", ""), "socks4a")
    with pytest.raises(InvalidRequest, match="has no passwords"):
        check_for_socks(BasicAuth("a", "b"), "socks4a")
    with pytest.raises(InvalidRequest, match="1 to 255"):
        check_for_socks(BasicAuth("a", ""), "socks5")


def test_a_field_of_the_caller_takes_the_place_of_credentials():
    basic = BasicAuth("a", "b")

    assert session_for(None, Headers()) is None
    assert session_for(basic, Headers({"PROXY-Authorization": "x"})) is None
    assert session_for(basic, Headers({"Via": "x"})).value("GET", "/") == "Basic YTpi"


def response(status, *challenges):
    fields = b"".join(b"Proxy-Authenticate: %b\r\n" % each for each in challenges)
    return parse_head(bytearray(b"HTTP/1.1 %d No\r\n%b\r\n" % (status, fields)))


def test_only_a_407_has_challenges_for_us():
    basic = BasicAuth("a", "b").session()

    assert learn(basic, response(407, b"Basic realm=x"), None)
    assert not learn(basic, response(407, b"Basic realm=x"), "Basic YTpi")  # refused
    assert not learn(basic, response(407, b"Negotiate"), None)
    assert not learn(basic, response(401, b"Basic realm=x"), None)
    assert not learn(None, response(407, b"Basic realm=x"), None)


def test_what_was_learned_is_in_the_next_request():
    digest = DigestAuth("a", "b").session()
    assert digest.value("CONNECT", "h:443") is None

    assert learn(
        digest, response(407, b'Basic realm="x"', b"Digest realm=r, nonce=n, qop=auth"), None
    )
    assert digest.value("CONNECT", "h:443").startswith("Digest ")


def test_a_login_is_sent_with_its_lengths():
    assert login_message(BasicAuth("me", "p\xe4")) == b"\1\2me\3p\xc3\xa4"
    assert decode_login("me:p%C3%A4") == BasicAuth("me", "p\xe4")
    assert decode_login(None) is None
