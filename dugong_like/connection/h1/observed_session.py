"""The link of a connection that somebody watches, and the right to use its halves.

The link keeps the trace, and wraps the stream in what listens to it; the roles tell how
an operation fails, and limit each of them.

Not here: the halves, and what they tell (observed.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ...errors import StateError
from ...http.redaction import quoted
from ...polling.binary_streams import is_binary
from ...polling.contract import Co, PollNeeded, run
from ...polling.rates import Budget
from ...polling.timeouts import Timeouts, limited
from ...transport.connect.happy_eyeballs import Attempt
from ...transport.connect.route import Route
from ...transport.filters.base import WrappedStream
from ...transport.filters.minimum_rate import RECEIVING, SENDING, Meter, MeteredStream
from ...transport.filters.throttle import PacedStream
from ...transport.filters.wire_dump import TraceFile, WireDump
from ...transport.stream import Stream
from ...transport.timings import Stopwatch
from ...transport.trace import Info, Phases, Trace, tell_retry
from .exclusive import FATAL, ReadingRole, Role, Turn
from .session import SharedLink
from .states import Link

A = TypeVar("A")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted of a connection besides that it works; see `HTTPConnection`.

    Raises:
        TypeError: one of them has the wrong type.

    """

    trace: Trace | None = None
    timings: bool = False
    trace_file: TraceFile | None = None
    budget: Budget | None = None

    def __post_init__(self) -> None:
        if self.trace is not None and not callable(self.trace):
            raise TypeError(f"trace is a function, not {quoted(self.trace)}")
        if self.budget is not None and not isinstance(self.budget, Budget):
            raise TypeError(f"budget is Budget(…), not {quoted(self.budget)}")
        file = self.trace_file
        if not isinstance(file, str | os.PathLike | None) and not is_binary(file, "write"):
            raise TypeError(f"trace_file is a path or a binary file, not {quoted(file)}")


