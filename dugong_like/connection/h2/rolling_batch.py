"""A rolling batch: many exchanges as one operation of the pump, which begin and end one by one.

Requests are added as there is room for them, and those that were added together leave with one
send. Each response is given as soon as it is complete, in whatever order; all that one reception
has brought are given together. So an exchange has neither an operation nor a wait of its own. One
that fails leaves the others alone.

A body for which the windows have room leaves with its head. The rest of another one is queued as
they open, in the order in which the bodies began, by the means of every exchange
(request_writer.py). ::

    batch = connection.rolling_batch()
    try:
        batch.add("GET", "/", None, None)      # as long as there is `room`
        while outcomes := (yield from batch.co_some()):
            ...
    finally:
        batch.end()

Between two calls of `co_some` others lead, so the caller may take its time.

Not here: a batch whose requests are all known (batch.py), bodies that are read from somewhere, and
connections with an observer or a limit for bodies.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ...errors import ConnectionTimedOut, DugongError, InvalidRequest
from ...http.arguments import as_bytes
from ...http.h1.body_fields import EMPTY
from ...http.header_validation import FieldLines
from ..exchange import Exchange, Reply
from ..time_out_messages import late_head, no_stream
from .batch import LONG
from .limits import Limit
from .request_writer import MOST_QUEUED, RequestWriter
from .response_reader import ResponseReader
from .stream import H2Stream
from .waiter import ROOM, Collector

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
        due: when it is late if nothing more comes, or leaves, by the clock of its limits.
        mark: the position behind the last byte of the request that is queued, if there is a body.
        writer: writes the rest of a body that the windows did not allow at once, or None.
        reader: reads the response if it is not as most are, or there is a writer; or None.

    """

    __slots__ = ("due", "exchange", "mark", "reader", "stream", "writer")

    def __init__(self, exchange: Exchange, stream: Stream, due: float, mark: int = 0) -> None:
        self.exchange = exchange
        self.stream = stream
        self.due = due
        self.mark = mark
        self.writer: RequestWriter | None = None
        self.reader: ResponseReader | None = None


