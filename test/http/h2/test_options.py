"""Options of HTTP/2 connections and settings: their ranges, and what is announced."""

from functools import partial

import pytest

from dugong_like import InvalidOption
from dugong_like.http.h2.frames import SettingId
from dugong_like.http.h2.options import H2Options, H2Settings

# Least and most of each setting (RFC 9113 section 6.5.2, RFC 8441, RFC 9218).
RANGES = {
    "header_table_size": (0, 2**32 - 1),
    "enable_push": (0, 0),
    "max_concurrent_streams": (0, 2**32 - 1),
    "initial_window_size": (0, 2**31 - 1),
    "max_frame_size": (2**14, 2**24 - 1),
    "max_header_list_size": (0, 2**32 - 1),
    "enable_connect_protocol": (0, 1),
    "no_rfc7540_priorities": (0, 1),
}
LIMITS = {
    "stream_window": (0, 2**31 - 1),
    "max_stream_window": (2**18, 2**31 - 1),
    "connection_window": (65535, 2**31 - 1),
    "window_update_threshold": (1, 2**18),
    "max_list": (0, 2**32 - 1),
    "max_fields": (1, None),
    "max_streams": (1, 2**31 - 1),
    "max_informational": (0, None),
    "max_continuations": (0, None),
}


@pytest.mark.feature("A33")
@pytest.mark.parametrize(
    ("make", "ranges"),
    [(H2Settings, RANGES), (partial(H2Options, auto_window=False), LIMITS)],
    ids=["settings", "options"],
)
def test_ranges_and_errors_that_name_them(make, ranges):
    for name, (least, most) in ranges.items():
        assert getattr(make(**{name: least}), name) == least
        for value in [least - 1] + ([] if most is None else [most + 1]):
            with pytest.raises(
                InvalidOption, match=f"^{name} cannot be {value}: it is from {least}"
            ):
                make(**{name: value})
        if most is not None:
            assert getattr(make(**{name: most}), name) == most
        for value in ("1", 1.0, True, b"1"):
            with pytest.raises(TypeError, match=f"^{name} is an int, not"):
                make(**{name: value})


def test_settings_are_pairs_in_the_order_of_their_identifiers():
    settings = H2Settings(max_frame_size=20000, header_table_size=0)
    assert settings.pairs() == [(SettingId.HEADER_TABLE_SIZE, 0), (5, 20000)]
    assert H2Settings().pairs() == []
    assert repr(settings) == "H2Settings(header_table_size=0, max_frame_size=20000)"


def test_settings_of_pairs_are_the_last_ones():
    """RFC 9113 section 6.5.3: values are taken in the order in which they appear."""
    assert H2Settings.of([(3, 5), (4, 7), (3, 6)]) == H2Settings(
        max_concurrent_streams=6, initial_window_size=7
    )


def test_settings_are_compared_by_value():
    assert H2Settings(max_frame_size=20000) == H2Settings(max_frame_size=20000) != H2Settings()
    assert len({H2Settings(), H2Settings(), H2Settings(header_table_size=1)}) == 2
    assert H2Settings() != []


@pytest.mark.parametrize("made", [H2Settings(), H2Options()])
def test_nothing_can_be_changed(made):
    name = made.__slots__[0]
    with pytest.raises(AttributeError, match="cannot be changed"):
        setattr(made, name, 1)
    with pytest.raises(AttributeError, match="cannot be deleted"):
        delattr(made, name)
    with pytest.raises(AttributeError):
        made.nonsense = 1


def test_defaults():
    options = H2Options()
    assert options.announced() == [(2, 0), (4, 2**18), (6, 65536)]
    assert options.settings == H2Settings()
    assert options.stream_window == 2**18
    assert options.max_stream_window == 2**23
    assert options.connection_window == 2**31 - 1
    assert options.auto_window is True
    assert options.window_update_threshold is None
    assert options.never_indexed == {b"authorization", b"proxy-authorization"}


@pytest.mark.feature("A34", "C29")
def test_all_settings_are_announced():
    settings = H2Settings(
        header_table_size=0, max_concurrent_streams=1, initial_window_size=2,
        max_frame_size=30000, max_header_list_size=4, no_rfc7540_priorities=1,
    )  # fmt: skip
    options = H2Options(settings=settings)

    expected = [(1, 0), (2, 0), (3, 1), (4, 2), (5, 30000), (6, 4), (9, 1)]
    assert options.announced() == expected
    assert (options.stream_window, options.max_list) == (2, 4)


def test_one_value_is_not_given_in_two_ways():
    for name, setting in (
        ("stream_window", "initial_window_size"),
        ("max_list", "max_header_list_size"),
    ):
        with pytest.raises(InvalidOption, match=f"{name} is the setting {setting}, which is given"):
            H2Options(settings=H2Settings(**{setting: 5}), **{name: 5})


def test_window_grows_from_the_first_one():
    assert H2Options(stream_window=2**25).max_stream_window == 2**25
    with pytest.raises(InvalidOption, match="max_stream_window cannot be 5: it is from 10"):
        H2Options(stream_window=10, max_stream_window=5)


def test_a_window_that_nothing_would_open():
    for options in ({"stream_window": 0}, {"settings": H2Settings(initial_window_size=0)}):
        with pytest.raises(InvalidOption, match="stream_window of 0 needs auto_window=False"):
            H2Options(**options)
        assert H2Options(**options, auto_window=False).stream_window == 0


def test_server_is_told_before_a_window_is_used_up():
    with pytest.raises(InvalidOption, match="window_update_threshold cannot be 11: it is from 1"):
        H2Options(stream_window=10, window_update_threshold=11)


def test_names_of_secret_fields():
    options = H2Options(never_indexed=["X-Token", "api-key"])
    assert options.never_indexed >= {b"x-token", b"api-key", b"authorization"}
    with pytest.raises(InvalidOption, match="never_indexed has 'a b', which is not a token"):
        H2Options(never_indexed=["a b"])
    for wrong in ("x-token", b"x-token", 5, None):
        with pytest.raises(TypeError, match="never_indexed is an iterable of names"):
            H2Options(never_indexed=wrong)
    with pytest.raises(TypeError, match="a name in never_indexed is a string"):
        H2Options(never_indexed=[b"x"])


def test_wrong_types():
    with pytest.raises(TypeError, match="settings is an H2Settings or None, not dict"):
        H2Options(settings={})
    with pytest.raises(TypeError, match="auto_window is True or False"):
        H2Options(auto_window="no")
    with pytest.raises(TypeError):
        H2Options(5)
    with pytest.raises(TypeError):
        H2Settings(5)
