"""The rest of an exchange over HTTP/2 that is complete, has failed or was given up: there is none.

Before that it has a reader and a writer of its own (response_reader.py, body_writer.py), whose
stream has the exchange: a circle, which would stay in memory until the garbage collector runs.

Not here: anything that has still to be delivered, or written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from ...errors import StateError
from ...http.arguments import as_writable, check_size
from ...http.h2.frames import MAX_WINDOW
from ...polling.numbers import check_int
from ..shared import label

if TYPE_CHECKING:
    from ...errors import DugongError
    from ...polling.contract import Co
    from ...transport.connect.route import Route
    from ...transport.zero_copy import FileRange
    from ..exchange import Exchange, HTTPResponse


def error_of(failure: DugongError) -> DugongError:
    """Return a copy of *failure*, which has ended a stream, for one of those that it concerns."""
    again = copy.copy(failure)
    again.__cause__ = failure.__cause__
    return again


class Finished:
    """The reader of all ended responses of a session; see `connection.exchange.ResponseReader`.

    Args:
        route: of the session, for errors.

    """

    __slots__ = ("_route",)

    def __init__(self, route: Route) -> None:
        self._route = route

    def is_next(self, exchange: Exchange) -> bool:  # noqa: ARG002 - the same for all
        """Return True: responses need not wait for each other."""
        return True

    def co_response_of(self, exchange: Exchange) -> Co[HTTPResponse]:
        """Raise `StateError`: it has been read, or is abandoned."""
        yield from ()
        self._check(exchange)
        raise self._labelled("its response has been read", exchange)

    def co_body_of(self, exchange: Exchange, size: int | None) -> Co[bytes]:
        """Return ``b""``: nothing is left of it. Raises `StateError` if it is abandoned."""
        yield from ()
        self._check(exchange)
        if size is not None:
            check_size(size)
        return b""

    def co_body_into(self, exchange: Exchange, buf: bytearray | memoryview) -> Co[int]:
        """Return 0; see `co_body_of`."""
        yield from ()
        as_writable(buf)
        self._check(exchange)
        return 0

    def co_discard_of(self, exchange: Exchange) -> Co[None]:
        """Do nothing; see `co_body_of`."""
        yield from ()
        self._check(exchange)

    def abandon(self, exchange: Exchange) -> None:
        """Do nothing: there is nothing to give up."""

    def update_window(self, exchange: Exchange, size: int) -> None:  # noqa: ARG002
        """Check *size*, and do nothing: no more is to come."""
        check_int("size", size, 1, MAX_WINDOW)

    def _check(self, exchange: Exchange) -> None:
        if exchange.abandoned or not exchange.complete:
            raise self._labelled("its response is abandoned", exchange)

    def _labelled(self, what: str, exchange: Exchange) -> StateError:
        error = StateError(what)
        label(error, self._route, exchange)
        return error


class Failed(Finished):
    """The reader of a response that has failed: to read it again raises the same error.

    Args:
        route: of the session, for errors.
        failure: it has its label.

    """

    __slots__ = ("_failure",)

    def __init__(self, route: Route, failure: DugongError) -> None:
        super().__init__(route)
        self._failure = error_of(failure)

    def _check(self, exchange: Exchange) -> None:
        if exchange.abandoned:
            super()._check(exchange)
        raise error_of(self._failure)


class FinishedBody:
    """The writer of the body of a request that is complete, has failed or was given up.

    See `connection.body_writer.ExchangeBody`.

    Args:
        route: of the session, for errors.
        exchange: of the request.
        reason: raised by an attempt to write more.

    """

    __slots__ = ("_exchange", "_reason", "_route")

    owed = None

    def __init__(self, route: Route, exchange: Exchange, reason: DugongError) -> None:
        self._route = route
        self._exchange = ref(exchange)
        self._reason = error_of(reason)

    def begin(self, step: Callable[..., Co[None] | None], *arguments: Any) -> Co[None] | None:
        """See `connection.body_writer.BodyWriter.begin`."""
        try:
            going = step(*arguments)
        except BaseException as exc:
            self.label(exc)
            raise
        return None if going is None else self._co_go_on(going)

    def _co_go_on(self, going: Co[None]) -> Co[None]:
        try:
            yield from going
        except BaseException as exc:
            self.label(exc)
            raise

    def write(self, data: memoryview | FileRange) -> Co[None] | None:
        """Do nothing if *data* is empty, and the body complete; else raise the reason."""
        if data or not self.is_complete():
            raise error_of(self._reason)
        return None

    def finish(self, trailers: bytes) -> Co[None] | None:
        """Do nothing without *trailers*, if the body is complete; else raise the reason."""
        if trailers or not self.is_complete():
            raise error_of(self._reason)
        return None

    def nothing(self) -> Co[None] | None:
        """Return None: nothing is to be sent."""
        return None

    def is_complete(self) -> bool:
        """Return True if nothing is left to be sent of the request."""
        exchange = self._exchange()
        return exchange is not None and exchange.sent

    def check_room(self, count: int) -> bool:  # noqa: ARG002 - there is none
        """Raise the reason."""
        raise error_of(self._reason)

    def has_bulk(self) -> bool:
        """Return False: what is sent is in frames."""
        return False

    def break_off(self, failure: Exception) -> None:
        """Do nothing: there is nothing to give up."""

    def abort(self) -> None:
        """Do nothing: there is nothing to give up."""

    def label(self, exc: BaseException) -> None:
        """Say in *exc* that it is about the request."""
        label(exc, self._route, self._exchange())
