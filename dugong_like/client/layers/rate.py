"""A limit for the number of requests per second.

Not here: limits for bytes per second (polling/rates.py).
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ...http.arguments import check_callable
from ...polling.contract import Co
from ...polling.fork import after_fork
from ...polling.numbers import check_flag, check_int, check_positive
from ...polling.wake import co_sleep

if TYPE_CHECKING:
    from ..dispatcher import Send
    from ..request import ClientRequest
    from ..response import Response

MOST_ORIGINS: Final = 1000  # that are counted separately; a few hundred bytes each


class RequestRate:
    """Requests per second, for all of a client or for each origin; a layer.

    Requests that are too early wait, in the order in which they came.

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
        self._gap = 1 / per_second
        self._burst = burst
        self._per_origin = bool(per_origin)
        self._clock = clock
        self._next: OrderedDict[object, float] = OrderedDict()  # theoretical time of the next one
        self._lock = threading.Lock()
        after_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def reserve(self, key: object) -> float:
        """Take the next place and return the seconds until then, 0 for now."""
        with self._lock:
            now = self._clock()
            due = max(self._next.pop(key, now), now)
            self._next[key] = due + self._gap
            if len(self._next) > MOST_ORIGINS:
                self._next.popitem(last=False)
        return max(0.0, due - now - (self._burst - 1) * self._gap)

    def __call__(self, request: ClientRequest, co_send: Send) -> Co[Response]:
        """Wait until it is time, then send *request*; see `Layer`."""
        seconds = self.reserve(request.url.origin if self._per_origin else None)
        if seconds > 0:
            yield from co_sleep(seconds, "rate of requests")
        return (yield from co_send(request))
