"""The conversation with a proxy about a tunnel, cut everywhere."""

import pytest
from kit.talk import END, LOST, by_bytes, every_cut, play, whole

from dugong_like import (
    BasicAuth,
    ClientCertificateRefused,
    ConnectionClosed,
    DigestAuth,
    Headers,
    InvalidResponse,
    TunnelRefused,
)
from dugong_like.http.h1.limits import MAX_INFORMATIONAL, Limits
from dugong_like.transport.proxy.connect_tunnel import Tunnel

ASKED = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n\r\n"
DIGEST = b'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"'
REFUSED = b"HTTP/1.1 407 No\r\n" + DIGEST + b"\r\n"


def tunnel(fields=None, auth=None):
    session = None if auth is None else auth.session()
    return Tunnel("example.org:443", Limits(), fields and Headers(fields), session)


def ask(answer, *, cut=whole, end=False):
    script = [(ASKED, answer)]
    if end:
        script.append((b"", END))
    return play(tunnel(), script, cut=cut)


def test_request_names_the_authority_twice():
    request = Tunnel("[::1]:443", Limits()).to_send

    assert request == b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"


@pytest.mark.reliability(61)
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 299 Established\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 102 Wait\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_2xx_opens_the_tunnel(wire):
    for cut in every_cut(len(wire)):
        assert ask(wire, cut=cut) is True
    for cut in range(len(wire)):
        assert ask(wire[:cut]) is False


@pytest.mark.reliability(61)
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nwhy",
        b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nw\r\n2\r\nhy\r\n0\r\n\r\n",
    ],
)
def test_anything_else_refuses_it_and_says_why(wire):
    for cut in every_cut(len(wire)):
        with pytest.raises(TunnelRefused, match=r"example\.org:443: 403 No") as refusal:
            ask(wire, cut=cut)
        assert (refusal.value.status, refusal.value.reason) == (403, "No")
        assert refusal.value.body == b"why"


@pytest.mark.reliability(61)
@pytest.mark.parametrize("status", [101, 304, 407, 500])
def test_refusal_without_a_body(status):
    with pytest.raises(TunnelRefused) as refusal:
        ask(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
    assert refusal.value.status == status
    assert refusal.value.body == b""


@pytest.mark.parametrize(
    "status",
    [101, 300, 400, 401, 403, 404, 405, 407, 408, 421, 429, 451, 500, 501, *range(502, 512)],
)
def test_what_may_be_different_soon(status):
    with pytest.raises(TunnelRefused) as refusal:
        ask(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)
    assert refusal.value.retryable is (status in {408, 429, 502, 503, 504})
    assert refusal.value.phase == "proxy"


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        (b"", None),
        (b"Retry-After: 7\r\n", "7"),
        (b"retry-after:\tFri, 31 Dec 1999 23:59:59 GMT \r\n", "Fri, 31 Dec 1999 23:59:59 GMT"),
        (b"Retry-After: 7\r\nRetry-After: 8\r\n", None),  # nobody can say which
        (b"X-Retry-After: 7\r\n", None),
    ],
)
def test_when_to_ask_again(fields, value):
    with pytest.raises(TunnelRefused) as refusal:
        ask(b"HTTP/1.1 503 No\r\n%bContent-Length: 0\r\n\r\n" % fields)
    assert refusal.value.retry_after == value


def test_refusal_until_close_ends_with_the_stream():
    with pytest.raises(TunnelRefused) as refusal:
        ask(b"HTTP/1.1 502 Bad\r\n\r\nwhy", cut=by_bytes, end=True)
    assert refusal.value.body == b"why"


@pytest.mark.reliability(61)
def test_broken_body_does_not_hide_the_refusal():
    with pytest.raises(TunnelRefused) as refusal:
        ask(b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwhy\r\nzzz\r\n")
    assert refusal.value.body == b"why"


@pytest.mark.parametrize("rest", [b"Content-Length: 9\r\n\r\nwhy", b"\r\nwhy"])
def test_reset_does_not_hide_the_refusal(rest):
    with pytest.raises(TunnelRefused) as refusal:
        play(tunnel(), [(ASKED, b"HTTP/1.1 403 No\r\n" + rest), (b"", LOST)])
    assert (refusal.value.status, refusal.value.body) == (403, b"why")
    assert refusal.value.__cause__ is LOST


def test_reset_instead_of_an_answer():
    with pytest.raises(ConnectionClosed, match="reset"):
        play(tunnel(auth=DigestAuth("a", "b")), [(ASKED, LOST)])


@pytest.mark.reliability(61)
def test_long_refusal_is_cut_off():
    with pytest.raises(TunnelRefused) as refusal:
        ask(b"HTTP/1.1 502 Bad\r\n\r\n" + b"x" * 100_000)
    assert refusal.value.body == b"x" * 65536


@pytest.mark.reliability(61)
@pytest.mark.parametrize("wire", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Go\r\n\r\n"])
def test_end_without_an_answer(wire):
    with pytest.raises(ConnectionClosed, match="instead of opening a tunnel"):
        ask(wire, end=True)


@pytest.mark.reliability(61)
@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\n\r\nearly bytes",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nA: b\n\n",
        b"HTTP/1.1 407 No\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 102 Wait\r\n\r\n" * (MAX_INFORMATIONAL + 1),
    ],
)
def test_what_is_no_answer_at_all(wire):
    with pytest.raises(InvalidResponse):
        ask(wire)


