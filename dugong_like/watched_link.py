"""The link of a connection that somebody watches, and the right to use its halves.

The link keeps the trace, and wraps the stream in what listens to it; the roles tell how
an operation fails, and limit each of them.

Not here: the halves, and what they tell (watched.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from .budgets import Budget
from .connect import Route
from .errors import StateError
from .http1.states import Link
from .link import SharedLink
from .polling import Co, run
from .roles import FATAL, ReadingRole, Role, Turn
from .timeouts import Timeouts, limited
from .timings import Stopwatch
from .trace import Info, Phases, Trace
from .transport.paced import PacedStream
from .transport.tcp import Stream
from .transport.wiredump import TraceFile, WireDump
from .transport.wrapped import WrappedStream

A = TypeVar("A")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted of a connection besides that it works; see `HTTPConnection`."""

    trace: Trace | None = None
    timings: bool = False
    trace_file: TraceFile | None = None
    budget: Budget | None = None

    def any(self) -> bool:
        """Return True if there is one."""
        return self != NO_WISHES


NO_WISHES: Final = Wishes()


def trace_or_log(trace: Trace | None) -> Trace | None:
    """Return *trace*; without one what logs events, if somebody listens to our loggers."""
    if trace is not None or "logging" not in sys.modules:
        return trace
    from . import logs  # noqa: PLC0415 - who does not log does not import logging

    return logs.log_event if logs.is_wanted() else None


class WatchedLink(SharedLink):
    """A link that tells, and whose stream is wrapped in what listens to it.

    Attributes:
        sending: the phase that the sending half is in.
        receiving: the phase that the receiving half is in.
        stopwatch: None if no timings are wanted.
        budget: what may pass.

    """

    limits_operations = True

    __slots__ = (
        *("_dump", "_pid", "_raised", "_trace", "budget", "receiving", "sending"),
        *("stopwatch", "traced"),
    )

    def __init__(self, route: Route, timeout: float | Timeouts | None, wishes: Wishes) -> None:
        self._trace = wishes.trace
        self._raised: BaseException | None = None
        self._dump = None if wishes.trace_file is None else WireDump(wishes.trace_file)
        self._pid = os.getpid()
        self.stopwatch = Stopwatch() if wishes.timings else None
        self.budget = wishes.budget or Budget()
        self.traced = wishes.trace is not None
        self.sending = Phases(self.tell)
        self.receiving = Phases(self.tell)
        told = self.traced or wishes.timings
        super().__init__(replace(route, trace=self.tell) if told else route, timeout)

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

    def co_open(self) -> Co[None]:
        """See `SharedLink.co_open`."""
        self._pid = os.getpid()
        self._raised = None
        try:
            yield from super().co_open()
            self.raw_stream = self._wrap(self.stream)
        except BaseException:
            if self._raised is None:
                self.drop()
                raise
        if (raised := self._raised) is not None:  # and taken for a failed attempt, perhaps
            self.drop()
            raise raised

    def _wrap(self, stream: Stream) -> Stream:
        if self._dump is not None:
            stream = self._dump.wrap(stream)
        if self.budget.download is not None or self.budget.upload is not None:
            stream = PacedStream(stream, self.budget.download, self.budget.upload)
        return stream

    def drop(self, *, wake: bool = False) -> None:
        """See `SharedLink.drop`. A child process tells nothing of its parent's connection."""
        was_open = self.raw_stream is not None
        super().drop(wake=wake)
        self._raised = None
        self.sending.reset()
        self.receiving.reset()
        if was_open and os.getpid() == self._pid:
            self.tell("connection.close", {"host": self.route.hostname, "port": self.route.port})


class WatchedRole(Role):
    """The right to send; tells how sending fails."""

    __slots__ = ()
    link: WatchedLink

    def note(self, turn: Turn, exc: BaseException) -> None:
        """See `Role.note`."""
        super().note(turn, exc)
        if turn is self._lock:
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
            turn.release()
            raise
        return turn

    def note(self, turn: Turn, exc: BaseException) -> None:
        """See `Role.note`. To be given up does reading no harm, and is no failure."""
        super().note(turn, exc)
        if turn is self._lock and not isinstance(exc, GeneratorExit):
            link = self.link
            for_good = isinstance(exc, FATAL) or link.state is Link.BROKEN
            link.receiving.fail(exc, for_good=for_good)

    def block(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        first: Callable[[], object] | None = None,  # noqa: ARG002 - it would wait without a limit
    ) -> T:
        """See `ReadingRole.block`."""
        return run(self.co(attempt, argument))

    def co(self, attempt: Callable[[A], T | None], argument: A, *, tried: bool = False) -> Co[T]:
        """See `ReadingRole.co`."""
        reading = super().co(attempt, argument, tried=tried)
        total = self.link.timeouts.total
        if total is None:
            return reading
        return limited(total, "total", reading, "it could not be read")
