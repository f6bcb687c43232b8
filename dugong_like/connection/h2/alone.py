"""An exchange that begins when nobody else uses the HTTP/2 connection: the shortest way.

A program that makes one request after the other needs nothing that many operations on one socket
need: nobody is to be woken, nothing is to be gathered, and what comes is the response. So such an
exchange is one send, one wait and one reception, as over HTTP/1.1::

    alone = session.alone(exchange, head)
    try:
        if alone.begin():         # False: nothing was sent; another way
            ...                   # the wait for `need`
            reply = alone.finish()
            if reply is None:     # not all of it is here, or something else is
                ...               # `co_rest`
    except BaseException as exc:
        alone.failed(exc)
        raise
    finally:
        alone.end()

It leads meanwhile (pump.py), so others may come at any time. If something else than a usual
response arrives, such as a part of it, or frames for others, it goes on as all exchanges do
(whole_exchange.py).

Not here: requests with a body, and connections with an observer or a limit for bodies.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ..exchange import Reply
from ..session import Session as AnySession
from ..states import BROKEN
from .request_writer import RequestWriter
from .response_reader import ResponseReader
from .stream import H2Stream
from .waiter import Waiter
from .whole_exchange import WholeExchange

if TYPE_CHECKING:
    from ...polling.contract import Co, PollNeeded
    from ..exchange import Exchange
    from ..time_limits import ContinueLimit
    from .limits import Limit
    from .options import EitherHead
    from .shared import H2State


class Session(AnySession, Protocol):
    """The part of a session of HTTP/2 that is used here."""

    @property
    def shared(self) -> H2State:
        """See `session.Session`."""
        ...

    @property
    def limits(self) -> ContinueLimit:
        """See `session.Session`."""
        ...

    def co_reply_to(self, whole: WholeExchange, waiter: Waiter, limit: Limit, /) -> Co[Reply]:
        """Do what is left of a whole exchange, as one operation of the pump."""
        ...


class Alone(Waiter):
    """One exchange without a request body, from its request to its response.

    Args:
        session: its session.
        exchange: of the request.
        head: that of the request.

    Attributes:
        session: as given.
        waits: True if the whole request was sent, and `finish` was not called since.

    """

    __slots__ = ("_done", "_exchange", "_head", "_until", "session", "waits")

    def __init__(self, session: Session, exchange: Exchange, head: EitherHead) -> None:
        super().__init__(None)
        self.session = session
        self._exchange = exchange
        self._head = head
        self._until: float | None = None  # time at which the response is late
        self._done = self.waits = False

    def begin(self) -> bool:
        """Send the request, if nobody else uses the session; False: nothing was sent.

        Raises:
            InvalidRequest: the head is for HTTP/1 only.
            StateError: this has interrupted an operation of its own thread.

        """
        session = self.session
        pump = session.shared.pump
        sent = pump.lock.run(pump.begin_alone, self, self._head.section())
        if sent is None:
            self._done = True
            return False
        exchange, stream = self._exchange, self.stream
        assert stream is not None
        exchange.stream_id = stream.id
        exchange.sent = sent
        limits = session.limits
        if (seconds := limits.head_timeout) is not None:
            self._until = time.monotonic() + seconds
            if limits.head_limit is not None:
                exchange.head_until = self._until
        self.waits = sent
        return True

    def need(self) -> PollNeeded:
        """Return the wait for the response. Raises `ConnectionClosed` if the session was closed."""
        return self.session.shared.live_stream().wanted_by_recv(self._until)

    def wait(self) -> None:
        """Block until something arrives, or for as long as the time limits allow.

        Raises:
            ConnectionClosed: the session was closed.

        """
        session = self.session
        shared = session.shared
        stream = shared.stream
        if stream is None or shared.state is BROKEN:
            stream = shared.live_stream()  # which raises
        stream.wait_to_recv(session.limits.head_timeout)

    def finish(self) -> Reply | None:
        """Receive once; return the response if all of it is here, and nothing else."""
        self.waits = False
        pump = self.session.shared.pump
        content = pump.lock.run(pump.receive_alone, self)
        if content is None:
            return None
        exchange, stream = self._exchange, self.stream
        assert stream is not None
        head: Any = stream.head  # no `cast`: that is a call
        exchange.final = head
        exchange.complete = self._done = True
        return Reply(exchange, head, content, True)

    def co_rest(self) -> Co[Reply]:
        """Send what is left of the request, and receive the response.

        Raises:
            DugongError: what `Session.co_exchange` raises.

        """
        reader = self._as_any()
        whole = WholeExchange(RequestWriter(reader.stream), reader)
        limit = whole.limit()
        if self._until is not None:
            limit.begin(self._until)
        try:
            reply = yield from self.session.co_reply_to(whole, self, limit)
        except BaseException as exc:
            self.failed(exc)
            raise
        self._done = True
        return reply

    def _as_any(self) -> ResponseReader:
        """Return what goes on with it as all exchanges do."""
        reader = self._exchange.reader
        if isinstance(reader, ResponseReader):
            return reader
        session = self.session
        return ResponseReader(H2Stream(session.shared, self._exchange, session.limits, self.stream))

    def failed(self, exc: BaseException) -> None:
        """Say in *exc*, which has ended it, what it is about."""
        self._as_any().stream.complete_error(exc)

    def end(self) -> None:
        """Leave the session; an exchange that is not complete is given up."""
        try:
            self._leave()
        except BaseException:  # Ctrl-C, perhaps before anything was done
            self._leave()
            raise

    def _leave(self) -> None:
        session = self.session
        shared = session.shared
        pump = shared.pump
        if not self.left:
            pump.lock.when_free(partial(pump.leave, self))
        if not self._done:
            self._as_any().stream.cancel()
            self._done = True
        if shared.left is not None:
            shared.give_back()
        if pump.on_idle is not None:
            pump.check_idle()
        if pump.news:
            pump.tell_news()
