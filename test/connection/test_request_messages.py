"""Exchange, head and body for the arguments of a request, without a connection."""

import pytest
from kit.streams import finish

from dugong_like import BodyFollowing, InvalidRequest, Request
from dugong_like.connection.config import ConnectionConfig
from dugong_like.connection.request_messages import MOST_KNOWN, RequestMessages
from dugong_like.http.header_validation import as_lines


def messages(content_md5=None):
    return RequestMessages(ConnectionConfig("example.org", 80), content_md5)


def test_a_message_has_exchange_head_and_body():
    exchange, head, body = messages().build("PUT", "/a", {"X": "y"}, bytearray(b"abc"), False)

    assert (exchange.method, exchange.target) == ("PUT", "/a")
    assert head.startswith(b"PUT /a HTTP/1.1\r\n")
    assert b"X: y\r\n" in head
    assert b"Content-Length: 3\r\n" in head
    assert bytes(body) == b"abc"


@pytest.mark.parametrize(
    ("content_md5", "with_md5", "added"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_the_choice_of_the_connection_wins_for_content_md5(content_md5, with_md5, added):
    made = messages(content_md5)
    _, head, _ = made.build("PUT", "/", None, b"abc", False, with_md5=with_md5)
    assert (b"Content-MD5" in head) == added


def test_heads_of_equal_requests_are_remembered_and_not_too_many():
    made = messages()
    made.known.clear()
    fields = as_lines({"X": "y"})
    for _ in range(2):
        for number in range(MOST_KNOWN + 1):
            _, head, _ = made.whole("GET", f"/{number}", fields, None)
            assert made.known["GET", f"/{number}", fields] == head
    assert 0 < len(made.known) <= MOST_KNOWN


def test_errors_name_their_request_without_its_secrets():
    made = messages()
    batch = [("GET", "/", {"Connection": "close"}), ("GET", "/2")]
    for call in (
        lambda: made.build("GET", "/?token=secret\n", None, None, False),
        lambda: finish(made.co_batch(batch, with_md5=False)),
    ):
        with pytest.raises(InvalidRequest) as caught:
            call()
        assert caught.value.url.startswith("http://example.org")
        assert "secret" not in str(caught.value)


def test_a_body_that_is_read_is_announced_and_put_back_after_an_error():
    request = Request("PUT", "/", {}, iter([b"abc"]))
    exchange, head, following, source = messages().following(request)
    assert (exchange.method, following.length) == ("PUT", None)
    assert b"Transfer-Encoding: chunked" in head
    source.restore()

    with pytest.raises(TypeError, match="cannot follow"):
        messages().whole("PUT", "/", None, BodyFollowing(3))


def test_what_is_no_request_is_named_by_its_place():
    with pytest.raises(TypeError, match=r"^requests\[1\] is \(method, path\)"):
        finish(messages().co_batch([("GET", "/"), ("GET",)], with_md5=False))