class Limits(Limit):
    """The limits for each of several streams. Their clock stands while nobody waits.

    Args:
        limits: the time limits that hold.
        late: returns the error if there is no room for that many seconds.

    Attributes:
        head: seconds from the complete request until the head of its response has come; infinity
            for no limit.
        read: seconds in which nothing comes of a response; the same.
        write: seconds in which nothing of a request leaves; the same.
        unsent: streams whose requests have a body, or are behind one, and have not left; the first
            one that will be late in front.
        waiting: those whose responses have not begun to come, in the same order.
        arriving: those of which some has, in the same order.

    """

    __slots__ = (
        *("_away", "_rests_since", "_sent", "arriving", "head", "read", "unsent", "waiting"),
        "write",
    )

    def __init__(self, limits: ContinueLimit, late: Callable[[float], ConnectionTimedOut]) -> None:
        super().__init__(limits.timeout, late)
        self.head = inf if limits.head_limit is None else limits.head_limit
        self.read = inf if limits.timeout is None else limits.timeout
        self.write = inf if limits.write_timeout is None else limits.write_timeout
        self.unsent: dict[Stream, Opened] = {}
        self.waiting: dict[Stream, Opened] = {}
        self.arriving: dict[Stream, Opened] = {}
        self._away = 0.0
        self._rests_since: float | None = None
        self._sent = 0  # position up to which all had left when that was last looked at

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
        """Note a stream that has been opened, and whose request leaves at once."""
        seconds = self.read if self.head == inf else self.head
        self.waiting[stream] = Opened(exchange, stream, now + seconds)

    def send(self, now: float, exchange: Exchange, stream: Stream, mark: int) -> Opened:
        """Note a stream that has been opened, and whose request may take a while to leave.

        Its bytes are queued up to the position *mark*.
        """
        opened = self.unsent[stream] = Opened(exchange, stream, now + self.write, mark)
        return opened

    def moved(self, now: float, opened: Opened) -> None:
        """Note that something has come, or can be sent, which was not the rest."""
        stream = opened.stream
        if stream.head is None:
            if self.unsent.pop(stream, None) is not None:
                opened.due = now + self.write
                self.unsent[stream] = opened
                return
            if self.head < inf:
                return  # which 1xx responses do not prolong
        self.close(opened)
        opened.due = now + self.read
        (self.waiting if stream.head is None else self.arriving)[stream] = opened

    def note_sent(self, now: float, sent: int) -> None:
        """Note that all bytes in front of the position *sent* have left."""
        before, self._sent = self._sent, sent
        if before == sent:
            return
        for stream, opened in [*self.unsent.items()]:
            if opened.mark <= before:
                continue  # it waits for a window
            del self.unsent[stream]
            if stream.request_ended and opened.mark <= sent:
                opened.exchange.sent = True
                opened.due = now + (self.read if self.head == inf else self.head)
                self.waiting[stream] = opened
            else:
                opened.due = now + self.write
                self.unsent[stream] = opened

    def close(self, opened: Opened) -> None:
        """Forget a stream."""
        stream = opened.stream
        if self.waiting.pop(stream, None) is None and self.arriving.pop(stream, None) is None:
            self.unsent.pop(stream, None)

    def get(self, stream: Stream) -> Opened | None:
        """Return what is known of *stream*."""
        return self.waiting.get(stream) or self.arriving.get(stream) or self.unsent.get(stream)

    def all(self) -> list[Opened]:
        """Return all streams."""
        return [*self.unsent.values(), *self.waiting.values(), *self.arriving.values()]

    def are_any(self) -> bool:
        """Return True if a stream is open."""
        return bool(self.waiting or self.arriving or self.unsent)

    def late(self, now: float) -> Opened | None:
        """Return one that is late at *now*; None if there is none."""
        for opened in self.all():
            if opened.due <= now:
                return opened
        return None

    def due(self) -> float:
        """Return when the first one is late, by its clock; infinity for never."""
        due = inf
        for first in self.waiting.values():
            due = first.due
            break
        for first in self.unsent.values():
            due = min(due, first.due)
            break
        for first in self.arriving.values():
            return min(due, first.due)
        return due

    def deadline(self, *, moved: bool) -> float | None:
        """Return until when to wait; see `Limit.deadline`."""
        if not self.are_any():
            return super().deadline(moved=moved)  # for room
        self._until = None
        due = self.due()
        return None if due == inf else due + self._away


