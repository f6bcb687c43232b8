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
    connection.retry                host, port, exception, requests: one event

Not here: the link (observed_session.py), the events of connecting (open.py), and what the
parts do (session.py, sender.py, receiver.py, body_reader.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from ...errors import BodyTooLarge, StateError
from ...http.h1.body import SIZED, UNTIL_CLOSE, Body
from ...http.h1.limits import Limits
from ...http.h1.response_head import Head
from ...http.redaction import mask_target, masked_lines
from ...http.request import BodyFollowing
from ...polling.contract import Co
from ...polling.timeouts import Timeouts, limited
from ...transport.buffer import ReceiveBuffer
from ...transport.connect.route import Route
from ...transport.filters.minimum_rate import SENDING
from ...transport.stream import Part, Stream
from ...transport.timings import Timings
from ...transport.trace import Info
from ...transport.upgraded.network_stream import NetworkStream
from ..exchange import Exchange, HTTPResponse
from .body_reader import BodyReader
from .exclusive import ReadingRole, Role
from .head_reader import Informed
from .observed_session import WatchedLink, WatchedReadingRole, WatchedRole, Wishes
from .receiver import Ending, ReceivingHalf, hand_over
from .sender import SendingHalf, Whole
from .session import SharedLink
from .states import Link, Sending, Sent

SEND_HEAD: Final = "http11.send_request_headers"
SEND_BODY: Final = "http11.send_request_body"
RECEIVE_HEAD: Final = "http11.receive_response_headers"
RECEIVE_BODY: Final = "http11.receive_response_body"
CLOSE_RESPONSE: Final = "http11.response_closed"


def make_halves(
    route: Route,
    timeout: float | Timeouts | None,
    wishes: Wishes,
    buffer_size: int,
    on_informational: Informed | None,
) -> tuple[SharedLink, ReceivingHalf, SendingHalf]:
    """Return the parts of a connection that tell what *wishes* want to hear."""
    watched = WatchedLink(route, timeout, wishes)
    reading = WatchedReceiving(watched, route.limits, buffer_size, on_informational)
    return watched, reading, WatchedSending(watched, reading)


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


class WatchedEnding(Ending):
    """Tells of the end of a response, and of its beginning if that has not been done.

    Attributes:
        head: of the present response, until it has been told of.
    """

    _link: WatchedLink

    def __init__(self, role: ReadingRole, buffer: ReceiveBuffer) -> None:
        super().__init__(role, buffer)
        self.head: Head | None = None

    def tell_head(self) -> None:
        """Tell of the head, which has arrived, unless that was done."""
        head, self.head = self.head, None
        response = self.response
        if head is None or response is None:
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
            self._link.timings = response.timings
        self._link.receiving.complete(RECEIVE_HEAD, info)
        self._link.receiving.start(RECEIVE_BODY, {"response": response})

    def end(self, body: Body | None) -> None:
        """See `Ending.end`."""
        response = self.response
        assert response is not None
        self.tell_head()
        super().end(body)
        link = self._link
        if link.meter is not None:
            link.meter.restart()
        if body is not None and body.trailers:
            fields = masked_lines(body.trailers)
            link.tell("http11.trailers", {"response": response, "headers": fields})
        if (timings := response.timings) is not None:
            timings.note_end()
            if link.state is Link.SWITCHED and (stream := link.raw_stream) is not None:
                response.offer(partial(hand_over_timed, timings, self._role, self._buffer, stream))
        link.receiving.complete(RECEIVE_BODY, {"return_value": None})
        link.receiving.start(CLOSE_RESPONSE, {"response": response})
        link.receiving.complete(CLOSE_RESPONSE, {"return_value": None})


def hand_over_timed(
    timings: Timings, role: ReadingRole, buffer: ReceiveBuffer, stream: Stream
) -> NetworkStream:
    """Do what `hand_over` does, and let the stream tell *timings*."""
    handed = hand_over(role, buffer, stream)
    handed.timings = timings
    return handed


class WatchedReceiving(ReceivingHalf):
    """A receiving half that tells."""

    kind_of_role: ClassVar[type[ReadingRole]] = WatchedReadingRole
    kind_of_bodies: ClassVar[type[BodyReader]] = WatchedBodies
    kind_of_ending: ClassVar[type[Ending]] = WatchedEnding
    _link: WatchedLink
    _ending: WatchedEnding

    def __init__(
        self, link: WatchedLink, limits: Limits, buffer_size: int, on_informational: Informed | None
    ) -> None:
        self._inform = on_informational
        informed = self._tell_informational if link.traced else on_informational
        super().__init__(link, limits, buffer_size, informed)

    def _tell_informational(self, response: HTTPResponse) -> None:
        info = {"response": response, "status": response.status}
        self._link.tell("http11.informational", info)
        if self._inform is not None:
            self._inform(response)

    @property
    def _informed(self) -> Informed | None:
        return self._inform

    def is_early(self) -> bool:
        """See `ReceivingHalf.is_early`: never, as it is the first attempt that is told of."""
        return False

    def read_response(self, _: None) -> HTTPResponse | None:
        """See `ReceivingHalf.read_response`."""
        pending = self._link.pending
        if self._link.receiving.name is None and pending and self.bodies.body is None:
            self._link.receiving.start(RECEIVE_HEAD, about(pending[0]))
        return super().read_response(None)

    def _begin_response(self, exchange: Exchange, head: Head) -> HTTPResponse:
        self._ending.head = head
        response = super()._begin_response(exchange, head)
        self._ending.tell_head()
        return response


class WatchedSending(SendingHalf):
    """A sending half that tells."""

    kind_of_role: ClassVar[type[Role]] = WatchedRole
    _link: WatchedLink

    def begin(self, step: Callable[..., Co[None] | None], *arguments: Any) -> Co[None] | None:
        """See `SendingHalf.begin`."""
        return self._limit(super().begin(step, *arguments))

    def request(
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole] = (),
    ) -> Co[None] | None:
        """See `SendingHalf.request`."""
        if self._link.stopwatch is not None:
            exchange.timings = Timings()
        return self._limit(super().request(exchange, head, body, before))

    def give_up(self, exchange: Exchange) -> None:
        """See `SendingHalf.give_up`. Nobody has a turn who would tell."""
        super().give_up(exchange)
        if self._link.state is Link.BROKEN:
            self._link.sending.fail(StateError("the body of a request was given up"))

    def _limit(self, going: Co[None] | None) -> Co[None] | None:
        total = self._link.timeouts.total
        if going is None or total is None:
            return going
        return limited(total, "total", going, "it could not be sent")

    def send_all(self, requests: Sequence[Whole]) -> Co[None]:
        """See `SendingHalf.send_all`; one by one, as each is told."""
        for exchange, head, body in requests:
            going = self.request(exchange, head, body)
            if going is not None:
                yield from going

    def _request(
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole],
    ) -> Co[None] | None:
        link = self._link
        if link.stopwatch is not None and exchange.timings is not None:
            link.stopwatch.take(exchange.timings)
        info = about(exchange)
        if link.traced:
            info["headers"] = masked_lines(head.partition(b"\r\n")[2])
        link.sending.start(SEND_HEAD, info)
        going = super()._request(exchange, head, body, before)
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
        over = event is Sent.SWITCH and self._link.sending.name == SEND_BODY
        if event is Sent.FINISHED or over:  # after a body another protocol may follow
            self._link.sending.complete(SEND_BODY, {"return_value": None})

    def _stopped(self, exc: BaseException, *, untouched: bool) -> None:
        phases = self._link.sending
        if phases.name is None and self._state is Sending.BODY:
            phases.start(SEND_BODY, {"request": self._exchange})
        super()._stopped(exc, untouched=untouched)
        self._link.stop_waiting(SENDING)
        phases.fail(exc)


def about(exchange: Exchange) -> Info:
    """Return what is told of a request."""
    return {
        "request": exchange,
        "method": exchange.method,
        "target": mask_target(exchange.path),
    }
