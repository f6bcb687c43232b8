"""Options of HTTP/2 connections, and the settings that both sides announce (RFC 9113 section 6.5).

Not here: settings on the wire (frames.py), and options of all connections (connection/config.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ...errors import InvalidOption
from ...polling.numbers import check_flag, check_int, shown
from ..arguments import as_string, iterate
from ..header_validation import is_token
from ..redaction import quoted
from .frames import DEFAULT_WINDOW, MAX_STREAM_ID, MAX_WINDOW, RANGES, SettingId
from .hpack_decoder import MAX_FIELDS, MAX_LIST
from .hpack_encoder import SENSITIVE

STREAM_WINDOW: Final = 2**18  # bytes of 256 KiB: what a stream may send before it is read
# Bytes that the window of a stream grows to while it is read quickly: 80 MB a second if an answer
# takes 100 ms. Of the same order as those of browsers.
MAX_STREAM_WINDOW: Final = 2**23
MAX_STREAMS: Final = 100  # at once; more are seldom allowed
MAX_INFORMATIONAL: Final = 20  # 1xx responses to one request; Go stops at 5
MAX_CONTINUATIONS: Final = 8  # frames behind HEADERS, 128 KiB with it (CVE-2024-28182)

SAME: Final = {  # arguments that are settings, too
    "stream_window": SettingId.INITIAL_WINDOW_SIZE,
    "max_list": SettingId.MAX_HEADER_LIST_SIZE,
}


class H2Settings:
    """Settings of one side of a connection (RFC 9113 section 6.5.2). None: not given.

    Never changed, so one object can be used for any number of connections.

    Args:
        header_table_size: bytes of the table for the compression of header fields.
        enable_push: 0, as pushed responses are not taken.
        max_concurrent_streams: number of streams that the other side may open.
        initial_window_size: bytes of body that may be sent in a stream before they are read.
        max_frame_size: bytes in a frame.
        max_header_list_size: bytes of a header section, 32 more than those of each field.
        enable_connect_protocol: 1 if a server takes the extended CONNECT (RFC 8441).
        no_rfc7540_priorities: 1 if the priorities of RFC 7540 are not used (RFC 9218).

    Raises:
        InvalidOption: a value is out of its range; the message names it and the range.
        TypeError: a value is not an int.

    """

    header_table_size: int | None
    enable_push: int | None
    max_concurrent_streams: int | None
    initial_window_size: int | None
    max_frame_size: int | None
    max_header_list_size: int | None
    enable_connect_protocol: int | None
    no_rfc7540_priorities: int | None

    # Not a dataclass: importing `dataclasses` takes longer than the rest of the library.
    __slots__ = (
        *("enable_connect_protocol", "enable_push", "header_table_size", "initial_window_size"),
        *("max_concurrent_streams", "max_frame_size", "max_header_list_size"),
        "no_rfc7540_priorities",
    )

    def __init__(  # noqa: PLR0913 - they are documented above
        self,
        *,
        header_table_size: int | None = None,
        enable_push: int | None = None,
        max_concurrent_streams: int | None = None,
        initial_window_size: int | None = None,
        max_frame_size: int | None = None,
        max_header_list_size: int | None = None,
        enable_connect_protocol: int | None = None,
        no_rfc7540_priorities: int | None = None,
    ) -> None:
        given = (
            *(header_table_size, enable_push, max_concurrent_streams, initial_window_size),
            *(max_frame_size, max_header_list_size, enable_connect_protocol),
            no_rfc7540_priorities,
        )
        for identifier, value in zip(SettingId, given, strict=True):
            name = identifier.name.lower()
            if value is not None:
                least, most, _ = RANGES[identifier]
                check_int(name, value, least, most)
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, pairs: Iterable[tuple[int, int]]) -> H2Settings:
        """Return the settings of *pairs* of identifiers and values, which are valid.

        The last value of an identifier counts (RFC 9113 section 6.5.3).
        """
        return cls(**{SettingId(number).name.lower(): value for number, value in pairs})

    def pairs(self) -> list[tuple[int, int]]:
        """Return identifier and value of each setting that is given, in the order of the RFC."""
        pairs = [(int(number), getattr(self, number.name.lower())) for number in SettingId]
        return [pair for pair in pairs if pair[1] is not None]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), [getattr(self, name) for name in self.__slots__])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, H2Settings):
            return NotImplemented
        return self.pairs() == other.pairs()

    def __hash__(self) -> int:
        return hash(tuple(self.pairs()))

    def __repr__(self) -> str:
        given = [f"{SettingId(number).name.lower()}={value}" for number, value in self.pairs()]
        return f"H2Settings({', '.join(given)})"


class H2Options:
    """Options of an HTTP/2 connection. Never changed, as `H2Settings`.

    Args:
        settings: further settings to announce. Those that another argument sets, too, are given in
            one of the two ways only.
        stream_window: bytes of body that the server may send in a stream before they are read:
            ``initial_window_size`` of the settings.
        max_stream_window: bytes up to which the window of a stream grows while it is read quickly.
            Not used without `auto_window`.
        connection_window: bytes of body that the server may send in all streams together, before
            they are read. Less than the default may end in a deadlock, if streams are read in
            another order than the server sends them.
        auto_window: False if windows are opened by your own calls only, instead of by reading.
        window_update_threshold: bytes that have been read before the server is told, in a stream
            and in the connection; None for half of the window.
        max_list: limit for the bytes of a header section, 32 more than those of each field:
            ``max_header_list_size`` of the settings. A response beyond it is an error of its own.
        max_fields: limit for the number of its fields.
        max_streams: limit for requests at once, besides that of the server.
        max_informational: limit for the number of 1xx responses to one request.
        max_continuations: limit for the number of frames that continue a header section.
        never_indexed: names of fields, besides those of credentials, that the compression must not
            put in a table, as their values are secret (RFC 7541 section 7.1.3).

    Raises:
        InvalidOption: a value is out of its range, or contradicts a setting; the message names it.
        TypeError: an argument has the wrong type.

    """

    settings: H2Settings
    stream_window: int
    max_stream_window: int
    connection_window: int
    auto_window: bool
    window_update_threshold: int | None
    max_list: int
    max_fields: int
    max_streams: int
    max_informational: int
    max_continuations: int
    never_indexed: frozenset[bytes]

    __slots__ = (
        *("auto_window", "connection_window", "max_continuations", "max_fields"),
        *("max_informational", "max_list", "max_stream_window", "max_streams"),
        *("never_indexed", "settings", "stream_window", "window_update_threshold"),
    )

    def __init__(  # noqa: PLR0913 - they are documented above
        self,
        *,
        settings: H2Settings | None = None,
        stream_window: int | None = None,
        max_stream_window: int | None = None,
        connection_window: int = MAX_WINDOW,
        auto_window: bool = True,
        window_update_threshold: int | None = None,
        max_list: int | None = None,
        max_fields: int = MAX_FIELDS,
        max_streams: int = MAX_STREAMS,
        max_informational: int = MAX_INFORMATIONAL,
        max_continuations: int = MAX_CONTINUATIONS,
        never_indexed: Iterable[str] = (),
    ) -> None:
        if settings is None:
            settings = H2Settings()
        elif not isinstance(settings, H2Settings):
            raise TypeError(f"settings is an H2Settings or None, not {shown(settings)}")
        stream_window = _once("stream_window", stream_window, settings, STREAM_WINDOW)
        max_list = _once("max_list", max_list, settings, MAX_LIST)
        if max_stream_window is None:
            max_stream_window = max(stream_window, MAX_STREAM_WINDOW)
        check_int("max_stream_window", max_stream_window, stream_window, MAX_WINDOW)
        check_int("connection_window", connection_window, DEFAULT_WINDOW, MAX_WINDOW)
        check_flag("auto_window", auto_window)
        if auto_window and not stream_window:
            raise InvalidOption("a stream_window of 0 needs auto_window=False, as nothing opens it")
        if window_update_threshold is not None:
            most = min(stream_window, connection_window)
            check_int("window_update_threshold", window_update_threshold, 1, most)
        check_int("max_fields", max_fields, 1)
        check_int("max_streams", max_streams, 1, MAX_STREAM_ID)
        check_int("max_informational", max_informational, 0)
        check_int("max_continuations", max_continuations, 0)
        self._set(
            settings=settings,
            stream_window=stream_window,
            max_stream_window=max_stream_window,
            connection_window=connection_window,
            auto_window=bool(auto_window),
            window_update_threshold=window_update_threshold,
            max_list=max_list,
            max_fields=max_fields,
            max_streams=max_streams,
            max_informational=max_informational,
            max_continuations=max_continuations,
            never_indexed=SENSITIVE.union(_names(never_indexed)),
        )

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), [getattr(self, name) for name in self.__slots__])

    def announced(self) -> list[tuple[int, int]]:
        """Return identifier and value of each setting of the first SETTINGS frame."""
        ours: dict[int, int] = {
            SettingId.ENABLE_PUSH: 0,
            SettingId.INITIAL_WINDOW_SIZE: self.stream_window,
            SettingId.MAX_HEADER_LIST_SIZE: self.max_list,
        }
        return sorted({**ours, **dict(self.settings.pairs())}.items())

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")


def _restored(kind: type[Any], values: list[Any]) -> Any:
    """Return the object of a *kind* with these attributes, which were checked before (`pickle`)."""
    made = object.__new__(kind)
    for name, value in zip(kind.__slots__, values, strict=True):
        object.__setattr__(made, name, value)
    return made


def _once(name: str, value: int | None, settings: H2Settings, default: int) -> int:
    """Return an argument that may be given as a setting instead.

    Raises:
        InvalidOption: it is given in both ways, or out of its range.
        TypeError: it is not an int.

    """
    identifier = SAME[name]
    setting = identifier.name.lower()
    given: int | None = getattr(settings, setting)
    if value is None:
        return default if given is None else given
    if given is not None:
        raise InvalidOption(f"{name} is the setting {setting}, which is given, too")
    least, most, _ = RANGES[identifier]
    check_int(name, value, least, most)
    return value


def _names(names: Iterable[str]) -> Iterator[bytes]:
    """Give the names of fields in *names*, in lower case.

    Raises:
        InvalidOption: one is not a token.
        TypeError: they are not an iterable of strings.

    """
    if isinstance(names, str | bytes):
        raise TypeError(f"never_indexed is an iterable of names, not {shown(names)}")
    for name in iterate(names, "never_indexed", "an iterable of names"):
        text = as_string(name, "a name in never_indexed")
        if not is_token(text):
            raise InvalidOption(f"never_indexed has {quoted(text)}, which is not a token")
        yield text.lower().encode()
