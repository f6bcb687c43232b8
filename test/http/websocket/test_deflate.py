"""permessage-deflate: its parameters, and that both sides agree about them."""

import pytest

from dugong_like import Deflate, InvalidOption
from dugong_like.http.websocket.deflate import as_deflate


def test_values_are_kept_and_never_changed():
    deflate = Deflate(client_max_window_bits=9, server_no_context_takeover=True, level=1)

    assert deflate.client_max_window_bits == 9
    assert deflate.server_no_context_takeover is True
    assert deflate.client_no_context_takeover is False
    assert deflate.server_max_window_bits is None
    assert deflate.level == 1
    assert "client_max_window_bits=9" in repr(deflate)
    with pytest.raises(AttributeError, match="never changed"):
        deflate.level = 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_max_window_bits": 8}, {"client_max_window_bits": 16},
        {"server_max_window_bits": 7}, {"server_max_window_bits": 16}, {"level": 10},
    ],
)  # fmt: skip
def test_invalid_numbers(wrong):
    with pytest.raises(InvalidOption, match=next(iter(wrong))):
        Deflate(**wrong)


def test_wrong_types():
    for name in ("server_no_context_takeover", "client_max_window_bits", "level"):
        with pytest.raises(TypeError, match=name):
            Deflate(**{name: "x"})
    with pytest.raises(TypeError, match="deflate is True, False or Deflate"):
        as_deflate("deflate")
    with pytest.raises(TypeError, match="deflate"):
        as_deflate(None)


def test_level_and_window_are_those_of_zlib():
    offer = Deflate(client_max_window_bits=9, level=1).offer()
    extension = offer.process_response_params([("client_max_window_bits", "9")], [])

    assert extension.local_max_window_bits == 9
    assert extension.compress_settings == {"memLevel": 5, "level": 1}


@pytest.mark.parametrize("server", [True, False])
@pytest.mark.parametrize("client", [True, False])
@pytest.mark.parametrize("bits", [None, 9, 12])
def test_messages_are_the_same_on_both_sides(server, client, bits):
    from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
    from websockets.protocol import Protocol, Side

    from dugong_like.http.websocket.frames import Frames

    offer = Deflate(
        server_no_context_takeover=server,
        client_no_context_takeover=client,
        server_max_window_bits=bits,
        client_max_window_bits=bits,
    ).offer()
    factory = ServerPerMessageDeflateFactory()
    answer, other = factory.process_request_params(offer.get_request_params(), [])
    peer = Protocol(Side.SERVER)
    peer.extensions = [other]
    frames = Frames(1 << 20, None, offer.process_response_params(answer, []))
    for text in ("hello hello hello", "hello hello hello", "x" * 100_000, "ü" * 5000):
        frames.send(text)
        (data,) = frames.take_output()
        assert data[0] & 0x40  # RSV1: compressed
        assert len(data) < len(text.encode()) + 8
        peer.receive_data(data)
        (event,) = peer.events_received()
        assert event.data == text.encode()
        peer.send_text(event.data)
        frames.receive(b"".join(peer.data_to_send()))
        assert frames.pieces.popleft() == (text, True, True)
