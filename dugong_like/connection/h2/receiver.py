"""The receiving half of an HTTP/2 session: one response after the other, as callers see it.

`read_response` takes the response to the oldest request that has none yet, and the calls that read
a body take that of the response that was read last.

Not here: reading itself, also by an exchange, in any order (stream.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar, cast

from ...errors import StateError
from ...polling.contract import run
from ..states import Retired
from ..time_out_messages import NOTHING_ARRIVED
from .stream import H2Stream, take_first

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

    """

    __slots__ = (
        *("_bodies", "_left", "_limits", "_opening", "_pending", "_shared", "buffer", "stream"),
    )

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
        self.stream: H2Stream | None = None  # of the response that was read last
        self.buffer: Pump = shared.pump
        self._left: list[bytes | memoryview] | None = None
        self._bodies = Bodies(self)

    @property
    def continue_timeout(self) -> float | None:
        """Seconds to wait for 100 (Continue); None waits for ever."""
        return self._limits.continue_timeout

    @continue_timeout.setter
    def continue_timeout(self, seconds: float | None) -> None:
        """Set it to *seconds*."""
        self._limits.continue_timeout = seconds

    @property
    def bodies(self) -> Bodies:
        """Attempts to read bodies."""
        return self._bodies

    def co(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        waits_first: Callable[[], bool] | None = None,  # noqa: ARG002 - nothing is saved by it
    ) -> Co[T]:
        """See `ReceivingHalf.co`: *attempt* is one of `bodies`."""
        stream = self.stream
        if stream is not None and attempt != self.read_raw:
            return stream.co_take(attempt, argument)
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
        stream = self.stream
        if stream is not None and (here := stream.take_now(attempt, argument)) is not None:
            return here
        return run(self.co(attempt, argument, waits_first))

    def co_save(self, sink: Sink) -> Co[bool]:
        """See `ReceivingHalf.co_save`."""
        if self.stream is None:
            self.check_known()
            return True
        return (yield from self.stream.co_save(sink))

    def read_response(self, _: None) -> HTTPResponse | None:
        """See `ReceivingHalf.read_response`: for `block`."""
        raise NotImplementedError

    def begin_wait(self) -> bool:
        """Return False: waiting first would save nothing."""
        return False

    def co_read_response(self) -> Co[HTTPResponse]:
        """See `Operations.co_read_response`."""
        last = self.stream
        if last is not None and last.is_unread():
            what = "the body of the last response has not been read to its end: "
            raise self._shared.labelled(
                StateError(f"{what}call readall() or discard() first"), last.exchange
            )
        exchange = self._next()
        stream = cast("H2Stream", exchange.reader)
        if not stream.is_here:
            if self._opening.is_under_way():
                try:
                    yield from self._opening.co_ready()
                except Retired:  # whoever sends the request goes to the next session
                    yield from stream.co_settle()
            if stream.stream is not None and stream.stream.ended:
                self._shared.pump.attempt(self._keep, None)
        response = stream.take_now(stream.take_head, None)
        if response is None:
            response = yield from stream.co_head()
        if exchange.answered:
            self.stream, self._left = stream, None
        return response

    def _keep(self, _: None) -> bool:
        """Take the responses that are complete, and next to be read; under the lock.

        Many may have come together, and one section for all of them is enough.
        """
        size = 0
        last: Stream | None = None
        for exchange in self._pending[:MOST_KEPT]:
            stream = cast("H2Stream", exchange.reader)
            count = stream.keep_whole()
            if count is None:
                break
            if count:
                size += count
                last = stream.stream
        if last is not None:  # which has ended, so it is about the window of the connection
            self._shared.pump.engine.consumed(last, size)
        return True

    def _next(self) -> Exchange:
        """Return the first exchange whose response nobody has read, or reads by itself."""
        for first in self._pending[:1]:  # most of the time; the list may be long
            if not first.abandoned and not first.answered:
                return first
        for exchange in [*self._pending]:
            if not exchange.abandoned and not exchange.answered:
                return exchange
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

    def keep(self, left: list[bytes | memoryview]) -> None:
        """See `Bodies.take_over`."""
        self._left = left

    def read_raw(self, size: int) -> bytes | None:  # noqa: ARG002 - it is refused
        """Raise `StateError`: what comes is frames."""
        raise self._shared.labelled(StateError("read_raw() goes with HTTP/1.1 only"))

    def note(self, exc: BaseException) -> None:
        """See `ReceivingHalf.note`."""
        self._shared.label(exc)

    def nothing_arrived(self) -> ConnectionTimedOut:
        """See `ReceivingHalf.nothing_arrived`."""
        return NOTHING_ARRIVED(self._limits.timeout)


class Bodies:
    """The attempts of `session.Bodies`, each with the stream of the present response.

    Args:
        receiver: has it.

    """

    __slots__ = ("_receiver",)

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def read(self, size: int) -> bytes | None:
        """See `Operations.co_read`."""
        stream = self._receiver.stream
        return self._receiver.take_left(size) if stream is None else stream.take(size)

    read_patiently = read

    def readinto(self, target: memoryview) -> int | None:
        """See `Operations.co_readinto`."""
        stream = self._receiver.stream
        if stream is not None:
            return stream.take_into(target)
        data = self._receiver.take_left(len(target))
        target[: len(data)] = data
        return len(data)

    readinto_patiently = readinto

    def readall(self, _: None) -> bytes | None:
        """See `Operations.co_readall`."""
        stream = self._receiver.stream
        return self._receiver.take_left(1 << 62) if stream is None else stream.take_all()

    def discard(self, _: None) -> bool | None:
        """See `Operations.co_discard`."""
        stream = self._receiver.stream
        if stream is not None:
            return stream.drop()
        self._receiver.take_left(1 << 62)
        return True

    def left(self) -> list[bytes | memoryview] | None:
        """See `session.Bodies.left`."""
        stream = self._receiver.stream
        return None if stream is None else stream.left()

    def take_over(self, left: list[bytes | memoryview]) -> None:
        """See `session.Bodies.take_over`."""
        self._receiver.keep(left)