class WatchedLink(SharedLink):
    """A link that tells, and whose stream is wrapped in what listens to it.

    Attributes:
        sending: the phase that the sending half is in.
        receiving: the phase that the receiving half is in.
        stopwatch: None if no timings are wanted.
        budget: what may pass.
        meter: what is moved; None if it may be as little as it likes.

    """

    limits_operations = True

    __slots__ = (
        *("_dump", "_pid", "_raised", "_trace", "_untold", "_wishes", "budget", "meter"),
        *("receiving", "sending", "stopwatch", "timings", "traced"),
    )

    def __init__(
        self,
        route: Route,
        timeout: float | Timeouts | None,
        wishes: Wishes,
        dump: WireDump | None = None,
    ) -> None:
        self._trace = wishes.trace
        self._raised: BaseException | None = None
        if dump is None and wishes.trace_file is not None:
            dump = WireDump(wishes.trace_file)
        self._dump = dump
        self._pid = os.getpid()
        self.stopwatch = Stopwatch() if wishes.timings else None
        self.timings = None
        self.budget = wishes.budget or Budget()
        self.meter: Meter | None = None
        self.traced = wishes.trace is not None
        self.sending = Phases(self.tell)
        self.receiving = Phases(self.tell)
        self._wishes = wishes
        self._untold = route
        told = self.traced or wishes.timings
        super().__init__(route.told(self.tell) if told else route, timeout)

    def tell(self, event: str, info: Info) -> None:
        """Tell whoever asked.

        What a trace raises ends the operation and breaks the connection; it is told nothing
        more of that one.

        Raises:
            BaseException: what the trace raises.

        """
        if self.stopwatch is not None:
            self.stopwatch.note(event)
        if self._trace is None or self._raised is not None:
            return
        try:
            self._trace(event, info)
        except BaseException as exc:
            self._raised = exc
            self.fail(StateError(f"the trace raised {exc!r} at {event}"))
            if self.raw_stream is not None:
                self.raw_stream.shut_down()  # for the other half, if it waits
            raise

    @property
    def bare_stream(self) -> Stream | None:
        """See `SharedLink.bare_stream`."""
        stream = self.raw_stream
        return stream.bare if isinstance(stream, WrappedStream) else stream

    def open(self) -> Co[None]:
        """See `SharedLink.open`. Never at once: each step is told."""
        return self._co_open(None)

    def _co_open(self, attempt: Attempt | None) -> Co[None]:
        self._pid = os.getpid()
        self._raised = None
        if self.stopwatch is not None:
            self.stopwatch.reset()
        try:
            yield from super()._co_open(attempt)
        except BaseException:
            if self._raised is None:
                self.drop()
                raise
        if (raised := self._raised) is not None:  # and taken for a failed attempt, perhaps
            self.drop()
            raise raised

    def _opened(self, stream: Stream) -> None:
        try:
            wrapped = self._wrap(stream)
        except BaseException:
            stream.close()
            raise
        super()._opened(wrapped)

    def _another(self) -> WatchedLink:
        another = WatchedLink(self._untold, self.timeouts, self._wishes, self._dump)
        another.timings = self.timings
        return another

    def _wrap(self, stream: Stream) -> Stream:
        if self.budget.lowest_rate is not None:
            self.meter = Meter(self.budget.lowest_rate)
            stream = MeteredStream(stream, self.meter)
        if self._dump is not None:
            stream = self._dump.wrap(stream)
        if self.budget.download is not None or self.budget.upload is not None:
            stream = PacedStream(stream, self.budget.download, self.budget.upload)
        return stream

    def hand_over(self) -> Stream | None:
        """See `SharedLink.hand_over`. What follows may rest as long as it likes."""
        stream = super().hand_over()
        if self.meter is not None:
            self.meter.stop()
        return stream

    def stop_waiting(self, who: int) -> None:
        """Note that an operation of one half has ended, which may have waited."""
        if self.meter is not None:
            self.meter.leave(who)

    def detach(self) -> Stream | None:
        """See `SharedLink.detach`."""
        stream = super().detach()
        self._raised = None
        self.sending.reset()
        self.receiving.reset()
        return stream

    def tell_closed(self, stream: Stream) -> None:
        """See `SharedLink.tell_closed`. A child process tells nothing of its parent's connection.

        Raises:
            BaseException: what the trace raises; *stream* is closed then, unless it was left
                to the operations that use it.

        """
        if os.getpid() != self._pid:
            return
        try:
            self.tell("connection.close", {"host": self.route.hostname, "port": self.route.port})
        except BaseException:
            if not self.abandoned:  # else it is shut down, and may even be closed by now
                stream.shut_down()
                stream.close()
            self.closing.end(None)
            raise

    def tell_retry(self, failure: Exception | None, requests: int) -> None:
        """See `SharedLink.tell_retry`.

        Raises:
            BaseException: what the trace raises.

        """
        tell_retry(self.tell, self.route.hostname, self.route.port, failure, requests)


class WatchedRole(Role):
    """The right to send; tells how sending fails."""

    __slots__ = ()
    link: WatchedLink

    def note(self, exc: BaseException) -> None:
        """See `Role.note`."""
        super().note(exc)
        self.link.stop_waiting(SENDING)
        self.link.sending.fail(exc)


class WatchedReadingRole(ReadingRole):
    """The right to read; tells how reading fails, and limits each operation."""

    __slots__ = ()
    link: WatchedLink

    def take(self) -> Turn:
        """See `Role.take`."""
        turn = super().take()
        try:
            self.link.receiving.resume()
        except BaseException:
            self.end(turn)
            raise
        return turn

    def note(self, exc: BaseException) -> None:
        """See `Role.note`. To be given up does reading no harm, and is no failure."""
        super().note(exc)
        self.link.stop_waiting(RECEIVING)
        if not isinstance(exc, GeneratorExit):
            link = self.link
            for_good = isinstance(exc, FATAL) or link.state is Link.BROKEN
            link.receiving.fail(exc, for_good=for_good)

    def block(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        is_early: Callable[[], bool] | None = None,
    ) -> T:
        """See `ReadingRole.block`."""
        return run(self.co(attempt, argument, is_early))

    def co(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        is_early: Callable[[], bool] | None = None,
        *,
        tried: bool = False,
        elsewhere: Callable[[], PollNeeded | None] | None = None,
    ) -> Co[T]:
        """See `ReadingRole.co`."""
        reading = super().co(attempt, argument, is_early, tried=tried, elsewhere=elsewhere)
        total = self.link.timeouts.total
        if total is None:
            return reading
        return limited(total, "total", reading, "it could not be read")
