"""Protocol of authentication for servers: a conversation, written as a generator.

`Auth.auth_flow` yields requests, and is resumed with the response to each, as in httpx. So a
scheme may answer a challenge, or make requests of its own, for example for a token. It may wait
like any operation, too: whatever else it yields has to be a `PollNeeded`, so that ``yield from
conn.co_…()`` and ``yield from response.co_read()`` work in it. The type decides what is done:

=============  ==================================================  ======================
yielded        what is done                                        the flow is resumed by
=============  ==================================================  ======================
`Request`      it is sent                                          its response
`PollNeeded`   it is yielded to the driver, as by each operation   None
=============  ==================================================  ======================

`co_authenticate` runs a flow, and is all that a client needs.

Not here: proxies (proxy_protocol.py), and to which servers credentials may go (scope.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Generator
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from ...errors import StateError
from ...polling.contract import Co, PollNeeded
from ...polling.fairness import StepCounter
from ...polling.wake import co_checkpoint
from ..headers import Headers
from ..request import BodyFollowing, Request, as_piece, is_whole

if TYPE_CHECKING:
    from ..challenges import Challenge

UNAUTHORIZED: Final = 401
PIECE: Final = 1 << 18  # bytes, of a body in memory
# The flow of one request; see the table above.
Flow = Generator[Request | PollNeeded, Any, None]


class Response(Protocol):
    """The part of a response that a flow may use: its head, and its body if it is asked for."""

    @property
    def status_code(self) -> int:
        """Status code."""
        ...

    @property
    def headers(self) -> Headers:
        """The header fields."""
        ...

    def co_read(self) -> Co[bytes]:
        """Return the whole body, which is kept for whoever reads it later."""
        ...


R = TypeVar("R", bound=Response)


class Auth:
    """Base of authentication schemes for servers; one of your own overrides `auth_flow`.

    Used for several requests at once, by any threads.

    Attributes:
        requires_request_body: True to have `co_authenticate` read the body of each request before
            the flow begins, so that ``request.body`` is bytes. The whole of it is in memory then.
        requires_response_body: True to have it read the body of each response before the flow is
            resumed, so that it can be read again without waiting. A flow that needs the body of
            some responses only calls ``yield from response.co_read()`` instead.
        same_connection: True if all requests of one flow have to go over one connection, as the
            server authenticates that (RFC 4559). The sender has to keep the connection of the
            first one, and to use it for the others.

    """

    __slots__ = ()

    requires_request_body: bool = False
    requires_response_body: bool = False
    same_connection: bool = False

    def auth_flow(self, request: Request) -> Flow:
        """Yield *request*, changed as needed, and what else has to be sent; see the module.

        The response to the last request that is yielded is that of the whole flow.

        Args:
            request: a copy of what is to be sent, with header fields of its own; the flow may
                change it, and yield it several times. Its target is in absolute-form if it is a
                request to a URL.

        """
        yield request


def co_authenticate(
    auth: Auth,
    request: Request,
    co_send: Callable[[Request], Co[R]],
    co_end: Callable[[R], Co[object]] | None = None,
) -> Co[R]:
    """Send *request* as *auth* demands, and return the last response.

    If the body of *request* cannot be sent a second time, the response to it is returned, even if
    it is a challenge; it has been ended if a request of the flow followed. If this raises, or is
    closed, the last response has not been ended.

    Args:
        auth: an object with `Auth.auth_flow`; the attributes of `Auth` may be missing.
        request: not changed, except that a body which can be read only once is replaced by bytes
            if *auth* needs it.
        co_send: sends a request and reads the head of its response.
        co_end: ends a response that another request follows, by reading or by dropping the rest
            of its body; None if nothing has to be done.

    Raises:
        TypeError: the flow yields something else, or the body is not known before it is sent.
        StateError: the flow ends without any request.
        Exception: any exception of the flow, of *co_send* and of *co_end*.

    """
    if getattr(auth, "requires_request_body", False):
        yield from co_hold_body(request)
    needs_body = getattr(auth, "requires_response_body", False)
    copied = _copy(request)
    flow = auth.auth_flow(copied)
    response: R | None = None
    own: R | None = None  # the last response to *copied*
    try:
        while (item := (yield from _co_next_request(flow, response))) is not None:
            ends = own is not None and item is copied and not can_send_again(item)
            if response is not None and co_end is not None and not (ends and response is own):
                yield from co_end(response)
            if ends:
                response = own
                break
            response = yield from co_send(item)
            own = response if item is copied else own
            if needs_body:
                yield from response.co_read()
    finally:
        flow.close()
    if response is None:
        raise StateError(f"auth_flow of {type(auth).__name__} has not yielded any request")
    return response


def _co_next_request(flow: Flow, response: R | None) -> Co[Request | None]:
    """Resume *flow*, and wait for it, until it yields a request; return None at its end."""
    value = response
    while True:
        try:
            item = flow.send(value)
        except StopIteration:
            return None
        if isinstance(item, Request):
            return item
        if not isinstance(item, PollNeeded):
            kind = type(item).__name__
            raise TypeError(f"auth_flow yields requests and PollNeeded only, not {kind}")
        yield item
        value = None


def _copy(request: Request) -> Request:
    """Return a request that can be changed; both begin a body of a stream at the same place."""
    if not is_whole(request.body) and not isinstance(request.body, AsyncIterable):
        request.source()
    from copy import copy  # noqa: PLC0415 - for those who authenticate

    copied = copy(request)
    copied.headers = request.headers.copy()
    return copied


def can_send_again(request: Request) -> bool:
    """Return True if the body of *request* can be sent a second time."""
    return not isinstance(request.body, AsyncIterable) and request.rewindable()


def co_hold_body(request: Request) -> Co[bytes]:
    """Read the body of *request* into memory, so that it is bytes or None, and return it.

    Raises:
        TypeError: it is written in later calls, or an asynchronous iterable.
        Exception: any exception of reading it.

    """
    if request.body is not None and type(request.body) is not bytes:
        pieces: list[bytes] = []
        yield from co_each_piece(request, lambda piece: pieces.append(bytes(piece)))
        request.body = b"".join(pieces)
    return request.body or b""


def co_each_piece(request: Request, take: Callable[[memoryview], object]) -> Co[None]:
    """Call *take* with each piece of the body of *request*, in order; let others run meanwhile.

    Raises:
        TypeError: it is written in later calls, or an asynchronous iterable.
        StateError: it has been read, and cannot be read a second time.
        Exception: any exception of reading it.

    """
    if isinstance(request.body, BodyFollowing | AsyncIterable):
        kind = type(request.body).__name__
        raise TypeError(f"this authentication needs the body before it is sent, not {kind}")
    if request.body is None:
        return
    steps = StepCounter()
    if is_whole(request.body):
        whole = as_piece(request.body)
        for start in range(0, len(whole), PIECE):
            take(whole[start : start + PIECE])
            steps.done += PIECE
            if steps.is_over():
                yield from co_checkpoint()
        return
    source = request.source()
    source.begin()
    while len(piece := (yield from source.co_next())):
        take(as_piece(piece))
        steps.done += len(piece)
        if steps.is_over():
            yield from co_checkpoint()


def challenges_of(response: Response) -> list[Challenge]:
    """Return the challenges of a 401 *response*, of all its fields, in order."""
    from ..challenges import MAX_CHALLENGES, parse_challenges  # noqa: PLC0415 - takes 1 ms

    found: list[Challenge] = []
    for value in response.headers.get_values("www-authenticate"):
        found += parse_challenges(value)
    return found[:MAX_CHALLENGES]
