"""Decompressors of the single content codings: gzip, deflate, br and zstd (RFC 9110 section 8.4.1).

Each is fed compressed bytes and gives decompressed ones on request, so many at a time as the
caller can take: a few bytes may decompress to gigabytes. Members of gzip (RFC 1952 section 2.2)
and frames of zstd (RFC 8878 section 3) that follow each other are joined, as both formats demand.

Not here: which codings a body has, and several of them (codings.py); compressing.
"""

from __future__ import annotations

import functools
import zlib
from typing import Any, Final

from ..errors import DecodingError

SLICE: Final = 16384  # bytes given to a decompressor at once, which copies what it cannot use yet
ZSTD_WINDOW: Final = 23  # bits; 8 MiB is the most that this coding may use (RFC 9659 section 3)
ZSTD_HEAD: Final = 18  # bytes at most (RFC 8878 section 3.1.1.1)
GZIP_MAGIC: Final = 0x1F  # first byte of a member (RFC 1952 section 2.3.1)
ZLIB_HEADER: Final = 2  # bytes (RFC 1950 section 2.2)
ZLIB_METHOD: Final = 8  # "deflate" in their first four bits
ZLIB_WINDOW: Final = 7  # largest value in the next four
ZLIB_CHECK: Final = 31  # both bytes, as a number, are a multiple of it


def brotli_module() -> Any | None:
    """Return the module `brotli`; None if it is not installed, or cannot bound its output."""
    try:
        import brotli  # noqa: PLC0415 - optional, and only for those who use it
    except ImportError:
        return None
    return brotli if hasattr(brotli.Decompressor, "can_accept_more_data") else None  # of 1.2


def zstd_module() -> Any | None:
    """Return `compression.zstd` of Python 3.14, or its backport; None if neither is there."""
    try:
        from compression import zstd  # noqa: PLC0415 - optional, and only for those who use it
    except ImportError:
        try:
            from backports import zstd  # noqa: PLC0415
        except ImportError:
            return None
    return zstd


class Decompressor:
    """Base: keeps compressed bytes until they are used.

    Attributes:
        name: of the content coding, for messages.

    """

    name = ""

    def __init__(self) -> None:
        self._data = memoryview(b"")
        self._at = 0  # the first byte of it that was not given to the library
        self._ended = 0  # members or frames that are complete

    def feed(self, data: bytes) -> None:
        """Add compressed bytes, at best after `take` has returned ``b""``."""
        if self._at < len(self._data):
            data, self._at = bytes(self._data[self._at :]) + data, 0
        self._data = memoryview(data)
        self._at = 0

    def take(self, most: int) -> bytes:
        """Return at least one and at most *most* decompressed bytes.

        ``b""`` if there are none before more is fed.

        Raises:
            DecodingError: the bytes are invalid, or go on behind the end.

        """
        raise NotImplementedError

    def finish(self) -> None:
        """Check that the end is reached. Raises DecodingError if it is not."""
        if not self.is_complete():
            raise self._truncated()

    def is_complete(self) -> bool:
        """Return True at the end: there is nothing more to take, and all that was fed is used."""
        raise NotImplementedError

    def _next(self, most: int) -> memoryview:
        """Return the next bytes to decompress if *most* are wanted.

        All of a body of one member at once, which is the fastest; of several members little,
        because each of them has the rest copied.
        """
        size = SLICE if self._ended else max(SLICE, most >> 2)
        return self._data[self._at : self._at + size]

    def _invalid(self, exc: Exception) -> DecodingError:
        return DecodingError(f"the {self.name} body is invalid: {exc}", request_sent="yes")

    def _truncated(self) -> DecodingError:
        error = DecodingError(f"the {self.name} body is truncated", request_sent="yes")
        error.truncated = True
        return error

    def _goes_on(self) -> DecodingError:
        return DecodingError(f"bytes follow the end of the {self.name} body", request_sent="yes")


class Inflating(Decompressor):
    """Base of both formats that `zlib` knows."""

    def __init__(self) -> None:
        super().__init__()
        self._inflater: Any = None  # of the present member; None between two
        self._has_more = False  # output, without more input

    def _begin(self) -> bool:
        """Make the inflater of the next member; False if more bytes are needed to do that.

        Raises:
            DecodingError: no member begins here.

        """
        raise NotImplementedError

    def take(self, most: int) -> bytes:
        """See `Decompressor.take`."""
        while self._at < len(self._data) or self._has_more:
            if self._inflater is None and not self._begin():
                break
            inflater, piece = self._inflater, self._next(most)
            try:
                data: bytes = inflater.decompress(piece, most)
            except zlib.error as exc:
                raise self._invalid(exc) from exc
            # At the end, both names may have the rest.
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            self._at += len(piece) - len(rest)
            self._has_more = len(data) == most and not inflater.eof
            if inflater.eof:
                self._inflater = None
                self._ended += 1
            if data:
                return data
        return b""

    def is_complete(self) -> bool:
        """See `Decompressor.is_complete`."""
        return self._ended > 0 and self._inflater is None and self._at == len(self._data)


class GzipDecompressor(Inflating):
    """Members of gzip; header, checksum and length of each are checked (RFC 1952)."""

    name = "gzip"

    def _begin(self) -> bool:
        if self._ended and self._data[self._at] != GZIP_MAGIC:
            raise self._goes_on()
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        return True


