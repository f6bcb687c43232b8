"""A batch: many whole exchanges as one operation of the pump.

Requests are opened as long as there is room, and leave with one send. Responses are taken in the
order of the requests, all that one reception has brought in one section: so an exchange has neither
an operation nor a wait of its own. Other responses, such as long ones, get a `ResponseReader`.

The server may send a response before one that is due earlier. The part that has come stays where it
is, unless a window might be full of it: then the response is read before its turn.

A batch does not keep others from the connection: it opens a stream only if nobody has waited longer
for that, once one of its own is open.

Not here: requests with a body, each of which may have to wait for its window, and connections with
an observer or a limit for bodies (operations.py has them done one beside the other).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from ...errors import InvalidRequest
from ..exchange import Reply
from ..states import OPEN, Retired
from ..time_out_messages import no_stream
from .limits import Limit
from .response_reader import ResponseReader
from .stream import H2Stream
from .waiter import ROOM, Waiter

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut
    from ...http.h1.response_head import Head
    from ...http.h2.stream import Stream
    from ...polling.contract import Co
    from ..exchange import Exchange
    from ..session import Whole
    from ..time_limits import ContinueLimit
    from .opening import Opening
    from .options import EitherHead
    from .shared import H2State

MOST_OPEN: Final = 100  # exchanges at a time: every server should allow that (section 6.5.2)
LONG: Final = 65536  # bytes: as much of a body is not left to the window until its turn, or less


class Opened(NamedTuple):
    """An exchange whose request is queued, and whose response is not complete."""

    exchange: Exchange
    stream: Stream


class Batch:
    """Does exchanges without request bodies.

    Args:
        shared: of the session.
        limits: the time limits that hold.
        batch: the requests; there is at least one.
        replies: each response is appended to it when it is complete.

    """

    __slots__ = (
        *("_coming", "_followed", "_heads", "_limits", "_long", "_looked_at", "_opened"),
        *("_readers", "_replies", "_shared"),
    )

    def __init__(
        self,
        shared: H2State,
        limits: ContinueLimit,
        batch: Sequence[Whole],
        replies: list[Reply],
    ) -> None:
        self._shared = shared
        self._limits = limits
        self._replies = replies
        self._coming = deque((exchange, cast("EitherHead", head)) for exchange, head, _ in batch)
        self._opened: deque[Opened] = deque()
        self._readers: dict[Stream, ResponseReader] = {}  # of responses that are not as most are
        self._followed: dict[Stream, None] = {}  # streams that wake the operation
        self._looked_at = shared.pump.received  # when all that is open was last looked at
        self._long = min(LONG, shared.pump.engine.most_unread)

    def co_exchange(self, opening: Opening) -> Co[None]:
        """Do all exchanges.

        Args:
            opening: of the session; connects.

        Raises:
            Retired: the session takes no further request. Those before have their responses.
            InvalidRequest: a head is for HTTP/1 only; nothing was sent.
            DugongError: what ends the first exchange without a response.

        """
        shared = self._shared
        waiter = Waiter(None, ROOM)
        done = False
        try:
            self._check_heads()
            if shared.state is not OPEN:
                yield from opening.co_open()
            limit = Limit(self._limits.timeout, self._late)
            yield from shared.pump.co(self._go_on, waiter, waiter, limit)
            done = True
        except BaseException as exc:
            self._complete_error(exc)
            raise
        finally:
            if not done:
                try:
                    self._give_up(waiter)
                except BaseException:  # Ctrl-C, perhaps before anything was done
                    self._give_up(waiter)
                    raise

    def _check_heads(self) -> None:
        for exchange, head in self._coming:
            try:
                head.section()
            except InvalidRequest as exc:
                self._shared.label(exc, exchange)
                raise

    def _go_on(self, waiter: Waiter) -> bool | None:
        """Take what has come, and send what there is room for; an attempt. True: all is done."""
        self._take(waiter)
        if self._coming:
            self._open(waiter)
        opened = self._opened
        if not opened:
            return None if self._coming else True
        self._follow(waiter)
        return None

    # ---- requests

    def _open(self, waiter: Waiter) -> None:
        """Open streams as long as there is room.

        Raises:
            Retired: no further one will be, and none is open.

        """
        pump, coming, opened = self._shared.pump, self._coming, self._opened
        waiter.wants = 0 if opened else ROOM
        while coming and len(opened) < MOST_OPEN:
            exchange, head = coming[0]
            stream = pump.open(waiter, head.section(), True)
            if stream is None:
                if not opened and pump.is_retired():
                    raise Retired
                return
            coming.popleft()
            exchange.stream_id = stream.id
            exchange.sent = True  # it is, when the response comes
            opened.append(Opened(exchange, stream))

    # ---- responses

    def _take(self, waiter: Waiter) -> None:
        """Take the responses that are complete, in order; read on those that are long.

        Raises:
            DugongError: what has ended the first one.

        """
        pump, opened, readers = self._shared.pump, self._opened, self._readers
        add, followed = self._replies.append, self._followed
        count = 0
        last = None
        try:
            while opened:
                exchange, stream = opened[0]
                if stream.ended and not stream.informational and stream not in readers:
                    head = exchange.final = cast("Head", stream.head)
                    exchange.complete = True
                    count += stream.buffered
                    last = stream
                    add(Reply(exchange, head, stream.take_all(), False, stream.trailers or b""))
                elif (reply := self._read(opened[0])) is not None:
                    add(reply)
                else:
                    break
                opened.popleft()
                if stream in followed:
                    self._unfollow(waiter, stream)
        finally:
            if last is not None:
                pump.engine.consumed(last, count)  # of all: it has ended, so the connection counts
        if pump.engine.is_half_used():
            self._read_ahead(1, ended=True)
        elif pump.received - self._looked_at >= self._long:
            self._read_ahead(self._long, ended=False)

    def _read_ahead(self, least: int, *, ended: bool) -> None:
        """Take what is here of the bodies of which *least* bytes are, so that windows open.

        *ended* says whether also of those that are complete: the connection's window has them.
        """
        self._looked_at = self._shared.pump.received
        for each in self._opened:
            stream = each.stream
            if stream.buffered >= least and (ended or not stream.ended):
                self._reader_of(each).keep_some()

    def _read(self, opened: Opened) -> Reply | None:
        """Go on with reading a response; return it when it is complete."""
        stream = opened.stream
        reader = self._readers.get(stream)
        if reader is None:
            if stream.head is None and stream.error is None and not stream.informational:
                return None
            reader = self._reader_of(opened)
        if (reply := reader.take_rest()) is None:
            return None
        del self._readers[stream]
        return reply

    def _reader_of(self, opened: Opened) -> ResponseReader:
        """Return what goes on with *opened* as all exchanges do."""
        exchange, stream = opened
        reader = self._readers.get(stream)
        if reader is None:
            reader = ResponseReader(H2Stream(self._shared, exchange, self._limits, stream))
            self._readers[stream] = reader
        return reader

    # ---- waking

    def _follow(self, waiter: Waiter) -> None:
        """Have *waiter* woken by what may let it go on, unless it receives itself.

        The first response is enough most of the time, but a server may first want to send the rest
        of another one, which has to be read for that.
        """
        pump = self._shared.pump
        first = self._opened[0].stream
        if waiter.leads or pump.is_free():
            if waiter.stream is not first and first not in self._followed:
                pump.follow(waiter, first)
            return
        for _, stream in self._opened:
            if stream not in self._followed and stream is not waiter.stream:
                self._followed[stream] = None
                pump.follow_also(waiter, stream)

    def _unfollow(self, waiter: Waiter, stream: Stream) -> None:
        self._followed.pop(stream, None)  # an interruption may have this done twice
        self._shared.pump.unfollow(waiter, stream)

    # ---- errors

    def _late(self, seconds: float) -> ConnectionTimedOut:
        """Return the error of the first exchange without a response, which is late."""
        if not self._opened:
            return no_stream(seconds, "read", self._shared.pump.engine)
        return self._reader_of(self._opened[0]).late(seconds)

    def _complete_error(self, exc: BaseException) -> None:
        """Say in *exc* that it is about the first exchange without a response."""
        if self._opened:
            self._reader_of(self._opened[0]).stream.complete_error(exc)
        elif self._coming:
            self._shared.label(exc, self._coming[0][0])

    def _give_up(self, waiter: Waiter) -> None:
        """Give up what is open."""
        lock = self._shared.pump.lock
        for stream in [*self._followed]:
            lock.when_free(partial(self._unfollow, waiter, stream))
        for opened in self._opened:
            self._reader_of(opened).stream.cancel()
            opened.exchange.complete = False  # if it was read before its turn, nobody gets it
