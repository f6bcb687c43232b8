"""SETTINGS of both sides: what they change (RFC 9113 section 6.5).

Not here: SETTINGS as bytes (frames.py), and their values as objects (options.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .flow_control import enlarged
from .frames import SETTINGS, SettingId, encode_settings, frame_header
from .options import H2Settings
from .violations import ErrorCode, Violation

if TYPE_CHECKING:
    from .shared import Shared

# Settings that a server must not take back (RFC 8441 section 3, RFC 9218 section 2.1).
LASTING: Final = (SettingId.ENABLE_CONNECT_PROTOCOL, SettingId.NO_RFC7540_PRIORITIES)


def announce(shared: Shared) -> None:
    """Queue the first SETTINGS of this side (section 3.4)."""
    payload = encode_settings(shared.options.announced())
    shared.output.add(frame_header(len(payload), SETTINGS, 0, 0) + payload)
    shared.settings_sent += 1


def use_own(shared: Shared) -> None:
    """Apply the settings of this side, which the server has acknowledged.

    Until then it may have sent with a smaller window, or with the default one (section 6.9.2).
    """
    own = dict(shared.options.announced())
    table = own.get(SettingId.HEADER_TABLE_SIZE)
    if table is not None:
        shared.decoder.set_max_size(table)
    difference = shared.options.stream_window - shared.initial_receive_window
    shared.initial_receive_window += difference
    if difference:
        for stream in shared.streams.values():
            stream.receive_window += difference
            stream.window_size += difference


def use_remote(shared: Shared, pairs: list[tuple[int, int]]) -> None:
    """Apply settings of the server: identifiers and values, which are in their ranges.

    Raises:
        Violation: they take back what must last, or make a window too large.

    """
    given = dict(pairs)
    before = {} if shared.remote is None else dict(shared.remote.pairs())
    for setting in LASTING:
        if before.get(setting) and given.get(setting) == 0:
            raise Violation(
                ErrorCode.PROTOCOL_ERROR,
                f"SETTINGS_{setting.name} of 0 after 1 (RFC 8441 section 3, RFC 9218 section 2.1)",
            )
    shared.remote = H2Settings.of([*before.items(), *pairs])
    if (size := given.get(SettingId.HEADER_TABLE_SIZE)) is not None:
        shared.encoder.set_max_size(size)
    if (most := given.get(SettingId.MAX_CONCURRENT_STREAMS)) is not None:
        shared.max_streams = min(most, shared.options.max_streams)
    shared.limit_streams()
    if (size := given.get(SettingId.MAX_FRAME_SIZE)) is not None:
        shared.max_frame = size
    if (size := given.get(SettingId.INITIAL_WINDOW_SIZE)) is not None:
        _change_windows(shared, size)


def _change_windows(shared: Shared, size: int) -> None:
    """Apply SETTINGS_INITIAL_WINDOW_SIZE to all streams, too (section 6.9.2)."""
    difference = size - shared.initial_window
    shared.initial_window = size
    for stream in shared.streams.values():
        try:
            stream.window = enlarged(stream.window, difference)
        except OverflowError as exc:
            raise Violation(
                ErrorCode.FLOW_CONTROL_ERROR,
                f"SETTINGS_INITIAL_WINDOW_SIZE of {size} gives stream {stream.id} {exc} (RFC 9113 "
                "section 6.9.2)",
            ) from None
    if difference > 0:
        shared.touch_blocked()
