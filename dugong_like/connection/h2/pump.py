"""Moves the bytes of an HTTP/2 session: many operations share one socket.

**Leader and followers.** An operation that has to wait, and finds no leader, leads: it waits for
the socket, receives, and wakes the operations whose streams have got something. The others, its
followers, each wait for a flag of their own. There are two batons, one for each direction: the
`reading` and the `sending` lock of the session, which also keep the descriptor from being closed.
An operation that has one waits for the socket; it gives it back as soon as it is resumed.

An operation that ends, leader or not, looks whether another one leads; if not, one follower that
was not woken yet is woken, and will lead. "Not woken yet", as one that was woken need not go on
soon, or at all: it may be closed instead, and then does the same.

**Sending.** Bytes have a position in the stream of all bytes. Every operation sends what is queued,
whosever it is; if the socket takes no more, one waits until it does, and receives meanwhile. Until
that one is resumed the others do not try. An operation whose bytes have to be sent waits until
``output.sent`` has come to its mark.

**Gathering.** While operations of a thread wait, the next one of it that opens a stream does not
send at once, but at the end of the turn of its loop: it is the *gatherer*. Those of the thread that
come meanwhile send nothing, and follow: the gatherer sends for all of them, and leads. If it is
closed instead, it sends then; if it is not resumed for `PATIENCE`, one of them does what it should.
Another thread sends for itself.

A baton is not taken from an operation that waits for the socket and is not resumed, as that of a
loop that has stopped: its loop has the descriptor, which must not be closed meanwhile, and nobody
can tell it from one to which nothing happens. Nor is the one that leads woken by a flag, which
would be another descriptor in each wait: it is by what the server sends, if need be in answer to
PING. So what is queued behind a full socket, while nobody else waits, leaves when it is resumed.

All that is guarded by one lock, held for microseconds (lock.py). Between two yields nothing waits.

Not here: what an operation is here (waiter.py), what it attempts (request_writer.py,
response_reader.py), for how long it waits (limits.py), and HTTP/2 itself (http/h2/).
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from ...errors import ConnectionClosed, ConnectionTimedOut, InvalidOption
from ...http.h2.engine import Engine
from ...http.h2.frames import MAX_WINDOW
from ...http.h2.options import H2Options
from ...polling.numbers import check_int
from ...polling.wake import Wake, co_checkpoint
from ...transport.stream import rest
from ..states import BROKEN, CLOSED
from .lock import SectionLock
from .waiter import ROOM

if TYPE_CHECKING:
    from ...errors import DugongError
    from ...http.h2.static_table import Field
    from ...http.h2.stream import Stream
    from ...polling.contract import Co, PollNeeded
    from ...transport.stream import Part
    from ...transport.stream import Stream as ByteStream
    from ..shared import SharedState
    from .limits import Limit
    from .trace_events import Observer
    from .waiter import Collector, Waiter

A = TypeVar("A")
T = TypeVar("T")
MEMORY: Final = 262144  # bytes received at once: a large body comes in as much
# Of that size; what is received is copied where it is kept. Few threads receive at the same moment.
_spare: Final[deque[memoryview]] = deque(maxlen=4)
LITTLE: Final = 16384  # bytes: behind more, the system acknowledges without being asked
MOST_ROUNDS: Final = 4  # receptions before other operations of the loop have their turn
MOST_WAKES: Final = 128  # flags that are kept for the next followers: for as many streams as usual
# Seconds that a gatherer has: its loop may have stopped, or wait for one of those that it holds up.
PATIENCE: Final = 0.2
DEFAULT: Final = H2Options()


class Pump:
    """Moves the bytes of one session.

    Args:
        shared: of the session.
        options: of HTTP/2.

    Attributes:
        engine: HTTP/2 itself. It is used under `lock` only.
        lock: around all that is done with it.
        received: bytes received so far.
        on_room: called without the lock when the server allows more streams at once; or None.
        on_idle: called once, without the lock, when no stream is open and no operation under way,
            or as soon as that is so; or None. Set it, then call `check_idle`.

    """

    __slots__ = (
        *("_asleep", "_batch", "_child", "_curious", "_followers", "_full", "_gatherer"),
        *("_gathering", "_lost"),
        *("_gathers_until", "_marked", "_mixed", "_most_streams", "_most_wakes", "_newest"),
        *("_of_stream", "_opener", "_owes_ack", "_settings"),
        *(
            "_reader",
            "_shared",
            "_wakes",
            "_wanting",
            "_writer",
            "engine",
            "lock",
            "news",
            "on_idle",
            "on_room",
        ),
        "received",
    )

    def __init__(self, shared: SharedState, options: H2Options | None) -> None:
        self._shared = shared
        self.engine = Engine(DEFAULT if options is None else options)
        self.lock = SectionLock(self._interrupted)
        self.received = 0
        self.on_room: Callable[[], object] | None = None
        self.on_idle: Callable[[], object] | None = None
        self._batch: list[Part] = []  # what is being sent; after a refusal it has to stay the same
        self._followers: dict[Waiter, None] = {}  # in the order in which they began to wait
        self._asleep: dict[Waiter, None] = {}  # those that wait for their flags and were not woken
        self._of_stream: dict[Stream, list[Waiter]] = {}
        # Those whose bytes have to be sent, in the order of their marks; and what was sent when
        # their time limit was looked at. Many may wait here and in the next one, so the first ones
        # have to be found whatever was before them: in a `dict` that takes time.
        self._marked: OrderedDict[Waiter, int] = OrderedDict()
        self._wanting: OrderedDict[Waiter, None] = OrderedDict()  # those who want `ROOM`
        self._curious: dict[Waiter, None] = {}  # those who want `NEWS`
        self._reader: Waiter | None = None  # the one that leads
        self._writer: Waiter | None = None
        self._full = False  # the socket took no more, and `_writer` was not resumed since
        self._wakes: list[Wake] = []  # for the next followers
        self._most_wakes = MOST_WAKES
        self._opener = 0  # the thread that has opened the last stream
        self._mixed = False  # True if another one has before
        self._newest: Waiter | None = None  # the operation that has, as long as it goes on
        self._gatherer: Waiter | None = None
        self._gathering = 0  # the thread of the gatherer; 0 if there is none
        self._gathers_until = 0.0
        self._settings = self.engine.remote_settings  # the last ones that were noted
        self._most_streams = self.engine.max_streams  # by them
        self._lost = False  # nothing more can be sent
        self._owes_ack = False  # little was received, and nothing sent since, with which ACK goes
        self._child = False  # this is a copy in a child process
        self.news: deque[Callable[[], object]] = deque()  # what is to be told without the lock

    # ---- operations that find nobody else: see alone.py

    def begin_alone(self, waiter: Waiter, fields: Sequence[Field]) -> bool | None:
        """Send a request without a body, and lead, if nobody else uses the session.

        Under the lock; afterwards *waiter* has to leave.

        Args:
            waiter: of the operation.
            fields: those of the request.

        Returns:
            True: all of it was sent. False: not all. None: nothing, and *waiter* has left.

        """
        shared, engine = self._shared, self.engine
        output = engine.output
        if (
            self._reader is not None
            or self._followers
            or output.sent != output.queued
            or not engine.is_idle()
            or not shared.reading.acquire(False)
        ):
            waiter.left = True
            return None
        self._reader = waiter
        waiter.leads = True
        stream = shared.stream
        if stream is None or not stream.recv_would_block():
            self.leave(waiter)
            return None
        waiter.stream = engine.open(fields, True)
        me = get_ident()
        if me != self._opener:
            self._mixed = self._opener != 0
            self._opener = me
        self._newest = waiter
        parts: Any = output.take()  # no `cast`: that is a call
        self._owes_ack = False
        try:
            count = stream.send(parts)
        except ConnectionClosed as exc:
            self._sending_failed(exc)
            return False
        if count:
            output.sent += count
            if output.sent == output.queued:
                return True
            parts = rest(parts, count)
        self._batch = parts
        return False

    def is_free(self) -> bool:
        """Return True if no operation is under way."""
        return self._reader is None and not self._followers

    def receive_alone(self, waiter: Waiter) -> bytes | None:
        """Receive once, for *waiter*, which leads; under the lock.

        Returns:
            The content of the response, if all of it has come and nothing else: then *waiter* has
            left. None otherwise.

        """
        of_waiter, stream = waiter.stream, self._shared.stream
        assert of_waiter is not None
        if stream is None:
            return None
        try:
            memory = _spare.pop()
        except IndexError:
            memory = memoryview(bytearray(MEMORY))
        try:
            count = stream.recv_into(memory)
        except ConnectionClosed as exc:
            self.lose(exc)
            return None
        if count and (content := self.engine.take_whole(of_waiter, memory, count)) is not None:
            _spare.append(memory)
            self.received += count
            if self._followers:
                self.leave(waiter)
            else:  # as that does
                waiter.left = True
                self._newest = self._reader = None
                waiter.leads = False
                self._shared.reading.release()
            return content
        self.follow(waiter, of_waiter)
        self._take_in(stream, memory, count)
        return None

    # ---- operations

    def co(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        waiter: Waiter,
        limit: Limit,
        *,
        gathers: bool = False,
    ) -> Co[T]:
        """Make attempts until one succeeds, and pump in between.

        Args:
            attempt: called under the lock; returns None if it has to wait.
            argument: what to call it with.
            waiter: of the operation.
            limit: of the time in which nothing moves.
            gathers: True if the first attempt opens a stream: what is sent may wait for others
                that are opened by other operations of the same thread.

        Raises:
            ConnectionClosed: the session was closed.
            ConnectionTimedOut: nothing has moved for too long.
            Exception: what *attempt* raises.

        """
        lock, shared = self.lock, self._shared  # reasons.py finds it here
        try:
            gathers = gathers and self._gathers()
            while True:
                got: tuple[T | None, PollNeeded | None]
                got = lock.run(self._advance, waiter, attempt, argument, limit, gathers)
                gathers = False
                if self.news:
                    self.tell_news()
                result, need = got
                if result is not None:
                    return result
                if need is None:
                    yield from co_checkpoint()
                else:
                    yield need
        finally:
            if not waiter.left:
                try:
                    lock.when_free(partial(self.leave, waiter))
                except BaseException:  # Ctrl-C, perhaps before that
                    lock.when_free(partial(self.leave, waiter))
                    raise
            if shared.left is not None:
                shared.give_back()
            if self.on_idle is not None:
                self.check_idle()
            if self.news:
                self.tell_news()

    @property
    def awaited(self) -> Stream | None:
        """The stream whose operation waits for the socket; None if there is none, or none waits."""
        reader = self._reader
        return None if reader is None else reader.stream

    def co_part(
        self, attempt: Callable[[A], T | None], argument: A, waiter: Collector, limit: Limit
    ) -> Co[T]:
        """Do what `co` does, as a part of an operation that goes on: `end` ends that.

        Until then others lead.
        """
        lock = self.lock
        while True:
            got: tuple[T | None, PollNeeded | None]
            got = lock.run(self._advance, waiter, attempt, argument, limit, False)
            if self.news:
                self.tell_news()
            result, need = got
            if result is not None:
                return result
            if need is None:
                yield from co_checkpoint()
            else:
                yield need

    def end(self, waiter: Waiter) -> None:
        """End an operation of which `co_part` has done parts. A second call has no effect."""
        if not waiter.left:
            self.lock.when_free(partial(self.leave, waiter))
        if self._shared.left is not None:
            self._shared.give_back()
        if self.on_idle is not None:
            self.check_idle()
        if self.news:
            self.tell_news()

    def do(self, section: Callable[[A], T], argument: A) -> T:
        """Call *section* under the lock, and send what it has queued as far as that is possible."""
        try:
            result: T = self.lock.run(self._do, section, argument)
            return result
        finally:
            if self._shared.left is not None:
                self._shared.give_back()
            if self.on_idle is not None:
                self.check_idle()
            if self.news:
                self.tell_news()

    def attempt(self, attempt: Callable[[A], T | None], argument: A) -> T | None:
        """Make one attempt for an operation that has not begun to wait; see `co`."""
        try:
            result = self.lock.run(attempt, argument)
            output = self.engine.output
            if output.queued != output.sent:
                self.lock.run(self._send_rest)
            return result
        finally:
            if self._shared.left is not None:
                self._shared.give_back()
            if self.on_idle is not None:
                self.check_idle()
            if self.news:
                self.tell_news()

    def _send_rest(self) -> None:
        """Send what is queued, unless the gatherer of this thread is about to."""
        if self._gathering != get_ident():
            self._flush()
            self._hand_on()

    def _do(self, section: Callable[[A], T], argument: A) -> T:
        result = section(argument)
        self._flush()
        if self._followers:
            self._hand_on()
        return result

    def tell_news(self) -> None:
        """Tell what has happened to those who asked; they may raise anything."""
        while self.news:
            try:
                tell = self.news.popleft()
            except IndexError:  # another thread tells it
                return
            tell()

    def _gathers(self) -> bool:
        """Return True if other operations of this thread are probably about to open streams."""
        return self._opener == get_ident() and self._newest is not None

    def _advance(  # noqa: C901, PLR0912 - each step decides on the next one
        self,
        waiter: Waiter,
        attempt: Callable[[A], T | None],
        argument: A,
        limit: Limit,
        gathers: bool,
    ) -> tuple[T | None, PollNeeded | None]:
        """Make an attempt, and another one as long as something is received.

        An operation that ends here leaves at once, which saves another section.

        Returns:
            The result; or None and the wait; or twice None, if others shall have their turn.

        """
        more = self._resume(waiter)
        output = self.engine.output
        for _ in range(MOST_ROUNDS):
            if more:
                more = self._receive()
            result = attempt(argument)
            if gathers and result is None and not self._gathering:
                self._gather(waiter)
                return None, None
            if output.queued != output.sent:
                self._flush_for(waiter)
            if result is None and 0 < (mark := waiter.mark) <= output.sent:
                result = attempt(argument)  # it was waiting for what has just been sent
                if waiter.mark != mark:  # it has queued more
                    self._flush_for(waiter)
                    if result is None and 0 < waiter.mark <= output.sent:
                        break  # it can go on, but others have their turn
            if result is not None:
                (self._pause if waiter.stays else self.leave)(waiter)
                return result, None
            if more:
                continue
            self._register(waiter)
            if waiter.mark:
                self._note_progress(waiter)
            try:
                until = limit.deadline(moved=waiter.moved)
            except ConnectionTimedOut:
                self.look()  # a follower may be here before the one that leads
                if not waiter.moved:
                    raise
                continue
            waiter.moved = False
            need = self._wait(waiter, until)
            if need is not None:
                return None, need
            more = True
        self._rest(waiter)
        return None, None

    def _gather(self, waiter: Waiter) -> None:
        """Have *waiter* send at the end of the turn what is opened until then."""
        self._gatherer = waiter
        self._gathering = get_ident()
        self._gathers_until = time.monotonic() + PATIENCE
        self._register(waiter)
        waiter.woken = True  # it goes on by itself

    def _register(self, waiter: Waiter) -> None:
        """Have *waiter* woken by what happens to its stream, or to what else it wants."""
        if waiter.wants:
            (self._wanting if waiter.wants == ROOM else self._curious)[waiter] = None
        self._followers[waiter] = None  # where it was, if it was there

    def follow(self, waiter: Waiter, stream: Stream) -> None:
        """Have *waiter* woken by events of *stream*, and of no other one; under the lock."""
        if waiter.stream is not None and waiter.stream is not stream:
            self.unfollow(waiter, waiter.stream)
        waiter.stream = stream
        self._of_stream.setdefault(stream, []).append(waiter)

    def follow_also(self, waiter: Waiter, stream: Stream) -> None:
        """Have *waiter* woken by events of *stream*, too, until `unfollow`; under the lock."""
        self._of_stream.setdefault(stream, []).append(waiter)

    def unfollow(self, waiter: Waiter, stream: Stream) -> None:
        """Have *waiter* woken by events of *stream* no more; under the lock."""
        others = self._of_stream.get(stream)
        if others is None:
            return
        if waiter in others:
            others.remove(waiter)
        if not others:
            del self._of_stream[stream]

    def has_room_for_all(self, waiter: Waiter) -> bool:
        """Return True if no other operation than *waiter* waits for room; under the lock."""
        if self._wanting and not (len(self._wanting) == 1 and waiter in self._wanting):
            return False
        if not self.engine.streams:
            self.look()
        return self._shared.stream is not None

    def open(self, waiter: Waiter, fields: Sequence[Field], ends: bool) -> Stream | None:
        """Open a stream for a request of *waiter*, and queue its head; under the lock.

        Args:
            waiter: of the operation. It is before all that have not waited yet.
            fields: those of the request.
            ends: True if the request ends behind its head.

        Returns:
            It; None if there is no room behind those before *waiter*, or there will be none any
            more (see `is_retired`).

        """
        engine = self.engine
        if not engine.streams:
            self.look()
        room = engine.room()
        if self._wanting:
            room = self._left_for(waiter, room)
        if not room or self._shared.stream is None:
            return None
        stream = engine.open(fields, ends)
        self.opened(waiter)
        return stream

    def _left_for(self, waiter: Waiter, room: int) -> int:
        """Return what is left of *room* behind those before *waiter*.

        Those that may be woken for the room there is are these.
        """
        for one in self._wanting:
            if one is waiter or not room:
                break
            room -= one.wants == ROOM and not one.leads
        return room

    def is_retired(self) -> bool:
        """Return True if the session takes no further request."""
        return self._shared.stream is None or not self.engine.can_open()

    def opened(self, waiter: Waiter) -> None:
        """Note that *waiter*, of this thread, has opened a stream; under the lock."""
        me = get_ident()
        if me != self._opener:
            self._mixed = self._opener != 0
            self._opener = me
        self._newest = waiter
        if self._wanting:
            self._wanting.pop(waiter, None)
        waiter.wants = 0

    def look(self) -> None:
        """Receive what has come, unless somebody does that; under the lock.

        So PING and GOAWAY are seen that have come while nobody was waiting.
        """
        shared = self._shared
        if self._reader is not None or self._writer is not None:
            return
        if not shared.reading.acquire(False):
            return
        try:
            stream = shared.stream
            while stream is not None and (stream.buffered or not stream.recv_would_block()):
                if not self._receive():
                    return
        finally:
            shared.reading.release()

    def _resume(self, waiter: Waiter) -> bool:
        """Note that *waiter* was resumed; return True if it shall receive.

        It keeps its baton until the end of the section, as this keeps the descriptor open.
        """
        if waiter.woken:
            waiter.woken = False
            if waiter.wake is not None:
                waiter.wake.clear()
        elif self._asleep:
            self._asleep.pop(waiter, None)
        if self._gathering and (
            self._gatherer is waiter or time.monotonic() >= self._gathers_until
        ):
            self._gatherer, self._gathering = None, 0
        if waiter.writes:
            self._full = False
        if waiter.leads:
            return True
        if waiter.writes and self._reader is None and self._shared.reading.acquire(False):
            waiter.leads = True
            self._reader = waiter
            return True
        return False

    def _wait(self, waiter: Waiter, deadline: float | None) -> PollNeeded | None:
        """Return what *waiter* has to wait for; None if there is something to receive."""
        shared = self._shared
        gathering = self._gathering
        gathered = (
            gathering != 0
            and not waiter.leads
            and self._gatherer is not waiter
            and gathering == get_ident()
        )
        if not gathered and self._batch and not self._lost and self._takes_sending(waiter):
            stream = shared.live_stream()
            if self._reader is waiter:
                self._end_reading(waiter)
            return stream.wanted_by_send(deadline, watch=True)
        if self._writer is waiter:
            self._end_sending(waiter)
        if not gathered and self._takes_reading(waiter):
            stream = shared.live_stream()
            if stream.buffered:
                return None
            if self._owes_ack and self._of_stream:
                self._owes_ack = False
                stream.quick_ack()  # the server may hold back what is less than a packet
            return stream.wanted_by_recv(deadline)
        shared.live_stream()
        if waiter.wake is None:
            waiter.wake = self._wakes.pop() if self._wakes else Wake("stream")
        if gathered and (deadline is None or deadline > self._gathers_until):
            deadline = self._gathers_until
        if not waiter.woken:  # by what it has sent itself: then it goes on at once
            self._asleep[waiter] = None
        return waiter.wake.need(deadline)

    def _takes_sending(self, waiter: Waiter) -> bool:
        if self._writer is None and self._shared.sending.acquire(False):
            self._writer = waiter
            waiter.writes = True
        return self._writer is waiter

    def _takes_reading(self, waiter: Waiter) -> bool:
        if self._writer is not None:
            # It waits in both directions. One that waits beside it to receive could not be woken to
            # send, should the writer end: nor what it has queued itself, such as WINDOW_UPDATE.
            if self._reader is waiter:
                self._end_reading(waiter)
            return False
        if self._reader is waiter:
            return True
        if self._reader is None and self._shared.reading.acquire(False):
            self._reader = waiter
            waiter.leads = True
        return self._reader is waiter

    def _end_reading(self, waiter: Waiter) -> None:
        waiter.leads = False
        self._reader = None
        self._shared.reading.release()

    def _end_sending(self, waiter: Waiter) -> None:
        waiter.writes = False
        self._writer = None
        self._shared.sending.release()

    def _rest(self, waiter: Waiter) -> None:
        """Let others lead: *waiter* will wait for something else."""
        if waiter.leads:
            self._end_reading(waiter)
        if waiter.writes:
            self._end_sending(waiter)
        self._register(waiter)
        waiter.woken = True  # it goes on by itself
        self._hand_on()

    def _pause(self, waiter: Waiter) -> None:
        """Let others lead, and have the room: *waiter* goes on later."""
        waiter.wants = 0
        if self._wanting and self._wanting.pop(waiter, False) is None:
            self.note_room()
        self._rest(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Note the end of *waiter*; see that somebody leads. Under the lock."""
        if self._child:
            return
        waiter.left = True
        if self._newest is waiter:
            self._newest = None
        if self._gatherer is waiter:
            self._gatherer, self._gathering = None, 0
            self._flush()
        self._followers.pop(waiter, None)
        self._asleep.pop(waiter, None)
        self._marked.pop(waiter, None)
        self._curious.pop(waiter, None)
        if self._wanting:
            self._wanting.pop(waiter, None)
            self.note_room()  # that it has not used, perhaps
        if waiter.stream is not None:
            self.unfollow(waiter, waiter.stream)
        if waiter.leads:
            self._end_reading(waiter)
        if waiter.writes:
            self._end_sending(waiter)
        if waiter.wake is not None:
            self._keep_wake(waiter)
        if self._asleep:
            self._hand_on()

    def _keep_wake(self, waiter: Waiter) -> None:
        """Keep the flag of *waiter* for the next one."""
        wake, waiter.wake = waiter.wake, None
        assert wake is not None
        if waiter.woken:
            wake.clear()
        if len(self._wakes) < self._most_wakes:
            self._wakes.append(wake)
        else:
            wake.close()

    def _hand_on(self) -> None:
        """Wake one follower that was not woken, if nobody leads or nobody sends what is queued."""
        if self._reader is None and self._writer is None:
            if self._gatherer is not None and not self._mixed:
                return  # it will; in this thread nobody has to rely on it for long
        elif not self._batch or self._writer is not None or self._lost:
            return
        for follower in self._asleep:
            self._wake(follower)
            return

    def _wake(self, waiter: Waiter) -> None:
        """Have *waiter* resumed, unless it leads: then it runs, or waits for the socket."""
        if waiter.woken or waiter.leads or waiter.writes:
            return
        if waiter.wake is not None:
            waiter.woken = True
            self._asleep.pop(waiter, None)
            waiter.wake.set()

    def wake_all(self) -> None:
        """Wake all operations that wait; under the lock."""
        for waiter in self._followers:
            waiter.moved = True
            self._wake(waiter)

    # ---- bytes

    def _flush_for(self, waiter: Waiter) -> None:
        """Send what is queued, unless another operation does that at the end of the turn."""
        gathering = self._gathering
        if not gathering or waiter.mark or self._gatherer is waiter or gathering != get_ident():
            self._flush()

    def _flush(self) -> None:
        """Send what is queued, as far as that is possible at once."""
        output = self.engine.output
        writer = self._writer
        if output.queued == output.sent or self._lost or (self._full and writer is not None):
            return
        shared = self._shared
        if writer is None and not shared.sending.acquire(False):
            return  # it is being closed
        try:
            before = output.sent
            while (stream := shared.stream) is not None:
                if not self._batch:
                    parts: Any = output.take()  # no `cast`: that is a call
                    self._batch = parts
                if not (count := stream.send(self._batch)):
                    self._full = True
                    break
                self._owes_ack = False
                output.sent += count
                if output.sent == output.queued:
                    self._batch = []
                    break
                self._batch = rest(self._batch, count)
            if self._marked and output.sent != before:
                self._note_sent(output.sent)
        except ConnectionClosed as exc:
            self._sending_failed(exc)
        finally:
            if writer is None:
                shared.sending.release()

    def _flush_last(self) -> None:
        """Send what is queued, as far as that is possible at once, as nobody tries again."""
        self._full = False
        self._flush()

    def _note_sent(self, sent: int) -> None:
        """Wake those whose bytes have been sent."""
        marked = self._marked
        while marked:
            waiter = next(iter(marked))
            if waiter.mark > sent:
                return
            del marked[waiter]
            waiter.moved = True
            self._wake(waiter)

    def _note_progress(self, waiter: Waiter) -> None:
        """Note whether anything was sent since the time limit of *waiter* was looked at.

        Its own bytes may not be among that, but it waits for what is in front of them, too.
        """
        before, sent = self._marked.get(waiter), self.engine.output.sent
        if before is not None and before != sent:
            self._marked[waiter] = sent
            waiter.moved = True

    def _sending_failed(self, exc: ConnectionClosed) -> None:
        """Receive what the server has said before it closed the connection; then all is lost."""
        self._lost = True
        while self.engine.ended is None and self._receive():
            pass
        self.lose(exc)

    def _receive(self) -> bool:
        """Receive once, and wake those who got something; True if there is more, perhaps."""
        stream = self._shared.stream
        if stream is None:
            return False
        try:
            memory = _spare.pop()
        except IndexError:
            memory = memoryview(bytearray(MEMORY))
        try:
            # If there are many streams, much is on its way, and all that is to be done for one
            # reception is done for all of it.
            many = len(self._of_stream) > 1
            count = (stream.recv_all_into if many else stream.recv_into)(memory)
        except ConnectionClosed as exc:
            self.lose(exc)
            return False
        return self._take_in(stream, memory, count)

    def _take_in(self, stream: ByteStream, memory: memoryview, count: int | None) -> bool:
        """Take *count* bytes, in *memory*, as what was received; see `_receive`."""
        engine = self.engine
        if count:
            self.received += count
            self._owes_ack = count < LITTLE
            self._dispatch(engine.receive(memory[:count]))
        _spare.append(memory)
        if count is None:
            return False
        if not count:
            self.lose(ConnectionClosed("the server has closed the connection"))
            return False
        if engine.concerns_all:
            self._note_connection()
            if engine.ended is not None:
                return False
        return count == MEMORY or stream.buffered

    def _note_connection(self) -> None:
        """Note what has come that concerns the whole connection: SETTINGS, GOAWAY, or its end."""
        engine = self.engine
        if engine.remote_settings is not self._settings:
            self._settings = engine.remote_settings
            self._note_settings()
            most, self._most_streams = self._most_streams, engine.max_streams
            if self.on_room is not None and engine.max_streams > most:
                self.news.append(self.on_room)
        if engine.ended is not None:
            self._flush_last()  # GOAWAY
            self._end(engine.ended)
        elif engine.goaway is not None:
            self._shared.retire()
        if engine.goaway is not None and self._shared.observer is not None:
            observer = cast("Observer", self._shared.observer)
            self.news.append(partial(observer.goaway, engine.goaway))

    def check_idle(self) -> None:
        """Call `on_idle`, if nothing is under way; without the lock, at the end of anything.

        An operation that ends leaves first and looks then, and `on_idle` is set before it is looked
        at: so of two threads at least one sees that.
        """
        if self.engine.streams or not all(waiter.serves for waiter in [*self._followers]):
            return
        if (told := self.on_idle) is not None:
            told()
            self.on_idle = None  # behind it, as Ctrl-C may come before

    def _note_settings(self) -> None:
        shared, settings = self._shared, self.engine.remote_settings
        assert settings is not None
        if (told := shared.config.on_settings) is not None:
            self.news.append(partial(told, settings))
        if shared.observer is not None:
            self.news.append(partial(cast("Observer", shared.observer).settings, settings))

    def _dispatch(self, touched: Iterable[Stream]) -> None:
        of_stream = self._of_stream
        for stream in touched:
            for waiter in of_stream.get(stream, ()):
                waiter.moved = True
                if waiter.touched is not None:
                    waiter.touched[stream] = None
                self._wake(waiter)
        for waiter in self._curious:
            self._wake(waiter)
        if self._wanting:
            self._wake_wanting()

    def _wake_wanting(self) -> None:
        """Wake those who want room, in their order, as many as there is; all of them at the end.

        It takes time for those that are woken only, as it is done whenever something is received.
        """
        engine, wanting = self.engine, self._wanting
        leader = self._reader
        if leader is not None and leader in wanting:
            leader.moved = True  # and the room is for those who can be woken
        room = engine.room() if engine.can_open() else len(wanting)
        if not room:
            return
        for waiter in wanting:
            if waiter.leads:
                continue
            waiter.moved = True
            self._wake(waiter)
            room -= 1
            if not room:
                return

    def wake(self, waiter: Waiter) -> None:
        """Wake *waiter*, of which something has changed that is in no stream; under the lock."""
        waiter.moved = True
        self._wake(waiter)
        if self._reader is waiter:
            self._rouse_leader()

    def wake_of(self, stream: Stream) -> None:
        """Wake those who wait for *stream*, as it was given up; under the lock."""
        self._dispatch([stream])
        if self._reader is not None and self._reader.stream is stream:
            self._rouse_leader()

    def follow_sending(self, waiter: Waiter) -> bool:
        """Return True if all is sent that was queued when this was first called; under the lock.

        Otherwise *waiter* is woken when it is.
        """
        output = self.engine.output
        marked = self._marked
        if not waiter.mark:
            waiter.mark = output.queued
            marked.pop(waiter, None)  # it goes behind all others
        if output.sent >= waiter.mark:
            return True
        if waiter not in marked:
            is_last = not marked or next(reversed(marked)).mark <= waiter.mark
            marked[waiter] = output.sent
            if not is_last:  # it waits for what was queued before
                self._marked = OrderedDict(sorted(marked.items(), key=lambda item: item[0].mark))
        return False

    def note_room(self) -> None:
        """Wake those who want to open a stream, as one has ended; under the lock."""
        if self._wanting:
            self._wake_wanting()
            if self._reader in self._wanting and self.engine.room():
                self._rouse_leader()

    def _rouse_leader(self) -> None:
        """Have the server send something: the one that leads waits for that, and for no flag."""
        engine = self.engine
        if engine.ended is None and not self._lost and not engine.pings:
            engine.ping()
            self._flush()

    # ---- the end

    def lose(self, exc: ConnectionClosed) -> None:
        """End all streams, as the connection is lost; under the lock."""
        _forget_frames(exc)
        self._lost = True
        self._dispatch(self.engine.lost(exc))
        self._end(exc)

    def send_now(self) -> None:
        """Send what is queued, if that is possible at once; under the lock.

        If it is not, a follower waits for that.
        """
        self._flush()
        if self._batch:
            self._hand_on()

    def open_window(self, stream: Stream | None, size: int) -> None:
        """Let the server send *size* further bytes in *stream*; in all together for None.

        No effect if it sends nothing more.

        Raises:
            InvalidOption: *size* is less than 1, or the window would be too large.
            TypeError: it is not an int.

        """
        check_int("size", size, 1, MAX_WINDOW)
        self.do(partial(self._open_window, stream), size)

    def _open_window(self, stream: Stream | None, size: int) -> None:
        if self.engine.ended is not None:
            return
        try:
            self.engine.update_window(stream, size)
        except ValueError as exc:
            raise InvalidOption(str(exc)) from None

    def say_goodbye(self) -> None:
        """Send GOAWAY, if that is possible at once, and nothing more; under the lock."""
        if self.engine.ended is None and not self._lost:
            self.engine.say_goaway()
            self._flush_last()
            self._lost = True

    def closed(self, exc: ConnectionClosed) -> None:
        """End all streams with *exc*, as this side has closed the connection; under the lock."""
        if not self._child:
            self._lost = True
            self._dispatch(self.engine.lost(exc))
            self.wake_all()
            self._most_wakes = 0
            while self._wakes:
                self._wakes.pop().close()

    def _end(self, reason: DugongError) -> None:
        self._lost = True
        self._batch = []
        shared = self._shared
        shared.retire()
        shared.label(reason)
        for waiter in (*self._wanting, *self._curious, *self._marked):
            self._wake(waiter)
        self.news.append(partial(shared.end, reason))

    def _interrupted(self, exc: BaseException) -> None:
        """Break the session, as *exc* has come between two steps of what the lock guards."""
        shared = self._shared
        # First for an operation that was about to leave, then for what this section took or ended.
        if self._reader is not None and self._reader.left:
            self._end_reading(self._reader)
        if self._writer is not None and self._writer.left:
            self._end_sending(self._writer)
        if self._reader is None and shared.reading.locked():
            shared.reading.release()
        if self._writer is None and shared.sending.locked():
            shared.sending.release()
        if shared.state is not BROKEN and shared.state is not CLOSED:
            self.lose(ConnectionClosed(f"an operation was interrupted by {type(exc).__name__}"))
        self.wake_all()

    def keep_data(self) -> None:
        """Copy what is queued and belongs to a caller who may change it now; under the lock."""
        engine = self.engine
        if engine.output.queued == engine.output.sent:
            return
        queued = [*self._batch, *engine.take_output()]
        if self._lost:
            queued.clear()  # nobody sends it
        self._batch = [bytes(part) if isinstance(part, memoryview) else part for part in queued]

    def drop_inherited(self) -> None:
        """Forget the operations of the parent, in a child process."""
        self.lock.renew()
        self._child = self._lost = True
        self._followers.clear()
        self._asleep.clear()
        self._of_stream.clear()
        self._wanting.clear()
        self._curious.clear()
        self._marked.clear()
        self.news.clear()
        self._reader = self._writer = self._gatherer = self._newest = None
        self._gathering = 0


def _forget_frames(exc: BaseException) -> None:
    """Take the tracebacks from *exc*, which is stored, and its causes: they lead back to here.

    After an interruption nobody would close the socket before the garbage collector runs.
    """
    each: BaseException | None = exc
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__
