"""A batch: many whole exchanges as one operation.

The requests are sent together, with one call if the system takes that much, and their responses are
taken as they come: all that one `recv` brings in one loop, which has no call for each of them but
those that make the response. While a part of the requests is still to be sent both go on in turns,
or each side could wait for ever until the other one reads.

A batch has exclusive use of reading from before its first byte is sent. Until they are read its
exchanges count as abandoned, like that of a single exchange: interrupted at any point, it leaves
nothing that could be taken for a response to what follows.

Most of the time that a batch costs are the waits: a server that writes eight responses at a time
would wake this process for each eight. So a blocking call waits for more at once (`_gather`).

Not here: what heads are built of, and whose turn it is (operations.py), sending (sender.py), and
responses that are not as most are (receiver.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from ...errors import ConnectionClosed, InvalidResponse
from ...http.h1.framing import APART, whole_size
from ...http.h1.head_cache import NO_HEAD
from ...polling.combinators import Bundle
from ...polling.fairness import STEP
from ..exchange import Reply
from ..states import OPEN

if TYPE_CHECKING:
    from ...http.h1.response_head import Head
    from ...polling.contract import Co, PollNeeded
    from ..exchange import Exchange, HTTPResponse
    from ..session import Whole
    from ..shared import SharedState
    from .receiver import Receiver

T = TypeVar("T")


class BatchReader:
    """Reads the responses to a batch, for an operation that has exclusive use of reading.

    Args:
        shared: of the session.
        receiver: of the session.
        batch: the requests that are sent together.
        replies: each response is appended to it when it is complete.
        gathers: True to wait for more at once: for drivers that know deadlines.

    """

    __slots__ = (
        *("_batch", "_bytes", "_count", "_drained", "_gathers", "_receiver"),
        *("_replies", "_response", "_shared"),
    )

    def __init__(
        self,
        shared: SharedState,
        receiver: Receiver,
        batch: Sequence[Whole],
        replies: list[Reply],
        *,
        gathers: bool,
    ) -> None:
        self._shared = shared
        self._receiver = receiver
        self._batch = batch
        self._replies = replies
        self._count = 0  # responses that are complete
        self._bytes = 0  # of those of them that `_take` has taken
        self._drained = False  # the last call has received less than it could have
        self._gathers = gathers
        self._response: HTTPResponse | None = None  # the one whose body is being read

    def co_exchange(self, sending: Co[None] | None) -> Co[None]:
        """Read all responses.

        Args:
            sending: sends the rest of the requests; None if all of them is sent.

        Raises:
            ConnectionClosed: the connection ended before.
            DugongError: what ends sending or reading.

        """
        receiver = self._receiver
        try:
            if sending is not None:
                yield from self._co_both(sending)
            else:
                yield from receiver.co_alone(
                    self.read, None, tried=True, early=True, elsewhere=self._gather
                )
        except BaseException as exc:
            receiver.note(exc)
            raise
        finally:
            if self._count < len(self._batch):  # the one that was being read
                self._batch[self._count][0].abandoned = True

    def _co_both(self, sending: Co[None]) -> Co[None]:
        """Send the rest, and read in turns with that.

        If the server takes no more of the requests, its responses to the others are read.
        """
        bundle = Bundle()
        failure: ConnectionClosed | None = None
        reading = self._receiver.co_alone(self.read, None, elsewhere=self._gather)
        try:
            while True:
                try:
                    needs = [next(sending)]
                except StopIteration:
                    break
                except ConnectionClosed as exc:  # an early response, too, which is read next
                    failure = exc
                    break
                if self._shared.pending:  # else it has not been connected yet
                    needs.append(next(reading))
                yield bundle.need(needs)
            bundle.close()
            yield from reading
        except StopIteration:
            pass  # all is read, before it was sent as a whole
        except ConnectionClosed as exc:
            if failure is None or self._response is not None:
                raise
            raise failure from exc
        finally:
            failure = None  # it leads to this frame
            bundle.close()
            reading.close()
            sending.close()

    def read(self, _: None) -> bool | None:
        """Make an attempt to read all that is missing, see receiver.py; True says that it is done.

        A response that is not as most are is read as any other one.
        """
        buffer, count = self._receiver.buffer, len(self._batch)
        while True:
            needs_more = self._response is None and self._take()
            if self._count == count:
                return True
            if buffer.is_turn_over():
                return None
            buffer.turn_ends -= STEP
            filled = self._fill() if needs_more else 0
            if filled is None:
                buffer.much = False  # the server may hold back what is less than a packet
                return None
            if not filled and not self._read_one():  # which reports the end of the stream, too
                return None

    def _fill(self) -> int | None:
        """Receive into the buffer; 0 is the end of the stream, None says that it would block."""
        buffer, stream = self._receiver.buffer, self._shared.stream
        if stream is None:
            return 0
        if self._drained and not stream.buffered:  # probably nothing is there: a call is spared
            self._drained = False
            return None
        filled = buffer.fill(stream)
        self._drained = buffer.end < len(buffer.data)
        return filled

    def _gather(self) -> PollNeeded | None:
        """Return a wait for much at once; see `Receiver.gathering`."""
        if not self._gathers or not self._bytes:
            return None
        missing = len(self._batch) - self._count  # probably as large as those before
        return self._receiver.gathering(missing * self._bytes // self._count)

    def _read_one(self) -> bool:
        """Read the next response, or go on with it; False says that something has to arrive."""
        bodies = self._receiver.bodies
        if self._response is None:
            self._batch[self._count][0].abandoned = False
            self._response = self._receiver.read_response(None)
            if self._response is None:
                return False
        body = bodies.readall(None)
        if body is None:
            return False
        self._replies.append(self._response.with_body(body))
        self._response = None
        self._count += 1
        return True

    def _take(self) -> bool:
        """Take the responses that are in the buffer as a whole, and are as most are.

        Returns:
            True if the next one is so, too, as far as is known: more of it has to arrive.

        """
        shared, buffer = self._shared, self._receiver.buffer
        pending = shared.pending
        if not pending or pending[0] is not self._batch[self._count][0]:
            return False
        if not is_usual(shared, self._receiver):
            return False
        if buffer.begin == buffer.end:
            return True
        left = buffer.end - buffer.begin
        most = len(self._batch) - self._count
        if not self._batch[-1][0].sent:
            most -= 1
        taken, size = take_usual(shared, self._receiver, islice(pending, most), Reply)
        self._count += len(taken)
        self._replies += taken
        self._bytes += left - (buffer.end - buffer.begin)
        left = buffer.end - buffer.begin
        if left == 0:
            return True
        # A larger one is read past the buffer; the limit for the head is not one for the body.
        return left < size <= buffer.size and shared.head_limit is None


def is_usual(shared: SharedState, receiver: Receiver) -> bool:
    """Return True if nothing has to see what passes, and a response comes next, all of it."""
    return (
        shared.direct
        and shared.state is OPEN
        and receiver.is_between()
        and not receiver.heads.has_begun()
    )


def take_usual(
    shared: SharedState,
    receiver: Receiver,
    exchanges: Iterable[Exchange],
    make: Callable[[Exchange, Head, bytes, bool], T],
) -> tuple[list[T], int]:
    """Take the responses that are in the buffer as a whole, and are as most are.

    For a caller that has exclusive use of reading; see `is_usual`.

    Args:
        shared: of the session.
        receiver: of the session.
        exchanges: whose responses may be taken: the first ones that are pending.
        make: called with an exchange, the head, the body, and True, for each response.

    Returns:
        What *make* has returned; and how many bytes the next response has, -1 if it is not as
        most are, or its head is incomplete, or 0 if it was not looked at.

    """
    buffer = receiver.buffer
    if (stream := shared.stream) is not None:
        stream.waiting = False  # what is here is on its way from now on
    taken: list[T] = []
    begin, size, last = _scan(receiver, exchanges, make, taken)
    if begin < buffer.end and len(taken) == len(shared.pending):
        # Nobody has asked for what follows: the last one is read as any other response is.
        taken.pop()
        begin -= last
    buffer.begin = begin
    buffer.turn_ends -= STEP * len(taken)
    shared.take_first(len(taken))
    if begin == buffer.end:
        buffer.give_back()
    return taken, size


def _scan(
    receiver: Receiver,
    exchanges: Iterable[Exchange],
    make: Callable[[Exchange, Head, bytes, bool], T],
    taken: list[T],
) -> tuple[int, int, int]:
    """Make responses of what is in the buffer; all that is done for each: each call would count.

    Args:
        receiver: see `take_usual`.
        exchanges: see `take_usual`.
        make: see `take_usual`.
        taken: the responses are appended to it.

    Returns:
        Where the next response begins; its size, as `take_usual` returns it; that of the last one.

    """
    buffer, heads = receiver.buffer, receiver.heads
    data, begin, end = buffer.data, buffer.begin, buffer.end
    view = memoryview(data)
    starts, add = data.startswith, taken.append
    # A target gets the same head most of the time, so that is looked for first.
    likely = heads.recent.likely
    last = 0
    try:
        for exchange in exchanges:
            wire, head = likely.get(exchange.target, NO_HEAD)
            if not starts(wire, begin, end):
                head = heads.find_final(exchange.target, data, begin, end)
                if head is None:
                    return begin, -1, last
            size = head.whole
            if size < 0 or exchange.method in APART:
                size = whole_size(exchange.method, head)
                if size < 0:
                    return begin, size, last
            stop = begin + size
            if stop > end:
                return begin, size, last
            add(make(exchange, head, view[begin + head.size : stop].tobytes(), True))
            begin, last = stop, size
    except InvalidResponse:  # nothing of that one was taken: `read_response` raises it again
        return begin, -1, last
    return begin, 0, last
