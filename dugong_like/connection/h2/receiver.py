"""The receiving half of an HTTP/2 session: one response after the other, as callers see it.

`read_response` takes the response to the oldest request that has none yet, and the calls that read
a body take that of the response that was read last.

Not here: reading itself, also by an exchange, in any order (response_reader.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar, cast

from ...errors import StateError
from ...polling.contract import run
from ..states import Retired
from ..time_out_messages import NOTHING_ARRIVED
from .response_reader import ResponseReader, take_first

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut
    from ...http.h2.stream import Stream
    from ...polling.contract import Co
    from ..exchange import Exchange, HTTPResponse
    from ..files import Sink
    from ..time_limits import ContinueLimit
    from .opening import Opening
    from .pump import Pump
    from .shared import H2State

A = TypeVar("A")
# Of the pending exchanges, which may be many: it is the first one, most of the time.
FIRST_OR_ANY: Final = (slice(1), slice(None))
MOST_KEPT: Final = 64  # responses that are taken together
T = TypeVar("T")


class Receiver:
    """Reads the responses to the pending requests, in their order.

    Args:
        shared: of the session.
        opening: connects.
        pending: the exchanges whose responses have not been read.
        limits: the time limits that hold.

    Attributes:
        buffer: counts received bytes.
        reader: of the response that was read last; None before the first.

    """

    __slots__ = (*("_left", "_limits", "_opening", "_pending", "_shared", "buffer", "reader"),)

    def __init__(
        self,
        shared: H2State,
        opening: Opening,
        pending: list[Exchange],
        limits: ContinueLimit,
    ) -> None:
        self._shared = shared
        self._limits = limits
        self._opening = opening
        self._pending = pending
        self.reader: ResponseReader | None = None
        self.buffer: Pump = shared.pump
        self._left: list[bytes | memoryview] | None = None

    @property
    def continue_timeout(self) -> float | None:
        """Seconds to wait for 100 (Continue); None waits for ever."""
        return self._limits.continue_timeout

    @continue_timeout.setter
    def continue_timeout(self, seconds: float | None) -> None:
        """Set it to *seconds*."""
        self._limits.continue_timeout = seconds

    @property
    def bodies(self) -> Receiver:
        """Attempts to read bodies: this object, as two that have each other would be a circle."""
        return self

    def co(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        waits_first: Callable[[], bool] | None = None,  # noqa: ARG002 - nothing is saved by it
    ) -> Co[T]:
        """See `ReceivingHalf.co`: *attempt* is one of `bodies`."""
        reader = self.reader
        if reader is not None and attempt != self.read_raw:
            return reader.co_take(attempt, argument)
        return self._co_left(attempt, argument)

    @staticmethod
    def _co_left(attempt: Callable[[A], T | None], argument: A) -> Co[T]:
        """Make the attempt without a stream: there is something left, or it is an error."""
        yield from ()
        return cast("T", attempt(argument))

    def block(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        waits_first: Callable[[], bool] | None = None,
    ) -> T:
        """See `ReceivingHalf.block`."""
        if attempt == self.read_response:
            return cast("T", run(self.co_read_response()))
        reader = self.reader
        if reader is not None and (here := reader.take_now(attempt, argument)) is not None:
            return here
        return run(self.co(attempt, argument, waits_first))

    def co_save(self, sink: Sink) -> Co[bool]:
        """See `ReceivingHalf.co_save`."""
        if self.reader is None:
            self.check_known()
            return True
        return (yield from self.reader.co_save(sink))

    def read_response(self, _: None) -> HTTPResponse | None:
        """See `ReceivingHalf.read_response`: for `block`."""
        raise NotImplementedError

    def begin_wait(self) -> bool:
        """Return False: waiting first would save nothing."""
        return False

    def co_read_response(self) -> Co[HTTPResponse]:
        """See `Operations.co_read_response`."""
        last = self.reader
        if last is not None and last.is_unread():
            what = "the body of the last response has not been read to its end: "
            raise self._shared.labelled(
                StateError(f"{what}call readall() or discard() first"), last.stream.exchange
            )
        reader = self._next()
        exchange = reader.stream.exchange
        if not reader.is_here:
            if self._opening.is_under_way():
                try:
                    yield from self._opening.co_ready()
                except Retired:  # whoever sends the request goes to the next session
                    yield from reader.stream.co_settle()
            inner = reader.stream.inner
            if inner is not None and inner.ended:
                self._shared.pump.attempt(self._keep, None)
        response = reader.take_now(reader.take_head, None)
        if response is None:
            response = yield from reader.co_head()
        if exchange.final is not None:
            self.reader, self._left = reader, None
        return response

    def _keep(self, _: None) -> bool:
        """Take the responses that are complete, and next to be read; under the lock.

        Many may have come together, and one section for all of them is enough.
        """
        size = 0
        last: Stream | None = None
        for exchange in self._pending[:MOST_KEPT]:
            reader = exchange.reader
            if not isinstance(reader, ResponseReader) or (count := reader.keep_whole()) is None:
                break
            if count:
                size += count
                last = reader.stream.inner
        if last is not None:  # which has ended, so it is about the window of the connection
            self._shared.pump.engine.consumed(last, size)
        return True

    def _next(self) -> ResponseReader:
        """Return the reader of the first response that nobody has read, or reads by itself.

        Another thread may do that, or give it up, at any time.
        """
        for part in FIRST_OR_ANY:
            for exchange in self._pending[part]:
                reader = exchange.reader
                if (
                    isinstance(reader, ResponseReader)
                    and exchange.final is None
                    and not exchange.abandoned
                ):
                    return reader
        raise StateError("no response is pending: send a request first")

    def check_known(self) -> None:
        """Check that there is a body to read. Raises `StateError`."""
        if self._left is None:
            raise StateError("there is no body to read: call read_response() first")

    def take_left(self, size: int) -> bytes:
        """Return what the session before has left, *size* bytes at most."""
        self.check_known()
        assert self._left is not None
        return take_first(self._left, size)

    def read_raw(self, size: int) -> bytes | None:  # noqa: ARG002 - it is refused
        """Raise `StateError`: what comes is frames."""
        raise self._shared.labelled(StateError("read_raw() goes with HTTP/1.1 only"))

    def note(self, exc: BaseException) -> None:
        """See `ReceivingHalf.note`."""
        self._shared.label(exc)

    def nothing_arrived(self) -> ConnectionTimedOut:
        """See `ReceivingHalf.nothing_arrived`."""
        return NOTHING_ARRIVED(self._limits.timeout)

    # ---- `session.Bodies`: each attempt with the reader of the present response

    def read(self, size: int) -> bytes | None:
        """See `Operations.co_read`."""
        reader = self.reader
        return self.take_left(size) if reader is None else reader.take(size)

    read_patiently = read

    def readinto(self, target: memoryview) -> int | None:
        """See `Operations.co_readinto`."""
        reader = self.reader
        if reader is not None:
            return reader.take_into(target)
        data = self.take_left(len(target))
        target[: len(data)] = data
        return len(data)

    readinto_patiently = readinto

    def readall(self, _: None) -> bytes | None:
        """See `Operations.co_readall`."""
        reader = self.reader
        return self.take_left(1 << 62) if reader is None else reader.take_all()

    def discard(self, _: None) -> bool | None:
        """See `Operations.co_discard`."""
        reader = self.reader
        if reader is not None:
            return reader.drop()
        self.take_left(1 << 62)
        return True

    def left(self) -> list[bytes | memoryview] | None:
        """See `session.Bodies.left`."""
        reader = self.reader
        return None if reader is None else reader.left()

    def take_over(self, left: list[bytes | memoryview]) -> None:
        """See `session.Bodies.take_over`."""
        self._left = left
