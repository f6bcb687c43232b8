"""The arguments of `Client.map`: what is checked before anything is sent."""

import io

import pytest

from dugong_like import InvalidOption
from dugong_like.client.bulk.options import MapOptions, MapSettings


async def each(*pieces):
    for piece in pieces:
        yield piece


def test_defaults():
    settings = MapSettings({})

    assert (settings.concurrency, settings.window, settings.depth) == (8, 512, 32)
    assert (settings.ordered, settings.raises, settings.total) == (True, True, None)
    assert (settings.max_bytes, settings.on_progress, settings.of_requests) == (16 << 20, None, {})


def test_the_window_has_room_for_twice_what_fills_the_connections():
    for options, window in (
        ({"concurrency": 16}, 1024),
        ({"concurrency": 1, "depth": 1}, 512),
        ({"concurrency": 1 << 20}, 1 << 20),
        ({"concurrency": 16, "window": 7}, 7),
    ):
        assert MapSettings(options).window == window, options


def test_options_of_requests_are_told_apart():
    settings = MapSettings({"window": 3, "headers": {"A": "b"}, "errors": "return", "timeout": 1})

    assert settings.of_requests == {"headers": {"A": "b"}, "timeout": 1}
    assert (settings.window, settings.raises) == (3, False)
    assert {"window", "headers"} <= MapOptions.__annotations__.keys()


@pytest.mark.parametrize("name", ["concurrency", "window", "depth", "max_bytes"])
def test_numbers(name):
    assert getattr(MapSettings({name: 1}), name) == 1
    for wrong in (0, -1):
        with pytest.raises(InvalidOption, match=name):
            MapSettings({name: wrong})
    for wrong in (None, "8", 1.5, True, object()):
        with pytest.raises(TypeError, match=name):
            MapSettings({name: wrong})


@pytest.mark.parametrize(
    ("name", "wrong", "error"),
    [
        ("ordered", "yes", TypeError),
        ("ordered", None, TypeError),
        ("errors", None, TypeError),
        ("errors", True, TypeError),
        ("errors", "ignore", InvalidOption),
        ("total", "5", TypeError),
        ("total", -1, InvalidOption),
        ("on_progress", 5, TypeError),
        ("stream", True, InvalidOption),
        ("content", io.BytesIO(b"x"), InvalidOption),
        ("content", iter([b"x"]), InvalidOption),
        ("content", each(b"x"), InvalidOption),
        ("data", io.BytesIO(b"x"), InvalidOption),
        ("files", iter([("f", b"x")]), InvalidOption),
        ("headers", iter([("A", "b")]), InvalidOption),
        ("params", iter([("a", "b")]), InvalidOption),
    ],
)
def test_others(name, wrong, error):
    with pytest.raises(error, match=name):
        MapSettings({name: wrong})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("max_workers", "it is called concurrency"),
        ("return_exceptions", "it is called errors='return'"),
        ("limits", "an argument of the client"),
        ("colour", "there is no argument 'colour'"),
    ],
)
def test_names_of_other_libraries(name, message):
    with pytest.raises(TypeError, match=message):
        MapSettings({name: 1})
