"""The interface of sessions: all that connections ask of HTTP/1.1 (h1/) and of HTTP/2 (h2/).

A session goes with one TCP connection. It has a sending and a receiving half, which operations call
by *steps* and *attempts*: functions that do what can be done at once. A step returns an operation
that does the rest, or None if there is none. An attempt returns None if it would block; it is
repeated until it succeeds, and what it has achieved is kept in between.

Over HTTP/1.1 there is one exchange after the other, in the shortest way possible: `Session.begin`,
a wait, `Session.finish`. Over HTTP/2 exchanges are `concurrent`, each by `Session.co_exchange`.

Not here: what both kinds have in common (shared.py, states.py, cancelling.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from .body_writer import BodyWriter

if TYPE_CHECKING:
    from ..http.h2.options import H2Settings
    from ..http.request import BodyFollowing
    from ..http.request import Source as BodySource
    from ..polling.contract import Co, PollNeeded
    from ..polling.timeouts import Timeouts
    from ..transport.stream import Data, Part, Stream
    from .exchange import Exchange, HTTPResponse, Reply
    from .files import Sink
    from .shared import SharedState
    from .time_limits import TimeLimits

    # A request: its head, and its body if it has one.
    Whole = tuple[Exchange, bytes, Part | None]

A = TypeVar("A")
T = TypeVar("T")


class Counter(Protocol):
    """A counter of the bytes that a session has received."""

    @property
    def received(self) -> int:
        """How many they are."""
        ...


class SendingHalf(BodyWriter, Protocol):
    """Requests and their bodies, in the order in which the caller sends them.

    As a `BodyWriter` it is that of the request that was sent last.
    """

    def connect(self) -> Co[None] | None:
        """See `Operations.co_connect`; a step. `Retired` sends the caller to the next session."""
        ...

    def request(
        self,
        exchange: Exchange,
        head: bytes,
        body: Part | BodyFollowing | None,
        before: Sequence[Whole] = (),
        *,
        is_operation: bool = False,
    ) -> Co[None] | None:
        """Send a head, and the body if it is here; together with the requests *before* it.

        Raises:
            Retired: the request goes to another session.

        """
        ...

    def is_writing(self) -> bool:
        """Return True if a body is being written."""
        ...

    def check_not_owed(self) -> None:
        """Check that waiting for the next response makes sense in this thread."""
        ...

    def abort_body(self, exchange: Exchange) -> None:
        """Give up the body of *exchange*, unless it is complete or refused."""
        ...


class Bodies(Protocol):
    """Attempts to read the body of the present response; see `Operations`."""

    def read(self, size: int) -> bytes | None:
        """See `Operations.co_read`."""
        ...

    def read_patiently(self, size: int) -> bytes | None:
        """As `read`, for callers that can wait a little if it is for more."""
        ...

    def readinto(self, target: memoryview) -> int | None:
        """See `Operations.co_readinto`."""
        ...

    def readinto_patiently(self, target: memoryview) -> int | None:
        """As `readinto`, for callers that can wait a little if it is for more."""
        ...

    def readall(self, _: None) -> bytes | None:
        """See `Operations.co_readall`."""
        ...

    def discard(self, _: None) -> bool | None:
        """See `Operations.co_discard`."""
        ...

    def left(self) -> list[bytes | memoryview] | None:
        """Return what was received of a complete body and not delivered; None if there is none."""
        ...

    def take_over(self, left: list[bytes | memoryview]) -> None:
        """Go on behind the complete body of an earlier session, of which *left* is left."""
        ...


class ReceivingHalf(Protocol):
    """Responses, in the order of their requests."""

    continue_timeout: float | None

    @property
    def bodies(self) -> Bodies:
        """Attempts to read bodies."""
        ...

    @property
    def buffer(self) -> Counter:
        """A counter of received bytes."""
        ...

    def block(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        waits_first: Callable[[], bool] | None = None,
    ) -> T:
        """Make attempts until one succeeds, blocking the thread in between."""
        ...

    def co(
        self,
        attempt: Callable[[A], T | None],
        argument: A,
        waits_first: Callable[[], bool] | None = None,
    ) -> Co[T]:
        """Make attempts until one succeeds, and wait in between."""
        ...

    def co_save(self, sink: Sink) -> Co[bool]:
        """See `Operations.co_recv_to_file`; False if *sink* has failed."""
        ...

    def co_read_response(self) -> Co[HTTPResponse]:
        """See `Operations.co_read_response`."""
        ...

    def read_response(self, _: None) -> HTTPResponse | None:
        """See `Operations.co_read_response`; an attempt."""
        ...

    def begin_wait(self) -> bool:
        """Return True if an attempt is likely to fail, as the request was sent just now."""
        ...

    def read_raw(self, size: int) -> bytes | None:
        """See `Operations.co_read_raw`; an attempt."""
        ...

    def note(self, exc: BaseException) -> None:
        """Complete *exc*, which ends an operation of this half."""
        ...

    def nothing_arrived(self) -> Exception:
        """Return the error of a wait for a response of which nothing has come in time."""
        ...


class Alone(Protocol):
    """An exchange that nobody else was under way with when it began; see h2/alone.py.

    Attributes:
        session: as that of its connection.
        waits: True if the whole request was sent, and `finish` was not called since.

    """

    waits: bool

    @property
    def session(self) -> Session:
        """The session on which it has begun."""
        ...

    def begin(self) -> bool:
        """Send the request; False: nothing was sent, and another way may be tried."""
        ...

    def need(self) -> PollNeeded:
        """Return the wait for the response."""
        ...

    def wait(self) -> None:
        """Block until something arrives, or for as long as the time limits allow."""
        ...

    def finish(self) -> Reply | None:
        """Receive once; None: `co_rest` has to follow."""
        ...

    def co_rest(self) -> Co[Reply]:
        """Send what is left of the request, and receive the response."""
        ...

    def failed(self, exc: BaseException) -> None:
        """Say in *exc*, which has ended it, what it is about."""
        ...

    def end(self) -> None:
        """Leave the session; an exchange that is not complete is given up."""
        ...


class Session(Protocol):
    """One connection, from before it is opened until it is closed; never reset.

    Attributes:
        protocol: ``"http/1.1"`` or ``"h2"``; what it will probably be while it is not connected.
        concurrent: True if exchanges need not wait for each other.

    """

    protocol: str
    concurrent: bool

    @property
    def limits(self) -> TimeLimits:
        """The time limits that hold for its exchanges."""
        ...

    @property
    def shared(self) -> SharedState:
        """The stream, the state, and what belongs to any session."""
        ...

    @property
    def sender(self) -> SendingHalf:
        """The sending half."""
        ...

    @property
    def receiver(self) -> ReceivingHalf:
        """The receiving half."""
        ...

    # ---- whole exchanges

    def begin(self, exchange: Exchange, head: bytes, body: Data | None) -> bool | Co[None]:
        """Send a request that has nothing before it, if that is possible at once.

        Never waits. False: nothing was sent, another way may be tried. True: it was sent, and
        `leave` has to follow. An operation: it was sent in part, and the operation sends the rest.
        """
        ...

    def finish(self, exchange: Exchange) -> Reply | None:
        """Read the response to *exchange*, if it is here as a whole and nothing else.

        Never waits. None: not all of it is here, or something is unusual about it.
        """
        ...

    def awaits_rest(self, exchange: Exchange) -> bool:
        """Return True if another `finish` is worth while after `rest_need`, or `wait_for_rest`."""
        ...

    def rest_need(self) -> PollNeeded:
        """Return the wait for the rest of a response."""
        ...

    def wait_for_rest(self) -> None:
        """Do the same, blocking."""
        ...

    def leave(self) -> None:
        """Give back the exclusive use that `begin` has taken."""
        ...

    def wake_others(self) -> None:
        """Wake others, after `leave`, as nobody has exclusive use any more."""
        ...

    def co_reply(self, exchange: Exchange, deadline: float | None = None) -> Co[Reply]:
        """Read the response to *exchange* after `begin`."""
        ...

    def co_late_reply(self, exchange: Exchange, deadline: float | None = None) -> Co[Reply]:
        """Do what `co_reply` does, and note what ends it."""
        ...

    def co_exclusive_reply(self, exchange: Exchange) -> Co[Reply]:
        """Read the response to *exchange*, without `begin`."""
        ...

    def alone(self, exchange: Exchange, head: bytes) -> Alone | None:
        """Return what does an exchange without a request body in the shortest way.

        None if exchanges are not `concurrent`, others are under way, or a connection has to be
        opened.
        """
        ...

    def co_exchange(
        self,
        exchange: Exchange,
        head: bytes,
        body: memoryview | BodyFollowing | None,
        source: BodySource | None,
        *,
        complete: bool = False,
    ) -> Co[Reply]:
        """Send a request and read its whole response, if exchanges are `concurrent`.

        Args:
            exchange: of the request.
            head: of the request.
            body: the whole of it, what announces it, or None.
            source: has the body that is announced.
            complete: True for the whole body, whatever `ConnectionConfig.whole_below` says.

        Raises:
            Retired: nothing was sent, and the request goes to another session.

        """
        ...

    def takes_batch(self, batch: Sequence[Whole]) -> bool:
        """Return True if *batch* is for `co_exchange_batch`, though exchanges are `concurrent`."""
        ...

    def co_exchange_batch(
        self, batch: Sequence[Whole], replies: list[Reply], *, gathers: bool
    ) -> Co[None]:
        """Send the requests of *batch* together, and read the responses to all of them.

        Args:
            batch: the requests; there is at least one.
            replies: each response is appended to it when it is complete.
            gathers: True if it may wait for more at once: its driver knows deadlines.

        Raises:
            Retired: those that are not complete were not sent, and go to another session.

        """
        ...

    def take_replies(self, most: int) -> list[tuple[HTTPResponse, bytes]]:
        """Take the responses to the first pending requests, if all of them was received before."""
        ...

    # ---- what only HTTP/2 has; `StateError` with HTTP/1.1

    @property
    def concurrency(self) -> int:
        """See `Operations.concurrency`."""
        ...

    @property
    def remote_settings(self) -> H2Settings | None:
        """See `Operations.remote_settings`."""
        ...

    def co_ping(self) -> Co[float]:
        """See `Operations.co_ping`."""
        ...

    def co_serve(self) -> Co[None]:
        """See `Operations.co_serve`."""
        ...

    def update_window(self, size: int) -> None:
        """See `Operations.update_window`."""
        ...

    def gathering(self, missing: int) -> PollNeeded | None:
        """Return a wait for much of *missing* bytes at once, or for a moment; or None.

        For drivers that know deadlines.
        """
        ...

    # ---- its life

    def limit(self, timeout: float | Timeouts | None, expect100_timeout: float | None) -> None:
        """Let other time limits hold for every wait that begins from now on."""
        ...

    def is_open(self) -> bool:
        """Return True if it takes another request; see `Operations.is_open`."""
        ...

    def is_reusable(self) -> bool:
        """Return True if it is open and nothing is under way; see `Operations.is_reusable`."""
        ...

    def is_stuck(self) -> bool:
        """Return True if no exchange can follow, and nobody waits for what is pending."""
        ...

    def is_awaited(self) -> bool:
        """Return True if somebody is still to read a response."""
        ...

    def has_pending(self) -> bool:
        """Return True if a response is outstanding, or partly read."""
        ...

    def is_incomplete(self) -> bool:
        """Return True if a response, or the body of a request, is not complete."""
        ...

    def clear(self) -> None:
        """Forget what was received and not taken: the session is closed, and nobody reads."""
        ...

    def take_stream(self) -> Stream | None:
        """Take the stream to a server that has chosen HTTP/1.1, if this is not a session for it."""
        ...

    def replaced(self) -> None:
        """Close the connection as soon as no exchange needs it: another session has its place."""
        ...
