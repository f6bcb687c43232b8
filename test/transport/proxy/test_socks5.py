"""SOCKS5 as scripts: RFC 1928 and 1929, cut at every byte."""

import pytest
from kit.cases import each_case
from kit.talk import END, LOST, by_bytes, every_cut, play

from dugong_like import BasicAuth, ConnectionClosed, InvalidRequest, InvalidResponse, TunnelRefused
from dugong_like.transport.proxy.socks5 import REPLIES, Socks5, check_name

HELLO = b"\5\1\0"
HELLO_LOGIN = b"\5\2\0\2"
NAME = b"\5\1\0\3\x0bexample.org\1\xbb"
DONE = b"\5\0\0\1\1\2\3\4\x10\x20"
LOGIN = BasicAuth("me", "pä")
SAID = b"\1\2me\3p\xc3\xa4"


def socks(*hosts, login=None):
    return Socks5(hosts or ["example.org"], 443, "example.org:443", login)


@pytest.mark.parametrize(
    "reply",
    [
        DONE,
        b"\5\0\0\4" + bytes(18),
        *(b"\5\0\0\3%c%b\0\0" % (size, b"x" * size) for size in (0, 1, 11, 255)),
    ],
    ids=len,
)
def test_connection_with_every_kind_of_reply(reply):
    for cut in every_cut(len(reply)):
        assert play(socks(), [(HELLO, b"\5\0"), (NAME, reply)], cut=cut)
    for short in range(len(reply)):
        assert not play(socks(), [(HELLO, b"\5\0"), (NAME, reply[:short])])


def test_password():
    for cut in every_cut(len(DONE)):
        script = [(HELLO_LOGIN, b"\5\2"), (SAID, b"\1\0"), (NAME, DONE)]
        assert play(socks(login=LOGIN), script, cut=cut)


def test_password_that_nobody_wants_is_not_said():
    assert play(socks(login=LOGIN), [(HELLO_LOGIN, b"\5\0"), (NAME, DONE)])


@pytest.mark.parametrize(
    ("host", "wire"),
    [
        ("1.2.3.4", b"\1\1\2\3\4"),
        ("::1", b"\4" + bytes(15) + b"\1"),
        ("fe80::1%eth0", b"\4\xfe\x80" + bytes(13) + b"\1"),
        ("1.2.3", b"\3\0051.2.3"),
        ("a" * 255, b"\3\xff" + b"a" * 255),
    ],
)
def test_addresses_and_names(host, wire):
    assert play(socks(host), [(HELLO, b"\5\0"), (b"\5\1\0" + wire + b"\1\xbb", DONE)])


@each_case("code", [*REPLIES, 9, 255])
@each_case("rest", [b"", b"\0", b"\0\1\0\0\0\0\0\0"])
def test_refusals_have_names(code, rest):
    with pytest.raises(TunnelRefused, match=r"example\.org:443: .*SOCKS5") as refusal:
        play(socks(), [(HELLO, b"\5\0"), (NAME, bytes([5, code]) + rest)])
    assert refusal.value.status == code
    assert refusal.value.reason == REPLIES.get(code, "unknown reason")
    assert refusal.value.request_sent == "no"
    assert refusal.value.retryable is (code in {1, 3, 4, 5, 6})
    assert refusal.value.phase == "proxy"


@pytest.mark.parametrize("login", [None, LOGIN])
def test_no_way_to_log_in(login):
    hello = HELLO if login is None else HELLO_LOGIN
    with pytest.raises(TunnelRefused, match="does not accept") as refusal:
        play(socks(login=login), [(hello, b"\5\xff")], cut=by_bytes)
    assert refusal.value.status == 255
    assert not refusal.value.retryable


@pytest.mark.parametrize(("code", "wish"), [(1, "GSS-API"), (2, "user name and password")])
def test_login_that_is_asked_for_without_having_been_offered(code, wish):
    with pytest.raises(TunnelRefused, match=f"wants {wish}") as refusal:
        play(socks(), [(HELLO, bytes([5, code]))], cut=by_bytes)
    assert refusal.value.status == code
    assert not refusal.value.retryable


@pytest.mark.reliability(60)
@pytest.mark.parametrize("verdict", [1, 255])
def test_wrong_password(verdict):
    with pytest.raises(TunnelRefused, match="not accepted") as refusal:
        play(socks(login=LOGIN), [(HELLO_LOGIN, b"\5\2"), (SAID, bytes([1, verdict]))])
    assert (refusal.value.status, refusal.value.body) == (verdict, b"")
    assert "pä" not in str(refusal.value)
    assert not refusal.value.retryable  # though 1 is a general failure, as a reply


def test_next_address_is_asked_for_on_a_new_connection():
    six = b"\5\1\0\4" + bytes(15) + b"\1\1\xbb"
    four = b"\5\1\0\1\x7f\0\0\1\1\xbb"
    both = ["::1", "127.0.0.1"]
    refused = [(HELLO, b"\5\0"), (six, b"\5\5\0\1" + bytes(6))]

    assert play(socks(*both), refused, [(HELLO, b"\5\0"), (four, DONE)])
    with pytest.raises(TunnelRefused, match="host unreachable"):
        play(socks(*both), refused, [(HELLO, b"\5\0"), (four, b"\5\4")])
    with pytest.raises(TunnelRefused, match="not allowed") as refusal:
        play(socks(*both), refused, [(HELLO, b"\5\0"), (four, b"\5\2")])
    assert refusal.value.retryable  # the first one may be reached later


def test_connection_that_is_lost_says_why():
    for script in ([(HELLO, LOST)], [(HELLO, b"\5\0"), (NAME, LOST)]):
        with pytest.raises(ConnectionClosed, match="reset") as failure:
            play(socks(), script)
        assert failure.value.retryable


@pytest.mark.parametrize(
    "script",
    [
        [b"H"], [b"\4\0"], [b"\0"], [b"\5\3"], [b"\5\x80"],  # they were not offered
        [b"\5\0x"], [b"\5\0", b"\4"], [b"\5\0", b"\5\0\0\2\0"], [b"\5\0", b"\5\0\0\0\0"],
        [b"\5\0", DONE + b"x"],
    ],
)  # fmt: skip
def test_what_is_not_socks5(script):
    conversation = socks()
    with pytest.raises(InvalidResponse):
        play(conversation, [(len, answer) for answer in script])
    assert not conversation.opened


@pytest.mark.parametrize("answer", [b"\0", b"\5\0", b"\1\0x"])
def test_what_is_no_answer_to_a_password(answer):
    with pytest.raises(InvalidResponse):
        play(socks(login=LOGIN), [(HELLO_LOGIN, b"\5\2"), (SAID, answer)])


@pytest.mark.parametrize("answers", [[b""], [b"\5"], [b"\5\0", b""], [b"\5\0", DONE[:-1]]])
def test_end_without_an_answer(answers):
    with pytest.raises(ConnectionClosed, match="SOCKS5"):
        play(socks(), [*((len, answer) for answer in answers), (len, END)])


@pytest.mark.reliability(47)
def test_names_that_socks5_cannot_carry():
    check_name("a" * 255)
    with pytest.raises(InvalidRequest):
        check_name("a" * 256)
