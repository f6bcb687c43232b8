"""Reading the bodies of responses, in every way that callers ask for.

Payload goes from the receive buffer to the caller, or directly from the stream into
the caller's memory where that saves a copy. Everything here is an attempt: see exclusive.py.

Not here: where a body ends (http/h1/), and what happens then (receiver.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from ...errors import InvalidResponse, StateError
from ...http.h1.body import SIZED, Body
from ...polling.fairness import STEP
from ...transport.buffer import ReceiveBuffer
from ...transport.zero_copy import AT_ONCE, LOW_WATER, BulkStream, CannotSplice, Pipe
from ..files import NotTaken, Sink
from .session import SharedLink
from .states import BROKEN

MAX_PIECE: Final = 262144  # bytes asked for at once: memory never follows announced lengths


class BodyReader:
    """Reads one body after the other.

    Args:
        link: where from.
        buffer: what has been received and not taken.
        ended: called when a body is complete.

    Attributes:
        body: the body that is being read, None between two of them.
        known: False if there is no body that could be read: none has begun since the last
            one, or it was lost.
    """

    __slots__ = (
        *("_buffer", "_drained", "_ended", "_kept", "_length", "_link", "_owed"),
        *("body", "known"),
    )

    def __init__(
        self, link: SharedLink, buffer: ReceiveBuffer, ended: Callable[[Body], object]
    ) -> None:
        self._link = link
        self._buffer = buffer
        self._ended = ended
        self.known = False
        self.body: Body | None = None
        self._owed = 0  # bytes of payload that come next, in front of any further framing
        self._length = 0  # bytes of a whole body of known length
        self._kept: list[bytes | memoryview] = []  # what an interrupted `readall` had
        self._drained = False  # the last call has received less than it could have

    def reset(self) -> None:
        """Forget the body that is being read; it will not look like its end."""
        if self.body is not None:
            self.known = False
        self.body = None
        self._kept.clear()

    def begin(self, body: Body, length: int) -> None:
        """Go on with *body*, whose first *length* bytes come without further framing."""
        self._owed = self._length = length
        self.body = body  # afterwards: see `has_surplus`

    def forget(self) -> None:
        """Forget what is left of the last body: the next response is asked for."""
        self.known = False
        if self._kept:  # it was given up
            self._kept.clear()

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
            stream = self._link.stream
            if buffer.is_turn_over() or (received := stream.recv_into(target)) is None:
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
        count = None if self._is_drained() else self.readinto(target)
        if count is None:
            self._want_much()
        return count

    def read_patiently(self, size: int) -> bytes | None:
        """As `read`, for those who can wait a little if it is for more."""
        data = None if self._is_drained() else self.read(size)
        if data is None:
            self._want_much()
        return data

    def readall(self, _: None) -> bytes | None:
        """See `Operations.co_readall`."""
        kept = self._kept
        buffer = self._buffer
        owed = self._owed
        if self.body is SIZED and owed <= buffer.end - buffer.begin and not kept:
            if self._link.state is BROKEN:
                self._link.check_unbroken()
            data = buffer.take(owed)  # it is here as a whole, as most are
            self._owed = 0
            self.body = None
            self._ended(SIZED)
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
        """See `Transfers.co_recv_to_file`; True says that it is done, False that *sink* failed.

        None says that something has to arrive, or that *sink* is full; see `Sink.wanted`. What
        it has not taken is still here.
        """
        if (stream := self._link.raw_stream) is not None:
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
            stream = self._link.stream
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
                raise StateError("there is no body to read: call read_response() first")
            return 0
        if self._link.state is BROKEN:
            self._link.check_unbroken()
        if self._owed:
            return self._owed
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

    def _bulk(self, owed: int) -> BulkStream | None:
        """Return what moves the next *owed* bytes, if they are many and have not arrived."""
        buffer = self._buffer
        if owed < buffer.size or buffer.begin < buffer.end:
            return None
        return self._link.stream.bulk

    def _receive(self, call: Callable[[int], int | None], owed: int) -> int | None:
        """Receive some of *owed* bytes past the buffer; the result is as in `_have_bytes`."""
        if self._buffer.is_turn_over() or self._is_drained():
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

    def _is_drained(self) -> bool:
        """Say, once, that nothing is there, probably, and much is owed: a call is spared."""
        drained, self._drained = self._drained, False
        if not drained or self._owed < 2 * LOW_WATER or self._buffer.begin < self._buffer.end:
            return False
        if self.body is None or self._link.state is BROKEN:
            return False
        return self._link.stream.bulk is not None

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
        if buffer.is_turn_over() or (filled := buffer.fill(self._link.stream)) is None:
            self._note_blocked()
            return None
        return filled

    def _note_blocked(self) -> None:
        """Tell who will wait whether the peer is in the middle of much, and holds nothing back."""
        self._buffer.much = self._owed >= 2 * LOW_WATER

    def _took(self, count: int) -> None:
        """Note that payload was taken; look, without waiting, whether it was the last."""
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
        self._link.stream  # noqa: B018 - raises if it was us who ended it
        assert self.body is not None
        self.body.end_of_stream(self._owed, self._length)
        self._end()
        return 0

    def _end(self) -> None:
        body, self.body = self.body, None
        assert body is not None
        self._ended(body)
