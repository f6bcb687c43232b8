"""Responses of a client: status, header fields, and a body that is read in one of many ways.

Each way to read the body exists three times: blocking, as an operation (``co_``), and as a
coroutine (``a``). They share one reader, so their results cannot differ.

Not here: how a body is split into bytes, text and lines (reading.py), how it is decoded
(decoding.py), when the functions for its events are called (body_events.py), and what receives it
(dispatch.py).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, TypeVar

from ..drivers.detect import in_event_loop, runner
from ..errors import (
    BodyTooLarge,
    DeadlineExceeded,
    DecodingError,
    DugongError,
    ResponseClosed,
    ResponseNotRead,
    StateError,
    StatusError,
    StreamConsumed,
)
from ..http.arguments import as_string
from ..http.headers import Fields, Headers, field_pairs
from ..http.redaction import mask_target, quoted
from ..http.text import dump_json
from ..polling.contract import Co, run, within
from ..polling.twin_documentation import twin_of
from .decoding import AS_USUAL, BodyDecoding, is_part
from .other_names import OF_RESPONSE, no_attribute
from .reading import (
    BodyStream,
    BytePieces,
    LinePieces,
    MemoryBody,
    Pieces,
    RawCounts,
    RawPieces,
    TextPieces,
)

if TYPE_CHECKING:
    from datetime import timedelta
    from io import BufferedReader

    from ..connection.connection import HTTPConnection
    from ..connection.exchange import HTTPResponse
    from ..http.cookies import Cookies
    from ..http.url import URL
    from ..transport.timings import Timings
    from ..transport.upgraded.network_stream import NetworkStream
    from .body_events import BodyEvents
    from .decoding import ReadingOptions
    from .request import ClientRequest

T = TypeVar("T")

SIZE: Final = 65536  # bytes that are received at once, if the caller does not say
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})  # RFC 9110 section 15.4
ENCODED: Final = "content-encoding"
# Attributes of a response that `pickle` keeps as they are.
KEPT: Final = (
    *("attempts", "answered_early", "num_bytes_downloaded", "encoded", "begun_at", "_ended_at"),
    *("_wire", "_content", "_encoding", "_is_taken"),
)


class Response:
    """A response to a request of a `Client`.

    Made by a dispatcher; by the constructor for tests and for layers that answer themselves.

    Args:
        status_code: 100 to 999.
        headers: header fields, as for a `Request`.
        content: the body, as it would be received.
        text: the body as text, sent as UTF-8, instead of *content*.
        json: a value that is sent as JSON, instead of *content*.
        request: the request that it is for.
        http_version: such as ``"1.1"``.
        reason_phrase: None for the usual one.

    Raises:
        ValueError: *status_code* is not within these limits.
        TypeError: an argument has the wrong type.

    Attributes:
        status_code: see above.
        request: the request that was sent, the last one after redirects.
        history: the responses before this one: redirects, and 401 before authentication.
        next_request: the request that a redirect asks for; None without a redirect, or if it was
            followed.
        options: how the body is read.
        attempts: how often the request was sent, by retries, redirects and authentication.
        answered_early: True if it was received, with ``stream=True``, before the whole body of the
            request was sent, or if a redirect was, and the body is not sent to where that leads. So
            it is no success, whatever its status says.
        num_bytes_downloaded: bytes of the body that have arrived, as they were sent.
        encoded: True if the body has a content coding that was left in place, as it is unknown,
            decoding was not asked for, or the body is a part (206), which cannot be decoded.
        extensions: facts of the dispatcher, and of layers of your own.
        is_closed: True if nothing more will be received.
        begun_at: when the request began, in seconds of `time.monotonic`; 0 if that is not known.

    """

    request: ClientRequest | None = None
    history: tuple[Response, ...] = ()
    next_request: ClientRequest | None = None
    options = AS_USUAL
    attempts = 1
    answered_early = False
    num_bytes_downloaded = 0
    encoded = False
    is_closed = False
    begun_at = 0.0

    _message: HTTPResponse | None = None  # as a connection has received it
    _connection: HTTPConnection | None = None
    _headers: Headers | None = None
    _reason: str | None = None
    _http_version = ""  # that of the message
    _body: BodyStream | None = None  # while it is received
    _wire: bytes | None = None  # the whole body, as received
    _content: bytes | None = None  # decoded
    _text: str | None = None
    _encoding: str | None = None
    _is_of_coroutine = False  # so that a blocking call would most likely be a mistake
    _is_taken = False  # by something that reads in pieces
    _events: BodyEvents | None = None  # of the body, if functions are called on them
    _decoding: BodyDecoding | None = None  # of a body that is read in pieces
    _deadline: float | None = None
    _ended_at: float | None = None  # in seconds of `time.monotonic`, as the one before
    _follow: Callable[[Response], Co[Response]] | None = None

    def __init__(  # noqa: PLR0913 - they are documented above
        self,
        status_code: int,
        headers: Fields | None = None,
        content: bytes | None = None,
        *,
        text: str | None = None,
        json: Any = None,
        request: ClientRequest | None = None,
        http_version: str = "1.1",
        reason_phrase: str | None = None,
    ) -> None:
        if not isinstance(status_code, int):
            raise TypeError(f"status_code is a number, not {quoted(status_code)}")
        if not 100 <= status_code <= 999:  # noqa: PLR2004 - three digits (RFC 9110 section 15)
            raise ValueError(f"status_code has three digits: {status_code}")
        for name, part in (
            ("text", text),
            ("http_version", http_version),
            ("reason_phrase", reason_phrase),
        ):
            if part is not None:
                as_string(part, name)
        if request is not None and not hasattr(request, "url"):
            raise TypeError(f"request is a ClientRequest, not {quoted(request)}")
        self.status_code = int(status_code)
        self._headers = Headers(field_pairs(headers) if headers else ())
        if text is not None:
            content = text.encode()
            self._headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        elif json is not None:
            content = dump_json(json)
            self._headers.setdefault("Content-Type", "application/json")
        if content is not None and not isinstance(content, bytes | bytearray | memoryview):
            raise TypeError(f"content is bytes, not {quoted(content)}")
        self._wire = bytes(content or b"")
        self.request = request
        self._http_version = http_version
        self._reason = reason_phrase
        self.extensions: dict[str, Any] = {}

    @classmethod
    def received(
        cls,
        message: HTTPResponse,
        request: ClientRequest,
        connection: HTTPConnection | None,
        body: BodyStream | bytes,
    ) -> Response:
        """Return the response that a connection has received as *message*, with its *body*."""
        self = cls.__new__(cls)
        self.status_code = message.status
        self._message = message
        self.request = request
        self._connection = connection
        self.extensions = {}
        if type(body) is bytes:
            self._wire = body
            self.num_bytes_downloaded = len(body)
        else:
            self._body = body  # type: ignore[assignment]  # it is no bytes
        return self

    @classmethod
    def read_already(
        cls,
        message: HTTPResponse,
        request: ClientRequest,
        connection: HTTPConnection | None,
        begun_at: float,
        ended_at: float,
        options: ReadingOptions,
        body: bytes,
    ) -> Response:
        """Return the response to *request*, whose body needs no decoding, with nothing left to do.

        Args:
            message: as a connection has received it.
            request: the request.
            connection: the connection.
            begun_at: when the request began, in seconds of `time.monotonic`.
            ended_at: when the response was complete.
            options: see `begin`.
            body: the body.

        """
        self = cls.__new__(cls)
        self.status_code = message.status
        self._message = message
        self.request = request
        self._connection = connection
        self.extensions = {}
        self._wire = self._content = body
        self.num_bytes_downloaded = len(body)
        self.begun_at = begun_at
        self._ended_at = ended_at
        self.options = options
        self.is_closed = True
        return self

    @classmethod
    def streamed(
        cls,
        status_code: int,
        headers: Fields,
        body: BodyStream,
        *,
        request: ClientRequest,
        reason_phrase: str | None = None,
    ) -> Response:
        """Return a response to *request* whose *body* is still to be received.

        Raises what the constructor raises.
        """
        self = cls(status_code, headers, request=request, reason_phrase=reason_phrase)
        self._wire, self._body = None, body
        return self

    # ---- status and header fields

    @property
    def is_whole(self) -> bool:
        """True if the whole body has been received."""
        return self._body is None

    @property
    def url(self) -> URL:
        """The `URL` of the request, the last one after redirects.

        Raises:
            StateError: the response was made without a request.

        """
        if self.request is None:
            raise StateError(f"{self!r} has no request")
        return self.request.url

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if self._headers is None:
            assert self._message is not None
            self._headers = Headers.of(self._message.pairs())
        return self._headers

    def field(self, name: str) -> str | None:
        """Return the value of a header field, those of several joined by commas; None if missing.

        Cheaper than `headers`, which need not be made for it.
        """
        if self._headers is None and self._message is not None:
            return self._message.field(name)
        values = self.headers.get_list(name)
        return ", ".join(values) if values else None

    def field_values(self, name: str) -> list[str]:
        """Return the values of all header fields called *name*, in order; see `field`."""
        if self._headers is None and self._message is not None:
            return self._message.values(name)
        return self.headers.get_list(name)

    @property
    def reason_phrase(self) -> str:
        """The text behind the status code: that of the server, or the usual one."""
        if self._reason is None and self._message is not None:
            return self._message.reason
        return _phrase(self.status_code) if self._reason is None else self._reason

    reason = reason_phrase  # as requests calls it

    @property
    def http_version(self) -> str:
        """``"1.1"``, ``"1.0"``, or what else the server says; ``"2"`` for HTTP/2."""
        if not self._http_version and self._message is not None:
            return self._message.http_version
        return self._http_version

    @property
    def stream_id(self) -> int | None:
        """Number of its HTTP/2 stream; None over HTTP/1.1, and without a connection."""
        return None if self._message is None else self._message.stream_id

    @property
    def is_informational(self) -> bool:
        """True for 1xx."""
        return self.status_code < 200  # noqa: PLR2004 - these are what the name says

    @property
    def is_success(self) -> bool:
        """True for 2xx."""
        return 200 <= self.status_code < 300  # noqa: PLR2004

    @property
    def is_redirect(self) -> bool:
        """True for 3xx, also without Location."""
        return 300 <= self.status_code < 400  # noqa: PLR2004

    @property
    def has_redirect_location(self) -> bool:
        """True for a redirect that may be followed: 301, 302, 303, 307 or 308 with Location.

        An empty one is none, as for browsers: it would lead to the same URL again.
        """
        return self.status_code in REDIRECTS and bool(self.field("location"))

    @property
    def is_client_error(self) -> bool:
        """True for 4xx."""
        return 400 <= self.status_code < 500  # noqa: PLR2004

    @property
    def is_server_error(self) -> bool:
        """True for 5xx and above."""
        return self.status_code >= 500  # noqa: PLR2004

    @property
    def is_error(self) -> bool:
        """True for 4xx and above."""
        return self.status_code >= 400  # noqa: PLR2004

    @property
    def ok(self) -> bool:
        """False for 4xx and above, which `raise_for_status` refuses."""
        return self.status_code < 400  # noqa: PLR2004

    def raise_for_status(self) -> Self:
        """Return the response, if its status is below 400.

        Raises:
            StatusError: it is not; `StatusError.response` is this response.

        """
        if self.status_code < 400:  # noqa: PLR2004
            return self
        phrase = quoted(self.reason_phrase)[1:-1]  # control characters are escaped
        error = StatusError(f"the server answered {self.status_code} {phrase}", response=self)
        if self.request is not None:
            error.label(self.request.method, mask_target(str(self.request.url)))
        raise error

    @property
    def informational(self) -> tuple[HTTPResponse, ...]:
        """The 1xx responses that came before this one."""
        return () if self._message is None else self._message.informational

    @property
    def trailers(self) -> Headers:
        """The trailer fields (RFC 9110 section 6.5); empty until the body has been read."""
        if self._body is not None:
            return Headers.of(self._body.trailers())
        return Headers.of([] if self._message is None else self._message.trailer_pairs())

    @property
    def timings(self) -> Timings | None:
        """How long the phases of the exchange took; None unless they were to be taken."""
        return None if self._message is None else self._message.timings

    @property
    def connection(self) -> HTTPConnection | None:
        """The connection, for facts such as `HTTPConnection.get_extra_info`; None without one.

        It may carry another request as soon as the body has been read.
        """
        return self._connection

    @property
    def elapsed(self) -> timedelta:
        """Time from sending the request to the end of the body, or to now.

        Redirects, retries and waiting for a connection count.
        """
        from datetime import timedelta  # noqa: PLC0415 - a millisecond, for those who look

        ended_at = time.monotonic() if self._ended_at is None else self._ended_at
        return timedelta(seconds=ended_at - self.begun_at if self.begun_at else 0)

    @property
    def cookies(self) -> Cookies:
        """The cookies that this response sets; those of others are in the client."""
        from ..http.cookies import Cookies  # noqa: PLC0415 - for those who look at them

        cookies = Cookies()
        cookies.extract(self.url, self.field_values("set-cookie"), time.time())
        return cookies

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """The links of the Link fields (RFC 8288), by relation, or by URL if they have none."""
        from ..http.links import links_by_relation  # noqa: PLC0415 - for those who look at them

        return links_by_relation(self.field_values("link"))

    # ---- the whole body

    @property
    def content(self) -> bytes:
        """The body, decoded from its content codings.

        Raises:
            ResponseNotRead: it has not been read: `read` does that.
            StreamConsumed: it was read in pieces, and not kept.

        """
        if self._content is None:
            if self._wire is None:
                raise self._no_content()
            self._content = self._decode_whole(self._wire)
        return self._content

    def co_read(self) -> Co[bytes]:
        """Read the whole body, and return it decoded. A second call returns it again.

        Raises:
            StreamConsumed: it was read in pieces.
            ResponseClosed: the response was closed before.
            DecodingError: its content codings are invalid, or it is truncated.
            BodyTooLarge: it has more bytes than the client takes.
            DeadlineExceeded: the total time for the request has passed.
            DugongError: the connection failed.

        """
        if (events := self._events) is not None and events.is_kept:
            yield from self._co_report_kept(events)
        elif not self.finish_if_received():
            yield from self._co_read_pieces()
            if (events := self._events) is not None:
                events.forget_processed()
        return self._content or b""

    def _co_read_pieces(self) -> Co[None]:
        pieces = []
        reader = BytePieces(self, None)
        while (piece := (yield from reader.co_next())) is not None:
            pieces.append(piece)
        self._content = b"".join(pieces)
        self._end()

    def co_receive(self, options: ReadingOptions, deadline: float | None) -> Co[None]:
        """Read the whole body like `co_read`, which reports it then to the functions for events.

        For layers that send the request again if the body breaks off: so the functions see the data
        of one response only.

        Args:
            options: as for `begin`.
            deadline: as for `begin`.

        Raises:
            DugongError: see `co_read`.

        """
        if self._body is None or self.is_closed:
            return
        self.options = options
        self._deadline = deadline
        if self.request is not None and self.request.hooks is not None:
            self._reporting(self.request).keep()
        yield from self._co_read_pieces()

    def _co_report_kept(self, events: BodyEvents) -> Co[None]:
        assert self.request is not None
        for name, data in events.take_kept():
            yield from self._co_report(self.request, name, data)
        events.forget_processed()
        yield from self._co_end()

    def finish_if_received(self) -> bool:
        """Decode the whole body if it has been received; return True if it is in memory, decoded.

        Raises:
            DecodingError, BodyTooLarge: see `co_read`.

        """
        events = self._events
        if events is not None and events.is_kept:
            return False
        if self._content is None:
            if self._wire is None or (events is not None and events.reports_end):
                return False
            self._content = self._decode_whole(self._wire)
            self._end()
        return True

    @twin_of(co_read)
    def read(self) -> bytes:
        """Blocking twin of `co_read`."""
        return self.content if self._content is not None else self._wait(self.co_read())

    @twin_of(co_read)
    async def aread(self) -> bytes:
        """Twin of `co_read` as a coroutine, on asyncio and trio."""
        return self.content if self._content is not None else await runner()(self.co_read())

    def recv_body(self) -> bytes:
        """Return what was decoded since the last call, for functions that are called on events."""
        if self.request is None or self.request.hooks is None:
            return b""
        return self._reporting(self.request).take_processed()

    @property
    def encoding(self) -> str:
        """The name of the codec of `text`: of the charset, or the default. May be set."""
        if self._encoding is None:
            from ..http.text import encoding_for  # noqa: PLC0415 - for those who want text

            self._encoding = encoding_for(
                self.field("content-type") or "",
                self.options.default_encoding,
                self._content or b"",
            )
        return self._encoding

    @encoding.setter
    def encoding(self, name: str) -> None:
        """Set it to *name*, that of a codec; `text` is decoded again."""
        self._encoding = name
        self._text = None

    @property
    def text(self) -> str:
        """The body as text; bytes that are none in its encoding become U+FFFD.

        Raises:
            StateError: see `content`.

        """
        if self._text is None:
            content = self.content
            from ..http.text import decode_text  # noqa: PLC0415 - for those who want text

            self._text = decode_text(content, self.encoding)
        return self._text

    def json(self, **options: Any) -> Any:
        """Return the value of a JSON body (RFC 8259), in UTF-8, UTF-16 or UTF-32.

        Args:
            options: of the function that parses it, `json.loads` unless the client has another.

        Raises:
            ValueError: it is no JSON; a note names the request and shows the beginning.
            StateError: see `content`.

        """
        content = self.content
        try:
            return self.options.parse_json(content, options)
        except ValueError as exc:
            shown = quoted(content[:60].decode("utf-8", "replace"))
            request = self.request
            what = f"{request.method} {mask_target(str(request.url))}: " if request else ""
            if self.encoded:
                what += f"the content coding {quoted(self.field(ENCODED))} was left in place; "
            exc.add_note(f"{what}the body of {len(content)} bytes begins with {shown}")
            raise

    # ---- the body in pieces

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Iterate over the decoded body.

        Args:
            chunk_size: bytes of each piece but the last; None for pieces as they arrive.

        Raises:
            DugongError: see `co_read`.

        """
        return self._blocking(BytePieces(self, chunk_size))

    def co_iter_bytes(self, chunk_size: int | None = None) -> Iterator[Co[bytes | None]]:
        """Like `iter_bytes`, but gives operations: the last one returns None.

        ``for op in response.co_iter_bytes(): piece = yield from op``
        """
        return _operations(BytePieces(self, chunk_size))

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Like `iter_bytes`, for ``async for``."""
        return _asynchronous(BytePieces(self, chunk_size))

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """Iterate over the body as text; *chunk_size* counts characters. See `iter_bytes`."""
        return self._blocking(TextPieces(self, chunk_size))

    def co_iter_text(self, chunk_size: int | None = None) -> Iterator[Co[str | None]]:
        """Like `iter_text`, but gives operations; see `co_iter_bytes`."""
        return _operations(TextPieces(self, chunk_size))

    def aiter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        """Like `iter_text`, for ``async for``."""
        return _asynchronous(TextPieces(self, chunk_size))

    def iter_lines(self) -> Iterator[str]:
        """Iterate over the lines of the body, without their ends, which are LF, CRLF or CR.

        Nothing else ends a line: U+2028 is a character of JSON like others.
        """
        return self._blocking(LinePieces(self))

    def co_iter_lines(self) -> Iterator[Co[str | None]]:
        """Like `iter_lines`, but gives operations; see `co_iter_bytes`."""
        return _operations(LinePieces(self))

    def aiter_lines(self) -> AsyncIterator[str]:
        """Like `iter_lines`, for ``async for``."""
        return _asynchronous(LinePieces(self))

    def iter_raw(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Iterate over the body as it was sent, content codings left in place. See `iter_bytes`."""
        return self._blocking(RawPieces(self, chunk_size))

    def co_iter_raw(self, chunk_size: int | None = None) -> Iterator[Co[bytes | None]]:
        """Like `iter_raw`, but gives operations; see `co_iter_bytes`."""
        return _operations(RawPieces(self, chunk_size))

    def aiter_raw(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Like `iter_raw`, for ``async for``."""
        return _asynchronous(RawPieces(self, chunk_size))

    def iter_into(self, buffer: bytearray | memoryview) -> Iterator[int]:
        """Read the body into *buffer*, again and again, as `iter_raw` gives it.

        Each item is the number of bytes that are new at the beginning of *buffer*: no memory is
        made for them.

        Raises:
            ValueError: *buffer* cannot be written, or has no bytes.
            DugongError: see `co_read`.

        """
        return self._blocking(RawCounts(self, buffer))

    def co_iter_into(self, buffer: bytearray | memoryview) -> Iterator[Co[int | None]]:
        """Like `iter_into`, but gives operations; see `co_iter_bytes`."""
        return _operations(RawCounts(self, buffer))

    @property
    def length(self) -> int | None:
        """Bytes of the body as it is sent, by the head; None if only its end will tell."""
        if self._message is not None:
            return self._message.length
        if self._wire is not None:
            return len(self._wire)
        announced = self.headers.get("content-length", "")
        return int(announced) if announced.isascii() and announced.isdecimal() else None

    def co_recv_to_file(self, file: BinaryIO) -> Co[int]:
        """Write the body into a binary file as it is sent, content codings left in place.

        From a plain TCP connection into a regular file the system moves the bytes (on Linux).
        Events of data are called as for `iter_raw`; without one of these no byte is looked at.

        Args:
            file: see `HTTPConnection.co_recv_to_file`.

        Returns:
            The number of bytes.

        Raises:
            OSError: *file* cannot be written. As after any other error, the response is closed,
                and what had arrived before is in *file*.
            DugongError: see `co_read`.

        """
        move = getattr(self._body, "co_recv_to_file", None)
        if move is None or (self.request is not None and self.request.hooks is not None):
            return (yield from self._co_copy(file))
        self.take_body(decoded=False)
        count: int = yield from self._co_in_time(move(file))
        self.num_bytes_downloaded += count
        yield from self._co_end()
        return count

    @twin_of(co_recv_to_file)
    def recv_to_file(self, file: BinaryIO) -> int:
        """Blocking twin of `co_recv_to_file`."""
        return self._wait(self.co_recv_to_file(file))

    def _co_copy(self, file: BinaryIO) -> Co[int]:
        from ..polling.binary_streams import co_write_all  # noqa: PLC0415 - for files

        count = 0
        pieces = RawPieces(self, None)
        try:
            while data := (yield from pieces.co_next()):
                count += yield from co_write_all(file, data)
        except BaseException as exc:
            self._fail(exc)
            raise
        return count

    @property
    def raw(self) -> BufferedReader:
        """The body as it is sent, as a blocking binary file. Each look makes a new one."""
        from io import BufferedReader  # noqa: PLC0415 - for those who want a file

        from .body_file import BodyFile  # noqa: PLC0415

        return BufferedReader(BodyFile(self._blocking(RawPieces(self, None))))

    # ---- waiting by a blocking call

    def leave_to_coroutines(self) -> None:
        """Refuse blocking calls that have to wait where an event loop runs: they would stop it."""
        self._is_of_coroutine = True

    def _wait(self, going: Co[T]) -> T:
        """Run an operation that receives the body.

        Raises:
            StateError: an event loop runs here, and the response was received in a coroutine.

        """
        is_here = self._content is not None or self._body is None or self.is_closed
        if self._is_of_coroutine and not is_here and in_event_loop():
            going.close()
            how = "read it by aread(), aiter_bytes() or the like"
            raise self._labelled(StateError(f"a blocking call would stop the event loop: {how}"))
        return run(going)

    def _blocking(self, pieces: Pieces[T]) -> Iterator[T]:
        while (piece := self._wait(pieces.co_next())) is not None:
            yield piece

    # ---- for the readers of reading.py

    def leave_unread(self) -> None:
        """Leave the body to be read by the caller, like that of a response that is received.

        For dispatchers that answer by themselves, if `ClientRequest.stream` is set: a program must
        not find a body there that it would have to read elsewhere.
        """
        if self._wire is not None:
            self._body, self._wire, self._content = MemoryBody(self._wire), None, None

    def keep(self, content: bytes) -> None:
        """Have *content*, the beginning of the body, which was read in pieces, as all of it."""
        self._content = content
        self.close()

    def take_body(self, *, decoded: bool) -> bytes | None:
        """Begin to read the body in pieces; return all of it if it is in memory.

        Args:
            decoded: see `reading.Source`.

        Raises:
            StreamConsumed: another reader has begun, and the body is not in memory.
            ResponseClosed: the response was closed before.

        """
        if self._content is not None:  # it was read
            whole = self._content if decoded else self._wire
            if whole is not None:
                return whole
        if self._is_taken:
            raise self._labelled(StreamConsumed("the body has been read in pieces before"))
        if self.is_closed and self._wire is None and self._content is None:
            raise self._labelled(ResponseClosed("the response was closed"))
        self._is_taken = True
        return None

    def co_raw_piece(self) -> Co[bytes]:
        """Return the next bytes of the body as it is sent; ``b""`` at the end."""
        body = self._body
        if body is None:
            data, self._wire = self._wire or b"", None
            if not data:
                yield from self._co_end()
            else:
                yield from self._co_received(data)
            return data
        try:
            going = body.co_read(SIZE)
            if self._deadline is not None:
                going = within(self._deadline, going, self.deadline_exceeded())
            data = yield from going
        except BaseException as exc:
            self._failed(exc)
            raise
        if not data:
            yield from self._co_end()
            return b""
        self.num_bytes_downloaded += len(data)
        yield from self._co_received(data)
        return data

    def co_raw_into(self, memory: memoryview) -> Co[int | bytes]:
        """Receive into *memory*, or return bytes; see `RawCounts`."""
        receive = getattr(self._body, "co_readinto", None)
        if receive is None or (self.request is not None and self.request.hooks is not None):
            return (yield from self.co_raw_piece())
        count: int = yield from self._co_in_time(receive(memory))
        if not count:
            yield from self._co_end()
        self.num_bytes_downloaded += count
        return count

    def _co_in_time(self, going: Co[T]) -> Co[T]:
        """Receive by *going*, in the total time; close the response after an error."""
        if self._deadline is not None:
            going = within(self._deadline, going, self.deadline_exceeded())
        try:
            return (yield from going)
        except BaseException as exc:
            self._failed(exc)
            raise

    def _failed(self, exc: BaseException) -> None:
        """Close the response after *exc*, which is then about it."""
        if isinstance(exc, DugongError):
            exc.request = self.request
            exc.response = exc.response or self
        self._fail(exc)

    def _co_received(self, data: bytes) -> Co[None]:
        if self.request is not None and self.request.hooks is not None:
            yield from self._co_report(self.request, "data_received", data)

    def _reporting(self, request: ClientRequest) -> BodyEvents:
        """Return what calls the functions of *request*, which has some, on events of the body."""
        if self._events is None:
            from .body_events import BodyEvents  # noqa: PLC0415 - for those who have functions

            assert request.hooks is not None
            self._events = BodyEvents(request, request.hooks)
        return self._events

    def _co_report(self, request: ClientRequest, name: str, data: bytes) -> Co[None]:
        try:
            yield from self._reporting(request).co_report(self, name, data)
        except BaseException as exc:
            self._fail(exc)
            raise

    def _co_end(self) -> Co[None]:
        self._end()
        if (events := self._events) is not None:
            yield from events.co_end(self)

    def co_piece(self) -> Co[bytes]:
        """Return the next decoded bytes of the body; ``b""`` at the end."""
        try:
            decoding = self._decoding
            if decoding is None:
                decoding = self._decoding = self._new_decoding()
            data = yield from decoding.co_next(self.co_raw_piece)
        except BaseException as exc:
            if isinstance(exc, DecodingError | BodyTooLarge):
                self._labelled(exc)
            self._fail(exc)
            raise
        request = self.request
        if data and request is not None and request.hooks is not None:
            yield from self._co_report(request, "data_processed", data)
        return data

    def _new_decoding(self) -> BodyDecoding:
        """Return what decodes the body, as its fields say; see `BodyDecoding`."""
        codings = self.field(ENCODED)
        if codings is None or not self._has_body():
            return BodyDecoding(self.options, None)
        part = is_part(self.status_code, self.field("content-range"))
        decoding = BodyDecoding(self.options, codings, is_part=part)
        self.encoded = decoding.is_left
        return decoding

    def _has_body(self) -> bool:
        """Return False for responses that have none, whatever their fields say."""
        method = "" if self.request is None else self.request.method
        return method != "HEAD" and self.status_code not in (204, 304)

    def _decode_whole(self, wire: bytes) -> bytes:
        if self.options.max_body is None and self.field(ENCODED) is None:
            return wire  # as most are: without an object for that
        try:
            return self._new_decoding().decode_all(wire)
        except DugongError as exc:
            raise self._labelled(exc) from exc.__cause__

    def _no_content(self) -> StateError:
        if self._is_taken:
            return self._labelled(StreamConsumed("the body was read in pieces, and is not kept"))
        if self.is_closed:
            return self._labelled(ResponseClosed("the response was closed before it was read"))
        return self._labelled(ResponseNotRead("the body has not been read: call read() first"))

    def _labelled(self, exc: T) -> T:
        if isinstance(exc, DugongError):
            exc.request_sent = "yes"
            exc.request, exc.response = self.request, self
            if self.request is not None:
                exc.label(self.request.method, mask_target(str(self.request.url)))
        return exc

    def deadline_exceeded(self) -> DeadlineExceeded:
        """Return the error for a body that was not complete in time."""
        return self._labelled(DeadlineExceeded("the total time for the request has passed"))

    # ---- the end

    def begin(self, begun_at: float, deadline: float | None, options: ReadingOptions) -> None:
        """Set what the client knows: when the request began, and how to read the body.

        Args:
            begun_at: seconds of `time.monotonic`.
            deadline: the same, for the end of the body; None for none.
            options: how to read it.

        """
        self.begun_at = begun_at
        self._deadline = deadline
        self.options = options
        if self.request is not None and self.request.hooks is not None:
            self._reporting(self.request).reports_end = True

    def _end(self) -> None:
        if self._ended_at is None:
            self._ended_at = time.monotonic()
        self.is_closed = True

    def close(self) -> None:
        """Give up what has not been read. The connection is closed unless the body was complete."""
        self._fail(None)

    def _fail(self, exc: BaseException | None) -> None:
        body = self._body
        if body is not None and not self.is_closed:
            body.close()
        self._end()
        if (events := self._events) is not None:
            events.end(self, exc)

    def take_stream(self) -> NetworkStream:
        """Return the stream below, after 101 or a 2xx to CONNECT, and close the response.

        The connection belongs to its pool no longer.

        Raises:
            StateError: the response is no such one, or was not received by a connection.

        """
        if self._message is None:
            raise self._labelled(StateError("no connection has received this response"))
        stream = self._message.stream
        self.close()
        return stream

    def co_close(self) -> Co[None]:
        """Do what `close` does, which never waits, as an operation."""
        self.close()
        return
        yield

    async def aclose(self) -> None:
        """Do what `close` does, which never waits, as a coroutine."""
        self.close()

    def co_next(self) -> Co[Response]:
        """Follow one redirect: send `next_request`, and return its response.

        Raises:
            StateError: this response is no redirect, or was not received by a client.
            DugongError: what sending a request raises.

        """
        if self.next_request is None or self._follow is None:
            raise self._labelled(StateError(f"{self!r} is no redirect that can be followed"))
        return (yield from self._follow(self))

    @twin_of(co_next)
    def next(self) -> Response:
        """Blocking twin of `co_next`."""
        return run(self.co_next())

    @twin_of(co_next)
    async def anext(self) -> Response:
        """Twin of `co_next` as a coroutine."""
        return await runner()(self.co_next())

    def follow_with(self, follow: Callable[[Response], Co[Response]]) -> None:
        """Let `next` call *follow*."""
        self._follow = follow

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Return what `pickle` and `copy` keep of a response that was read, or closed.

        That is all but the connection, what it has received besides (trailers, 1xx, timings), and
        the options and extensions of the client. The request is kept with its method, URL, fields,
        and a body of bytes or str.

        Raises:
            ResponseNotRead: its body is still to be received.

        """
        if not self.is_closed and not self.finish_if_received():
            raise self._no_content()
        return {
            "status_code": self.status_code,
            "request": _detached(self.request),
            "history": self.history,
            "next_request": _detached(self.next_request),
            "extensions": {},
            "is_closed": True,
            **{name: getattr(self, name) for name in KEPT},
            "_headers": self.headers,
            "_reason": self.reason_phrase,
            "_http_version": self.http_version,
        }

    if not TYPE_CHECKING:  # a type checker knows all names

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, "a Response", name, OF_RESPONSE)

    def __repr__(self) -> str:
        return f"<Response {self.status_code} {self.reason_phrase}>"


def _detached(request: ClientRequest | None) -> ClientRequest | None:
    """Return a request with the message of *request*, and none of the objects that send it."""
    if request is None:
        return None
    body = request.body if isinstance(request.body, bytes | str) else None
    return type(request)(request.method, request.url, request.headers.copy(), body)


def _phrase(status: int) -> str:
    from http import HTTPStatus  # noqa: PLC0415 - for responses that are made by hand

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _operations(pieces: Pieces[T]) -> Iterator[Co[T | None]]:
    while not pieces.ended:
        yield pieces.co_next()


async def _asynchronous(pieces: Pieces[T]) -> AsyncIterator[T]:
    run_here = runner()
    while (piece := await run_here(pieces.co_next())) is not None:
        yield piece
