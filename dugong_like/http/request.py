"""Requests as objects, and request bodies: from memory, streams, or iterables.

Not here: checking a request, which is done when it is sent, and sending (operations.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ..errors import StateError
from ..polling.contract import Co, PollNeeded
from ..polling.fairness import StepCounter
from ..polling.numbers import check_flag
from ..polling.wake import co_checkpoint
from .arguments import as_string, check_callable, check_size
from .headers import Fields, Headers, field_pairs
from .redaction import mask_target, quoted

if TYPE_CHECKING:
    from ..polling.stream_parts import StreamPart

Buffer = bytes | bytearray | memoryview
PIECE: Final = 65536  # bytes that are asked for at once
# Idempotent methods (RFC 9110 section 9.2.2).
IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"})


class BodyFollowing:
    """Announces a request body that will be written in separate calls.

    Args:
        length: number of bytes that will be written. With None, for an unknown length, the
            body is sent with the chunked transfer coding (RFC 9112 section 7.1) and ended by
            `HTTPConnection.finish`.

    Raises:
        ValueError: *length* is negative.
        TypeError: *length* is not an int.

    """

    __slots__ = ("_length",)

    def __init__(self, length: int | None = None) -> None:
        if length is not None:
            length = int(check_size(length, "length"))
        self._length = length

    @property
    def length(self) -> int | None:
        """Number of bytes that will be written; None if it is unknown."""
        return self._length

    def __repr__(self) -> str:
        return f"BodyFollowing({'' if self.length is None else self.length})"


class Request:
    """A request that can be changed until it is sent, for example to sign it.

    Args:
        method: request method.
        target: request target: path and query, percent-encoded.
        headers: `Headers`, which is not copied; or a mapping or pairs, each of which
            is one field.
        body: None, bytes-like, `BodyFollowing`, a binary stream (an object with ``readinto``,
            ``read1`` or ``read``), or an iterable of bytes. A stream is sent from its present
            position; its length is determined by ``seek`` and ``tell`` if that is possible and
            agrees with the bytes that are read. Otherwise, as with an iterable, the body is
            chunked, unless it has an attribute ``length``, its number of bytes. An iterable may
            also give `PollNeeded`, where it would block: that is waited for. An object with
            ``co_read(size)``, which returns an operation, is read by that.

    Raises:
        TypeError: an argument has the wrong type. Everything else is checked when the request
            is sent, as it may be changed until then.

    Attributes:
        method: as given; as is ``target``.
        headers: the fields as `Headers`.
        body: as given. Reading a blocking stream blocks; a non-blocking one that has a
            ``fileno`` is waited for, for as long as `Timeouts.total` allows.

    """

    _repeatable = False  # whatever the method

    def __init__(
        self,
        method: str = "GET",
        target: str = "/",
        headers: Fields | None = None,
        body: Buffer | BodyFollowing | Iterable[bytes] | Any = None,
    ) -> None:
        if type(method) is not str or type(target) is not str:
            as_string(method, "method")
            as_string(target, "target")
        if body is not None and type(body) is not bytes:
            check_body(body)
        self.method = method
        self.target = target
        self.headers = (
            headers
            if isinstance(headers, Headers)
            else Headers(field_pairs(headers) if headers else ())
        )
        self.body = body
        self._source: Source | None = None

    @property
    def idempotent(self) -> bool:
        """True if it may be sent again although the server may have acted on it.

        That is so if its method is idempotent (RFC 9110 section 9.2.2), or if this was set to True,
        as the server acts on such a request once: for example because of a key in a field. Set to
        False it depends on the method again.
        """
        return self._repeatable or self.method in IDEMPOTENT

    @idempotent.setter
    def idempotent(self, idempotent: bool) -> None:
        """Set it to *idempotent*; False for what the method says. Raises TypeError if no flag."""
        check_flag("idempotent", idempotent)
        self._repeatable = bool(idempotent)

    def rewindable(self) -> bool:
        """Return True if the body can be sent a second time."""
        if self.body is None:
            return True
        if is_whole(self.body):
            return not isinstance(self.body, BodyFollowing)
        return self.source().rewindable()

    def take_body(self, request: Request) -> None:
        """Take the body of *request* as well; both begin where it first began."""
        self.body = request.body
        self._source = None if is_whole(self.body) else request.source()

    def source(self) -> Source:
        """Return a reader of the body, which is a stream or an iterable.

        Raises:
            TypeError: it is neither.

        """
        if self._source is None or self._source.body is not self.body:
            self._source = Source(self.body)
        return self._source

    def __repr__(self) -> str:
        return f"<Request {self.method} {mask_target(self.target)}>"


def check_request(request: object) -> None:
    """Raise TypeError if *request*, an argument of that name, is not a `Request`."""
    if not isinstance(request, Request):
        raise not_a_request(request)


def not_a_request(given: object) -> TypeError:
    """Return the error for *given*, which is not a `Request`."""
    return TypeError(f"request is a Request, such as Request('GET', '/'), not {quoted(given)}")


def check_body(body: object) -> None:
    """Raise TypeError if *body* has a type that no `Request` takes."""
    if not isinstance(body, AsyncIterable) and not is_whole(body):
        check_pieces(body)


def is_stream(body: object) -> bool:
    """Return True if *body* has a method to read with."""
    return hasattr(body, "readinto") or hasattr(body, "read1") or hasattr(body, "read")


def is_operation_stream(body: object) -> bool:
    """Return True if *body* is read by operations."""
    return hasattr(body, "co_read")


def check_pieces(body: object) -> None:
    """Raise TypeError if *body* is neither a binary stream nor an iterable of bytes."""
    if is_operation_stream(body):
        check_callable(body.co_read, "co_read of the body")  # type: ignore[attr-defined]
    elif is_stream(body):
        from ..polling.binary_streams import check_binary  # noqa: PLC0415 - 1 ms, for streams

        check_binary(body, "read", "readinto", "read1")
    elif isinstance(body, str) or not isinstance(body, Iterable):
        advice = ": encode it, as by text.encode()" if isinstance(body, str) else ""
        raise TypeError(
            "a body is bytes, BodyFollowing, a binary stream or an iterable of bytes, not "
            f"{type(body).__name__}{advice}"
        )


WHOLE: Final = (bytes, bytearray, memoryview, BodyFollowing)  # all at once, or not here


def is_whole(body: object) -> bool:
    """Return True if *body* is not read from a source: None, bytes-like, or `BodyFollowing`."""
    if body is None or isinstance(body, WHOLE):
        return True
    if isinstance(body, str) or is_operation_stream(body):
        return False
    if hasattr(body, "read") or hasattr(body, "readinto"):
        return False
    try:
        memoryview(body)  # type: ignore[arg-type]  # arrays and the like
    except TypeError:
        return False
    return True


class Source:
    """A body that is read in parts. Each time it is sent, it begins where it first began.

    Args:
        body: a binary stream, an iterable of bytes-like objects and of `PollNeeded`, or an object
            with ``co_read(size)``, which may have ``rewind()`` if it can be read again.

    Raises:
        TypeError: it is neither.

    """

    def __init__(self, body: Any) -> None:
        self.body = body
        check_pieces(body)
        self._is_operation = is_operation_stream(body)
        self._is_stream = not self._is_operation and is_stream(body)
        self._start: int | None = None  # first position of the stream; None if it has no positions
        self._begun = self._is_read = False
        self._pieces: Iterator[Any] = iter(())
        self._part: StreamPart | None = None  # of the stream
        self._steps = StepCounter()

    def rewindable(self) -> bool:
        """Return True if `begin` can be called a second time, also as nothing was read so far."""
        if self._begun and not self._is_read:
            return True
        if self._is_operation:
            rewindable = getattr(self.body, "rewindable", None)
            return hasattr(self.body, "rewind") if rewindable is None else bool(rewindable())
        if self._is_stream:
            return _place_of(self.body) is not None
        return iter(self.body) is not self.body

    def begin(self) -> int | None:
        """Go to the beginning; return the number of bytes, None if it is unknown.

        Raises:
            StateError: it has been read, and cannot be read again; or the position of the
                stream cannot be restored.
            TypeError: it is a stream of text.
            Exception: any exception of the stream.

        """
        if self._begun and not self.rewindable():
            raise StateError("the body has been read, and cannot be read a second time")
        if self._is_operation and self._is_read:
            self.body.rewind()
        self._is_read = False
        if not self._is_stream:
            self._pieces = iter(()) if self._is_operation else iter(self.body)
            self._begun = True
            length = getattr(self.body, "length", None)
            return None if length is None else int(check_size(length, "length of the body"))
        if not self._begun:
            self._start = _place_of(self.body)
        self._begun = True
        from ..polling.stream_parts import StreamPart  # noqa: PLC0415 - see `_place_of`

        self._part = StreamPart(self.body, self._start)
        return self._part.measure()

    def restore(self) -> None:
        """Restore the first position of a stream of which nothing was sent, if possible."""
        if self._start is not None:
            try:
                self.body.seek(self._start)
            except (OSError, ValueError):
                pass  # closed meanwhile, for example

    def file_range(self) -> tuple[Any, int, int] | None:
        """Return a file, an offset and a number of bytes if the next ones are stored there.

        None if they have to be read. `skip` has to follow when they have been sent. A body that is
        read by operations may have the two methods as ``next_file_range`` and ``skip_file_range``.
        """
        if self._part is not None:
            return self._part.file_range()
        ask = getattr(self.body, "next_file_range", None)
        return None if ask is None else ask()

    def skip(self, count: int) -> None:
        """Go on behind the first *count* bytes of `file_range`."""
        self._is_read = True
        if self._part is not None:
            self._part.skip(count)
        else:
            self.body.skip_file_range(count)

    def trailers(self) -> Fields | None:
        """Return the trailer fields, after the end; a body that has any gives ``trailers()``."""
        of_body = getattr(self.body, "trailers", None) if self._is_operation else None
        return None if of_body is None else of_body()

    def co_next(self) -> Co[Buffer]:
        """Return the next bytes, valid until the next call; ``b""`` at the end.

        Raises:
            TypeError: an item is not bytes-like, such as that of a text file.
            StreamNotReady: the stream is non-blocking, has nothing now, and cannot be waited
                for.
            StateError: the stream returns another number of bytes than its positions say.
            Exception: any exception of the stream or the iterable.

        """
        self._is_read = True
        if self._part is not None:
            return (yield from self._part.co_next())
        if self._is_operation:
            return (yield from self.body.co_read(PIECE))  # type: ignore[no-any-return]
        for piece in self._pieces:
            if isinstance(piece, PollNeeded):
                yield piece
            elif len(as_piece(piece)):
                return as_piece(piece)
            if self._steps.is_over():
                yield from co_checkpoint()
        return b""


def _place_of(stream: Any) -> int | None:
    """See `stream_parts.place_of`."""
    from ..polling.stream_parts import place_of  # noqa: PLC0415 - 1 ms, for streams

    return place_of(stream)


def as_piece(piece: Any) -> memoryview:
    """Return *piece* as a view of bytes. Raises TypeError if it is not bytes-like."""
    try:
        return memoryview(piece).cast("B")
    except TypeError:
        advice = ": open files with 'rb', and encode text" if isinstance(piece, str) else ""
        kind = type(piece).__name__
        raise TypeError(f"a body consists of bytes, not of {kind}{advice}") from None
