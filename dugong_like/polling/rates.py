"""Budgets: maximum and minimum rates, in bytes a second, and a maximum size.

An operation waits for a rate as for anything else, with `PollNeeded`: for a `Wake` that is never
set, with a deadline.

Not here: the streams that apply a rate (transport/filters/throttle.py,
transport/filters/minimum_rate.py), and counting what is read (connection/h1/body_reader.py).
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final

from .contract import Co
from .fairness import StepCounter
from .numbers import check_int, check_positive, shown
from .wake import Wake, co_checkpoint

SHARE: Final = 0.02  # seconds for which bytes are saved up before a transfer
BURST: Final = 0.1  # seconds; the default burst is the bytes of so much time


class RateLimit:
    """A maximum rate in bytes a second; the average begins anew after each pause.

    It may be shared by any number of connections and threads, which then share the rate.

    Args:
        bytes_per_second: the rate.
        burst: bytes that may move at once after a pause; those of a tenth of a second by default.

    Raises:
        InvalidOption: *bytes_per_second* or *burst* is not positive, or not finite.
        TypeError: one of them has the wrong type.

    """

    def __init__(self, bytes_per_second: float, burst: int | None = None) -> None:
        check_positive("bytes_per_second", bytes_per_second)
        if burst is not None:
            check_int("burst", burst, 1)
        self.bytes_per_second = bytes_per_second
        self.burst = max(1, int(bytes_per_second * BURST)) if burst is None else burst
        self._share = min(self.burst, max(1, int(bytes_per_second * SHARE)))
        self._lock = threading.RLock()  # reentrant, for operations closed by the garbage collector
        self._saved = float(self.burst)  # bytes that may be moved now
        self._counted = time.monotonic()
        self._steps = StepCounter()  # of `co_take`

    def _count(self) -> float:
        now = time.monotonic()
        self._saved = min(
            self._saved + (now - self._counted) * self.bytes_per_second, float(self.burst)
        )
        self._counted = now
        return self._saved

    def available(self) -> int:
        """Return how many bytes may be moved now; 0 if they are too few to bother."""
        with self._lock:
            saved = int(self._count())
        return saved if saved >= self._share else 0

    def spend(self, count: int) -> None:
        """Count *count* bytes as moved; may be more than were available."""
        with self._lock:
            self._count()
            self._saved -= count

    def next_time(self) -> float:
        """Return the seconds of `time.monotonic` at which bytes will be available."""
        with self._lock:
            missing = self._share - self._count()
            # Rounded up: a part of a byte is not available.
            return self._counted + max(missing, 0) / self.bytes_per_second + 1e-4

    def co_take(self, count: int) -> Co[None]:
        """Wait until *count* bytes may be moved, and count them as moved.

        For operations of your own; a connection does it by itself.
        """
        if self._steps.is_over():
            yield from co_checkpoint()
        with Wake("rate limit") as never:
            while count > 0:
                share = min(count, self.available())
                if share:
                    self.spend(share)
                    count -= share
                else:
                    yield from never.co_wait(self.next_time())

    def __repr__(self) -> str:
        return f"RateLimit({self.bytes_per_second}, {self.burst})"


@dataclass(frozen=True, slots=True)
class MinimumRate:
    """A minimum rate in bytes a second, while an operation waits for the connection.

    An operation below that rate for *seconds* raises `ConnectionTimedOut`, whose ``phase`` is
    ``"rate"``. Bytes are counted in intervals, so after a complete stop this takes up to twice as
    long. Both directions count together, and each message that is complete begins a new interval.
    The time until the peer answers counts; the time of your program does not, nor that of
    connecting, nor that of a `RateLimit`.

    Args:
        bytes_per_second: the rate, over one interval.
        seconds: length of the interval: the waiting time of both halves of a connection, added up.

    Raises:
        InvalidOption: an argument is not positive, or not finite.
        TypeError: an argument is not a number.

    """

    bytes_per_second: float
    seconds: float

    def __post_init__(self) -> None:
        check_positive("bytes_per_second", self.bytes_per_second)
        check_positive("seconds", self.seconds)


LowestRate = MinimumRate  # its name in earlier versions


@dataclass(frozen=True, slots=True, init=False)
class Budget:
    """Limits for the use of the network. None, the default of each, sets no limit.

    Args:
        download: maximum rate of receiving; all bytes count that are not of TLS.
        upload: maximum rate of sending; all bytes count that are not of TLS.
        max_body: maximum bytes of one body that is received; `BodyTooLarge` is raised before more
            is returned, and at once if the length is known.
        minimum_rate: minimum rate while an operation waits.
        lowest_rate: another name of *minimum_rate*, which it takes the place of.

    Raises:
        InvalidOption: *max_body* is negative.
        TypeError: an argument has the wrong type.

    """

    download: RateLimit | None
    upload: RateLimit | None
    max_body: int | None
    minimum_rate: MinimumRate | None

    def __init__(
        self,
        *,
        download: RateLimit | None = None,
        upload: RateLimit | None = None,
        max_body: int | None = None,
        minimum_rate: MinimumRate | None = None,
        lowest_rate: MinimumRate | None = None,
    ) -> None:
        if max_body is not None:
            check_int("max_body", max_body, 0)
        named = "minimum_rate" if lowest_rate is None else "lowest_rate"
        least = minimum_rate if lowest_rate is None else lowest_rate
        for name, value, kind in (
            ("download", download, RateLimit),
            ("upload", upload, RateLimit),
            (named, least, MinimumRate),
        ):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name} is {kind.__name__}(…), not {shown(value)}")
        for name, limit in (
            ("download", download),
            ("upload", upload),
            ("max_body", max_body),
            ("minimum_rate", least),
        ):
            object.__setattr__(self, name, limit)

    @property
    def lowest_rate(self) -> MinimumRate | None:
        """Another name of `minimum_rate`."""
        return self.minimum_rate
