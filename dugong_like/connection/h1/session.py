"""One HTTP/1.1 session: made before its TCP connection, dropped after it, never reset.

A session goes with one TCP connection. `HTTPConnection` has one, and takes a new one for the next
request when the present one is not reusable. An operation that is under way keeps the session that
it began with, whatever happens to the connection object.

**The protocol between threads.** One operation sends and one reads at a time, often in two threads,
and any thread may close. All of them use a `SharedState`; beyond it each half has its own fields.

=================  ======================================  ======================================
field              written by                              read by the others
=================  ======================================  ======================================
``sending``        locked while an operation sends         a reader without a request to wait for
``reading``        locked while an operation reads         the sender, before it peeks
``stream``         set once by the sender, when connected; anybody, into a variable of its own: it
                   None again when closed or detached      may be None or shut down a moment later
``state``          anybody, under ``moving()``, along the  anybody; a look that comes too early is
                   table in states.py                      caught by what follows
``pending``        the sender appends; the reader takes    both; only the reader looks at [0] for
                   the first one off                       long
``exchange.sent``  the sender, *before* the bytes that     the reader, at the head of the response:
                   complete the request are sent           False makes it stop the sender
``exchange.final`` the reader, when the head is here       the sender, before each try: then it
                                                           stops (RFC 9112 section 9.5)
``sender_waits``   the sender, True before it looks at     the reader, after it has set
                   ``exchange.final`` and waits            ``exchange.final``: it wakes the sender
``reader_waits``   the reader, before it looks whether     the sender, after it has appended a
                   something is pending                    request, or has given ``sending`` back
``left``           the one that closes, after ``stream``   each operation at its end: the last one
                   is None and both locks were looked at   closes what was left
=================  ======================================  ======================================

In each of these pairs the one side writes first and looks then, and the other the other way round:
so at least one of them sees the other, and nobody has to wait for a lock. The only lock that is
waited for, ``moving()``, is held for microseconds; nothing is called under it that could block.

Not here: the halves (sender.py, receiver.py), and what they share (shared.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from .receiver import Receiver
from .sender import Sender
from .shared import SharedState
from .states import OPEN, SessionState

if TYPE_CHECKING:
    from ...polling.timeouts import Timeouts
    from ...transport.stream import Stream
    from ...transport.tls.handshake import Secured
    from ..config import ConnectionConfig

STATES = {
    SessionState.NEW: "closed",
    SessionState.OPEN: "open",
    SessionState.NOT_REUSABLE: "not reusable",
    SessionState.UPGRADED: "upgraded",
    SessionState.BROKEN: "broken until reset()",
    SessionState.CLOSED: "closed",
}


class Session:
    """The two halves of one HTTP/1.1 connection, and its life.

    Args:
        config: of the connection.
        timeout: seconds that may pass without anything moving, or `Timeouts`, or None.
        expect100_timeout: seconds to wait for 100 (Continue), unless *timeout* says otherwise.

    Attributes:
        shared: what both halves use.
        receiver: the receiving half.
        sender: the sending half.

    """

    __slots__ = ("receiver", "sender", "shared")

    def __init__(
        self,
        config: ConnectionConfig,
        timeout: float | Timeouts | None,
        expect100_timeout: float | None,
    ) -> None:
        shared = self.shared = SharedState(config, timeout)
        receiver = self.receiver = Receiver(shared)
        self.sender = Sender(shared, receiver)
        receiver.heads.continue_timeout = expect100_timeout
        if shared.timeouts.expect100 is not None:
            receiver.heads.continue_timeout = shared.timeouts.expect100

    def limit(self, timeout: float | Timeouts | None, expect100_timeout: float | None) -> None:
        """Let other time limits hold for every wait that begins from now on.

        Raises:
            ValueError, TypeError: *timeout* is no time limit.

        """
        self.shared.limit(timeout)
        limit = self.shared.timeouts.expect100
        self.receiver.heads.continue_timeout = expect100_timeout if limit is None else limit

    def is_open(self) -> bool:
        """Return True if it takes another request; see `Operations.is_open`."""
        shared = self.shared
        if shared.state is not OPEN:
            return False
        return bool(shared.pending) or self.receiver.is_silent()

    def has_pending(self) -> bool:
        """Return True if a response is outstanding, or partly read."""
        shared = self.shared
        return bool(shared.pending) and shared.state is not SessionState.CLOSED

    def close(self) -> None:
        """Close the connection at once, in any state; over TLS close_notify is sent before.

        Raises:
            BaseException: what the observer raises; the stream is closed all the same.

        """
        self.shared.will_close()
        self.notify_close()
        self.retire()

    def retire(self) -> None:
        """Close the connection without a word to the peer."""
        shared = self.shared
        in_response = bool(shared.pending) or self.receiver.bodies.body is not None
        if (own := shared.config.route.options.own) is not None:
            own.close()  # if it was never used
        if shared.close(lost=in_response or self.sender.is_writing()):
            self.receiver.clear()

    def hang_up(self) -> None:
        """End the connection for those that use it; nothing is given back yet."""
        self.shared.will_close()
        self.notify_close()
        stream = self.shared.stream
        if stream is not None:
            stream.shut_down()

    def notify_close(self) -> None:
        """Send close_notify (RFC 8446 section 6.1), if it is TLS and that does not block."""
        stream = self._bare_stream()
        if stream is not None and self.shared.route.has_tls:
            cast("Secured", stream).notify_close()  # then it is TLS

    def forgo_tls_session(self) -> None:
        """Keep no TLS session that only this connection could resume.

        Nobody is going to connect again, most likely, and to take the session out costs
        a quarter of what the whole connection does.
        """
        route, stream = self.shared.route, self._bare_stream()
        if stream is not None and route.has_tls and not route.options.shares_sessions:
            cast("Secured", stream).keep_session(None)

    def _bare_stream(self) -> Stream | None:
        """The stream without its filters."""
        stream = self.shared.stream
        if stream is None or self.shared.config.filters is None:
            return stream
        return cast("Stream", getattr(stream, "bare", stream))

    def __repr__(self) -> str:
        """Return the origin, the state, and how many responses are pending."""
        shared = self.shared
        count = len(shared.pending) if self.has_pending() else 0
        pending = f", {count} response{'s' * (count > 1)} pending" if count else ""
        return f"{shared.route.origin}{shared.route.detour}: {STATES[shared.state]}{pending}"
