"""A rolling batch: many exchanges as one operation of the pump, which begin and end one by one.

Requests are added as there is room for them, and those that were added together leave with one
send. Each response is given as soon as it is complete, in whatever order; all that one reception
has brought are given together. So an exchange has neither an operation nor a wait of its own. One
that fails leaves the others alone. ::

    batch = connection.rolling_batch()
    try:
        batch.add("GET", "/", None)      # as long as there is `room`
        while outcomes := (yield from batch.co_some()):
            ...
    finally:
        batch.end()

Between two calls of `co_some` others lead, so the caller may take its time.

Not here: a batch whose requests are all known (batch.py), requests with a body, and connections
with an observer or a limit for bodies.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ...errors import ConnectionTimedOut, DugongError, InvalidRequest
from ...http.h1.body_fields import EMPTY
from ...http.header_validation import FieldLines
from ..exchange import Exchange, Reply
from ..time_out_messages import late_head, no_stream
from .batch import LONG, is_retired, open_stream
from .pump import ROOM, Collector, Limit, Waiter
from .stream import H2Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...http.h1.response_head import Head
    from ...http.h2.static_table import Field
    from ...http.h2.stream import Stream
    from ...http.headers import Fields
    from ...polling.contract import Co
    from ..time_limits import ContinueLimit
    from .options import EitherHead, EitherHeads
    from .shared import H2State


class Outcome(NamedTuple):
    """How an exchange has ended.

    Attributes:
        exchange: the exchange.
        reply: its response, with its body; None if there is none.
        error: why there is none.

    """

    exchange: Exchange
    reply: Reply | None
    error: DugongError | None


class Opened:
    """An exchange whose request is queued, and which has not ended.

    Attributes:
        exchange: the exchange.
        stream: its stream.
        due: when it is late if nothing more comes, by the clock of its limits.
        reader: reads the response if it is not as most are; or None.

    """

    __slots__ = ("due", "exchange", "reader", "stream")

    def __init__(self, exchange: Exchange, stream: Stream, due: float) -> None:
        self.exchange = exchange
        self.stream = stream
        self.due = due
        self.reader: H2Stream | None = None


class Limits(Limit):
    """The limits for each of several streams. Their clock stands while nobody waits.

    Args:
        limits: the time limits that hold.
        late: returns the error if there is no room for that many seconds.

    Attributes:
        head: seconds until the head of a response has come; infinity for no limit.
        read: seconds in which nothing comes of a response; the same.
        waiting: streams whose heads have not come, the first one that will be late in front.
        arriving: those of which some has, in the same order.

    """

    __slots__ = ("_away", "_rests_since", "arriving", "head", "read", "waiting")

    def __init__(self, limits: ContinueLimit, late: Callable[[float], ConnectionTimedOut]) -> None:
        super().__init__(limits.timeout, late)
        self.head = inf if limits.head_limit is None else limits.head_limit
        self.read = inf if limits.timeout is None else limits.timeout
        self.waiting: dict[Stream, Opened] = {}
        self.arriving: dict[Stream, Opened] = {}
        self._away = 0.0
        self._rests_since: float | None = None

    def now(self) -> float:
        """Return the time of its clock."""
        now = time.monotonic()
        if self._rests_since is not None:
            self._away += now - self._rests_since
            self._rests_since = None
        return now - self._away

    def rest(self) -> None:
        """Let the clock stand until it is asked."""
        self._rests_since = time.monotonic()

    def open(self, now: float, exchange: Exchange, stream: Stream) -> None:
        """Note a stream that has been opened."""
        seconds = self.read if self.head == inf else self.head
        self.waiting[stream] = Opened(exchange, stream, now + seconds)

    def moved(self, now: float, opened: Opened) -> None:
        """Note that something has come, which was not the rest."""
        stream = opened.stream
        if stream.head is None and self.head < inf:
            return  # which 1xx responses do not prolong
        self.close(opened)
        opened.due = now + self.read
        (self.waiting if stream.head is None else self.arriving)[stream] = opened

    def close(self, opened: Opened) -> None:
        """Forget a stream."""
        stream = opened.stream
        if self.waiting.pop(stream, None) is None:
            self.arriving.pop(stream, None)

    def get(self, stream: Stream) -> Opened | None:
        """Return what is known of *stream*."""
        return self.waiting.get(stream) or self.arriving.get(stream)

    def all(self) -> list[Opened]:
        """Return all streams."""
        return [*self.waiting.values(), *self.arriving.values()]

    def late(self, now: float) -> Opened | None:
        """Return one that is late at *now*; None if there is none."""
        for opened in (*self.waiting.values(), *self.arriving.values()):
            if opened.due <= now:
                return opened
        return None

    def due(self) -> float:
        """Return when the first one is late, by its clock; infinity for never."""
        due = inf
        for first in self.waiting.values():
            due = first.due
            break
        for first in self.arriving.values():
            return min(due, first.due)
        return due

    def deadline(self, *, moved: bool) -> float | None:
        """Return until when to wait; see `Limit.deadline`."""
        if not (self.waiting or self.arriving):
            return super().deadline(moved=moved)  # for room
        self._until = None
        due = self.due()
        return None if due == inf else due + self._away


class RollingBatch:
    """Does exchanges without request bodies.

    Args:
        shared: of the session, which is open.
        limits: the time limits that hold.
        heads: makes heads of requests whose fields were taken before.
        build: makes an exchange and its head of method, target, fields, and no body.

    Attributes:
        is_over: True if the session takes no further request; those that were added and not sent
            are for `take_unsent`.

    """

    __slots__ = (
        *("_build", "_coming", "_done", "_heads", "_limits", "_long", "_opened"),
        *("_shared", "_taken_before", "_waiter", "is_over"),
    )

    def __init__(
        self,
        shared: H2State,
        limits: ContinueLimit,
        heads: EitherHeads,
        build: Callable[..., tuple[Exchange, bytes, Any]],
    ) -> None:
        self._shared = shared
        self._limits = limits
        self._heads = heads
        self._build = build
        self._taken_before: tuple[str, Fields | None] | None = None
        self._coming: deque[tuple[Exchange, tuple[Field, ...]]] = deque()
        self._done: list[Outcome] = []
        engine = shared.pump.engine
        self._opened = Limits(limits, partial(no_stream, phase="read", engine=engine))
        self._long = min(LONG, engine.most_unread)
        self._waiter = Collector()
        self.is_over = False

    # ---- for the caller

    def room(self) -> int:
        """Return how many requests may be added: as many as can be sent now, and one at least.

        Before the settings of the server have come it is as many as most servers allow.
        """
        if self.is_over:
            return 0
        engine = self._shared.pump.engine
        if engine.remote_settings is None:
            room = engine.max_streams - len(engine.streams)
        else:
            room = engine.room()
        room -= len(self._coming)
        return (
            room
            if room > 0
            else not (self._coming or self._opened.waiting or self._opened.arriving)
        )

    def add(self, method: str, path: str, fields: Fields | None) -> Exchange:
        """Have a request sent, without a body, by the next `co_some`.

        Args:
            method: request method.
            path: request target.
            fields: those of the request.

        Returns:
            The exchange, by which its outcome says what it is about.

        Raises:
            InvalidRequest, TypeError: it cannot be sent, or over HTTP/1 only.

        """
        section: tuple[Field, ...]
        before = self._taken_before
        if before is not None and before[1] is fields and before[0] == method:  # as most are
            exchange = Exchange(method, path)
            section = self._heads.section(method, path, cast("FieldLines", fields))
        else:
            exchange, head, _ = self._build(method, path, fields, None)
            try:
                section = cast("EitherHead", head).section()
            except InvalidRequest as exc:
                self._shared.label(exc, exchange)
                raise
            if isinstance(fields, FieldLines) and method not in EMPTY:
                self._taken_before = method, fields
        self._coming.append((exchange, section))
        return exchange

    def take_unsent(self) -> list[Exchange]:
        """Return those that were added and not sent, and forget them."""
        unsent = [exchange for exchange, _ in self._coming]
        self._coming.clear()
        return unsent

    def co_some(self) -> Co[list[Outcome]]:
        """Send what was added, and wait until at least one exchange has ended.

        Returns:
            Those that have; none if nothing is open, or something was added that cannot be sent:
            then `is_over` is True.

        Raises:
            ConnectionTimedOut: nothing could be sent for too long, as there was no room.

        """
        return self._shared.pump.co_part(self._go_on, self._waiter, self._waiter, self._opened)

    def cancel(self, exchange: Exchange) -> None:
        """Give an exchange up; it has no outcome. No effect if it has ended."""
        for opened in self._opened.all():
            if opened.exchange is exchange:
                self._give_up(opened)
                return
        self._coming = deque(each for each in self._coming if each[0] is not exchange)

    def end(self) -> None:
        """Give up what is open."""
        try:
            self._end()
        except BaseException:  # Ctrl-C, perhaps before anything was done
            self._end()
            raise

    def _end(self) -> None:
        self._coming.clear()
        for opened in self._opened.all():
            self._give_up(opened)
        self._shared.pump.end(self._waiter)

    def _give_up(self, opened: Opened) -> None:
        pump = self._shared.pump
        pump.lock.when_free(partial(pump.unfollow, self._waiter, opened.stream))
        self._reader_of(opened).cancel()
        self._opened.close(opened)
        opened.exchange.complete = False  # nobody gets it

    # ---- attempts and sections: under the lock of the pump

    def _go_on(self, waiter: Collector) -> list[Outcome] | None:
        """Take what has come, and send what there is room for; an attempt."""
        opened = self._opened
        now = opened.now()
        if waiter.touched:
            self._take(waiter, now)
        if self._coming:
            self._open(waiter, now)
        if opened.due() <= now:
            self._expire(waiter, now)
        done = self._done
        if not done and self._is_waiting():
            return None
        self._done = []
        self.is_over = is_retired(self._shared)
        opened.rest()
        return done

    def _is_waiting(self) -> bool:
        """Return True if something may yet come of what is open or was added."""
        if self._coming:
            return not self.is_over
        return bool(self._opened.waiting or self._opened.arriving)

    def _open(self, waiter: Collector, now: float) -> None:
        """Open streams as long as there is room."""
        shared, coming, opened = self._shared, self._coming, self._opened
        follow = shared.pump.follow_also
        waiter.wants = 0 if opened.waiting or opened.arriving else ROOM
        while coming:
            exchange, section = coming[0]
            stream = open_stream(shared, waiter, exchange, section)
            if stream is None:
                self.is_over = is_retired(shared)
                return
            coming.popleft()
            opened.open(now, exchange, stream)
            follow(waiter, stream)

    def _take(self, waiter: Collector, now: float) -> None:
        """Take the responses that are complete; read on those that are long."""
        pump, all_opened = self._shared.pump, self._opened
        add, unfollow = self._done.append, pump.unfollow
        touched, waiter.touched = waiter.touched, {}
        count = 0
        last = None
        for stream in touched:
            opened = all_opened.get(stream)
            if opened is None:
                continue
            exchange = opened.exchange
            if stream.ended and opened.reader is None and not stream.informational:
                head = exchange.final = cast("Head", stream.head)
                exchange.complete = True
                count += stream.buffered
                last = stream
                reply = Reply(exchange, head, stream.take_all(), False, stream.trailers or b"")
                add(Outcome(exchange, reply, None))
            elif (outcome := self._read(opened)) is not None:
                add(outcome)
            else:
                all_opened.moved(now, opened)
                continue
            all_opened.close(opened)
            unfollow(waiter, stream)
        if last is not None:
            pump.engine.consumed(last, count)  # of all: it has ended, so the connection counts
        if pump.engine.is_half_used():
            self._read_all()

    def _read(self, opened: Opened) -> Outcome | None:
        """Go on with reading a response that is long, has failed, or is not as most are."""
        stream = opened.stream
        if (
            opened.reader is None
            and stream.error is None
            and not stream.informational
            and stream.buffered < self._long
        ):
            return None
        try:
            reply = self._reader_of(opened).take_rest()
        except DugongError as exc:
            return self._failed(opened, exc)
        return None if reply is None else Outcome(opened.exchange, reply, None)

    def _read_all(self) -> None:
        """Take what is here of all bodies, so that the connection's window opens."""
        for opened in self._opened.all():
            if opened.stream.buffered and opened.stream.error is None:
                self._reader_of(opened).keep_some()

    def _expire(self, waiter: Collector, now: float) -> None:
        """End those of which nothing has come for too long."""
        self._shared.pump.look()  # it may be here, and nobody has received it
        self._take(waiter, now)
        while (late := self._opened.late(now)) is not None:
            self._opened.close(late)
            self._shared.pump.unfollow(waiter, late.stream)
            self._done.append(self._failed(late, self._late_error(late)))

    def _late_error(self, opened: Opened) -> ConnectionTimedOut:
        """Return the error of one that is late."""
        limits = self._opened
        if opened.stream.head is None and limits.head < inf:
            return late_head(limits.head, phase="head")
        reader = self._reader_of(opened)
        if opened.stream.head is not None:
            reader.take_head()
        return reader.late(limits.read)

    def _failed(self, opened: Opened, exc: DugongError) -> Outcome:
        """Return that *exc* has ended an exchange."""
        reader = self._reader_of(opened)
        reader.complete_error(exc)
        reader.cancel()
        exc.__traceback__ = None  # it leads back to here
        return Outcome(opened.exchange, None, exc)

    def _reader_of(self, opened: Opened) -> H2Stream:
        """Return what goes on with *opened* as all exchanges do."""
        reader = opened.reader
        if reader is None:
            reader = H2Stream(self._shared, opened.exchange, self._limits)
            reader.adopt(None, Waiter(opened.stream))
            opened.reader = reader  # not before it has the stream: Ctrl-C may come in between
        return reader
