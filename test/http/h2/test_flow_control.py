"""The sizes of windows, and when an update is due."""

import pytest

from dugong_like.http.h2.flow_control import ConnectionWindow, StreamWindows, enlarged
from dugong_like.http.h2.options import H2Options
from dugong_like.http.h2.output import Output
from dugong_like.http.h2.stream import Stream
from dugong_like.http.h2.violations import ErrorCode, Violation

MOST = 2**31 - 1


def receive(stream, size):
    stream.receive_window -= size
    stream.buffered += size


def read(windows, stream, size):
    stream.buffered -= size
    return windows.consumed(stream, size)


def windows_and_stream(**options):
    options = H2Options(**options)
    stream = Stream(1, Output(), 65535, options.stream_window, b"GET")
    return StreamWindows(options), stream


def test_a_send_window_has_a_largest_size():
    assert enlarged(MOST - 5, 5) == MOST
    assert enlarged(-100, 40) == -60
    with pytest.raises(OverflowError, match=f"at most {MOST}"):
        enlarged(MOST - 5, 6)


def test_updates_are_due_in_steps_of_half_a_window():
    windows, stream = windows_and_stream(stream_window=1000, max_stream_window=1000)
    receive(stream, 900)
    assert [read(windows, stream, 100) for _ in range(9)] == [0, 0, 0, 0, 500, 0, 0, 0, 0]
    assert stream.receive_window == 600


@pytest.mark.feature("A31")
def test_a_threshold_of_the_options():
    windows, stream = windows_and_stream(stream_window=1000, window_update_threshold=200)
    receive(stream, 1000)

    assert [read(windows, stream, 150) for _ in range(4)] == [0, 300, 0, 300]


def test_a_window_grows_while_its_reader_keeps_up():
    windows, stream = windows_and_stream(stream_window=1000, max_stream_window=3000)
    sizes = []
    for _ in range(8):
        receive(stream, 500)
        read(windows, stream, 500)
        sizes.append(stream.window_size)
        assert stream.receive_window + stream.unreported == stream.window_size

    assert sizes == [2000, 2000, 3000, 3000, 3000, 3000, 3000, 3000]


def test_a_window_does_not_grow_if_its_reader_is_behind():
    windows, stream = windows_and_stream(stream_window=1000, max_stream_window=8000)
    receive(stream, 1000)
    for _ in range(20):
        if increment := read(windows, stream, 100):
            receive(stream, increment)

    assert (stream.window_size, stream.receive_window) == (1000, 0)


def test_windows_that_nobody_updates_automatically():
    windows, stream = windows_and_stream(stream_window=1000, auto_window=False)
    receive(stream, 1000)

    assert read(windows, stream, 1000) == 0
    assert [windows.dropped(stream, 300), windows.dropped(stream, 300)] == [0, 600]
    assert (stream.window_size, stream.receive_window) == (1000, 600)


def test_the_window_of_the_connection():
    window = ConnectionWindow(H2Options(connection_window=100_000))
    assert window.left == 100_000
    window.received(100_000)
    assert [window.consumed(30_000) for _ in range(3)] == [0, 60_000, 0]
    window.received(10_000)
    assert window.dropped(20_000) == 50_000
    assert window.left == 100_000
    window.enlarge(5)
    assert window.left == 100_005


def test_a_server_that_exceeds_the_window_of_the_connection():
    window = ConnectionWindow(H2Options(connection_window=70_000))
    window.received(70_000)
    with pytest.raises(Violation, match="5 bytes of DATA beyond") as refused:
        window.received(5)
    assert refused.value.code == ErrorCode.FLOW_CONTROL_ERROR


def test_without_automatic_updates_only_what_nobody_reads_is_given_back():
    window = ConnectionWindow(H2Options(connection_window=100_000, auto_window=False))
    window.received(90_000)

    assert window.consumed(60_000) == 0
    assert window.dropped(60_000) == 60_000
