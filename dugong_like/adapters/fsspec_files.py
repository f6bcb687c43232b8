"""The files that the file systems for fsspec open: to read at any place, to read once, to write.

Reading blocks, in whatever thread; in coroutines there is `AsyncRemoteStream`.

Not here: the requests (fsspec_requests.py).
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from fsspec.asyn import AbstractAsyncStreamedFile
from fsspec.caching import AllBytes
from fsspec.spec import AbstractBufferedFile

from ..drivers.detect import runner
from ..http.redaction import mask_target
from ..polling.contract import run
from .fsspec_ranges import Span
from .fsspec_requests import Requests

if TYPE_CHECKING:
    from ..client.response import Response


class RemoteFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A file whose size is known, read in blocks by requests for ranges.

    Args:
        fs: the file system.
        path: URL of the file.
        requests: sends the requests.
        size: bytes of the file.
        request_options: those of each request.
        options: see `AbstractBufferedFile` of fsspec.

    """

    def __init__(
        self,
        fs: Any,
        path: str,
        requests: Requests,
        size: int,
        request_options: dict[str, Any],
        **options: Any,
    ) -> None:
        self._requests = requests
        self._options = request_options
        self.details = {"name": path, "size": size, "type": "file"}
        super().__init__(fs, path, size=size, **options)

    def read(self, length: int = -1) -> bytes:
        """Read *length* bytes, fewer only at the end; the rest if it is negative.

        Raises:
            ValueError: the server knows no ranges, and this is not the beginning of the file.
            OSError, DugongError: see `Requests.co_send`.

        """
        if length < 0 and self.loc == 0 and self.size > self.blocksize:
            self._fetch_all()
        return bytes(super().read(length))

    def _fetch_all(self) -> None:
        """Read the whole file by one request, and keep it."""
        if not isinstance(self.cache, AllBytes):
            data = run(self._requests.co_bytes(Span(self.path), **self._options))
            self.cache: Any = AllBytes(size=len(data), fetcher=None, blocksize=None, data=data)
            self.size = len(data)

    def _fetch_range(self, start: int, end: int) -> bytes:
        """Return a block; the cache asks for it."""
        span = Span(self.path, start, end)
        return run(self._requests.co_bytes(span, needs_part=start > 0, **self._options))

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.path, self.mode, self.blocksize, self.loc, self.size, self.cache.name)
        return _reopened, (self.fs, *arguments, self._options)


