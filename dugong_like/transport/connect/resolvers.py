"""Resolvers of the caller: functions, operations, a cache.

Not here: the resolver of the system (dns.py).
"""

from __future__ import annotations

import copy
import socket
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, cast

from ...errors import (
    ConnectionTimedOut,
    DNSUnavailable,
    DugongError,
    HostnameNotResolvable,
    InvalidOption,
)
from ...http.redaction import quoted
from ...polling.combinators import own_error
from ...polling.contract import Co
from ...polling.fork import after_fork, generation
from ...polling.numbers import check_int, check_seconds
from ...polling.wake import Wake
from .dns import NO_SUCH_NAME, co_resolve, family_of, is_address
from .happy_eyeballs import Address
from .helper_threads import co_in_thread, explain

MAX_ENTRIES: Final = 1000  # hosts; a few hundred bytes each
LENGTHS: Final = {socket.AF_INET: {2}, socket.AF_INET6: {2, 3, 4}}  # of socket addresses
BOUNDS: Final = ((1, 65535), (0, 0xFFFFF), (0, 0xFFFFFFFF))  # of port, flow, scope (RFC 3493)
MAX_WRITTEN: Final = 80  # characters of an answer in a message
MAX_AGE: Final = 60.0  # seconds; the system does not report the TTL of an answer

Addresses = Sequence[Address]
Resolver = Callable[[str, int], Addresses | Co[Addresses]]


def co_look_up(host: str, port: int, resolver: Resolver, family: int = 0) -> Co[Addresses]:
    """Look up the addresses of *host*.

    Args:
        host: name or IP address; the latter is not looked up.
        port: port number, for the addresses.
        resolver: a function that returns family and socket address of each, which is called in
            a helper thread, as it may block; or a generator function with that result.
        family: family of the addresses; 0 for any.

    Raises:
        HostnameNotResolvable: there is no such name, or it has no address of *family*.
        DNSUnavailable: there was no answer, or no look-up as too many earlier ones hang.
        TypeError: the resolver has returned another type.
        InvalidOption: it has returned an invalid address, such as a port above 65535.
        Exception: any exception of the resolver. `socket.gaierror` and other `OSError` are
            treated as those of the system.

    """
    if is_address(host):
        return (yield from co_resolve(host, port, family=family))
    try:
        answer = yield from _co_ask(resolver, host, port)
    except DugongError:
        raise
    except OSError as exc:
        what = f"the resolver has no answer for {host}: {exc.strerror or exc}"
        if isinstance(exc, socket.gaierror) and exc.errno in NO_SUCH_NAME:
            raise HostnameNotResolvable(what, name=host) from exc
        raise DNSUnavailable(what, name=host) from exc
    addresses = [_check(address, host) for address in answer]
    usable = [address for address in addresses if family in {0, address[0]}]
    if not usable:
        what = f"no address of this family, of {len(addresses)}," if addresses else "no address"
        raise HostnameNotResolvable(f"the resolver has {what} for {host}", name=host)
    return usable


def _co_ask(resolver: Resolver, host: str, port: int) -> Co[Addresses]:
    from inspect import isgeneratorfunction  # noqa: PLC0415 - importing it is slow

    if isgeneratorfunction(resolver) or isgeneratorfunction(type(resolver).__call__):
        answer: Any = resolver(host, port)
    else:
        answer = yield from co_in_thread(lambda: resolver(host, port), host)
    if isinstance(answer, Generator):  # also of a function that calls a generator function
        answer = yield from answer
    if not isinstance(answer, list | tuple):
        raise TypeError(
            f"a resolver returns a list of addresses; for {host} it returned {written(answer)}"
        )
    return cast("Addresses", answer)


def check_resolver(resolver: object) -> None:
    """Check that *resolver* can be called.

    Raises:
        TypeError: it is not callable, or it is a class instead of an object.

    """
    if isinstance(resolver, type):
        raise TypeError(f"resolver is a class, where a {resolver.__name__}(…) is needed")
    if not callable(resolver):
        raise TypeError(f"resolver is a function, not {quoted(resolver)}")


def written(answer: object) -> str:
    """Return the invalid answer of a resolver, for a message."""
    try:
        text = repr(answer)
    except Exception:  # noqa: BLE001 - numbers of too many digits, or objects of the caller
        return quoted(answer)
    return text if len(text) <= MAX_WRITTEN else f"{text[:MAX_WRITTEN]}..."


def _check(address: Any, host: str) -> Address:
    """Return one of the addresses that a resolver has returned for *host*, checked."""
    answer = f"the resolver's answer for {host}"
    if not (isinstance(address, tuple) and len(address) == 2 and isinstance(address[1], tuple)):  # noqa: PLR2004
        raise TypeError(
            "an address is a pair of family and socket address, such as "
            f"(socket.AF_INET, ('127.0.0.1', 80)); {answer} has {written(address)}"
        )
    family, place = address
    for known, parts in LENGTHS.items():
        if family == known and len(place) in parts:
            break
    else:
        raise InvalidOption(
            f"{answer} has {written(address)}: neither AF_INET with (host, port) nor AF_INET6 with "
            "(host, port, flow, scope)"
        )
    name, *numbers = place
    if not isinstance(name, str) or family_of(name) != known:
        # A name would be looked up by the system, blocking.
        raise InvalidOption(f"{answer} has {written(address)}: that is no IP address of its family")
    for what, number, (least, most) in zip(("port", "flow", "scope"), numbers, BOUNDS):  # noqa: B905 - the last two may be missing
        try:
            check_int(what, number, least, most)
        except (TypeError, InvalidOption) as exc:
            raise type(exc)(f"{answer} has {written(address)}: {exc}") from None
    return known, place


