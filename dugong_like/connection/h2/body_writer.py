"""The body of one request over HTTP/2, written in steps.

Any number of bodies may be open at once on one connection: each goes to a stream of its own, as far
as the windows of the stream and of the connection allow (RFC 9113 section 5.2).

Not here: how the bytes get onto the stream (request_writer.py), and the order of requests
(sender.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import AnsweredEarly, DugongError, StateError
from ...polling.timeouts import limited

if TYPE_CHECKING:
    from ...polling.contract import Co
    from ...transport.zero_copy import FileRange
    from ..exchange import Exchange
    from ..time_limits import ContinueLimit
    from .request_writer import RequestWriter
    from .shared import H2State
    from .trace_events import Observer


class BodyWriter:
    """Writes the body of a request; see `connection.body_writer.ExchangeBody`.

    Args:
        shared: of the session.
        limits: the time limits that hold.
        writer: of the request; None if there is none yet.

    Attributes:
        writer: as given.

    """

    __slots__ = ("__weakref__", "_limits", "_shared", "writer")

    def __init__(
        self, shared: H2State, limits: ContinueLimit, writer: RequestWriter | None
    ) -> None:
        self._shared = shared
        self._limits = limits
        self.writer = writer

    # ---- facts

    @property
    def owed(self) -> float | None:
        """Bytes of the request body that are to be written; see `HTTPConnection.body_owed`."""
        writer = self.writer
        if writer is None or self._shared.stream is None or writer.stream.is_answered():
            return None
        return writer.owed

    def is_complete(self) -> bool:
        """Return True if nothing is left to be sent of the request."""
        writer = self.writer
        return writer is not None and writer.owed is None and writer.stream.exchange.sent

    def has_bulk(self) -> bool:
        """Return False: what is sent is in frames."""
        return False

    def label(self, exc: BaseException) -> None:
        """Say in *exc* that it is about the request."""
        self._shared.label(exc, None if self.writer is None else self.writer.stream.exchange)

    # ---- steps

    def begin(self, step: Callable[..., Co[None] | None], *arguments: Any) -> Co[None] | None:
        """See `connection.body_writer.BodyWriter.begin`."""
        writer = self.writer
        try:
            going = step(*arguments)
        except BaseException as exc:
            self._note(exc, writer)
            raise
        return None if going is None else self.co_go_on(going, writer)

    def co_go_on(self, going: Co[None], writer: RequestWriter | None) -> Co[None]:
        """Do *going*, of *writer*, with the total limit, and complete its errors."""
        total = self._limits.total
        if total is not None:
            going = limited(total, "total", going, "it could not be sent")
        try:
            yield from going
        except BaseException as exc:
            self._note(exc, writer)
            raise

    def _note(self, exc: BaseException, writer: RequestWriter | None) -> None:
        if writer is not None:
            writer.stream.complete_error(exc)
            if isinstance(exc, AnsweredEarly):
                writer.end()
        elif isinstance(exc, DugongError):
            self._shared.label(exc)
        if (observer := self._shared.observer) is not None:
            observer.sending_failed(exc, None if writer is None else writer.stream.exchange)

    def nothing(self) -> Co[None] | None:
        """Return None: nothing is to be sent."""
        return None

    def write(self, data: memoryview | FileRange) -> Co[None] | None:
        """See `Operations.co_write`; a step."""
        if not data and self.is_complete():
            return None
        writer = self._writable()
        if not data:
            return None
        part: Any = data  # of memory, see `has_bulk`
        writer.check_room(len(part))
        return self._co_write(writer, part)

    def _co_write(self, writer: RequestWriter, data: memoryview, *, last: bool = False) -> Co[None]:
        going = writer.co_write(data, last=last)
        observer = self._shared.observer
        return going if observer is None else _co_observed(going, observer, writer.stream.exchange)

    def finish(self, trailers: bytes) -> Co[None] | None:
        """See `Operations.co_finish`; *trailers* are field lines. A step."""
        if not trailers and self.is_complete():
            return None
        writer = self._writable()
        if writer.length is not None and writer.owed:
            missing = f"the body is not complete, {writer.owed} bytes are missing"
            writer.cancel()
            raise StateError(missing)  # in no variable, see `SharedState.labelled`
        if not trailers:
            return self._co_write(writer, memoryview(b""), last=True)
        fields = []
        for line in trailers.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            fields.append((name.lower(), value.strip(b" \t")))
        return self._co_trailers(writer, fields)

    def _co_trailers(self, writer: RequestWriter, fields: list[tuple[bytes, bytes]]) -> Co[None]:
        if (observer := self._shared.observer) is not None:
            observer.sends_body(writer.stream.exchange)
        yield from writer.co_trailers(fields)
        if observer is not None:
            observer.sent_body(writer.stream.exchange)

    def _writable(self) -> RequestWriter:
        writer = self.writer
        if writer is None:
            raise StateError("there is no body to write: no request announced one (BodyFollowing)")
        if self._shared.stream is None:
            self._shared.check_usable()
        writer.check_writable()
        return writer

    def check_room(self, count: int) -> bool:
        """See `connection.body_writer.BodyWriter.check_room`."""
        writer = self._writable()
        writer.check_room(count)
        return writer.length is None

    # ---- giving up

    def break_off(self, failure: Exception) -> None:  # noqa: ARG002 - the stream is reset
        """See `connection.body_writer.BodyWriter.break_off`: the stream is reset."""
        if self.writer is not None and self.writer.owed is not None:
            self.writer.cancel()

    def abort(self) -> None:
        """See `connection.body_writer.ExchangeBody.abort`: the stream is reset."""
        writer = self.writer
        if writer is None or self.owed is None:
            return
        writer.cancel()
        if (observer := self._shared.observer) is not None:
            given_up = StateError("the body of a request was given up")
            observer.sending_failed(given_up, writer.stream.exchange)


def _co_observed(going: Co[None], observer: Observer, exchange: Exchange) -> Co[None]:
    """Do *going*, which writes a part of the body of *exchange*, and have *observer* report it."""
    observer.sends_body(exchange)
    yield from going
    if exchange.sent:
        observer.sent_body(exchange)
