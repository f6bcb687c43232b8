"""SOCKS4a as scripts, cut at every byte."""

import pytest
from kit.talk import END, LOST, every_cut, play

from dugong_like import ConnectionClosed, InvalidRequest, InvalidResponse, TunnelRefused
from dugong_like.transport.proxy.socks4 import REPLIES, Socks4, check_name

ASKED = b"\4\1\1\xbb\0\0\0\1me\0example.org\0"
DONE = b"\0\x5a\1\2\3\4\5\6"


def socks():
    return Socks4("example.org", 443, "me")


@pytest.mark.feature("C34")
def test_connection():
    for cut in every_cut(len(DONE)):
        assert play(socks(), [(ASKED, DONE)], cut=cut)
    for short in range(len(DONE)):
        assert not play(socks(), [(ASKED, DONE[:short])])


def test_address_goes_as_address_and_the_user_may_be_missing():
    assert play(Socks4("1.2.3.4", 80), [(b"\4\1\0\x50\1\2\3\4\0", DONE)])


@pytest.mark.parametrize("code", [*REPLIES, 0, 1])
def test_refusals_have_names(code):
    with pytest.raises(TunnelRefused, match=r"example\.org:443.*SOCKS4") as refusal:
        play(socks(), [(ASKED, bytes([0, code]) + bytes(6))])
    assert refusal.value.status == code
    assert refusal.value.reason == REPLIES.get(code, "unknown reason")
    assert refusal.value.retryable is (code == 91)
    assert refusal.value.phase == "proxy"


@pytest.mark.parametrize("answer", [b"H", b"\4\x5a", b"\5", DONE + b"x"])
def test_what_is_not_socks4(answer):
    conversation = socks()
    with pytest.raises(InvalidResponse):
        play(conversation, [(ASKED, answer)])
    assert not conversation.opened


def test_connection_that_is_lost_says_why():
    with pytest.raises(ConnectionClosed, match="reset") as failure:
        play(socks(), [(ASKED, LOST)])
    assert failure.value.retryable


@pytest.mark.parametrize("answer", [b"", DONE[:-1]])
def test_end_without_an_answer(answer):
    with pytest.raises(ConnectionClosed, match="SOCKS4"):
        play(socks(), [(ASKED, answer), (b"", END)])


def test_what_socks4_cannot_carry():
    check_name("a" * 255)
    for name in ("::1", "a" * 256):
        with pytest.raises(InvalidRequest):
            check_name(name)
