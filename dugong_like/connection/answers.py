"""The answers of a pipeline: whole ones, and one whose body is read in pieces.

Not here: which answer comes next, and sending (pipeline.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol, TypeVar

from ..errors import StateError, StreamNotReady
from ..http.arguments import as_writable, check_size
from ..polling.contract import Co, run
from ..polling.twin_documentation import twin_of

if TYPE_CHECKING:
    from ..http.request import Request
    from .exchange import HTTPResponse
    from .operations import Operations

T = TypeVar("T")


class Answer(NamedTuple):
    """The result of one request of a `Pipeline`."""

    request: Request
    response: HTTPResponse
    body: bytes


class ReadBody(Protocol):
    """The part of a pipeline that an `AnswerStream` needs while it is its turn."""

    def __call__(self, op: Co[T], is_end: Callable[[T], bool]) -> Co[T]:
        """Do *op*, which reads a body, while other requests are sent.

        Args:
            op: an operation of the connection.
            is_end: told the result, it returns True if that was the end of the body.

        """
        ...


class AnswerStream:
    """The answer to one request of a `Pipeline`, whose body is read in pieces.

    `Pipeline.next_stream` returns it. It is its turn until its body has been read to its end; the
    next call of the pipeline skips what is left. Reading sends other requests meanwhile.

    Not safe for threads, as the pipeline is not.

    Args:
        request, response: see below.
        conn: the connection.
        read_body: reads the next part of the body.
        send_again: has the request sent again, if its connection ends.
        whole: the body, if it was read before; None otherwise.

    Attributes:
        request: the request.
        response: status and header fields.

    """

    def __init__(
        self,
        request: Request,
        response: HTTPResponse,
        conn: Operations,
        read_body: ReadBody,
        send_again: Callable[[], None],
        whole: bytes | None = None,
    ) -> None:
        self.request = request
        self.response = response
        self._conn = conn
        self._co_body = read_body
        self._send_again = send_again
        self._is_whole = whole is not None  # the body has been read before
        self._whole = memoryview(whole or b"")  # what is left of it
        self._ended = False

    @property
    def ended(self) -> bool:
        """True when the body has been read to its end, was skipped, or cannot be read any more."""
        return self._ended

    def end(self) -> None:
        """Note that it is not its turn any more."""
        self._ended = True
        self._whole = memoryview(b"")

    def co_read(self, len_: int | None = None) -> Co[bytes]:
        """Read body data.

        Args:
            len_: bytes to return at most; None for the whole rest.

        Returns:
            At least one byte; ``b""`` only at the end of the body (or if *len_* is 0).

        Raises:
            ValueError: *len_* is negative.
            TypeError: *len_* is not an int.
            NotAnswered: the connection ended inside the body. The request is not sent again by
                itself, as a part of the body was given away: see `repeat`.
            ConnectionTimedOut: nothing arrived for `timeout` seconds; the next call goes on.
            DugongError: what else `HTTPConnection.co_read` raises.

        """
        if len_ is None:
            return (yield from self.co_readall())
        size = check_size(len_)
        if self._ended or not size:
            return b""
        if self._is_whole:
            return self._take(int(size))
        return (yield from self._co_body(self._conn.co_read(len_), _is_nothing))

    @twin_of(co_read)
    def read(self, len_: int | None = None) -> bytes:
        """Blocking twin of `co_read`."""
        return run(self.co_read(len_))

    def co_readinto(self, buf: bytearray | memoryview) -> Co[int]:
        """Read body data into *buf*, a writable bytes-like object.

        Returns:
            How many bytes were read; 0 only at the end of the body (or if *buf* is empty).

        Raises:
            TypeError: *buf* is not writable or not bytes-like.
            DugongError: what `co_read` raises.

        """
        view = as_writable(buf)
        if self._ended or not view:
            return 0
        if self._is_whole:
            data = self._take(len(view))
            view[: len(data)] = data
            return len(data)
        return (yield from self._co_body(self._conn.co_readinto(view), _is_nothing))

    @twin_of(co_readinto)
    def readinto(self, buf: bytearray | memoryview) -> int:
        """Blocking twin of `co_readinto`."""
        return run(self.co_readinto(buf))

    def co_readall(self) -> Co[bytes]:
        """Read the rest of the body.

        Raises:
            DugongError: what `co_read` raises.

        """
        if self._ended:
            return b""
        if self._is_whole:
            return self._take(len(self._whole))
        return (yield from self._co_body(self._conn.co_readall(), _always))

    @twin_of(co_readall)
    def readall(self) -> bytes:
        """Blocking twin of `co_readall`."""
        return run(self.co_readall())

    def co_discard(self) -> Co[None]:
        """Read the rest of the body and throw it away.

        Raises:
            DugongError: what `co_read` raises.

        """
        if self._ended or self._is_whole:
            self.end()
            return
        yield from self._co_body(self._conn.co_discard(), _always)

    @twin_of(co_discard)
    def discard(self) -> None:
        """Blocking twin of `co_discard`."""
        run(self.co_discard())

    def co_recv_to_file(self, file: BinaryIO) -> Co[int]:
        """Read the rest of the body into a file; see `HTTPConnection.co_recv_to_file`.

        Returns:
            How many bytes were written.

        Raises:
            OSError, ValueError: *file* cannot be written, or is closed: the rest can be read.
            DugongError: what `co_read` raises. Bytes that have arrived are in *file*.

        """
        if self._ended:
            return 0
        if self._is_whole:
            count = len(self._whole)
            while self._whole:
                if (written := file.write(self._whole)) is None:
                    raise StreamNotReady("the file takes nothing now")
                self._whole = self._whole[written:]
            self.end()
            return count
        return (yield from self._co_body(self._conn.co_recv_to_file(file), _always))

    @twin_of(co_recv_to_file)
    def recv_to_file(self, file: BinaryIO) -> int:
        """Blocking twin of `co_recv_to_file`."""
        return run(self.co_recv_to_file(file))

    def repeat(self) -> None:
        """Send the request again: the next answer of the pipeline is to it.

        For an answer that has ended, for example because the connection was lost inside the body:
        remove what you have of it first.

        Raises:
            StateError: it has not ended; or the body of the request cannot be read a second time.

        """
        if not self._ended:
            raise StateError("the answer has not ended: read it, or discard() it, first")
        self._send_again()

    def _take(self, size: int) -> bytes:
        """Return bytes of a body that has been read before."""
        data = bytes(self._whole[:size])
        self._whole = self._whole[size:]
        if not self._whole:
            self.end()
        return data

    def __repr__(self) -> str:
        return f"<AnswerStream {self.response!r}>"


def _is_nothing(data: bytes | int) -> bool:
    return not data


def _always(_: object) -> bool:
    return True
