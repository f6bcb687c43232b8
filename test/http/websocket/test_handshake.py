"""The opening handshake: its request, and every response that is to be refused."""

import base64
import sys

import pytest

from dugong_like import InvalidOption, InvalidRequest, WebSocketRefused
from dugong_like.http.websocket.deflate import Deflate
from dugong_like.http.websocket.handshake import (
    Handshake,
    accept_key,
    check_fields,
    check_installed,
    members,
)
from dugong_like.http.websocket.options import WebSocketOptions

GOOD = {"Upgrade": "websocket", "Connection": "Upgrade"}


def agreed(handshake, fields, status=101, response=None):
    """Return the agreement; a field that is None is left out, a list is several fields."""
    all_fields = {**GOOD, "Sec-WebSocket-Accept": accept_key(handshake.key), **fields}
    named = {name.lower(): value for name, value in all_fields.items()}

    def values(name):
        value = named.get(name.lower())
        return [] if value is None else [value] if isinstance(value, str) else value

    return handshake.agree(status, values, response)


def made(**options):
    return Handshake(WebSocketOptions(**options))


def test_accept_is_that_of_the_standard():
    # RFC 6455 section 1.3
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_request_has_the_fields_of_the_standard():
    handshake = made(subprotocols=["chat", "superchat"], deflate=False)

    assert handshake.fields() == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", handshake.key),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
    ]
    assert len(base64.b64decode(handshake.key)) == 16


def test_an_extended_connect_has_no_key():
    handshake = made(subprotocols=["chat"], deflate=False)  # RFC 8441 section 5

    assert handshake.connect_fields() == [
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "chat"),
    ]


def test_the_response_to_an_extended_connect():
    handshake = made(subprotocols=["chat"])
    selected = {"Sec-WebSocket-Protocol": ["chat"]}

    for status in (200, 204, 299):
        agreement = handshake.agree_to_connect(status, lambda name: selected.get(name, []))
        assert agreement.subprotocol == "chat"
    for status in (101, 199, 300, 404):
        with pytest.raises(WebSocketRefused, match="instead of 200"):
            handshake.agree_to_connect(status, lambda _: [])
    with pytest.raises(WebSocketRefused, match="Sec-WebSocket-Protocol"):
        handshake.agree_to_connect(
            200, lambda name: ["x"] if name == "Sec-WebSocket-Protocol" else []
        )


def test_each_request_has_another_key():
    handshake = made()
    keys = {handshake.key, handshake.renew(), handshake.renew(), made().key}

    assert len(keys) == 4


def test_offer_of_compression():
    def offer(deflate):
        return dict(made(deflate=deflate).fields()).get("Sec-WebSocket-Extensions")

    assert offer(False) is None
    assert offer(True) == "permessage-deflate; client_max_window_bits"
    limited = Deflate(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=10,
        client_max_window_bits=9,
    )
    assert offer(limited) == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=10; client_max_window_bits=9"
    )


@pytest.mark.reliability(71)
def test_good_responses():
    chat = made(subprotocols=["a", "chat"])
    for fields in (
        {"Upgrade": "WebSocket"},  # RFC 6455 section 4.1: without regard to case
        {"Connection": "keep-alive, UPGRADE"},
        {"Connection": ["keep-alive", "upgrade"]},
        {"Sec-WebSocket-Accept": f" {accept_key(chat.key)} "},
    ):
        agreement = agreed(chat, fields)
        assert agreement.subprotocol is None
        assert agreement.deflate is None
    assert agreed(chat, {"Sec-WebSocket-Protocol": "chat"}).subprotocol == "chat"
    deflate = agreed(chat, {"Sec-WebSocket-Extensions": "permessage-deflate"}).deflate
    assert deflate is not None