# ---- credentials


def test_own_fields_and_basic_credentials_go_with_the_first_request():
    asked = ASKED[:-2] + b"User-Agent: x\r\nProxy-Authorization: Basic YTpi\r\n\r\n"

    assert play(tunnel({"User-Agent": "x"}, BasicAuth("a", "b")), [(asked, OK)])


@pytest.mark.reliability(60)
def test_basic_credentials_are_not_repeated():
    for credentials in (BasicAuth("a", "b"), DigestAuth("a", "b")):
        with pytest.raises(TunnelRefused, match="407") as refusal:
            answer = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n"
            conversation = tunnel(auth=credentials)
            play(conversation, [(len, answer + b"Content-Length: 2\r\n\r\nno")])
        assert refusal.value.body == b"no"


def answers(sent):
    assert sent.startswith(ASKED[:-2] + b"Proxy-Authorization: Digest ")
    assert b'uri="example.org:443"' in sent
    assert sent.endswith(b"\r\n\r\n")


@pytest.mark.reliability(61)
@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 3\r\n\r\nwhy",
        b"Content-Length: 0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nwhy\r\n0\r\nX: y\r\n\r\n",
    ],
)
def test_challenge_is_answered_on_the_same_connection(rest):
    for cut in every_cut(len(REFUSED + rest)):
        conversation = tunnel(auth=DigestAuth("a", "b"))
        assert play(conversation, [(ASKED, REFUSED + rest), (answers, OK)], cut=cut)


@pytest.mark.reliability(61)
@pytest.mark.parametrize(
    "rest",
    [
        b"Connection: close\r\nContent-Length: 3\r\n\r\nwhy",
        b"Proxy-Connection: Close\r\nContent-Length: 3\r\n\r\nwhy",
        b"Connection: keep-alive\r\nproxy-connection: x,close\r\nContent-Length: 0\r\n\r\n",
        b"Content-Length: 3\r\n\r\nwhy?",  # out of step
        b"Content-Length: 100000\r\n\r\n" + bytes(65536),  # not worth waiting for
        b"\r\n" + bytes(65536),
    ],
)
def test_challenge_is_answered_on_a_new_connection_if_the_old_one_is_of_no_use(rest):
    conversation = tunnel(auth=DigestAuth("a", "b"))

    assert play(conversation, [(ASKED, REFUSED + rest)], [(answers, OK)])


@pytest.mark.parametrize("rest", [b"\r\nwhy", b"Content-Length: 30\r\n\r\nwhy"])
def test_challenge_is_answered_on_a_new_connection_if_the_old_one_has_ended(rest):
    for cut in (whole, by_bytes):
        conversation = tunnel(auth=DigestAuth("a", "b"))
        script = [(ASKED, REFUSED + rest), (b"", END)]
        assert play(conversation, script, [(answers, OK)], cut=cut)


@pytest.mark.parametrize("end", [END, LOST])
def test_challenge_is_answered_on_a_new_connection_if_the_old_one_ends_without_a_word(end):
    refused = REFUSED + b"Content-Length: 0\r\n\r\n"
    ended = [(ASKED, refused), (answers, end)]
    conversation = tunnel(auth=DigestAuth("a", "b"))
    assert play(conversation, ended, [(answers, OK)])

    # Once: a refusal there is one, and so is an end.
    with pytest.raises(TunnelRefused, match="407"):
        play(tunnel(auth=DigestAuth("a", "b")), ended, [(answers, refused)])
    with pytest.raises(ConnectionClosed):
        play(tunnel(auth=DigestAuth("a", "b")), ended, [(answers, end)])


@pytest.mark.parametrize("begun", [b"H", OK[:-1], b"HTTP/1.1 100 Go\r\n\r\n"])
@pytest.mark.parametrize("end", [END, LOST])
def test_challenge_is_not_answered_again_if_there_was_a_word(begun, end):
    refused = REFUSED + b"Content-Length: 0\r\n\r\n"
    with pytest.raises(ConnectionClosed):
        play(tunnel(auth=DigestAuth("a", "b")), [(ASKED, refused), (answers, begun), (b"", end)])


def test_challenge_is_not_answered_again_where_that_is_of_no_use():
    refused = REFUSED + b"Content-Length: 0\r\n\r\n"
    with pytest.raises(ClientCertificateRefused):
        play(
            tunnel(auth=DigestAuth("a", "b")),
            [(ASKED, refused), (answers, ClientCertificateRefused("no"))],
        )


@pytest.mark.parametrize("stale", [b"", b", stale=true"])
def test_challenge_is_answered_once(stale):
    refused = b"HTTP/1.1 407 No\r\n" + DIGEST + stale + b"\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(TunnelRefused, match="407"):
        play(tunnel(auth=DigestAuth("a", "b")), [(ASKED, refused), (answers, refused)])


def test_nonce_is_used_again_for_the_next_tunnel_until_it_is_stale():
    session = DigestAuth("a", "b").session()
    length = b"Content-Length: 0\r\n\r\n"
    stale = b"HTTP/1.1 407 No\r\n" + DIGEST + b", stale=true\r\n" + length
    first = Tunnel("example.org:443", Limits(), None, session)
    play(first, [(ASKED, REFUSED + length), (answers, OK)])
    second, third = (Tunnel("example.org:443", Limits(), None, session) for _ in range(2))

    assert play(second, [(answers, OK)])
    assert play(third, [(answers, stale), (answers, OK)])
