"""Reading the bodies of responses, in every way that callers ask for.

Payload goes from the receive buffer to the caller, or directly from the stream into
the caller's memory where that saves a copy. Everything here is an attempt: see receiver.py.

Not here: where a body ends (http/h1/).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from ...errors import BodyTooLarge, InvalidResponse, StateError
from ...http.h1.body import SIZED, UNTIL_CLOSE, Body
from ...polling.fairness import STEP
from ...transport.buffer import LOW_WATER, ReceiveBuffer
from ...transport.stream import Stream
from ...transport.zero_copy import AT_ONCE, BulkStream, CannotSplice, Pipe
from ..exchange import HTTPResponse
from ..files import NotTaken, Sink
from ..states import BROKEN, CLOSED, OPEN, UPGRADED
from ..time_out_messages import late_body
from .exclusive import reading

if TYPE_CHECKING:
    from ...errors import ConnectionTimedOut
    from ...transport.timings import Timings
    from ...transport.upgraded.network_stream import NetworkStream
    from ..shared import SharedState

MAX_PIECE: Final = 262144  # bytes asked for at once: memory never follows announced lengths


class BodyReader:
    """Reads one body after the other, and ends the exchange of each.

    Args:
        session: where from.
        buffer: what has been received and not taken.

    Attributes:
        body: the body that is being read, None between two of them.
        known: False if no body could be read: none has begun since the last one.
        response: the present response; None between two of them, for it may be large.
        reusable: may the connection be used after it?
    """

    __slots__ = (
        *("_buffer", "_drained", "_free", "_kept", "_left", "_length", "_owed", "_session"),
        *("body", "known", "response", "reusable"),
    )

    def __init__(self, session: SharedState, buffer: ReceiveBuffer) -> None:
        self._session = session
        self._buffer = buffer
        self.known = False
        self.body: Body | None = None
        self.response: HTTPResponse | None = None
        self.reusable = False
        self._owed = 0  # bytes of payload that come next, in front of any further framing
        self._length = 0  # bytes of a whole body of known length
        self._left: int | None = None  # bytes that may still be delivered; None: any number
        self._free = False  # they are not delivered but thrown away
        self._kept: list[bytes | memoryview] = []  # what an interrupted `readall` had
        self._drained = False  # the last call has received less than it could have

    def begin(self, body: Body, length: int) -> None:
        """Go on with *body*, whose first *length* bytes come without further framing."""
        self._owed = self._length = length
        self._left = self._session.config.max_body
        self.body = body  # afterwards: see `has_surplus`

    def forget(self) -> None:
        """Forget what is left of the last body: the next response is asked for."""
        self.known = False
        if self._kept:  # it was given up
            self._kept.clear()

    def clear(self) -> None:
        """Forget what was kept of a body that was not read to its end."""
        if self._kept:
            self._kept = []  # a new one: the next session may have this one
            self.known = False  # or the rest would seem to be none

    def take_over(self, left: list[bytes | memoryview]) -> None:
        """Go on behind a complete body of the session before, of which *left* is left.

        Its reader may be about to call once more, which returns ``b""``, or what it has not been
        able to deliver.
        """
        self._kept = left
        self.known = True

    def left(self) -> list[bytes | memoryview] | None:
        """Return what was received of a complete body and not delivered; None if there is none."""
        return self._kept if self.known and self.body is None else None

    def late(self, seconds: float | None) -> ConnectionTimedOut:
        """Return the error of a body of which nothing more has come for *seconds*."""
        if self.body is not SIZED:
            return late_body(seconds, 0, None)
        there = self._buffer.end - self._buffer.begin
        have = self._length - self._owed + min(there, self._owed)
        return late_body(seconds, have, self._length)

    def has_surplus(self) -> bool:
        """Return True if bytes have arrived behind the end of a body of known length.

        Another thread may be reading it. The order in which it changes these numbers, and
        that of looking at them here, never make it look like too much.
        """
        if self.body is not SIZED:
            return False
        owed = self._owed
        begin = self._buffer.begin
        return self._buffer.end - begin > owed

    # ---- attempts

    def readinto(self, target: memoryview) -> int | None:
        """See `Operations.co_readinto`."""
        if self._kept and target:
            piece = self._take_kept(len(target))
            target[: len(piece)] = piece
            return len(piece)
        owed = self._next()
        if not owed or not target:
            return owed and 0
        target = target[:owed]
        buffer = self._buffer
        if buffer.begin < buffer.end or len(target) < buffer.size:
            if not (filled := self._have_bytes()):
                return filled
            count = buffer.take_into(target)
        else:
            stream = self._session.live_stream()
            if buffer.is_turn_over() or (received := stream.recv_all_into(target)) is None:
                self._note_blocked()
                return None
            if not received:
                return self._end_of_stream()
            count = received
            buffer.received += count
            self._drained = count < len(target)
        self._took(count)
        return count

    def read(self, size: int) -> bytes | None:
        """See `Operations.co_read`."""
        if self._kept and size:
            return bytes(self._take_kept(size))
        return self._piece(size)

    def readinto_patiently(self, target: memoryview) -> int | None:
        """As `readinto`, for those who can wait a little if it is for more."""
        count = None if self._take_drained() else self.readinto(target)
        if count is None:
            self._want_much()
        return count

    def read_patiently(self, size: int) -> bytes | None:
        """As `read`, for those who can wait a little if it is for more."""
        data = None if self._take_drained() else self.read(size)
        if data is None:
            self._want_much()
        return data

    def readall(self, _: None) -> bytes | None:
        """See `Operations.co_readall`."""
        kept = self._kept
        buffer = self._buffer
        owed = self._owed
        if self._left is not None and self.body is not None:
            self._check_left(owed)
        if self.body is SIZED and owed <= buffer.end - buffer.begin and not kept:
            if self._session.state is not OPEN:
                self._check_readable()
            data = buffer.take(owed)  # it is here as a whole, as most are
            self._owed = 0
            self._end()
            return data
        while True:
            if buffer.is_turn_over():
                return None
            piece = self._piece(MAX_PIECE)
            if piece is None:
                self._want_much()
                return None
            if self.body is None and not kept:
                return piece
            if piece:
                kept.append(piece)
            if self.body is None:
                break
            buffer.turn_ends -= STEP
        data = b"".join(kept)
        kept.clear()
        return data

    def discard(self, _: None) -> bool | None:
        """See `Operations.co_discard`; True says that it is done."""
        self._free = True
        try:
            return self._discard()
        finally:
            self._free = False

    def _discard(self) -> bool | None:
        self._kept.clear()
        buffer = self._buffer
        while owed := self._next():
            if buffer.is_turn_over():
                return None
            if (bulk := self._bulk(owed)) is not None:
                count = self._receive(bulk.discard, owed)
            elif count := self._have_bytes():
                count = min(owed, count)
                buffer.begin += count
            if not count:
                self._want_much()
                return None if count is None else True
            self._took(count)
            buffer.turn_ends -= STEP
        return None if owed is None else True

    def save(self, sink: Sink) -> bool | None:
        """See `Operations.co_recv_to_file`; True says that it is done, False that *sink* failed.

        None says that something has to arrive, or that *sink* is full; see `Sink.wanted`. Bytes
        that it has not taken are still here.
        """
        if (stream := self._session.stream) is not None:
            stream.waiting = False  # what is here is on its way from now on
        while True:
            try:
                return self._save_next(sink) if self._save_kept(sink) else None
            except CannotSplice:
                sink.splices = False
            except NotTaken:
                return None if sink.failure is None else False

    def _save_kept(self, sink: Sink) -> bool:
        """Write what an interrupted call had; False: others have their turn before the rest."""
        kept, buffer = self._kept, self._buffer
        while kept:
            if buffer.is_turn_over():
                return False
            buffer.turn_ends -= STEP
            piece = memoryview(kept[0])
            kept[:1] = [rest] if (rest := piece[sink.write(piece) :]) else []
        return True

    def _save_next(self, sink: Sink) -> bool | None:
        buffer = self._buffer
        while owed := self._next():
            if buffer.is_turn_over():
                return None
            bulk = self._bulk(owed) if sink.splices else None
            if bulk is not None:
                count = self._splice(bulk, sink, owed)
            elif count := self._have_bytes():
                count = sink.write(buffer.view(min(owed, count)))
                buffer.begin += count
                self._took(count)
            if not count:
                self._want_much()
                return None if count is None else True
            buffer.turn_ends -= STEP
        return None if owed is None else True

    def _splice(self, bulk: BulkStream, sink: Sink, owed: int) -> int | None:
        """Receive payload, and have it written before anything else can happen."""
        pipe = Pipe.borrow()
        try:
            count = self._receive(partial(bulk.recv_into_pipe, pipe), owed)
            if count:
                self._took(count)
                sink.empty(pipe, count)
        except (NotTaken, CannotSplice):
            if left := pipe.take():
                self._kept.append(left)
            pipe.give_back()
            raise
        except BaseException:
            pipe.close()
            raise
        pipe.give_back()
        return count

    # ---- what they are made of

    def _take_kept(self, size: int) -> bytes | memoryview:
        kept = self._kept
        piece = kept[0] if len(kept) == 1 else b"".join(kept)
        kept.clear()
        if len(piece) > size:
            kept.append(memoryview(piece)[size:])
        return piece[:size]

    def _piece(self, size: int) -> bytes | None:
        """Return at least one and at most *size* bytes; ``b""`` at the end of the body."""
        owed = self._next()
        if not owed or not size:
            return None if owed is None else b""
        size = min(size, owed)
        buffer = self._buffer
        if buffer.begin < buffer.end or size < buffer.size:
            if not (filled := self._have_bytes()):
                return None if filled is None else b""
            data = buffer.take(size)
        else:
            stream = self._session.live_stream()
            if buffer.is_turn_over() or (received := stream.recv(min(size, MAX_PIECE))) is None:
                self._note_blocked()
                return None
            if not received:
                self._end_of_stream()
                return b""
            data = received
            buffer.received += len(data)
            self._drained = len(data) < min(size, MAX_PIECE)
        self._took(len(data))
        return data

    def _next(self) -> int | None:
        """Return how many bytes of payload come next, 0 at the end of the body.

        None says that framing has to arrive first.
        """
        body = self.body
        if body is None:
            if not self.known:
                if self._session.lost:
                    self._session.check_usable()
                raise StateError("there is no body to read: call read_response() first")
            return 0
        if self._session.state is not OPEN:
            self._check_readable()
        owed: int | None = self._owed
        if not owed:
            owed = self._read_framing(body)
            if not owed:
                return owed
        if self._left is None or self._free:
            return owed
        return self._limited(owed, self._left)

    def _read_framing(self, body: Body) -> int | None:
        """Go on to the next payload of *body*; returns what `_next` does."""
        while (owed := body.next(self._buffer)) is None:
            if not (filled := self._fill()):
                if filled is None:
                    return None
                body.end_of_stream(0, self._length)
            self._buffer.turn_ends -= STEP
        self._owed = owed
        if owed == 0:
            self._end()
        return owed

    def _check_readable(self) -> None:
        """Raise `ConnectionClosed` if the rest of the body cannot be had any more."""
        if self._session.state is BROKEN or self._session.state is CLOSED:
            self._session.check_usable()

    def _limited(self, owed: int, left: int) -> int | None:
        """Return how many of *owed* bytes may be delivered if *left* may, as `_next` does.

        Raises:
            BodyTooLarge: none may, or it is known that not all may.

        """
        if self.body is UNTIL_CLOSE and left == 0 and not (there := self._have_bytes()):
            return there  # whether this was all is not known before the end
        self._check_left(owed)
        return min(owed, left)

    def _check_left(self, owed: int) -> None:
        left = self._left
        if left is None or owed <= left:
            return
        if self.body is SIZED or left == 0:
            most = self._session.config.max_body
            raise BodyTooLarge(f"the body has more than the {most} bytes that are allowed")

    def _bulk(self, owed: int) -> BulkStream | None:
        """Return what moves the next *owed* bytes, if they are many and have not arrived."""
        buffer = self._buffer
        if owed < buffer.size or buffer.begin < buffer.end:
            return None
        return self._session.live_stream().bulk

    def _receive(self, call: Callable[[int], int | None], owed: int) -> int | None:
        """Receive some of *owed* bytes past the buffer; the result is as in `_have_bytes`."""
        if self._buffer.is_turn_over() or self._take_drained():
            self._note_blocked()
            return None
        count = call(owed)
        if count is None:
            self._note_blocked()
            return None
        if count == 0:
            return self._end_of_stream()
        self._buffer.received += count
        self._drained = count < min(owed, AT_ONCE)
        return count

    def _take_drained(self) -> bool:
        """Say, once, that nothing is there, probably, and much is owed: a call is spared."""
        drained, self._drained = self._drained, False
        if not drained or self._owed < 2 * LOW_WATER or self._buffer.begin < self._buffer.end:
            return False
        if self.body is None or self._session.state is BROKEN:
            return False
        return self._session.live_stream().bulk is not None

    def _want_much(self) -> None:
        """Have the coming wait be for much at once, if much is still owed."""
        if self._owed >= 2 * LOW_WATER:
            self._buffer.wanted = LOW_WATER

    def _have_bytes(self) -> int | None:
        """Have payload in the buffer; 0 says that the body has ended instead, None see `_fill`."""
        buffer = self._buffer
        if buffer.begin < buffer.end:
            return buffer.end - buffer.begin
        filled = self._fill()
        return self._end_of_stream() if filled == 0 else filled

    def _fill(self) -> int | None:
        """Receive into the buffer; 0 is the end of the stream, None says that it would block."""
        buffer = self._buffer
        if (
            buffer.is_turn_over()
            or (filled := buffer.fill(self._session.stream or self._session.live_stream())) is None
        ):
            self._note_blocked()
            return None
        return filled

    def _note_blocked(self) -> None:
        """Tell who will wait whether the peer is in the middle of much, and holds nothing back."""
        self._buffer.much = self._owed >= 2 * LOW_WATER

    def _took(self, count: int) -> None:
        """Note that payload was taken; look, without waiting, whether it was the last."""
        if self._left is not None and not self._free:
            self._left -= count
        self._owed -= count
        if self._owed:
            return
        body = self.body
        assert body is not None
        if body is not SIZED:
            try:
                following = body.next(self._buffer)
            except InvalidResponse:
                return  # raised by the next call: these bytes are still good
            if following != 0:
                self._owed = following or 0
                return
        self._end()

    def _end_of_stream(self) -> int:
        self._session.live_stream()  # raises if it was us who ended it
        assert self.body is not None
        self.body.end_of_stream(self._owed, self._length)
        self._end()
        return 0

    def _end(self) -> None:
        """End the body, and the exchange with it."""
        body, self.body = self.body, None
        assert body is not None
        self.end_response(body.trailers)

    def end_response(self, trailers: bytes = b"") -> None:
        """End the present response; decide whether the connection goes on.

        Args:
            trailers: field lines of the trailer section.

        """
        response, self.response = self.response, None
        assert response is not None
        if trailers:
            response.set_trailers(trailers)
        session, buffer = self._session, self._buffer
        pending = session.pending
        exchange = pending[0]
        exchange.complete = True
        reusable = self.reusable
        if len(pending) == 1:
            if buffer.begin == buffer.end:
                buffer.give_back()
            else:
                reusable = False  # nobody has asked for that
        # When nothing is pending any more a thread that sends goes on: with this connection,
        # if it is reusable by then.
        if reusable:
            session.take_first()
        elif session.state is UPGRADED and session.stream is not None:
            session.take_first()
            response.offer(partial(hand_over, session, buffer, session.stream, response.timings))
        else:
            session.end_use(response)
            if session.state is not OPEN and not pending and session.stream is not None:
                session.stream.send_end_of_stream()
                session.end(None)
        if session.meter is not None:
            session.meter.restart()
        if session.observer is not None:
            session.observer.received_body(exchange, response, trailers)


def hand_over(
    session: SharedState, buffer: ReceiveBuffer, stream: Stream, timings: Timings | None
) -> NetworkStream:
    """Give up *stream*, which has left HTTP, and what has been received from it."""
    from ...transport.upgraded.network_stream import NetworkStream  # noqa: PLC0415 - seldom needed

    received = reading(session, partial(_detach, session, buffer, stream))
    handed = NetworkStream(stream, received, session.timeout, url=session.route.origin)
    handed.timings = timings
    return handed


def _detach(session: SharedState, buffer: ReceiveBuffer, stream: Stream) -> bytes:
    """Give up *stream*, having the use of reading; return what has been received from it."""
    if session.stream is not stream:
        what = "the connection was closed before anybody took its stream"
        raise session.labelled(StateError(what))
    session.detach()
    received = buffer.take(buffer.end - buffer.begin)
    buffer.give_back()
    return received
