"""The requests of a pipeline that are not sent yet, or are to be sent again, in their order.

Those that will be sent are taken from the iterable of the caller only when there is room for them.

Not here: when they are sent (pipeline.py), and what is known of each (ticket.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count, islice
from operator import attrgetter
from typing import Any

from ..http.arguments import iterate
from ..http.request import IDEMPOTENT, Request
from .ticket import Ticket


class UnsentRequests:
    """Requests to be sent, in their order.

    Args:
        requests: the first ones.
        numbered: True if each gets a number, as some may be sent again before those behind them.

    Raises:
        TypeError: *requests* is not iterable.

    """

    __slots__ = ("_added", "_coming", "_numbered", "_numbers", "_problem", "_waiting")

    def __init__(self, requests: Iterable[Request], *, numbered: bool) -> None:
        self._coming: Iterator[Request] = iterate(requests, "requests", "an iterable of Request")
        self._added: deque[Request] = deque()  # behind those
        self._waiting: deque[Ticket] = deque()  # in front of all others
        self._numbers = count(1)
        self._numbered = numbered
        self._problem: Exception | None = None

    def add(self, request: Request) -> None:
        """Have *request* sent behind all others."""
        self._added.append(request)

    def draw(self, count: int) -> deque[Ticket]:
        """Take *count* requests that are to be sent next, or as many as there are.

        An error in making them is kept for `check`.

        Returns:
            The requests, and more if they were taken before: to take the first ones from.

        """
        waiting, added = self._waiting, self._added
        if (missing := count - len(waiting)) <= 0:
            return waiting
        before = len(waiting)
        try:
            waiting.extend(map(Ticket, islice(self._coming, missing)))
        except Exception as exc:  # noqa: BLE001 - raised by the next call, as nothing failed here
            self._problem = exc
        else:
            while added and len(waiting) < count:
                waiting.append(Ticket(added.popleft()))
        if self._numbered:
            for ticket in islice(waiting, before, None):
                ticket.number = next(self._numbers)
        return waiting

    def take_plain(self, most: int) -> tuple[list[Ticket], list[tuple[Any, ...]]]:
        """Take the next requests if several of them can be sent together.

        Args:
            most: how many.

        Returns:
            The requests, and what `Operations.co_send_requests` takes; both empty if the next one
            has to be sent by itself.

        """
        waiting = self._waiting
        parts = plain_parts(waiting, most)
        if len(parts) <= 1:
            return [], []
        return [waiting.popleft() for _ in parts], parts

    def take_back(self, tickets: list[Ticket]) -> None:
        """Have *tickets* sent before all others: the last ones that were taken."""
        self._waiting.extendleft(reversed(tickets))

    def put_back(self, tickets: Iterable[Ticket]) -> None:
        """Have *tickets* sent before all those behind them, by their numbers."""
        self._waiting = deque(sorted((*tickets, *self._waiting), key=attrgetter("number")))

    def fail(self, problem: Exception) -> None:
        """Have `check` raise *problem*."""
        self._problem = problem

    def check(self) -> None:
        """Raise what making the requests has raised, once.

        Raises:
            Exception: that, or what was given to `fail`.

        """
        if (problem := self._problem) is not None:
            self._problem = None
            try:
                raise problem
            finally:
                del problem  # or it would keep this frame, which keeps it, and what is half sent

    def clear(self) -> None:
        """Forget all of them, and the iterable."""
        self._waiting.clear()
        self._added.clear()
        self._coming = iter(())
        self._problem = None


def plain_parts(tickets: Iterable[Ticket], most: int) -> list[tuple[Any, ...]]:
    """Return the first of *tickets* that are plain, as `Operations.co_send_requests` takes them.

    A plain request may be sent again, and has neither a body nor fields about its connection: so
    others can be sent together with it, in front of it and behind it.

    Args:
        tickets: what is to be sent.
        most: how many to look at.

    """
    plain: list[tuple[Any, ...]] = []
    add = plain.append
    for ticket in islice(tickets, most):
        request = ticket.request
        if not isinstance(request, Request) or ticket.failure is not None:
            break
        if request.body is not None or request.method not in IDEMPOTENT:
            break
        if not (fields := request.headers):
            add((request.method, request.target))
        elif "connection" in fields or "upgrade" in fields:
            break
        else:
            add((request.method, request.target, fields))
    return plain
