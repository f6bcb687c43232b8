"""A limit for the number of requests per second.

Not here: limits for bytes per second (polling/rates.py).
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ...http.arguments import check_callable
from ...polling.contract import Co
from ...polling.fork import after_fork
from ...polling.numbers import check_flag, check_int, check_positive
from ...polling.wake import Wake

if TYPE_CHECKING:
    from ..closing import Closing
    from ..dispatcher import Send
    from ..request import ClientRequest
    from ..response import Response

MOST_ORIGINS: Final = 1000  # that are counted separately; a few hundred bytes each


class RequestRate:
    """Requests per second, for all of a client or for each origin; a layer.

    Requests that are too early wait, in the order in which they came. If one is given up while it
    waits, those behind it move up.

    Args:
        per_second: requests.
        burst: requests that may come at once after a pause.
        per_origin: True to count each origin by itself.
        clock: gives seconds; for tests.

    Raises:
        InvalidOption: *per_second* is not positive, or *burst* is less than 1.
        TypeError: an argument has the wrong type.

    """

    def __init__(
        self,
        per_second: float,
        burst: int = 1,
        *,
        per_origin: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_positive("per_second", per_second)
        check_int("burst", burst, 1)
        check_flag("per_origin", per_origin)
        check_callable(clock, "clock")
        self._per_second = per_second
        self._gap = 1 / per_second
        self._burst = burst
        self._ahead = (burst - 1) * self._gap
        self._per_origin = bool(per_origin)
        self._clock = clock
        self._lines: OrderedDict[object, _Line] = OrderedDict()
        self._lock = threading.RLock()  # a finalizer may come in between
        after_fork(self._begin_anew)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the settings, which `pickle` keeps. A process counts its own requests only."""
        made = functools.partial(
            type(self),
            self._per_second,
            self._burst,
            per_origin=self._per_origin,
            clock=self._clock,
        )
        return made, ()

    def __repr__(self) -> str:
        return (
            f"RequestRate({self._per_second:g}, burst={self._burst}, per_origin={self._per_origin})"
        )

    def _begin_anew(self) -> None:
        self._lock = threading.RLock()
        self._lines = OrderedDict()  # with operations of the parent process

    def __call__(self, request: ClientRequest, co_send: Send) -> Co[Response]:
        """Wait until it is time, then send *request*; see `Layer`."""
        key = request.url.origin if self._per_origin else None
        place = self._join(key)
        if place is not None:
            yield from self._co_wait(key, place, request.closing)
        return (yield from co_send(request))

    def _join(self, key: object) -> _Place | None:
        """Count a request; return its place among those that wait, None if it need not wait."""
        with self._lock:
            now = self._clock()
            line = self._lines.pop(key, None) or _Line(now)
            self._lines[key] = line
            self._forget(now)
            due = max(line.next_due, now)
            line.next_due = due + self._gap
            if due - self._ahead <= now:
                return None
            place = _Place(due - self._ahead)
            line.waiting.append(place)
            return place

    def _forget(self, now: float) -> None:
        """Forget the origins that were used longest ago, if that changes nothing for them."""
        while len(self._lines) > MOST_ORIGINS:
            key, line = next(iter(self._lines.items()))
            if line.waiting or line.next_due > now:
                return
            del self._lines[key]

    def _co_wait(self, key: object, place: _Place, closing: Closing | None) -> Co[None]:
        wake = place.wake
        try:
            if closing is not None:
                closing.add(wake)
            while (seconds := place.due - self._clock()) > 0:
                if closing is not None:
                    closing.check()
                yield from wake.co_wait(time.monotonic() + seconds)
                wake.clear()
        except BaseException:
            self._leave(key, place, is_used=False)
            raise
        else:
            self._leave(key, place, is_used=True)
        finally:
            if closing is not None:
                closing.discard(wake)
            wake.close()

    def _leave(self, key: object, place: _Place, *, is_used: bool) -> None:
        """Take *place* out of the line; if it is not used, those behind it move up."""
        with self._lock:
            line = self._lines.get(key)
            if line is None or place not in line.waiting:
                return  # in a child process
            at = line.waiting.index(place)
            if not is_used:
                behind = line.waiting[at:]
                for one, next_one in reversed(list(itertools.pairwise(behind))):
                    next_one.due = one.due
                    next_one.wake.set()
                line.next_due -= self._gap
            del line.waiting[at]


class _Line:
    """The requests to one origin that wait.

    Attributes:
        next_due: time at which the next one would be due without a burst.
        waiting: in their order.

    """

    __slots__ = ("next_due", "waiting")

    def __init__(self, now: float) -> None:
        self.next_due = now
        self.waiting: list[_Place] = []


class _Place:
    """A request that waits until *due*; `wake` is set when that has changed."""

    __slots__ = ("due", "wake")

    def __init__(self, due: float) -> None:
        self.due = due
        self.wake = Wake("rate of requests")
