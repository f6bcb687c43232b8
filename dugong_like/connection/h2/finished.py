"""The rest of a response over HTTP/2 that is complete, or that nobody will read: there is none.

Before that its exchange has a reader of its own (response_reader.py), whose stream has the
exchange: a circle, which would stay in memory until the garbage collector runs.

Not here: anything that has still to be delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import StateError
from ...http.arguments import as_writable, check_size
from ...http.h2.frames import MAX_WINDOW
from ...polling.numbers import check_int
from ..shared import label

if TYPE_CHECKING:
    from ...polling.contract import Co
    from ...transport.connect.route import Route
    from ..exchange import Exchange, HTTPResponse


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