class RollingBatch:
    """Does exchanges whose request bodies, if there are any, are in memory.

    Args:
        shared: of the session, which is open.
        limits: the time limits that hold.
        heads: makes heads of requests whose fields were taken before.
        build: makes an exchange, its head, and what is sent of its body, of method, target, fields
            and body.

    Attributes:
        is_over: True if the session takes no further request; those that were added and not sent
            are for `take_unsent`.

    """

    __slots__ = (
        *("_build", "_coming", "_done", "_heads", "_limits", "_long", "_opened"),
        *("_shared", "_taken_before", "_waiter", "_writable", "is_over"),
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
        self._taken_before: tuple[str, Fields | None, bool] | None = None
        self._coming: deque[tuple[Exchange, tuple[Field, ...], memoryview | None]] = deque()
        # Streams whose windows have room, perhaps, for more of their bodies, in order.
        self._writable: dict[Stream, Opened] = {}
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
        return room if room > 0 else not (self._coming or self._opened.are_any())

    def add(self, method: str, path: str, fields: Fields | None, body: Any) -> Exchange:
        """Have a request sent by the next `co_some`.

        Args:
            method: request method.
            path: request target.
            fields: those of the request.
            body: bytes-like, and not to be changed before there is an outcome; None for none.

        Returns:
            The exchange, by which its outcome says what it is about.

        Raises:
            InvalidRequest, TypeError: it cannot be sent, or over HTTP/1 only.

        """
        section: tuple[Field, ...]
        view: memoryview | None = None
        before = self._taken_before
        if (
            before is not None
            and before[1] is fields
            and before[0] == method
            and before[2] is (body is not None)
        ):  # as most are
            exchange = Exchange(method, path)
            section = self._heads.section(method, path, cast("FieldLines", fields))
            if body is not None:
                view = memoryview(body) if type(body) is bytes else as_bytes(body, "body")
                section = (*section, (b"content-length", b"%d" % len(view)))
        else:
            exchange, head, view = self._build(method, path, fields, body)
            try:
                section = cast("EitherHead", head).section()
            except InvalidRequest as exc:
                self._shared.label(exc, exchange)
                raise
            if isinstance(fields, FieldLines) and self._is_usual(
                section, method, path, fields, view
            ):
                self._taken_before = method, fields, view is not None
        self._coming.append((exchange, section, view or None))
        return exchange

    def _is_usual(
        self,
        section: tuple[Field, ...],
        method: str,
        path: str,
        fields: FieldLines,
        body: memoryview | None,
    ) -> bool:
        """Return True if nothing is said of *body* in *section* but its length."""
        if body is None:
            return method not in EMPTY
        length = (b"content-length", b"%d" % len(body))
        return section == (*self._heads.section(method, path, fields), length)

    def take_unsent(self) -> list[Exchange]:
        """Return those that were added and not sent, and forget them."""
        return self._take_from(0)

    def take_excess(self) -> list[Exchange]:
        """Return those that were added and for which there are no streams; forget them."""
        if not self._coming:
            return []
        return self._take_from(self._shared.pump.engine.room())

    def _take_from(self, place: int) -> list[Exchange]:
        """Return those that were added and not sent, from *place* on; forget them."""
        coming = self._coming
        taken = [coming.pop()[0] for _ in range(len(coming) - place)]
        taken.reverse()
        return taken

    def co_some(self) -> Co[list[Outcome]]:
        """Send what was added, and wait until at least one exchange has ended.

        Returns:
            Those that have; none if nothing is open, or something was added that cannot be sent:
            then `is_over` is True.

        Raises:
            ConnectionTimedOut: nothing could be sent for too long, as there was no room, and
                nothing else is open.

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
        self._reader_of(opened).stream.cancel()
        self._opened.close(opened)
        opened.exchange.complete = False  # nobody gets it

    # ---- attempts and sections: under the lock of the pump

    def _go_on(self, waiter: Collector) -> list[Outcome] | None:
        """Take what has come, and send what there is room for; an attempt."""
        opened = self._opened
        now = opened.now()
        pump = self._shared.pump
        output = pump.engine.output
        opened.note_sent(now, output.sent)  # what left before is no progress of those to come
        if waiter.touched:
            self._take(waiter, now)
        if opened.due() <= now:
            self._expire(waiter, now)
        if self._writable:
            self._write_on(now)
        if self._coming:
            self._open(waiter, now)
        if waiter.mark <= output.sent:
            waiter.mark = 0
        if output.queued != output.sent and (opened.unsent or self._writable):
            pump.follow_sending(waiter)
        done = self._done
        if not done and self._is_waiting():
            return None
        self._done = []
        self.is_over = pump.is_retired()
        opened.rest()
        return done

    def _is_waiting(self) -> bool:
        """Return True if something may yet come of what is open or was added."""
        if self._coming:
            return not self.is_over
        return self._opened.are_any()

    def _open(self, waiter: Collector, now: float) -> None:
        """Open streams as long as there is room."""
        pump, coming, opened = self._shared.pump, self._coming, self._opened
        follow = pump.follow_also
        waiter.wants = 0 if opened.are_any() else ROOM
        while coming:
            exchange, section, body = coming[0]
            if opened.unsent and self._is_much_queued():
                return
            stream = pump.open(waiter, section, body is None)
            if stream is None:
                self.is_over = pump.is_retired()
                return
            coming.popleft()
            exchange.stream_id = stream.id
            if body is not None:
                self._begin_body(now, exchange, stream, body)
            elif opened.unsent:
                opened.send(now, exchange, stream, pump.engine.output.queued)
            else:
                exchange.sent = True  # it is, when the response comes
                opened.open(now, exchange, stream)
            follow(waiter, stream)

    # ---- bodies

    def _is_much_queued(self) -> bool:
        """Return True if what is queued has to leave before anything else is."""
        output = self._shared.pump.engine.output
        return output.queued - output.sent >= MOST_QUEUED

    def _begin_body(self, now: float, exchange: Exchange, stream: Stream, body: memoryview) -> None:
        """Queue what the windows allow of *body*, with whose head *stream* was opened."""
        engine = self._shared.pump.engine
        if len(body) <= min(stream.window, engine.window, MOST_QUEUED):
            engine.send_data(stream, body, True)
            self._opened.send(now, exchange, stream, engine.queued)
            return
        opened = self._opened.send(now, exchange, stream, engine.queued)
        opened.writer = RequestWriter(self._reader_of(opened).stream, None, body)
        self._write(now, opened)

    def _write_on(self, now: float) -> None:
        """Queue more of the bodies that are not complete, one after the other."""
        writable, engine = self._writable, self._shared.pump.engine
        for stream, opened in [*writable.items()]:
            if engine.window <= 0 and engine.is_blocked(stream):
                del writable[stream]  # until it is given again
                continue
            if self._is_much_queued():
                return
            del writable[stream]  # it goes behind the others
            self._write(now, opened)

    def _write(self, now: float, opened: Opened) -> None:
        """Queue more of the body of *opened*."""
        engine, writer = self._shared.pump.engine, opened.writer
        assert writer is not None
        before = engine.queued
        if writer.queue_more():
            self._writable[opened.stream] = opened
        if engine.queued != before:
            opened.mark = engine.queued
            self._opened.moved(now, opened)

    # ---- responses

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
                if not exchange.sent:
                    pump.keep_data()  # its body is the caller's again
                add(Outcome(exchange, reply, None))
            elif (outcome := self._read(opened)) is not None:
                add(outcome)
            else:
                all_opened.moved(now, opened)
                if opened.writer is not None and not stream.request_ended:
                    self._writable[stream] = opened
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
        if stream.error is None and not stream.informational:
            if opened.reader is None:
                if stream.buffered < self._long:
                    return None
            elif stream.head is None:
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
            error = self._late_error(late)
            self._opened.close(late)
            self._shared.pump.unfollow(waiter, late.stream)
            self._done.append(self._failed(late, error))

    def _late_error(self, opened: Opened) -> ConnectionTimedOut:
        """Return the error of one that is late."""
        limits = self._opened
        reader = self._reader_of(opened)
        if opened.stream in limits.unsent:
            writer = opened.writer or RequestWriter(reader.stream)
            late = writer.late(limits.write)
            writer.note_progress(late)
            return late
        if opened.stream.head is None and limits.head < inf:
            return late_head(limits.head, phase="head")
        if opened.stream.head is not None:
            reader.take_head()
        return reader.late(limits.read)

    def _failed(self, opened: Opened, exc: DugongError) -> Outcome:
        """Return that *exc* has ended an exchange."""
        stream = self._reader_of(opened).stream
        stream.complete_error(exc)
        stream.cancel()
        exc.__traceback__ = None  # it leads back to here
        return Outcome(opened.exchange, None, exc)

    def _reader_of(self, opened: Opened) -> ResponseReader:
        """Return what goes on with *opened* as all exchanges do."""
        reader = opened.reader
        if reader is None:
            stream = H2Stream(self._shared, opened.exchange, self._limits, opened.stream)
            reader = opened.reader = ResponseReader(stream)
        return reader
