"""What goes to a forwarding proxy with each request."""

import pytest

from dugong_like import BasicAuth, DigestAuth, Headers
from dugong_like.http.challenges import parse_challenges
from dugong_like.http.h1.response_head import parse_head
from dugong_like.transport.proxy.forward import Forwarding

TARGET = "http://example.org/a"
CHALLENGE = b"\r\nProxy-Authenticate: Digest realm=r, nonce=n, qop=auth\r\n"


def forwarding(fields=(), auth=None):
    return Forwarding(Headers(fields), auth and auth.session())


def refusal(more=b"", status=407):
    head = b"HTTP/1.1 %d No%b%b\r\n" % (status, CHALLENGE, more)
    return parse_head(bytearray(head), 100, 0, len(head))


def test_nothing_to_say():
    empty = forwarding()
    assert empty.note_response(refusal())

    assert empty.lines("GET", TARGET, ()) == ""


def test_own_fields_and_credentials():
    basic = forwarding({"X-Who": "me"}, BasicAuth("a", "b"))
    credentials = "Proxy-Authorization: Basic YTpi\r\n"

    assert basic.lines("GET", TARGET, ()) == "X-Who: me\r\n" + credentials
    assert basic.lines("GET", TARGET, {"x-who"}) == credentials


@pytest.mark.reliability(60)
def test_field_of_the_request_wins():
    given = {"proxy-authorization": "mine"}

    assert forwarding(auth=BasicAuth("a", "b")).lines("GET", TARGET, given) == ""


def test_digest_begins_with_the_first_challenge():
    digest = forwarding(auth=DigestAuth("a", "b"))
    assert digest.lines("GET", TARGET, ()) == ""
    assert digest.note_response(refusal())

    for number in (1, 2):
        name, _, value = digest.lines("PUT", TARGET, ()).partition(": ")
        has = parse_challenges(value.removesuffix("\r\n"))[0].parameters
        assert name == "Proxy-Authorization"
        assert (has["uri"], has["nc"]) == (TARGET, f"{number:08}")


def test_challenges_of_others_are_not_answered():
    digest = forwarding(auth=DigestAuth("a", "b"))
    assert digest.note_response(refusal(status=401))

    assert digest.lines("GET", TARGET, ()) == ""


@pytest.mark.parametrize("auth", [None, DigestAuth("a", "b")])
@pytest.mark.parametrize("status", [200, 407])
def test_proxy_that_says_in_its_own_field_that_it_closes(auth, status):
    it = forwarding(auth=auth)

    for value in (b"close", b"Keep-Alive, Close"):
        assert not it.note_response(refusal(b"Proxy-Connection: %b\r\n" % value, status))
    for value in (b"keep-alive", b"closed", b""):
        assert it.note_response(refusal(b"PROXY-CONNECTION: %b\r\n" % value, status))