REFUSED = [
    # (options, fields, what the message says)
    ({}, {"Upgrade": None}, "Upgrade is missing, expected: websocket"),
    ({}, {"Upgrade": "h2c"}, "Upgrade is 'h2c'"),
    ({}, {"Upgrade": "websocket, h2c"}, "Upgrade is 'websocket, h2c'"),
    ({}, {"Connection": None}, "Connection is missing"),
    ({}, {"Connection": "close"}, "Connection is 'close', expected: Upgrade"),
    ({}, {"Sec-WebSocket-Accept": None}, "Sec-WebSocket-Accept is missing"),
    ({}, {"Sec-WebSocket-Accept": accept_key("x")}, "expected: the hash of the key"),
    ({}, {"Sec-WebSocket-Accept": ["a", "b"]}, "Sec-WebSocket-Accept is 'a, b'"),
    ({}, {"Sec-WebSocket-Protocol": "chat"}, "Protocol is 'chat', expected: none"),
    ({"subprotocols": ["a"]}, {"Sec-WebSocket-Protocol": "b"}, "expected: one of a"),
    ({"subprotocols": ["a"]}, {"Sec-WebSocket-Protocol": "A"}, "expected: one of a"),
    ({"subprotocols": ["a", "b"]}, {"Sec-WebSocket-Protocol": "a, b"}, "'a, b'"),
    ({"subprotocols": ["a", "b"]}, {"Sec-WebSocket-Protocol": ["a", "b"]}, "'a, b'"),
    ({"subprotocols": ["a"]}, {"Sec-WebSocket-Protocol": ""}, "expected: one of a"),
    ({"deflate": False}, {"Sec-WebSocket-Extensions": "permessage-deflate"}, "expected: none"),
    ({}, {"Sec-WebSocket-Extensions": "x-webkit-deflate-frame"}, "permessage-deflate, or none"),
    ({}, {"Sec-WebSocket-Extensions": "permessage-deflate, permessage-deflate"}, "duplicate"),
    ({}, {"Sec-WebSocket-Extensions": "permessage-deflate; nonsense"}, "nonsense"),
    ({}, {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}, "client_max"),
    ({}, {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits=8"}, "= 8"),
    ({}, {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=16"}, "16"),
    (
        {},
        {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=9;"
                                     " server_max_window_bits=9"},
        "server_max_window_bits",
    ),
    ({}, {"Sec-WebSocket-Extensions": ";;"}, "Extensions is ';;'"),
    (
        {"deflate": Deflate(server_max_window_bits=10)},
        {"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=11"},
        "unsupported server_max_window_bits",
    ),
    (
        {"deflate": Deflate(server_no_context_takeover=True)},
        {"Sec-WebSocket-Extensions": "permessage-deflate"},
        "expected server_no_context_takeover",
    ),
]  # fmt: skip


@pytest.mark.reliability(71)
@pytest.mark.parametrize(("options", "fields", "message"), REFUSED)
def test_what_was_not_offered_is_refused(options, fields, message):
    response = object()

    with pytest.raises(WebSocketRefused) as caught:
        agreed(made(**options), fields, response=response)
    assert message in str(caught.value)
    assert caught.value.response is response
    assert caught.value.request_sent == "yes"


@pytest.mark.parametrize(("status", "retryable"), [(200, False), (403, False), (503, True)])
def test_another_status_is_refused(status, retryable):
    with pytest.raises(WebSocketRefused, match=f"the status is {status} instead of 101") as caught:
        agreed(made(), {}, status)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "upgrade", "Sec-WebSocket-Key", "SEC-WEBSOCKET-VERSION",
        "Sec-WebSocket-Accept", b"Upgrade",
    ],
)  # fmt: skip
def test_fields_of_the_handshake_cannot_be_set(name):
    with pytest.raises(InvalidRequest, match="cannot be set for a WebSocket"):
        check_fields([(name, "x")])


def test_there_are_arguments_for_some_fields():
    with pytest.raises(InvalidRequest, match="there is the argument subprotocols"):
        check_fields({"Sec-WebSocket-Protocol": "chat"})
    with pytest.raises(InvalidRequest, match="there is the argument deflate"):
        check_fields({"sec-websocket-extensions": "permessage-deflate"})
    check_fields({"Origin": "http://h", "X": "1"})
    check_fields(None)


def test_members():
    assert members(["a, b", "", " c ,,"]) == ["a", "b", "c"]


def test_without_the_library_the_extra_is_named(monkeypatch):
    for name in list(sys.modules):
        if name.partition(".")[0] == "websockets":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "websockets", None)

    for call in (check_installed, made):
        with pytest.raises(ModuleNotFoundError, match=r"install 'dugong-like\[websocket\]'"):
            call()


def test_invalid_subprotocols():
    for names in (["a b"], [""], ["a", "a"], ["a,b"]):
        with pytest.raises(InvalidOption, match="subprotocols"):
            made(subprotocols=names)
    for names in ("chat", 5, [5]):
        with pytest.raises(TypeError, match="subprotocols"):
            made(subprotocols=names)
