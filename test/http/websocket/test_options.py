"""The options of a WebSocket are checked once."""

import pytest

from dugong_like import Deflate, InvalidOption
from dugong_like.http.websocket.options import WebSocketOptions


def test_defaults():
    options = WebSocketOptions()

    assert options.max_message == 16 << 20
    assert options.max_fragment is None
    assert (options.ping_interval, options.ping_timeout, options.close_timeout) == (20, 20, 10)
    assert isinstance(options.deflate, Deflate)
    assert options.subprotocols == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_message": 0}, {"max_message": -1}, {"max_fragment": 0}, {"ping_interval": -1},
        {"ping_interval": 0}, {"ping_interval": 0.0}, {"ping_timeout": 0},
        {"ping_timeout": float("nan")}, {"close_timeout": -0.1},
    ],
)  # fmt: skip
def test_invalid_values_are_named(wrong):
    with pytest.raises(InvalidOption, match=next(iter(wrong))):
        WebSocketOptions(**wrong)


@pytest.mark.parametrize("name", ["max_message", "max_fragment", "ping_interval", "close_timeout"])
def test_wrong_types_are_named(name):
    with pytest.raises(TypeError, match=name):
        WebSocketOptions(**{name: "5"})


def test_none_sets_no_limit():
    names = ("max_message", "max_fragment", "ping_interval", "ping_timeout", "close_timeout")
    options = WebSocketOptions(**dict.fromkeys(names))

    assert [getattr(options, name) for name in names] == [None] * 5
