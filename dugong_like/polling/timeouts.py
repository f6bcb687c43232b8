"""Time limits for the phases of an operation.

All of them use `within`, or a deadline of a `PollNeeded`, so they hold under every driver.

Not here: the limits that wrap any operation (`within` of contract.py, `stall` of combinators.py),
what counts as progress while something is sent (progress_deadline.py), rates (rates.py), checks of
a number of seconds (numbers.py), where each limit is applied (transport/, connection/h1/), and the
limits that a client has by default (client/pool_limits.py).
"""

from __future__ import annotations

import functools
import time
from typing import Any, Final, Self, TypeVar

from ..errors import ConnectionTimedOut
from .contract import Co, within
from .numbers import check_seconds

T = TypeVar("T")


NAMES: Final = (
    *("connect", "dns", "expect100", "head", "pool"),
    *("read", "stall", "tls", "total", "write"),
)


class Given(float):
    """Seconds that know how the caller has given them, for messages.

    Args:
        seconds: as they were given.
        given: such as ``"timeout=5"``, or ``"Timeouts(read=5)"``.

    Attributes:
        seconds, given: the same.

    """

    __slots__ = ("given", "seconds")

    def __new__(cls, seconds: float, given: str) -> Self:
        """Return *seconds* as a number, which is shown as it was given."""
        made = super().__new__(cls, seconds)
        made.seconds = seconds
        made.given = given
        return made

    seconds: float
    given: str

    def __repr__(self) -> str:
        return repr(self.seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        return Given, (self.seconds, self.given)


class Ending(Given):
    """When a limit is over, in seconds of `time.monotonic`; it is `Given` as the limit is.

    Args:
        limit: seconds.
        now: when it begins.

    Attributes:
        limit: the same.

    """

    __slots__ = ("limit",)

    def __new__(cls, limit: float, now: float) -> Self:
        """Return the sum, which knows the limit."""
        made = super().__new__(cls, now + limit, how_given(limit))
        made.limit = limit
        return made

    limit: float

    def __reduce__(self) -> tuple[Any, ...]:
        return Ending, (self.limit, self.seconds - self.limit)


def how_long(until: float | None, began: float) -> str:
    """Return how long may be waited, for a message: such as ``"0.5 s (Timeouts(pool=0.5))"``.

    Args:
        until: seconds of `time.monotonic`; those of `Ending` are named as they were given.
        began: when the waiting began. It says nothing about an `Ending`, which may have begun
            earlier, even if by as little as a busy machine needs from one line to the next.

    """
    if isinstance(until, Ending):
        return f"{until.limit} s ({until.given})"
    seconds = 0.0 if until is None else max(until - began, 0.0)
    return f"{seconds:.3g} s (deadline)"


def how_given(seconds: float | None, name: str = "") -> str:
    """Return how the caller has given a time limit.

    Args:
        seconds: the limit; if it is not `Given`, it is that of *name*.
        name: of the limit in `Timeouts`; empty for a number instead of `Timeouts`.

    """
    if isinstance(seconds, Given):
        return seconds.given
    return f"Timeouts({name}={seconds})" if name else f"timeout={seconds}"


class Timeouts:
    """Limits in seconds for each phase. None, the default of each, sets no limit.

    An operation that takes longer raises `ConnectionTimedOut`, which names the phase.

    Args:
        connect: name look-up and connecting to one of the addresses, together. Separately, it
            also limits the TLS handshake, and the handshake with a proxy.
        dns: name look-up; `connect` then limits the rest only.
        tls: the TLS handshake, instead of `connect`.
        head: from the complete request to the complete head of its response, instead of `read`
            and `stall`: an answer that takes long is not a connection that stalls. Behind other
            requests it begins when their responses have been read.
        read: time without received bytes, while some are awaited.
        write: time without bytes that are sent or acknowledged by the peer, while there is
            something to send.
        pool: waiting for a connection of a `Pool`.
        stall: time without progress, for each of the above that is not given. A number in
            place of `Timeouts` means this.
        total: one operation, from call to result, connecting included.
        expect100: waiting for the leave of the peer to send the rest.

    Raises:
        InvalidOption: an argument is negative, too large, or not a number.
        TypeError: an argument has the wrong type.

    """

    connect: float | None
    dns: float | None
    tls: float | None
    read: float | None
    write: float | None
    stall: float | None
    total: float | None
    expect100: float | None
    head: float | None
    pool: float | None

    # Not a dataclass: importing `dataclasses` takes longer than the rest of the library.
    __slots__ = (
        *("_limits", "connect", "dns", "expect100", "head", "pool"),
        *("read", "stall", "tls", "total", "write"),
    )

    _limits: dict[str, Given | None]

    def __init__(  # noqa: PLR0913 - they are documented above
        self,
        *,
        connect: float | None = None,
        dns: float | None = None,
        tls: float | None = None,
        read: float | None = None,
        write: float | None = None,
        stall: float | None = None,
        total: float | None = None,
        expect100: float | None = None,
        head: float | None = None,
        pool: float | None = None,
    ) -> None:
        given = (connect, dns, expect100, head, pool, read, stall, tls, total, write)
        for name, seconds in zip(NAMES, given, strict=True):
            if seconds is not None:
                check_seconds(seconds, name)
            object.__setattr__(self, name, seconds)
        object.__setattr__(self, "_limits", {})  # those that were asked for

    def waiting_100(self, seconds: float) -> Timeouts:
        """Return these limits with *seconds* for `expect100`, unless that is given."""
        if self.expect100 is not None:
            return self
        given = dict(zip(NAMES, self._key(), strict=True))
        given["expect100"] = seconds
        return type(self)(**given)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Timeouts are never changed: {name}")

    def _key(self) -> tuple[float | None, ...]:
        return tuple(getattr(self, name) for name in NAMES)

    def __reduce__(self) -> tuple[Any, ...]:
        given = dict(zip(NAMES, self._key(), strict=True))
        return functools.partial(Timeouts, **given), ()

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Timeouts) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        given = zip(NAMES, self._key(), strict=True)
        listed = ", ".join(f"{name}={value}" for name, value in given if value is not None)
        return f"Timeouts({listed})"

    def _first(self, *names: str) -> Given | None:
        """Return the limit of these that is given, with its name; None if none is."""
        try:
            return self._limits[names[0]]
        except KeyError:
            pass
        found = None
        for name in names:
            if (seconds := getattr(self, name)) is not None:
                found = Given(seconds, how_given(seconds, self._shown(name)))
                break
        self._limits[names[0]] = found
        return found

    def _shown(self, name: str) -> str:
        return name

    @property
    def to_look_up(self) -> float | None:
        """Seconds for the name look-up, if it has a limit, else for connecting."""
        return self._first("dns", "connect", "stall")

    @property
    def to_reach(self) -> float | None:
        """Seconds for connecting, with the name look-up if `dns` is not given."""
        return self._first("connect", "stall")

    @property
    def to_open_tunnel(self) -> float | None:
        """Seconds for the whole handshake with a proxy."""
        return None if self.connect is None else self._first("connect", "stall")

    @property
    def to_converse(self) -> float | None:
        """Seconds for each step of the handshake with a proxy."""
        return self._first("stall")

    @property
    def to_shake_hands(self) -> float | None:
        """Seconds for the TLS handshake."""
        return self._first("tls", "connect", "stall")

    @property
    def to_wait_for_pool(self) -> float | None:
        """Seconds for a connection of a pool to become free."""
        return self._first("pool", "stall")

    @property
    def to_read(self) -> float | None:
        """Seconds that may pass without received bytes."""
        return self._first("read", "stall")

    @property
    def to_read_head(self) -> float | None:
        """Seconds for the head of a response, or that may pass without received bytes of it."""
        return self._first("head", "read", "stall")

    @property
    def to_write(self) -> float | None:
        """Seconds that may pass without sent bytes."""
        return self._first("write", "stall")


