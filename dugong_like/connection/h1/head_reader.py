"""Receiving the heads of responses, the informational ones in front of them included.

Not here: their grammar (http/h1/response_head.py), waiting for 100 (Continue)
(expect_continue.py), and what a final head leads to (receiver.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...errors import ConnectionClosed, InvalidResponse
from ...http.h1.response_head import FINAL, Head, Section, parse_head
from ...polling.fairness import STEP
from ...transport.buffer import ReceiveBuffer
from ..exchange import Exchange, HTTPResponse
from .expect_continue import note_continue

if TYPE_CHECKING:
    from ..shared import SharedState

SWITCHING_PROTOCOLS: Final = 101


class HeadReader:
    """Takes heads from the receive buffer, and fills it until there is one.

    Args:
        session: where from.
        buffer: what has been received and not taken.

    Attributes:
        recent: finds heads that have come before.
        reports_later: True while the sender peeks: nobody may be called meanwhile, as an operation
            that begins to read waits for the end of that.
    """

    __slots__ = (
        *("_buffer", "_informational", "_limits", "_section", "_session"),
        *("recent", "reports_later"),
    )

    def __init__(self, session: SharedState, buffer: ReceiveBuffer) -> None:
        self.reports_later = False
        self._session = session
        self._buffer = buffer
        self._limits = session.config.limits
        self.recent = session.config.recent_heads
        self._section: Section | None = None  # of a head that has arrived in part
        self._informational = 0  # bytes of 1xx responses to the present request

    def read(self, exchange: Exchange) -> Head | None:
        """Return what `take` returns, of what can be received at once.

        Raises:
            InvalidResponse: what arrives is no head, or exceeds a limit.
            ConnectionClosed: the connection ended before.
        """
        buffer = self._buffer
        stream = self._session.stream or self._session.live_stream()
        while True:
            if buffer.begin < buffer.end:
                if (head := self.take(exchange)) is not None:
                    return head
                if buffer.is_turn_over():
                    return None
                buffer.turn_ends -= STEP
            if not (filled := buffer.fill(stream)):
                if filled is None:
                    buffer.much = False
                    return None
                raise self.end_of_stream()

    def take(self, exchange: Exchange) -> Head | None:
        """Take the next head for *exchange* from the buffer; None if none is complete.

        Informational responses are passed by, but for a 100 that was asked for.

        Raises:
            InvalidResponse: what is there is no head, or exceeds a limit.
        """
        buffer = self._buffer
        while (begin := buffer.begin) < buffer.end:
            head = None
            if self._section is None:  # as most do, it may have come in one piece
                head = self.recent.find(buffer.data, begin, buffer.end)
            if head is None:
                stop = self._find_end()
                if stop < 0:
                    return None
                head = parse_head(buffer.data, self._limits.fields, begin, stop)
            buffer.begin = begin + head.size
            if head.status >= FINAL:
                self._informational = 0
                return head
            if head.status == SWITCHING_PROTOCOLS:
                if not exchange.upgrades or exchange.method == "CONNECT":
                    raise InvalidResponse("101 (Switching Protocols) without having been asked")
                return head
            self._note_informational(exchange, head, head.size)
            if note_continue(exchange, head.status):
                return head
        return None

    def find_final(self, target: str, data: bytearray, begin: int, end: int) -> Head | None:
        """Return the final head that ``data[begin:end]`` begins with, if it is as most are.

        It is that of a response to a request for *target*.

        None says that it has to be looked at by `read`: it is not complete, informational, too
        large for a limit, or has to be unfolded, or is invalid.

        Raises:
            InvalidResponse: there are too many fields.

        """
        if self._section is not None:
            return None
        head = self.recent.find_for(target, data, begin, end)
        return None if head is None or head.status < FINAL else head

    def has_begun(self) -> bool:
        """Return True if the beginning of a head has been looked at, and the rest is missing."""
        return self._section is not None

    def end_of_stream(self) -> ConnectionClosed:
        """Return the error that the end of the stream is, instead of a head."""
        if self._buffer.begin < self._buffer.end:
            return ConnectionClosed(
                "the connection ended inside the head of a response", request_sent="yes"
            )
        return ConnectionClosed(
            "the server closed the connection without a response", request_sent="maybe"
        )

    def _find_end(self) -> int:
        """Return where the head in the buffer ends; -1 if it has not arrived completely."""
        buffer = self._buffer
        section = self._section
        if section is None:
            section = self._section = Section(self._limits, status=True)
        stop = section.find_end(buffer.data, buffer.begin, buffer.end)
        if stop >= 0:
            self._section = None
        return stop

    def _note_informational(self, exchange: Exchange, head: Head, size: int) -> None:
        self._informational += size
        seen = exchange.informational
        limits = self._limits
        if len(seen) >= limits.informational or self._informational > limits.header_size:
            raise InvalidResponse(
                f"{len(seen) + 1} informational responses of {self._informational} bytes; at most "
                f"{limits.informational} of {limits.header_size} bytes are taken"
            )
        response = HTTPResponse(exchange, head, 0)
        exchange.informational = (*seen, response)
        if not self.reports_later:
            self.report(response)

    def report(self, response: HTTPResponse) -> None:
        """Report a 1xx response to the observer and to the caller's function.

        Raises:
            BaseException: what they raise.

        """
        session = self._session
        if session.observer is None and session.config.on_informational is None:
            return
        session.live_stream().waiting = True  # what they raise loses nothing
        if session.observer is not None:
            session.observer.informational(response)
        if session.config.on_informational is not None:
            session.config.on_informational(response)
