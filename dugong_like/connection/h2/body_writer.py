"""The body of one request over HTTP/2, written in steps.

Any number of bodies may be open at once on one connection: each goes to a stream of its own, as far
as the windows of the stream and of the connection allow (RFC 9113 section 5.2).

Not here: how the bytes get onto the stream (stream.py), and the order of requests (sender.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ...errors import DugongError, StateError
from ...polling.timeouts import limited

if TYPE_CHECKING:
    from ...polling.contract import Co
    from ...transport.zero_copy import FileRange
    from ..time_limits import ContinueLimit
    from .shared import H2State
    from .stream import H2Stream


class BodyWriter:
    """Writes the body of a request; see `connection.body_writer.ExchangeBody`.

    Args:
        shared: of the session.
        limits: the time limits that hold.
        stream: of the exchange; None if there is none yet.

    Attributes:
        stream: as given.

    """

    __slots__ = ("_limits", "_shared", "stream")

    def __init__(self, shared: H2State, limits: ContinueLimit, stream: H2Stream | None) -> None:
        self._shared = shared
        self._limits = limits
        self.stream = stream

    # ---- facts

    @property
    def owed(self) -> float | None:
        """Bytes of the request body that are to be written; see `HTTPConnection.body_owed`."""
        stream = self.stream
        if stream is None or self._shared.stream is None or stream.is_answered():
            return None
        return stream.owed

    def is_complete(self) -> bool:
        """Return True if nothing is left to be sent of the request."""
        stream = self.stream
        return stream is not None and stream.owed is None and stream.exchange.sent

    def has_bulk(self) -> bool:
        """Return False: what is sent is in frames."""
        return False

    def label(self, exc: BaseException) -> None:
        """Say in *exc* that it is about the request."""
        self._shared.label(exc, None if self.stream is None else self.stream.exchange)

    # ---- steps

    def begin(self, step: Callable[..., Co[None] | None], *arguments: Any) -> Co[None] | None:
        """See `connection.body_writer.BodyWriter.begin`."""
        stream = self.stream
        try:
            going = step(*arguments)
        except BaseException as exc:
            self._note(exc, stream)
            raise
        return None if going is None else self.co_go_on(going, stream)

    def co_go_on(self, going: Co[None], stream: H2Stream | None) -> Co[None]:
        """Do *going*, which is about *stream*, with the total limit, and complete its errors."""
        total = self._limits.total
        if total is not None:
            going = limited(total, "total", going, "it could not be sent")
        try:
            yield from going
        except BaseException as exc:
            self._note(exc, stream)
            raise

    def _note(self, exc: BaseException, stream: H2Stream | None) -> None:
        if stream is not None:
            stream.complete_error(exc)
        elif isinstance(exc, DugongError):
            self._shared.label(exc)
        if (observer := self._shared.observer) is not None:
            observer.sending_failed(exc, None if stream is None else stream.exchange)

    def nothing(self) -> Co[None] | None:
        """Return None: nothing is to be sent."""
        return None

    def write(self, data: memoryview | FileRange) -> Co[None] | None:
        """See `Operations.co_write`; a step."""
        if not data and self.is_complete():
            return None
        stream = self._writable()
        if not data:
            return None
        part = cast("memoryview", data)
        stream.check_room(len(part))
        return self._co_write(stream, part)

    def _co_write(self, stream: H2Stream, data: memoryview, *, last: bool = False) -> Co[None]:
        if (observer := stream.observer()) is not None:
            observer.sends_body(stream.exchange)
        yield from stream.co_write(data, last=last)
        if observer is not None and stream.exchange.sent:
            observer.sent_body(stream.exchange)

    def finish(self, trailers: bytes) -> Co[None] | None:
        """See `Operations.co_finish`; *trailers* are field lines. A step."""
        if not trailers and self.is_complete():
            return None
        stream = self._writable()
        if stream.length is not None and stream.owed:
            missing = StateError(f"the body is not complete, {stream.owed} bytes are missing")
            stream.cancel()
            raise missing
        if not trailers:
            return self._co_write(stream, memoryview(b""), last=True)
        fields = []
        for line in trailers.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            fields.append((name.lower(), value.strip(b" \t")))
        return self._co_trailers(stream, fields)

    @staticmethod
    def _co_trailers(stream: H2Stream, fields: list[tuple[bytes, bytes]]) -> Co[None]:
        if (observer := stream.observer()) is not None:
            observer.sends_body(stream.exchange)
        yield from stream.co_trailers(fields)
        if observer is not None:
            observer.sent_body(stream.exchange)

    def _writable(self) -> H2Stream:
        stream = self.stream
        if stream is None:
            raise StateError("there is no body to write: no request announced one (BodyFollowing)")
        if self._shared.stream is None:
            self._shared.check_usable()
        stream.check_writable()
        return stream

    def check_room(self, count: int) -> bool:
        """See `connection.body_writer.BodyWriter.check_room`."""
        stream = self._writable()
        stream.check_room(count)
        return stream.length is None

    # ---- giving up

    def break_off(self, failure: Exception) -> None:  # noqa: ARG002 - the stream is reset
        """See `connection.body_writer.BodyWriter.break_off`: the stream is reset."""
        if self.stream is not None and self.stream.owed is not None:
            self.stream.cancel()

    def abort(self) -> None:
        """See `connection.body_writer.ExchangeBody.abort`: the stream is reset."""
        stream = self.stream
        if stream is None or self.owed is None:
            return
        stream.cancel()
        if (observer := self._shared.observer) is not None:
            given_up = StateError("the body of a request was given up")
            observer.sending_failed(given_up, stream.exchange)
