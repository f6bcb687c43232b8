"""Requests and responses: the facts, and what writes a body and reads a response by itself.

Not here: header fields (headers.py), and how any of it is put on or taken from the
wire (http/h1/).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from ..errors import StateError
from ..http.arguments import as_bytes
from ..http.field_search import key_of, keys
from ..http.redaction import mask_target
from ..polling.contract import Co, run
from ..polling.timeouts import Timeouts
from .body_writer import trailer_lines

if TYPE_CHECKING:
    from email.message import Message
    from typing import BinaryIO

    from ..http.arguments import Buffer
    from ..http.h1.response_head import Head
    from ..http.headers import Fields
    from ..http.lazy_message import FieldsMessage
    from ..transport.timings import Timings
    from ..transport.upgraded.network_stream import NetworkStream
    from .body_writer import ExchangeBody


class ResponseReader(Protocol):
    """The calls of an `Exchange` to its session; each waits for the turn of the exchange."""

    def is_next(self, exchange: Exchange) -> bool:
        """Return True if all responses before that to *exchange* have been read."""
        ...

    def co_response_of(self, exchange: Exchange) -> Co[HTTPResponse]:
        """See `Exchange.co_read_response`."""
        ...

    def co_body_of(self, exchange: Exchange, size: int | None) -> Co[bytes]:
        """See `Exchange.co_read`; None for the whole rest."""
        ...

    def co_body_into(self, exchange: Exchange, buf: bytearray | memoryview) -> Co[int]:
        """See `Exchange.co_readinto`."""
        ...

    def co_discard_of(self, exchange: Exchange) -> Co[None]:
        """See `Exchange.co_discard`."""
        ...

    def abandon(self, exchange: Exchange) -> None:
        """Note that nobody will read the response to *exchange*; see `Exchange.abandon`."""
        ...

    def update_window(self, exchange: Exchange, size: int) -> None:
        """See `Exchange.update_window`."""
        ...


class Exchange:
    """One request and the response it waits for; `HTTPConnection.send_request` returns it.

    Attributes:
        method: request method.
        target: request target as given.
        sent: True when the last byte of the request has been handed to the system.
        final: the head of its final response, when that has been read.
        owed_by: the thread that has to write the rest of the body, as `threading.get_ident` gives
            it: the one that sent the head, or has written last; 0 if no body follows the head.
        expects_continue: True while the body waits for 100 (Continue).
        upgrades: True if the request asked for another protocol, by Upgrade or by CONNECT.
        closes: True if the request said that none would follow on its connection.
        abandoned: True if nobody will read the response.
        complete: True when its final response has been read to its end.
        reader: reads the response; None before the request was sent.
        writer: writes the body that follows the head; None if there is no such body, or before the
            request was sent.
        fresh: True if nothing else was pending when it was sent, and nobody has waited for the
            response yet.
        head_until: time at which the head of its response is late; None if nothing limits that, or
            nobody has waited yet.
        hand_over: gives the stream up, if the response has ended HTTP on it.
        stream: what it gave.
        timings: how long its phases took; None if nobody asked for it.
        stream_id: number of its stream (RFC 9113 section 5.1.1); None over HTTP/1.1, and before the
            request is sent.

    """

    sent = False
    final: Head | None = None
    owed_by = 0
    expects_continue = False
    upgrades = False
    closes = False
    abandoned = False
    complete = False
    fresh = False
    head_until: float | None = None
    reader: ResponseReader | None = None
    writer: ExchangeBody | None = None
    hand_over: Callable[[], NetworkStream] | None = None
    stream: NetworkStream | None = None
    informational: tuple[HTTPResponse, ...] = ()
    timings: Timings | None = None
    stream_id: int | None = None

    def __init__(self, method: str, target: str) -> None:
        self.method = method
        self.target = target

    @property
    def path(self) -> str:
        """Another name of `target`."""
        return self.target

    @property
    def answered(self) -> bool:
        """True when the head of its final response has been read."""
        return self.final is not None

    # ---- writing the body by itself

    @property
    def body_owed(self) -> float | None:
        """Bytes of the body that are to be written; see `HTTPConnection.body_owed`.

        None also of a request that was not sent, or was sent with its body.
        """
        return None if self.writer is None else self.writer.owed

    def _writer(self) -> ExchangeBody:
        if self.writer is None:
            if self.reader is None:
                raise StateError(f"{self!r} has not been sent")
            raise StateError(f"there is no body to write: {self!r} announced none (BodyFollowing)")
        return self.writer

    def co_write(self, buf: Buffer) -> Co[None]:
        """Write data of the body of this request, which announced `BodyFollowing`.

        Over HTTP/2 any number of bodies may be open at once on one connection, each written by its
        exchange, while responses are read: one operation may write and another one read. Over
        HTTP/1.1 a body has to be complete before the next request can be sent, so there is but one.
        An interruption resets the stream over HTTP/2, and breaks the connection over HTTP/1.1.

        Args:
            buf: see `HTTPConnection.co_write`.

        Raises:
            StateError: the request was not sent, or announced no body; its body is complete, has
                ended early or was given up; it has to wait for 100 (Continue); or another
                operation writes.
            AnsweredEarly: the server has answered before it had the whole request: see
                `HTTPConnection.co_write`. `co_read_response` returns the response.
            StreamReset: the server has reset the stream.
            DugongError: what `HTTPConnection.co_write` raises.

        """
        writer = self._writer()
        going = writer.begin(writer.write, as_bytes(buf))
        if going is not None:
            yield from going

    def write(self, buf: Buffer) -> None:
        """Blocking twin of `co_write`."""
        run(self.co_write(buf))

    def co_finish(self, trailers: Fields | None = None) -> Co[None]:
        """End the body of this request; does nothing if it is complete already.

        Args:
            trailers: see `HTTPConnection.co_finish`.

        Raises:
            StateError: the body is not complete although its length is known, which gives it up; or
                what `co_write` says.
            DugongError: what `HTTPConnection.co_finish` raises.

        """
        writer = self._writer()
        going = writer.begin(writer.finish, trailer_lines(writer, trailers))
        if going is not None:
            yield from going

    def finish(self, trailers: Fields | None = None) -> None:
        """Blocking twin of `co_finish`."""
        run(self.co_finish(trailers))

    def co_sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> Co[int]:
        """Write data of the body from a file, as `co_write` does.

        Args:
            file: see `HTTPConnection.co_sendfile`.
            offset: bytes at its beginning to leave out.
            count: bytes to send; None for all to its end.

        Returns:
            How many bytes were sent.

        Raises:
            DugongError: what `co_write` and `HTTPConnection.co_sendfile` raise.

        """
        from .file_transfer import co_send_file  # noqa: PLC0415 - 2 ms, for files

        return (yield from co_send_file(self._writer(), file, offset, count))

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        """Blocking twin of `co_sendfile`."""
        return run(self.co_sendfile(file, offset, count))

    # ---- reading the response by itself, whatever other requests have been sent

    def _reader(self) -> ResponseReader:
        if self.reader is None:
            raise StateError(f"{self!r} has not been sent")
        return self.reader

    def co_read_response(self) -> Co[HTTPResponse]:
        """Read status and header fields of the response to this request, when it is its turn.

        Its turn is when the responses to all requests before it have been read, by other threads or
        tasks, or are abandoned. The calls of the connection read in that order.

        Returns:
            What `HTTPConnection.co_read_response` does.

        Raises:
            StateError: the request was not sent, or its response has been read or is abandoned.
            ConnectionTimedOut: its turn did not come, or nothing arrived, for the time-out of the
                connection.
            DugongError: what `HTTPConnection.co_read_response` raises.

        """
        return self._reader().co_response_of(self)

    def read_response(self) -> HTTPResponse:
        """Blocking twin of `co_read_response`."""
        return run(self.co_read_response())

    def co_read(self, len_: int | None = None) -> Co[bytes]:
        """Read body data of the response; see `HTTPConnection.co_read`.

        Returns:
            At least one byte; ``b""`` only at the end of the body.

        Raises:
            StateError: `co_read_response` has not been called.
            DugongError: what `HTTPConnection.co_read` raises.

        """
        if len_ is None:
            return self.co_readall()
        return self._reader().co_body_of(self, len_)

    def read(self, len_: int | None = None) -> bytes:
        """Blocking twin of `co_read`."""
        return run(self.co_read(len_))

    def co_readall(self) -> Co[bytes]:
        """Read the rest of the body of the response; see `co_read`."""
        return self._reader().co_body_of(self, None)

    def readall(self) -> bytes:
        """Blocking twin of `co_readall`."""
        return run(self.co_readall())

    def co_readinto(self, buf: bytearray | memoryview) -> Co[int]:
        """Read body data of the response into *buf*; see `HTTPConnection.co_readinto`."""
        return self._reader().co_body_into(self, buf)

    def readinto(self, buf: bytearray | memoryview) -> int:
        """Blocking twin of `co_readinto`."""
        return run(self.co_readinto(buf))

    def co_discard(self) -> Co[None]:
        """Read the rest of the body of the response and throw it away; see `co_read`."""
        return self._reader().co_discard_of(self)

    def discard(self) -> None:
        """Blocking twin of `co_discard`."""
        run(self.co_discard())

    def update_window(self, size: int) -> None:
        """Let the server send further bytes of the body over HTTP/2 (RFC 9113 section 6.9).

        With ``H2Options(auto_window=False)`` reading lets it send nothing more: this does. Over
        HTTP/1.1, and when no more is to come, it has no effect.

        Args:
            size: how many, besides those that it may send already.

        Raises:
            StateError: the request was not sent.
            InvalidOption: *size* is less than 1, or the window would have more than 2**31 - 1
                bytes.
            TypeError: *size* is not an int.

        """
        self._reader().update_window(self, size)

    def abandon(self) -> None:
        """Say that nobody will read the response.

        Over HTTP/1.1 the next reader skips it, or what is left of it, so that it cannot be taken
        for the response to a later request. Over HTTP/2 its stream is reset, also if the request is
        not complete. Over HTTP/1.1 its body has still to be completed, or to be given up by
        `HTTPConnection.abort_body`.
        """
        self.abandoned = True
        if self.reader is not None:
            self.reader.abandon(self)

    def __repr__(self) -> str:
        return f"<Exchange {self.method} {mask_target(self.path)}>"


class LimitedExchange(Exchange):
    """An exchange that notes when its request is complete, as `Timeouts.head` counts from there.

    Args:
        seconds: the limit.
        method: request method.
        path: request target.

    """

    _sent = False

    def __init__(self, seconds: float, method: str, path: str) -> None:
        super().__init__(method, path)
        self._seconds = seconds

    def _note_sent(self, sent: bool) -> None:
        self._sent = sent
        reader = self.reader
        if sent and (reader is None or reader.is_next(self)):
            self.head_until = time.monotonic() + self._seconds

    sent = property(attrgetter("_sent"), _note_sent)


def kind_of_exchange(
    timeout: float | Timeouts | None,
) -> Callable[[str, str], Exchange]:
    """Return the function that makes exchanges for a connection with *timeout*."""
    if isinstance(timeout, Timeouts) and timeout.head is not None:
        return partial(LimitedExchange, timeout.head)
    return Exchange


# Python keeps the names of attributes once for all objects of a class, if one of the first thirty
# has had them. Any other name costs each object that has it a dictionary of its own: twice the
# memory, if the first exchanges of a process were unusual. These are those of usual ones.
_first = Exchange("", "")
for _name in (
    *("sent", "final", "owed_by", "abandoned", "complete", "fresh", "head_until", "reader"),
    "stream_id",
):
    setattr(_first, _name, getattr(_first, _name))
del _first, _name


class HTTPResponse:
    """Status and header fields of a response; the body is read from the connection.

    Attributes:
        status: status code, 100 to 999.
        length: bytes of body that will arrive (0 after HEAD); None if only the end of
            the body will tell.
        informational: the 1xx responses that came before this one.
        body: None: see `Reply`.

    """

    body: bytes | None = None

    __slots__ = (
        *("_exchange", "_head", "_headers", "_trailer_fields"),
        *("informational", "length", "status"),
    )

    def __init__(self, exchange: Exchange, head: Head, length: int | None) -> None:
        self.status = head.status
        self.length = length
        self.informational = exchange.informational
        self._exchange = exchange
        self._head = head
        self._headers = None
        self._trailer_fields = b""

    _headers: Message | None

    def with_body(self, body: bytes) -> Reply:
        """Return this response, which is complete, with its body."""
        return Reply(self._exchange, self._head, body, False, self._trailer_fields)

    @property
    def method(self) -> str:
        """Method of the request."""
        return self._exchange.method

    @property
    def target(self) -> str:
        """Target of the request, as given to `HTTPConnection.send_request`."""
        return self._exchange.target

    @property
    def path(self) -> str:
        """Another name of `target`, that of dugong."""
        return self._exchange.target

    @property
    def reason(self) -> str:
        """Reason phrase, often empty."""
        return self._head.reason.decode("latin-1")

    @property
    def http_version(self) -> str:
        """``"2"``, ``"1.1"``, ``"1.0"``, or another minor version that the server says."""
        return self._head.version

    @property
    def timings(self) -> Timings | None:
        """How long its phases took; None unless ``HTTPConnection(timings=True)`` asked."""
        return self._exchange.timings

    @property
    def stream_id(self) -> int | None:
        """Number of its stream (RFC 9113 section 5.1.1); None over HTTP/1.1, which has none."""
        return self._exchange.stream_id

    @property
    def headers(self) -> Message:
        """The header fields, an `email.message.Message`, made at the first look."""
        headers = self._headers
        if headers is None:
            head = self._head
            make = _fields_message or _message_class()
            headers = self._headers = make(head.fields, head.lower)
        return headers

    @property
    def lines(self) -> bytes:
        """The header fields as lines, each with its CRLF, and another CRLF in front."""
        return self._head.fields

    def field(self, name: str) -> str | None:
        """Return the value of a header field without making `headers`.

        Args:
            name: of the field, in any case.

        Returns:
            The value; those of several fields joined by commas (RFC 9110 section 5.3), which is
            right for all fields except Set-Cookie. None if there is no such field.

        """
        lower = self._head.lower
        key = keys.get(name) or key_of(name)
        place = lower.find(key)
        if place < 0:
            return None
        fields = self._head.fields
        values = []
        while place >= 0:
            start = place + len(key)
            stop = fields.index(b"\r", start)
            values.append(fields[start:stop].strip(b" \t"))
            place = lower.find(key, stop)
        return b", ".join(values).decode("latin-1")

    def is_plain(self) -> bool:
        """Return True if it has no Content-Encoding, Keep-Alive or Set-Cookie.

        Of these a client has to take notice. It is found out once for equal heads.
        """
        head = self._head
        plain = head.plain
        if plain is None:
            lower = head.lower
            plain = head.plain = not (
                b"\ncontent-encoding:" in lower
                or b"\nkeep-alive:" in lower
                or b"\nset-cookie:" in lower
            )
        return plain

    def pairs(self) -> list[tuple[str, str]]:
        """Return names and values of the header fields, in order, without making `headers`."""
        return field_pairs(self._head.fields)

    def values(self, name: str) -> list[str]:
        """Return the values of all header fields called *name*, in order."""
        if (keys.get(name) or key_of(name)) not in self._head.lower:
            return []
        name = name.lower()
        return [value for key, value in self.pairs() if key.lower() == name]

    def trailer_pairs(self) -> list[tuple[str, str]]:
        """Return names and values of the trailer fields; none until the body has been read."""
        return field_pairs(self._trailer_fields)

    @property
    def stream(self) -> NetworkStream:
        """The stream below, after 101 or a 2xx to CONNECT: from here on it carries no HTTP.

        The first look takes it from the connection, whose next request opens a new one.
        Before that it is closed with the connection, also by its next request.

        Raises:
            StateError: the response is no such one, or came before the request was complete; or
                the connection was closed meanwhile, or another operation is reading.

        """
        exchange = self._exchange
        if exchange.stream is None:
            if exchange.hand_over is None:
                raise StateError(f"{self!r} has not ended HTTP on its connection")
            exchange.stream = exchange.hand_over()
            exchange.hand_over = None
        return exchange.stream

    @property
    def trailers(self) -> Message:
        """The trailer fields (RFC 9110 section 6.5); empty until the body has been read."""
        return _message_class()(b"\r\n" + self._trailer_fields)

    def offer(self, hand_over: Callable[[], NetworkStream]) -> None:
        """Let `stream` have what *hand_over* gives."""
        self._exchange.hand_over = hand_over

    def set_trailers(self, fields: bytes) -> None:
        """Take the trailer section, which comes after the body: checked field lines."""
        self._trailer_fields = fields

    def __repr__(self) -> str:
        return (
            f"<HTTPResponse {self.status} {self.reason} to {self.method} {mask_target(self.path)}>"
        )


class Reply(HTTPResponse):
    """A response with its body; `HTTPConnection.exchange` returns it.

    Args:
        exchange: the request and its response.
        head: the head, as it was received.
        body: see below.
        is_usual: see below.
        trailers: the trailer section, as it was received.

    Attributes:
        body: the body, decoded from its transfer coding; ``b""`` if there is none.
        is_usual: True if it came as most do, so that the connection takes another request.

    """

    __slots__ = ("body", "is_usual")

    body: bytes

    def __init__(
        self,
        exchange: Exchange,
        head: Head,
        body: bytes,
        is_usual: bool,
        trailers: bytes = b"",
    ) -> None:
        self.status = head.status
        self.body = body
        self.is_usual = is_usual
        self._exchange = exchange
        self._head = head
        self._headers = None
        self._trailer_fields = trailers

    @property
    def length(self) -> int:  # type: ignore[override]
        """Bytes of `body`."""
        return len(self.body)

    @property
    def informational(self) -> tuple[HTTPResponse, ...]:  # type: ignore[override]
        """The 1xx responses that came before this one."""
        return self._exchange.informational

    def __repr__(self) -> str:
        what = super().__repr__().removeprefix("<HTTPResponse")
        return f"<Reply{what.removesuffix('>')}, {len(self.body)} bytes>"


def field_pairs(lines: bytes) -> list[tuple[str, str]]:
    """Return names and values of checked field lines."""
    pairs = []
    for line in lines.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            pairs.append((name, value.strip(" \t")))
    return pairs


_fields_message: type[FieldsMessage] | None = None  # kept, as to import it takes its time


def _message_class() -> type[FieldsMessage]:
    global _fields_message  # noqa: PLW0603 - it is the same for all
    if _fields_message is None:
        from ..http.lazy_message import FieldsMessage  # noqa: PLC0415 - 10 ms that many programs never need

        _fields_message = FieldsMessage
    return _fields_message
