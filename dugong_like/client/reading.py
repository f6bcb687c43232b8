"""The body of a response in pieces: bytes as they were sent, decoded bytes, text, or lines.

Not here: the ways to iterate over them (response.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ..http.arguments import check_size
from ..polling.contract import Co

if TYPE_CHECKING:
    from ..http.text import LineSplitter, TextDecoder

T = TypeVar("T")
P = TypeVar("P", bytes, str)


class BodyStream(Protocol):
    """The body of a response, while it arrives."""

    def co_read(self, size: int, /) -> Co[bytes]:
        """Return the next bytes as they were sent, *size* at most; ``b""`` at the end only.

        Raises:
            DugongError: the end of the body was not received.

        """
        ...

    def trailers(self) -> list[tuple[str, str]]:
        """Return the trailer fields; none before the end."""
        ...

    def close(self) -> None:
        """Give up the rest. A second call, and one after the end, has no effect."""
        ...


class MemoryBody:
    """A body that is in memory, for responses that no connection has received; a `BodyStream`."""

    def __init__(self, body: bytes) -> None:
        self._rest = memoryview(body)

    def co_read(self, size: int, /) -> Co[bytes]:
        """Return the next bytes; see `BodyStream`."""
        data, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return data
        yield

    def trailers(self) -> list[tuple[str, str]]:
        """Return no trailer fields."""
        return []

    def close(self) -> None:
        """Drop the rest."""
        self._rest = memoryview(b"")


class Source(Protocol):
    """A response, as its readers see it."""

    encoding: str

    def take_body(self, *, decoded: bool) -> bytes | None:
        """Begin to read the body in pieces.

        Args:
            decoded: True for pieces of the decoded body; False for it as it was sent.

        Returns:
            The whole body, if it is in memory and may be read again. None if it comes in pieces: to
            this reader only.

        """
        ...

    def co_raw_piece(self) -> Co[bytes]:
        """Return the next bytes as they are sent; ``b""`` at the end."""
        ...

    def co_raw_into(self, memory: memoryview, /) -> Co[int | bytes]:
        """Write the next bytes as they are sent into *memory*, and return their number.

        It is 0 at the end. If that is not possible, they are returned, as by `co_raw_piece`.
        """
        ...

    def co_piece(self) -> Co[bytes]:
        """Return the next decoded bytes; ``b""`` at the end."""
        ...


class Pieces(Generic[T]):
    """The pieces of a body.

    Args:
        source: the response.

    Attributes:
        ended: True if there are no more.

    """

    _decoded = True

    def __init__(self, source: Source) -> None:
        self.ended = False
        self._source = source
        self._is_begun = False
        self._whole: bytes | None = None  # the rest of a body that is in memory

    def co_next(self) -> Co[T | None]:
        """Return the next piece, which is not empty unless it is a line; None at the end."""
        if self.ended:
            return None
        if not self._is_begun:
            self._is_begun = True
            self._begin()
        piece = yield from self._co_next()
        self.ended = piece is None
        return piece

    def _begin(self) -> None:
        """Do what comes before the first piece."""
        self._whole = self._source.take_body(decoded=self._decoded)

    def _co_next(self) -> Co[T | None]:
        raise NotImplementedError

    def _co_data(self) -> Co[bytes]:
        """Return the next bytes of the body; ``b""`` at the end."""
        if (whole := self._whole) is not None:
            self._whole = b""
            return whole
        if self._decoded:
            return (yield from self._source.co_piece())
        return (yield from self._source.co_raw_piece())


class _Sized(Pieces[P]):
    """Pieces of the same size, except the last.

    Args:
        source: the response.
        size: elements of each piece; None for pieces as they come.

    """

    def __init__(self, source: Source, size: int | None) -> None:
        super().__init__(source)
        if size is not None and not check_size(size, "chunk_size"):
            raise ValueError("chunk_size is 1 or more, or None for pieces as they arrive")
        self._size = size
        self._buffer: P | None = None
        self._at = 0  # index of what has not been given yet

    def _co_next(self) -> Co[P | None]:
        size = self._size
        if size is None:
            return (yield from self._co_more())
        buffer = self._buffer
        if buffer is None or len(buffer) - self._at < size:
            parts = [] if buffer is None else [buffer[self._at :]]
            count = sum(map(len, parts))
            while count < size and (more := (yield from self._co_more())) is not None:
                parts.append(more)
                count += len(more)
            if not count:
                return None
            buffer = self._buffer = parts[0][:0].join(parts)
            self._at = 0
        at, self._at = self._at, self._at + size
        return buffer[at : self._at]

    def _co_more(self) -> Co[P | None]:
        raise NotImplementedError


class BytePieces(_Sized[bytes]):
    """The decoded body."""

    def _co_more(self) -> Co[bytes | None]:
        return (yield from self._co_data()) or None


class RawPieces(BytePieces):
    """The body as it was sent."""

    _decoded = False


class RawCounts(Pieces[int]):
    """The body as it was sent, in memory of the caller.

    Args:
        source: the response.
        buffer: the memory, whose beginning each piece is written to.

    """

    _decoded = False

    def __init__(self, source: Source, buffer: bytearray | memoryview) -> None:
        super().__init__(source)
        self._memory = memoryview(buffer).cast("B")
        if self._memory.readonly or not self._memory:
            raise ValueError("buffer is memory that can be written, of 1 byte or more")
        self._ahead = memoryview(b"")  # of a piece that was too large

    def _co_next(self) -> Co[int | None]:
        if not self._ahead:
            if self._whole is not None:
                taken: int | bytes = yield from self._co_data()
            else:
                taken = yield from self._source.co_raw_into(self._memory)
            if isinstance(taken, int):
                return taken or None
            self._ahead = memoryview(taken)
        count = min(len(self._ahead), len(self._memory))
        self._memory[:count] = self._ahead[:count]
        self._ahead = self._ahead[count:]
        return count or None


class TextPieces(_Sized[str]):
    """The body as text."""

    _decoder: TextDecoder | None = None

    def _co_more(self) -> Co[str | None]:
        if self._decoder is None:
            from ..http.text import TextDecoder  # noqa: PLC0415 - for those who want text

            self._decoder = TextDecoder(self._source.encoding)
        while True:
            data = yield from self._co_data()
            text = self._decoder.decode(data, final=not data)
            if text or not data:
                return text or None


class LinePieces(Pieces[str]):
    """The lines of the body, without their ends."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._text = TextPieces(source, None)  # which says that the body is read
        self._splitter: LineSplitter | None = None
        self._lines: list[str] = []

    def _begin(self) -> None:
        pass  # the text does that

    def _co_next(self) -> Co[str | None]:
        if self._splitter is None:
            from ..http.text import LineSplitter  # noqa: PLC0415 - for those who want lines

            self._splitter = LineSplitter()
        while not self._lines:
            if self._text.ended:
                return None
            text = yield from self._text.co_next()
            if text is None:
                self._lines = self._splitter.finish()[::-1]
            else:
                self._lines = self._splitter.feed(text)[::-1]
        return self._lines.pop()
