"""Connections that somebody watches: traced, timed, dumped, kept to a budget or a total limit.

The two halves and their link are made of other classes then, which tell what they do. So
those of a connection that nobody watches do not even ask whether to tell.

Events of a request, in this order, each with ``started`` and ``complete`` or ``failed``::

    http11.send_request_headers     request, method, target, headers
    http11.send_request_body        request
    http11.receive_response_headers request, method, target; return_value, status, reason,
                                    http_version, headers
    http11.informational            response, status: one event for each 1xx response
    http11.receive_response_body    response
    http11.trailers                 response, headers: one event
    http11.response_closed          response
    connection.close                host, port: one event

Not here: the events of connecting (connect.py), and what the parts do (link.py, sending.py,
receiving.py, bodies.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, TypeVar

from .bodies import BodyReader
from .budgets import Budget
from .connect import Route
from .errors import BodyTooLarge, StateError
from .heads import Informed
from .http1.body import SIZED, UNTIL_CLOSE, Body
from .http1.head import Head
from .http1.limits import Limits
from .http1.states import Link, Sent
from .link import SharedLink
from .masking import mask_target, masked_lines
from .message import BodyFollowing, Exchange, HTTPResponse
from .polling import Co, run
from .receiving import ReceivingHalf
from .roles import FATAL, ReadingRole, Role, Turn
from .sending import SendingHalf
from .timeouts import Timeouts, limited
from .timings import Stopwatch, Timings
from .trace import Info, Phases, Trace
from .transport.paced import PacedStream
from .transport.tcp import Part, Stream
from .transport.wiredump import TraceFile, WireDump
from .transport.wrapped import WrappedStream

A = TypeVar("A")
T = TypeVar("T")

SEND_HEAD: Final = "http11.send_request_headers"
SEND_BODY: Final = "http11.send_request_body"
RECEIVE_HEAD: Final = "http11.receive_response_headers"
RECEIVE_BODY: Final = "http11.receive_response_body"
CLOSE_RESPONSE: Final = "http11.response_closed"


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


def make_halves(
    route: Route,
    timeout: float | Timeouts | None,
    wishes: Wishes,
    buffer_size: int,
    on_informational: Informed | None,
) -> tuple[SharedLink, ReceivingHalf, SendingHalf]:
    """Return the parts of a connection: those that tell if *wishes* need them."""
    if not wishes.any() and not isinstance(timeout, Timeouts):
        link = SharedLink(route, timeout)
        receiving = ReceivingHalf(link, route.limits, buffer_size, on_informational)
        return link, receiving, SendingHalf(link, receiving)
    watched = WatchedLink(route, timeout, wishes)
    reading = WatchedReceiving(watched, route.limits, buffer_size, on_informational)
    return watched, reading, WatchedSending(watched, reading)


class WatchedLink(SharedLink):
    """A link that tells, and whose stream is wrapped in what listens to it.

    Attributes:
        sending: the phase that the sending half is in.
        receiving: the phase that the receiving half is in.
        stopwatch: None if no timings are wanted.
        budget: what may pass.

    """

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


class WatchedBodies(BodyReader):
    """Reads no more of a body than the budget allows."""

    _link: WatchedLink
    _free = False

    def begin(self, body: Body, length: int) -> None:
        """See `BodyReader.begin`."""
        super().begin(body, length)
        self._left = self._link.budget.max_body  # bytes that may still be delivered, or None

    def readall(self, _: None) -> bytes | None:
        """See `BodyReader.readall`."""
        if self.body is not None:
            self._check(self._owed)
        return super().readall(None)

    def discard(self, _: None) -> bool | None:
        """See `BodyReader.discard`: nothing is delivered, so everything may pass."""
        self._free = True
        try:
            return super().discard(None)
        finally:
            self._free = False

    def _next(self) -> int | None:
        owed = super()._next()
        if not owed or self._free or self._left is None:
            return owed
        if self.body is UNTIL_CLOSE and self._left == 0 and not (there := self._have_bytes()):
            return there  # whether this was all is not known before the end
        self._check(owed)
        return min(owed, self._left)

    def _check(self, owed: int) -> None:
        left = self._left
        if left is None or owed <= left:
            return
        if self.body is SIZED or left == 0:
            most = self._link.budget.max_body
            raise BodyTooLarge(f"the body has more than the {most} bytes that are allowed")

    def _took(self, count: int) -> None:
        if self._left is not None and not self._free:
            self._left -= count
        super()._took(count)


class WatchedReceiving(ReceivingHalf):
    """A receiving half that tells."""

    kind_of_role: ClassVar[type[ReadingRole]] = WatchedReadingRole
    kind_of_bodies: ClassVar[type[BodyReader]] = WatchedBodies
    _link: WatchedLink

    def __init__(
        self, link: WatchedLink, limits: Limits, buffer_size: int, on_informational: Informed | None
    ) -> None:
        self._inform = on_informational
        informed = self._tell_informational if link.traced else on_informational
        super().__init__(link, limits, buffer_size, informed)
        self._head: Head | None = None  # of the response that is being read

    def _tell_informational(self, response: HTTPResponse) -> None:
        info = {"response": response, "status": response.status}
        self._link.tell("http11.informational", info)
        if self._inform is not None:
            self._inform(response)

    def read_response(self, _: None) -> HTTPResponse | None:
        """See `ReceivingHalf.read_response`."""
        pending = self._link.pending
        if self._link.receiving.name is None and pending and self.bodies.body is None:
            self._link.receiving.start(RECEIVE_HEAD, about(pending[0]))
        return super().read_response(None)

    def _begin_response(self, exchange: Exchange, head: Head) -> HTTPResponse:
        self._head = head
        response = super()._begin_response(exchange, head)
        self._tell_head(response)
        return response

    def _tell_head(self, response: HTTPResponse) -> None:
        """Tell of the head, which has arrived, unless that was done."""
        head, self._head = self._head, None
        if head is None:
            return
        info: Info = {"return_value": response}
        if self._link.traced:
            info |= {
                "status": response.status,
                "reason": response.reason,
                "http_version": response.http_version,
                "headers": masked_lines(head.fields),
            }
        if response.timings is not None:
            response.timings.note_head()
        self._link.receiving.complete(RECEIVE_HEAD, info)
        self._link.receiving.start(RECEIVE_BODY, {"response": response})

    def _end_response(self, body: Body | None) -> None:
        response = self._response
        assert response is not None
        self._tell_head(response)
        super()._end_response(body)
        link = self._link
        if body is not None and body.trailers:
            fields = masked_lines(body.trailers)
            link.tell("http11.trailers", {"response": response, "headers": fields})
        if response.timings is not None:
            response.timings.note_end()
        link.receiving.complete(RECEIVE_BODY, {"return_value": None})
        link.receiving.start(CLOSE_RESPONSE, {"response": response})
        link.receiving.complete(CLOSE_RESPONSE, {"return_value": None})


class WatchedSending(SendingHalf):
    """A sending half that tells."""

    kind_of_role: ClassVar[type[Role]] = WatchedRole
    _link: WatchedLink

    def begin(self, step: Callable[..., Co[None] | None], *arguments: Any) -> Co[None] | None:
        """See `SendingHalf.begin`."""
        return self._limit(super().begin(step, *arguments))

    def request(
        self, exchange: Exchange, head: bytes, body: Part | BodyFollowing | None, last: bool
    ) -> Co[None] | None:
        """See `SendingHalf.request`."""
        if self._link.stopwatch is not None:
            exchange.timings = Timings()
        return self._limit(super().request(exchange, head, body, last))

    def _limit(self, going: Co[None] | None) -> Co[None] | None:
        total = self._link.timeouts.total
        if going is None or total is None:
            return going
        return limited(total, "total", going, "it could not be sent")

    def _request(
        self, exchange: Exchange, head: bytes, body: Part | BodyFollowing | None, last: bool
    ) -> Co[None] | None:
        link = self._link
        if link.stopwatch is not None and exchange.timings is not None:
            link.stopwatch.take(exchange.timings)
        info = about(exchange)
        if link.traced:
            info["headers"] = masked_lines(head.partition(b"\r\n")[2])
        link.sending.start(SEND_HEAD, info)
        going = super()._request(exchange, head, body, last)
        follows = isinstance(body, BodyFollowing) and body.length != 0
        if going is not None:
            return self._co_tell_sent(going, exchange, follows)
        self._tell_sent(exchange, follows)
        return None

    def _co_tell_sent(self, going: Co[None], exchange: Exchange, follows: bool) -> Co[None]:
        yield from going
        self._tell_sent(exchange, follows)

    def _tell_sent(self, exchange: Exchange, follows: bool) -> None:
        """Tell that the head is sent, and the body if it went along."""
        phases = self._link.sending
        phases.complete(SEND_HEAD, {"return_value": None})
        if not follows:
            phases.start(SEND_BODY, {"request": exchange})
            phases.complete(SEND_BODY, {"return_value": None})

    def _check_writable(self) -> Exchange:
        exchange = super()._check_writable()
        if self._link.sending.name is None:
            self._link.sending.start(SEND_BODY, {"request": exchange})
        return exchange

    def _step(self, event: Sent) -> None:
        super()._step(event)
        if event is Sent.FINISHED:
            self._link.sending.complete(SEND_BODY, {"return_value": None})

    def _stopped(self, exchange: Exchange, exc: BaseException, *, untouched: bool) -> None:
        super()._stopped(exchange, exc, untouched=untouched)
        self._link.sending.fail(exc)


def about(exchange: Exchange) -> Info:
    """Return what is told of a request."""
    return {
        "request": exchange,
        "method": exchange.method,
        "target": mask_target(exchange.path),
    }