class CachingResolver:
    """A resolver with a cache, for any number of connections, threads and loops.

    Equal look-ups at the same time are made once. Negative answers are not cached.

    Args:
        resolver: the resolver behind the cache, see `HTTPConnection`; None for that of the system.
        max_entries: maximum number of hosts; a new one replaces the least recently used one.
        max_age: seconds for which an answer is valid.

    Raises:
        InvalidOption: *max_entries* is less than 1, or *max_age* less than 0.
        TypeError: an argument has the wrong type.

    """

    def __init__(
        self,
        resolver: Resolver | None = None,
        max_entries: int = MAX_ENTRIES,
        max_age: float = MAX_AGE,
    ) -> None:
        if resolver is not None:
            check_resolver(resolver)
        check_int("max_entries", max_entries, 1)
        check_seconds(max_age, "max_age", optional=False)
        self._resolver: Resolver = co_resolve if resolver is None else resolver
        self._max_entries = max_entries
        self._max_age = max_age
        self._answers: dict[tuple[str, int], _Answer] = {}  # the most recently used one is the last
        self._questions: dict[tuple[str, int, int], _Question] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def clear(self) -> None:
        """Drop all answers."""
        with _lock:
            self._answers.clear()

    def __call__(self, host: str, port: int) -> Co[Addresses]:
        """Return the addresses of *host*. Raises the same exceptions as `co_look_up`."""
        name = host.lower(), port
        key = (*name, generation())  # who asked may be in the parent process, and never end
        mine: _Question | None = None
        question: _Question | None = None
        try:
            while True:
                with _lock:
                    known = self._find(name)
                    if known is not None:
                        return known
                    question = self._questions.get(key)
                    if question is None:
                        mine = self._questions[key] = _Question()
                if question is None:
                    assert mine is not None
                    return (yield from self._co_ask(host, port, mine))
                try:
                    yield from question.co_wait()
                except ConnectionTimedOut as exc:
                    explain(exc)
                    raise
                if question.failure is not None:
                    raise question.failure
                if question.answer is not None:
                    return question.answer
                # The operation that has asked was given up, so another one has to ask.
        finally:
            if mine is not None:
                with _lock:
                    self._questions.pop(key, None)
                mine.end()
            question = mine = None  # a failure would keep this frame, which keeps the failure

    def _co_ask(self, host: str, port: int, question: _Question) -> Co[Addresses]:
        """Make the look-up; its failure is that of all who wait, a time limit of one is not."""
        answer = yield from own_error(co_look_up(host, port, self._resolver), Exception)
        try:
            if isinstance(answer, Exception):
                question.failure = answer
                raise answer
            question.answer = answer
            self._keep((host.lower(), port), answer)
            return answer
        finally:
            del answer  # see `__call__`

    def _find(self, name: tuple[str, int]) -> Addresses | None:
        answer = self._answers.pop(name, None)
        if answer is None or time.monotonic() >= answer.until:
            return None
        self._answers[name] = answer
        return answer.addresses

    def _keep(self, name: tuple[str, int], addresses: Addresses) -> None:
        with _lock:
            self._answers[name] = _Answer(addresses, time.monotonic() + self._max_age)
            while len(self._answers) > self._max_entries:
                del self._answers[next(iter(self._answers))]


def anew(failure: Exception | None) -> Exception | None:
    """Return a copy of *failure* if it is an error of the library, else *failure*."""
    if not isinstance(failure, DugongError):
        return failure
    copied = copy.copy(failure)
    copied.__cause__ = failure.__cause__
    return copied


class _Answer:
    __slots__ = ("addresses", "until")

    def __init__(self, addresses: Addresses, until: float) -> None:
        self.addresses = addresses
        self.until = until  # seconds of time.monotonic


class _Question:
    """A look-up that is made; others wait for it, each with a descriptor of its own."""

    def __init__(self) -> None:
        self.answer: Addresses | None = None
        self._failure: Exception | None = None
        self._waiting: list[Wake] = []
        self._over = False

    @property
    def failure(self) -> Exception | None:
        """The failure of the look-up; an error of the library is a new object each time.

        An error names its connection, and several connections wait for this look-up.
        """
        return anew(self._failure)

    @failure.setter
    def failure(self, failure: Exception) -> None:
        self._failure = anew(failure)

    def co_wait(self) -> Co[None]:
        """Wait until there is an answer, or the look-up was given up."""
        with Wake("dns") as wake:
            self._waiting.append(wake)  # first, or `end` could be missed that comes in between
            if self._over:
                return
            yield from wake.co_wait()

    def end(self) -> None:
        """Wake all operations that wait."""
        self._over = True
        for wake in list(self._waiting):
            wake.set()


_lock = threading.RLock()  # of all caches, for microseconds; the garbage collector takes it too


def _renew_lock() -> None:
    """Make a new lock in a child process: a thread of the parent may hold the old one."""
    global _lock  # noqa: PLW0603 - state of the process
    _lock = threading.RLock()


after_fork(_renew_lock)