class _Number(Timeouts):
    """The meaning of a number in place of `Timeouts`."""

    __slots__ = ()

    def _shown(self, name: str) -> str:  # noqa: ARG002 - it is the only one
        return ""


NO_LIMITS = Timeouts()


def as_timeouts(timeout: float | Timeouts | None) -> Timeouts:
    """Return *timeout* as `Timeouts`; a number is a limit for the time without progress.

    Raises:
        InvalidOption: it is negative, too large, or not a number.
        TypeError: it has the wrong type.

    """
    return timeout if isinstance(timeout, Timeouts) else stalling(timeout)


def stalling(seconds: float | None) -> Timeouts:
    """Return the limit for the time without progress; raises as `as_timeouts`."""
    try:
        return _stalling(seconds)
    except TypeError:  # perhaps one of the cache, which does not name the argument
        check_seconds(seconds, "timeout")
        raise


@functools.lru_cache(maxsize=64, typed=True)
def _stalling(seconds: float | None) -> Timeouts:
    if seconds is not None:
        check_seconds(seconds, "timeout")
    return _Number(stall=seconds)


def limited(seconds: float | None, phase: str, op: Co[T], what: str) -> Co[T]:
    """Return an operation that runs *op* and ends it after *seconds*; None sets no limit.

    Args:
        seconds: the limit.
        phase: its name in the error.
        op: the operation. It is closed in any case.
        what: the beginning of the message "… within 3 s".

    Raises:
        ConnectionTimedOut: the time has passed; it has *phase*.
        Exception: any exception of *op*.

    """
    return op if seconds is None else _co_limited(seconds, phase, op, what)


def _co_limited(seconds: float, phase: str, op: Co[T], what: str) -> Co[T]:
    message = f"{what} within {seconds} s ({how_given(seconds, phase)})"
    failure = ConnectionTimedOut(message, phase=phase)
    return (yield from within(time.monotonic() + seconds, op, failure))
