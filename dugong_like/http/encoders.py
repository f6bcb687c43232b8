"""Compressing the body of a request: whole, or piece by piece while it is sent.

A server has to be known to take it: there is no way to ask it before (RFC 9110 section 12.5.3 lets
it tell in a response with Accept-Encoding).

Not here: the field Content-Encoding, and decoding (codings.py).
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final, NamedTuple, Protocol, cast

from .arguments import as_bytes
from .decompressors import brotli_module, zstd_module
from .redaction import quoted
from .request import BodyFollowing, Source, as_piece, is_whole


class Levels(NamedTuple):
    """Levels of compression: the fastest, the smallest result, and that of default."""

    lowest: int
    highest: int
    usual: int


# The default of Brotli is for files that are compressed once: 50 times as slow.
LEVELS: Final = {
    "gzip": Levels(0, 9, 6),
    "deflate": Levels(0, 9, 6),
    "br": Levels(0, 11, 5),
    "zstd": Levels(1, 22, 3),
}
EXTRA: Final = "pip install dugong-like[{}]"


class Compressor(Protocol):
    """A compressor of one body, as `zlib` has it."""

    def compress(self, data: memoryview, /) -> bytes:
        """Return what can be sent after *data*."""
        ...

    def flush(self) -> bytes:
        """Return the end."""
        ...


class _Brotli:
    """The compressor of `brotli` with the names of the others."""

    def __init__(self, module: Any, level: int) -> None:
        inner = module.Compressor(quality=level)
        self.compress = inner.process
        self.flush = inner.finish


def check_coding(coding: object) -> Levels:
    """Return the levels of *coding*.

    Raises:
        ValueError: it is not the name of one by which a body can be compressed.

    """
    levels = LEVELS.get(coding) if isinstance(coding, str) else None
    if levels is None:
        raise ValueError(f"a content coding is one of {', '.join(LEVELS)}, not {quoted(coding)}")
    return levels


def compressor(coding: str, level: int | None = None) -> Compressor:
    """Return a new compressor for a content coding.

    Args:
        coding: "gzip", "deflate", "br" or "zstd".
        level: see `LEVELS`; None for the usual one.

    Raises:
        ValueError: *coding* is no such name, or *level* is none of its levels.
        TypeError: *level* is no int.
        ImportError: the library of *coding* is not installed.

    """
    levels = check_coding(coding)
    if level is None:
        level = levels.usual
    elif not isinstance(level, int) or isinstance(level, bool):
        raise TypeError(f"level is a number, not {quoted(level)}")
    elif not levels.lowest <= level <= levels.highest:
        raise ValueError(
            f"level of {coding} is {levels.lowest} to {levels.highest}, not {quoted(level)}"
        )
    if coding in {"br", "zstd"}:
        module = brotli_module() if coding == "br" else zstd_module()
        if module is None:
            raise ImportError(f"{coding} needs a library: {EXTRA.format(coding)}")
        made = _Brotli(module, level) if coding == "br" else module.ZstdCompressor(level=level)
        return cast("Compressor", made)
    # The zlib format for "deflate" (RFC 9110 section 8.4.1.2)
    window = zlib.MAX_WBITS + (16 if coding == "gzip" else 0)
    return zlib.compressobj(level, zlib.DEFLATED, window)


def encode_all(
    data: bytes | bytearray | memoryview, coding: str, level: int | None = None
) -> bytes:
    """Return *data* compressed. Arguments and exceptions are those of `compressor`."""
    one = compressor(coding, level)
    return one.compress(as_bytes(data, "data")) + one.flush()


def encoded_body(body: Any, coding: str, level: int | None = None) -> Any:
    """Return *body* compressed, for ``Request(body=…)``.

    Args:
        body: as for `Request`, or an asynchronous iterable of bytes. None stays None.
        coding: as for `compressor`.
        level: likewise.

    Returns:
        Bytes of bytes; otherwise `EncodedBody`, or `AsyncEncodedBody` of an asynchronous iterable,
        which compress the body while it is sent, in chunks as its length is unknown.

    Raises:
        TypeError: *body* is `BodyFollowing`, or none of these.
        ValueError, ImportError: as of `compressor`.

    """
    if body is None:
        return None
    if isinstance(body, BodyFollowing):
        raise TypeError("a body that follows in separate calls is compressed by its writer")
    if isinstance(body, AsyncIterable):
        return AsyncEncodedBody(body, coding, level)
    return encode_all(body, coding, level) if is_whole(body) else EncodedBody(body, coding, level)


class EncodedBody(io.RawIOBase):
    """A body that is compressed while it is read: a binary stream of unknown length.

    It can be sent again if the body can. Closing it leaves that open.

    Args:
        body: a binary stream, from its present position, or an iterable of bytes.
        coding: as for `compressor`.
        level: likewise.

    Raises:
        TypeError, ValueError, ImportError: as of `compressor`.

    """

    def __init__(self, body: Any, coding: str, level: int | None = None) -> None:
        super().__init__()
        self._source = Source(body)
        self._how = coding, level
        self._compressor: Compressor | None = compressor(coding, level)
        self._is_begun = False
        self._rest = memoryview(b"")  # compressed
        self._place = 0
        self._descriptor: int | None = None  # of the last wait for the body

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True if the body can be read again."""
        return self._source.rewindable()

    def tell(self) -> int:
        """Return the number of bytes that were read."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to the beginning; return 0. Raises io.UnsupportedOperation for another place."""
        wanted = {os.SEEK_SET: offset, os.SEEK_CUR: self._place + offset}.get(whence)
        if wanted == self._place:
            return wanted
        if wanted != 0 or not self.seekable():
            raise io.UnsupportedOperation("a compressed body can be moved to its beginning only")
        self._compressor = compressor(*self._how)
        self._is_begun = False
        self._rest = memoryview(b"")
        self._place = 0
        return 0

    def fileno(self) -> int:
        """Return the descriptor that the body waits for. Raises OSError if there is none."""
        if self._descriptor is None:
            raise io.UnsupportedOperation("fileno")
        return self._descriptor

    def readinto(self, buffer: Any, /) -> int | None:
        """Read the next compressed bytes; 0 at the end, None if the body has none yet.

        Raises:
            StateError: the body cannot be read a second time.
            StreamNotReady: the body has nothing now, and cannot be waited for.
            TypeError: the body gives something else than bytes.
            Exception: any exception of the body.

        """
        memory = memoryview(buffer).cast("B")
        while not self._rest and self._compressor is not None:
            if not self._read_on(self._compressor):
                return None
        data = self._rest[: len(memory)]
        memory[: len(data)] = data
        self._rest = self._rest[len(data) :]
        self._place += len(data)
        return len(data)

    def _read_on(self, compressor: Compressor) -> bool:
        """Compress the next bytes of the body; False if it has none yet."""
        if not self._is_begun:
            self._source.begin()
            self._is_begun = True
        op = self._source.co_next()
        try:
            self._descriptor = next(op).fd
        except StopIteration as end:
            piece = end.value
        else:
            op.close()
            return False
        if len(piece):
            self._rest = memoryview(compressor.compress(memoryview(piece)))
        else:
            self._rest = memoryview(compressor.flush())
            self._compressor = None
        return True


class AsyncEncodedBody:
    """The same for an asynchronous iterable of bytes, which it is, too.

    Args:
        body: it; it is iterated over each time.
        coding: as for `compressor`.
        level: likewise.

    Raises:
        TypeError, ValueError, ImportError: as of `compressor`.

    """

    def __init__(self, body: AsyncIterable[bytes], coding: str, level: int | None = None) -> None:
        compressor(coding, level)
        self._body = body
        self._how = coding, level

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the compressed bytes.

        Raises:
            TypeError: the body gives something else than bytes.
            Exception: any exception of the body.

        """
        one = compressor(*self._how)
        pieces = aiter(self._body)
        try:
            async for piece in pieces:
                if data := one.compress(as_piece(piece)):
                    yield data
            yield one.flush()
        finally:
            if (close := getattr(pieces, "aclose", None)) is not None:
                await close()