class DeflateDecompressor(Inflating):
    """The zlib format (RFC 1950), as RFC 9110 section 8.4.1.2 demands, or deflate without it.

    Several servers send the latter. The first two bytes differ: what looks like the header of the
    zlib format would be a stored block of deflate with bits set that are zero.
    """

    name = "deflate"

    def _begin(self) -> bool:
        if self._ended:
            raise self._goes_on()
        if len(self._data) - self._at < ZLIB_HEADER:
            return False
        first, second = self._data[self._at : self._at + ZLIB_HEADER]
        is_wrapped = (
            first & 15 == ZLIB_METHOD
            and first >> 4 <= ZLIB_WINDOW
            and (first << 8 | second) % ZLIB_CHECK == 0
        )
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS if is_wrapped else -zlib.MAX_WBITS)
        return True


class BrotliDecompressor(Decompressor):
    """One stream of Brotli (RFC 7932), which has no checksum, with a window of at most 16 MiB.

    Raises:
        ImportError: `brotli` 1.2 or later is not installed.

    """

    name = "br"

    def __init__(self) -> None:
        super().__init__()
        if (module := brotli_module()) is None:
            raise ImportError("brotli 1.2 or later is needed: pip install dugong-like[br]")
        self._error: type[Exception] = module.error
        self._brotli = module.Decompressor()
        self._held = b""  # decompressed: the library gives up to twice as much as it is asked for
        self._has_more = False  # output, without more input

    def take(self, most: int) -> bytes:
        """See `Decompressor.take`."""
        data, self._held = self._held, b""
        while not data:
            piece = self._next(most)
            if not piece and not self._has_more:
                return b""
            if self._ended:
                raise self._goes_on()
            data = self._process(piece, most)
        if len(data) > most:
            data, self._held = data[:most], data[most:]
        return data

    def _process(self, piece: memoryview, most: int) -> bytes:
        try:
            if self._brotli.can_accept_more_data():
                self._at += len(piece)
            else:
                piece = memoryview(b"")
            data: bytes = self._brotli.process(piece, output_buffer_limit=most)
            self._ended = int(self._brotli.is_finished())
        except self._error as exc:
            why = f"the br body is invalid, or bytes follow its end: {exc}"
            raise DecodingError(why, request_sent="yes") from exc
        self._has_more = bool(data) and not self._ended
        return data

    def is_complete(self) -> bool:
        """See `Decompressor.is_complete`."""
        return self._ended > 0 and not self._held and self._at == len(self._data)


class ZstdDecompressor(Decompressor):
    """Frames of Zstandard (RFC 8878), also skippable ones, with a window of at most 8 MiB.

    Raises:
        ImportError: neither `compression.zstd` nor `backports.zstd` is there.

    """

    name = "zstd"

    def __init__(self) -> None:
        super().__init__()
        if (module := zstd_module()) is None:
            raise ImportError("backports.zstd is needed: pip install dugong-like[zstd]")
        self._error: type[Exception] = module.ZstdError
        options = {module.DecompressionParameter.window_log_max: ZSTD_WINDOW}
        self._make = functools.partial(module.ZstdDecompressor, options=options)
        self._info: Any = module.get_frame_info
        self._frame: Any = None  # None between two
        self._head = b""  # of the frame
        self._count = 0  # bytes that it gave

    def feed(self, data: bytes) -> None:
        """See `Decompressor.feed`."""
        if self._frame is not None and not self._frame.needs_input:
            # Some of that may be left over at the end of the frame.
            self._data = memoryview(bytes(self._data) + data)
        else:
            super().feed(data)

    def take(self, most: int) -> bytes:
        """See `Decompressor.take`."""
        while True:
            frame = self._frame
            if frame is not None and not frame.needs_input:
                piece = memoryview(b"")
            elif not (piece := self._next(most)):
                return b""
            if frame is None:
                frame = self._begin()
            try:
                data: bytes = frame.decompress(piece, most)
            except self._error as exc:
                raise self._invalid(exc) from exc
            self._at += len(piece)
            self._count += len(data)
            if len(self._head) < ZSTD_HEAD:
                self._head += bytes(piece[:ZSTD_HEAD])
            if frame.eof:
                self._end(frame)
            if data:
                return data

    def _begin(self) -> Any:
        first = self._data[self._at]
        if self._ended and first != 0x28 and first >> 4 != 5:  # noqa: PLR2004
            # the first byte of a frame, or of a skippable one (RFC 8878 sections 3.1.1 and 3.1.2)
            raise self._goes_on()
        self._frame = self._make()
        self._head = b""
        self._count = 0
        return self._frame

    def _end(self, frame: Any) -> None:
        """Go behind the end of a frame.

        The library does not check each time that it has as many bytes as its head says.
        """
        size: int | None = self._info(self._head).decompressed_size
        if size is not None and size != self._count:
            raise DecodingError(
                f"the zstd body is invalid: a frame of {size} bytes has {self._count}",
                request_sent="yes",
            )
        self._at -= len(frame.unused_data)
        self._frame = None
        self._ended += 1

    def is_complete(self) -> bool:
        """See `Decompressor.is_complete`."""
        return self._ended > 0 and self._frame is None and self._at == len(self._data)
