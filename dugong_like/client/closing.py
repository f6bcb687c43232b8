"""The closing of a client, as it concerns what waits to be sent later.

A request that is under way is completed when its client is closed. One that waits until it may be
sent, or sent again, ends at once: it would find the client closed after its pause.

Not here: the connections (pool.py), and event sources, which are closed as a whole (client.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ..errors import StateError
from ..http.redaction import mask_target
from ..polling.fork import after_fork
from ..polling.wake import co_pause

if TYPE_CHECKING:
    from ..http.url import URL
    from ..polling.contract import Co
    from ..polling.wake import Wake

CLOSED: Final = "the client is closed"


class Closing:
    """Tells those that wait when the client is closed. All methods are safe for threads.

    Attributes:
        is_closed: True if it is.

    """

    def __init__(self) -> None:
        self.is_closed = False
        self._wakes: set[Wake] = set()
        after_fork(self._forget)

    def _forget(self) -> None:
        self._wakes = set()  # the others are shared with the parent process, which waits for them

    def close(self) -> None:
        """End the waits. A second call has no effect."""
        self.is_closed = True
        for wake in self._wakes.copy():
            wake.set()

    def check(self) -> None:
        """Raise StateError if the client is closed."""
        if self.is_closed:
            raise StateError(CLOSED)

    def add(self, wake: Wake) -> None:
        """Have *wake* set when the client is closed; at once if it is."""
        self._wakes.add(wake)
        if self.is_closed:
            wake.set()

    def discard(self, wake: Wake) -> None:
        """Leave *wake* as it is from now on."""
        self._wakes.discard(wake)

    def __reduce__(self) -> tuple[type[Closing], tuple[()]]:
        """Return one that is open, for a copy of a request: it is sent by any client."""
        return Closing, ()


class Request(Protocol):
    """The part of a `ClientRequest` that is used here."""

    method: str
    url: URL
    closing: Closing | None


def co_pause_before(request: Request, seconds: float, reason: str) -> Co[None]:
    """Wait for *seconds* until *request*, or what goes on with it, is sent.

    Args:
        request: of a client, or of none yet.
        seconds: 0 or less does not wait.
        reason: see `PollNeeded.reason`.

    Raises:
        StateError: the client is closed, or was closed meanwhile.

    """
    closing = request.closing
    yield from co_pause(seconds, reason, closing)
    if closing is not None:
        closing.check()


def closed(request: Request) -> StateError:
    """Return the error of *request*, whose client is closed."""
    error = StateError(CLOSED)
    error.label_request(request, mask_target(str(request.url)))
    return error
