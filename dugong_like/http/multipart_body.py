"""The body of a form with files: what it consists of, read piece by piece while it is sent.

It is a binary stream of bytes in memory and of files that are read when their turn comes, so a form
of any size needs the memory of one read. It can be sent again if its files can be read again.

Not here: heads of parts (multipart.py), and how long a stream is (polling/stream_parts.py).
"""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from ..errors import FileTooShort, StateError, StreamNotReady
from ..polling.stream_parts import StreamPart, is_simple, place_of, put, stored_range

SIZE: Final = 65536  # bytes read at once in an asynchronous iteration


class Piece:
    """Base of what a body consists of.

    Attributes:
        size: number of bytes; None if it is unknown.

    """

    size: int | None = None

    def is_rewindable(self) -> bool:
        """Return True if `begin` can be called several times."""
        return True

    def begin(self) -> None:
        """Go to the beginning."""

    def read_into(self, memory: memoryview) -> int | None:
        """Read the next bytes; 0 at the end, None if there are none yet."""
        raise NotImplementedError

    def file_range(self) -> tuple[Any, int, int] | None:
        """Return where the next bytes are stored; None if they have to be read."""
        return None

    def skip(self, count: int) -> None:
        """Go on behind *count* bytes of `file_range`."""

    def end(self) -> None:
        """Release what `begin` has opened. May be called at any time, and several times."""

    def descriptor(self) -> int:
        """Return the descriptor to wait for. Raises OSError if there is none."""
        raise io.UnsupportedOperation("fileno")