class RemoteStream(AbstractBufferedFile):  # type: ignore[misc]  # the same
    """A file that is read from its beginning to its end, once: its size is not known.

    Args:
        fs: the file system.
        path: URL of the file.
        requests: sends the request.
        request_options: those of the request.
        options: see `AbstractBufferedFile` of fsspec.

    """

    _response: Response | None = None

    def __init__(
        self,
        fs: Any,
        path: str,
        requests: Requests,
        request_options: dict[str, Any],
        **options: Any,
    ) -> None:
        self._options = request_options
        self.details = {"name": path, "size": None, "type": "file"}
        super().__init__(fs, path, **{**options, "cache_type": "none", "cache_options": {}})
        self._response = response = run(requests.co_stream(path, **request_options))
        self._pieces = response.iter_bytes()
        self._ahead = bytearray()

    def seek(self, loc: int, whence: int = 0) -> int:
        """Stay where the file is.

        Raises:
            ValueError: this is another place.

        """
        if (whence == io.SEEK_CUR and loc == 0) or (whence == io.SEEK_SET and loc == self.loc):
            return int(self.loc)
        raise ValueError(f"{mask_target(self.path)} is a stream, which can only be read in order")

    def read(self, length: int = -1) -> bytes:
        """Read *length* bytes, fewer only at the end; the rest if it is negative."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        ahead = self._ahead
        while length < 0 or len(ahead) < length:
            piece = next(self._pieces, b"")
            if not piece:
                break
            ahead += piece
        count = len(ahead) if length < 0 else min(length, len(ahead))
        data = bytes(ahead[:count])
        del ahead[:count]
        self.loc += count
        return data

    def close(self) -> None:
        """Close the response."""
        if self._response is not None:
            self._response.close()
        super().close()

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.path, self.mode, 0, self.loc, None, "none")
        return _reopened, (self.fs, *arguments, self._options)


def _reopened(  # noqa: PLR0913, PLR0917 - they are what pickle keeps
    fs: Any,
    path: str,
    mode: str,
    block_size: int,
    place: int,
    size: int | None,
    cache_type: str,
    options: dict[str, Any],
) -> Any:
    """Return a file as it was when it was pickled."""
    if cache_type == AllBytes.name:
        cache_type = "bytes"  # all were read, by one request
    opening = {"block_size": block_size, "cache_type": cache_type, "size": size}
    file = fs.open(path, mode, **opening, **options)
    if block_size:
        file.seek(place)
    else:
        file.read(place)
    return file


class UploadFile(AbstractBufferedFile):  # type: ignore[misc]  # the same
    """A file to write to: what was written is kept, on disk if it is large, and sent at the end.

    If the ``with`` block of the file ends by an exception, nothing is sent.

    Args:
        fs: the file system.
        path: URL of the file.
        upload: sends a binary file, which stands at its beginning.
        options: see `AbstractBufferedFile` of fsspec.

    """

    def __init__(
        self, fs: Any, path: str, upload: Callable[[BinaryIO], object], **options: Any
    ) -> None:
        super().__init__(fs, path, **options)
        self._upload = upload
        self._kept: BinaryIO | None = None

    def _initiate_upload(self) -> None:
        self._kept = cast("BinaryIO", tempfile.SpooledTemporaryFile(self.blocksize))  # noqa: SIM115

    def _upload_chunk(self, final: bool = False) -> bool:
        assert self._kept is not None
        self._kept.write(self.buffer.getvalue())
        if final and self.autocommit:
            self.commit()
        return True

    def commit(self) -> None:
        """Send the file.

        Raises:
            OSError, DugongError: it could not be sent.

        """
        kept, self._kept = self._kept, None
        if kept is not None:
            with kept:
                kept.seek(0)
                self._upload(kept)

    def discard(self) -> None:
        """Send nothing."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.autocommit = False
            try:
                self.close()
            finally:
                self.discard()
        else:
            self.close()


class AsyncRemoteStream(AbstractAsyncStreamedFile):  # type: ignore[misc]  # the same
    """A file that is read from its beginning to its end in coroutines."""

    _response: Response | None = None

    def __init__(
        self,
        fs: Any,
        path: str,
        requests: Requests,
        request_options: dict[str, Any],
        **options: Any,
    ) -> None:
        self.details = {"name": path, "size": None, "type": "file"}
        super().__init__(fs, path, cache_type="none", **options)
        self._requests = requests
        self._options = request_options
        self._ahead = bytearray()

    async def read(self, length: int = -1) -> bytes:
        """Read *length* bytes, fewer only at the end; the rest if it is negative."""
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        run_here = runner()
        if self._response is None:
            self._response = await run_here(self._requests.co_stream(self.path, **self._options))
            self._pieces = self._response.co_iter_bytes()
        ahead = self._ahead
        while length < 0 or len(ahead) < length:
            reading = next(self._pieces, None)
            piece = None if reading is None else await run_here(reading)
            if piece is None:
                break
            ahead += piece
        count = len(ahead) if length < 0 else min(length, len(ahead))
        data = bytes(ahead[:count])
        del ahead[:count]
        self.loc += count
        return data

    async def close(self) -> None:
        """Close the response."""
        self._end()

    def _end(self) -> None:
        if self._response is not None:
            self._response.close()
        self.closed = True

    def __del__(self) -> None:
        self._end()  # the base class would make a coroutine