class BytesPiece(Piece):
    """Bytes in memory."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).cast("B")
        self._at = 0
        self.size = len(self._data)

    def begin(self) -> None:
        """See `Piece`."""
        self._at = 0

    def read_into(self, memory: memoryview) -> int:
        """See `Piece`."""
        data = self._data[self._at : self._at + len(memory)]
        memory[: len(data)] = data
        self._at += len(data)
        return len(data)


class FilePiece(Piece):
    """A binary file that the caller opened, from its present position.

    Attributes:
        file: as given.

    """

    def __init__(self, file: Any) -> None:
        self.file = file
        self._start = place_of(file)
        self._is_begun = False
        self._is_simple = is_simple(file)
        self._part = StreamPart(file, self._start)
        self._going_on: int | None = None  # position from which the part reads first
        if self._start is not None:
            self.size = self._part.measure()
            self._going_on = place_of(file)
            put(file, self._start)  # it may be in the form twice

    def is_rewindable(self) -> bool:
        """See `Piece`."""
        return self._start is not None

    def begin(self) -> None:
        """See `Piece`."""
        if self._is_begun and self._start is None:
            raise StateError(
                f"{type(self.file).__name__} has been read, and cannot be read a second time"
            )
        if self._is_begun:
            self._part = StreamPart(self.file, self._start)
        elif self._going_on is not None:
            put(self.file, self._going_on)
        self._is_begun = True
        part = self._part
        size = part.measure()
        if self.size is not None and (size is None or size > self.size):
            part.size = self.size  # it has grown since the length of the body was determined

    def read_into(self, memory: memoryview) -> int | None:
        """See `Piece`."""
        part, size = self._part, self.size
        if size is None or not self._is_simple:
            count = part.next_into(memory)
        else:  # as next_into, without what a file does not need: half of the time
            left = size - part.taken
            count = self.file.readinto(memory if left > len(memory) else memory[:left])
            part.taken += count
        if count == 0 and size is not None and part.taken < size:
            raise FileTooShort(
                f"{type(self.file).__name__} has become shorter: {part.taken} bytes "
                f"instead of {size}"
            )
        return count

    def file_range(self) -> tuple[Any, int, int] | None:
        """See `Piece`."""
        if self.size is None or self._start is None:
            return None
        taken = self._part.taken
        return stored_range(self.file, self._start + taken, self.size - taken)

    def skip(self, count: int) -> None:
        """See `Piece`."""
        self._part.taken += count
        self.file.seek((self._start or 0) + self._part.taken)

    def descriptor(self) -> int:
        """See `Piece`."""
        return int(self.file.fileno())


class PathPiece(Piece):
    """The file of a path, which is open only while it is read."""

    def __init__(self, path: os.PathLike[Any]) -> None:
        self._path = path
        with self._open() as file:
            self.size = FilePiece(file).size
        self._opened: io.FileIO | None = None
        self._inner: FilePiece | None = None

    def _open(self) -> io.FileIO:
        return io.FileIO(os.fspath(self._path), "rb")

    def begin(self) -> None:
        """See `Piece`."""
        self.end()
        self._opened = self._open()
        self._inner = FilePiece(self._opened)
        self._inner.size = self.size
        self._inner.begin()

    def read_into(self, memory: memoryview) -> int | None:
        """See `Piece`."""
        assert self._inner is not None  # begin() comes first
        return self._inner.read_into(memory)

    def file_range(self) -> tuple[Any, int, int] | None:
        """See `Piece`."""
        return None if self._inner is None else self._inner.file_range()

    def skip(self, count: int) -> None:
        """See `Piece`."""
        assert self._inner is not None  # as there was a range of it
        self._inner.skip(count)

    def end(self) -> None:
        """See `Piece`."""
        if self._opened is not None:
            self._opened.close()
        self._opened = self._inner = None


class AsyncFilePiece(Piece):
    """A file whose methods are coroutine functions, such as those of anyio, trio and aiofiles."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._start: int | None = None
        self._is_begun = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes from the position that the file had the first time."""
        if not self._is_begun:
            self._is_begun = True
            self._start = await self._position()
        elif self._start is None:
            raise StateError(
                f"{type(self._file).__name__} has been read, and cannot be read a second time"
            )
        else:
            await self._file.seek(self._start)
        while data := await self._file.read(SIZE):
            if isinstance(data, str):
                raise TypeError("the file is opened as text: open it with 'rb'")
            yield data

    async def _position(self) -> int | None:
        try:
            place = await self._file.tell()
            await self._file.seek(place)
        except (AttributeError, TypeError, OSError):
            return None
        return int(place)


class Multipart(io.RawIOBase):
    """The body of a form with files: a binary stream, for ``Request(body=…)``. See `multipart`.

    As any stream it is sent from its present position: ``seek(0)`` comes before another request.
    Closing it closes the files of paths that are being read, no others.

    Attributes:
        content_type: value of Content-Type.
        length: number of bytes; None if a file does not tell its size, such as a pipe.

    """

    def __init__(self, pieces: list[Piece], content_type: str) -> None:
        super().__init__()
        self.content_type = content_type
        sizes = [piece.size for piece in pieces]
        self.length = None if None in sizes else sum(size for size in sizes if size is not None)
        self._pieces = pieces
        self._next = 0  # the piece to begin when the present one is read
        self._piece: Piece | None = None
        self._place = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True if all files can be read again."""
        return all(piece.is_rewindable() for piece in self._pieces)

    def tell(self) -> int:
        """Return the number of bytes in front of the present position."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to the beginning, or to the end if the length is known; return the new position.

        Raises:
            io.UnsupportedOperation: it is another place, or a file cannot be read again.

        """
        place = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.length}.get(whence)
        wanted = None if place is None else place + offset
        if wanted == self._place:
            return self._place
        if wanted == 0 and self.seekable():
            self._move(0, 0)
        elif wanted is not None and wanted == self.length:
            self._move(wanted, len(self._pieces))
        else:
            raise io.UnsupportedOperation("a form can be moved to its beginning and its end only")
        return self._place

    def _move(self, place: int, following: int) -> None:
        if self._piece is not None:
            self._piece.end()
        self._piece, self._place, self._next = None, place, following

    def fileno(self) -> int:
        """Return the descriptor of the file that is being read. Raises OSError without one."""
        if self._piece is None:
            raise io.UnsupportedOperation("fileno")
        return self._piece.descriptor()

    def readinto(self, buffer: Any, /) -> int | None:
        """Read the next bytes; 0 at the end, None if a non-blocking file has none yet.

        Raises:
            FileTooShort: a file has become shorter.
            StateError: a file cannot be read a second time.
            Exception: any exception of a file.

        """
        memory = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(memory):
            if self._piece is None and not self._begin_next():
                break
            assert self._piece is not None
            count = self._piece.read_into(memory[filled:])
            if count is None:
                return filled or None
            filled += count
            self._place += count
            if count == 0:
                self._piece.end()
                self._piece = None
            elif self._piece.size is None:
                break  # reading on might block
        return filled

    def next_file_range(self) -> tuple[Any, int, int] | None:
        """Return a file, an offset and a number if the next bytes are stored there; else None.

        `skip_file_range` has to follow when they have been sent; see `StreamPart.file_range`.
        """
        if self._piece is None and not self._begin_next():
            return None
        assert self._piece is not None
        return self._piece.file_range()

    def skip_file_range(self, count: int) -> None:
        """Go on behind the first *count* bytes of `next_file_range`."""
        assert self._piece is not None
        self._piece.skip(count)
        self._place += count

    def _begin_next(self) -> bool:
        """Begin the next piece; False if there is none."""
        if self._next == len(self._pieces):
            return False
        piece = self._pieces[self._next]
        piece.begin()
        self._piece = piece
        self._next += 1
        return True

    def close(self) -> None:
        """Close files of paths that are being read; see the class."""
        if getattr(self, "_piece", None) is not None:
            self._move(self._place, len(self._pieces))
        super().close()


class AsyncMultipart:
    """The same with files whose ``read`` is a coroutine function: an asynchronous iterable.

    Attributes:
        content_type: value of Content-Type.
        length: None, as such files do not tell their size without waiting.

    """

    length: Final = None

    def __init__(self, pieces: list[Piece], content_type: str) -> None:
        self.content_type = content_type
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes | memoryview]:
        """Yield the body; each time from its beginning, if the files can be read again.

        Raises:
            StateError: a file has been read and cannot be read again.
            StreamNotReady: an ordinary file among them is non-blocking and has nothing to read.
            TypeError: a file is opened as text.
            Exception: any exception of a file.

        """
        for piece in self._pieces:
            if isinstance(piece, AsyncFilePiece):
                async for data in piece.pieces():
                    yield data
                continue
            for ordinary in self._ordinary(piece):
                yield ordinary

    def _ordinary(self, piece: Piece) -> Iterator[bytes]:
        memory = memoryview(bytearray(SIZE))
        piece.begin()
        try:
            while count := piece.read_into(memory):
                yield bytes(memory[:count])
            if count is None:
                raise StreamNotReady("a file of the form has nothing to read now")
        finally:
            piece.end()
