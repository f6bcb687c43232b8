"""Retries: requests that are sent again after a failure or a status that says so.

Requests that a kept connection has lost are repeated by dispatch.py, without being asked, if that
is safe. All else is a decision of the user: `Retry`. Two limits keep it from making an overload
worse: how often one request is repeated, and which share of an origin's requests are repetitions.

Not here: reading Retry-After (http/retry_after.py), and redirects.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, Never

from ...errors import ConnectionTimedOut, DugongError, InvalidOption, TransportError
from ...http.arguments import as_string
from ...http.redaction import quoted
from ...http.request import IDEMPOTENT
from ...polling.contract import Co
from ...polling.fork import after_fork
from ...polling.numbers import check_flag, check_int, check_seconds
from ...polling.pauses import growing_pause
from ..closing import co_pause_before
from ..decoding import AS_USUAL, ReadingOptions
from ..other_names import unknown_argument
from .redirects import co_skip_body

if TYPE_CHECKING:
    from ...http.url import Origin
    from ..dispatcher import Send
    from ..request import ClientRequest
    from ..response import Response

# Too Many Requests (RFC 6585), Bad Gateway, Service Unavailable, Gateway Timeout.
UNAUTHORIZED: Final = 401
SAME: Final = {
    "allowed_methods": "methods",
    "attempts": "total",
    "backoff_factor": "backoff",
    "backoff_max": "max_wait",
    "connect": "total",
    "method_whitelist": "methods",
    "read": "total",
    "respect_retry_after_header": "respect_retry_after",
    "status_forcelist": "statuses",
    "statuscodes": "statuses",
}  # what other libraries call an argument
STATUSES: Final = frozenset({429, 502, 503, 504})
MOST_ORIGINS: Final = 1000  # whose repetitions are counted; a few hundred bytes each
SAVED: Final = 10.0  # repetitions that an origin may have at once, before it has had requests
# Time limits that are about the whole, such as `within`, or this program: no attempt has failed.
OWN_LIMITS: Final = frozenset({"", "total", "pool"})


class Retry:
    """When a request is sent again, and how often.

    A request is repeated if the connection failed and the server has not processed it, or may
    process it twice because its method is one of *methods*; or if the status of its response is
    one of *statuses* and the method one of *methods*. Its body has to be such that it can be read
    again. Pauses between two attempts begin with *backoff* and double each time.

    A body of a response that breaks off is a failure of the connection, too. It is none if the
    response is streamed, as its reader has seen a part of it, and for redirects that are followed
    and challenges that are answered, whose bodies nobody needs. Functions for the events of data
    are called when the body is complete, so they see that of one response only.

    Args:
        total: repetitions of one request, at most.
        statuses: status codes.
        methods: request methods; those that are idempotent by default (RFC 9110 section 9.2.2).
        backoff: seconds before the first repetition; 0 for none at all.
        max_wait: seconds of the longest pause. A response that asks for more by Retry-After is
            returned and not repeated.
        jitter: True to make each pause a random part of it, at least a half, so that clients that
            failed together do not come back together.
        respect_retry_after: True to pause as long as Retry-After says (RFC 9110 section 10.2.3).
        budget: share of an origin's requests that may be repetitions, 0.2 for one in five; None
            for no limit.

    Raises:
        InvalidOption: an argument has an invalid value.
        TypeError: an argument has the wrong type.

    """

    __slots__ = (
        *("_budgets", "backoff", "budget", "jitter", "max_wait", "methods"),
        *("respect_retry_after", "statuses", "total"),
    )

    def __init__(  # noqa: PLR0913 - each is documented above
        self,
        total: int = 3,
        *,
        statuses: Collection[int] = STATUSES,
        methods: Collection[str] = IDEMPOTENT,
        backoff: float = 0.5,
        max_wait: float = 60,
        jitter: bool = True,
        respect_retry_after: bool = True,
        budget: float | None = 0.2,
        **unknown: Never,
    ) -> None:
        for name in unknown:
            raise unknown_argument(name, Retry.__init__.__kwdefaults__ or (), SAME)
        check_int("total", total, 0)
        check_seconds(backoff, "backoff", optional=False)
        check_seconds(max_wait, "max_wait", optional=False)
        for name, flag in (("jitter", jitter), ("respect_retry_after", respect_retry_after)):
            check_flag(name, flag)
        self.methods = methods if methods is IDEMPOTENT else _as_methods(methods)
        self.statuses = statuses if statuses is STATUSES else _as_statuses(statuses)
        if budget is not None:
            check_seconds(budget, "budget")
            if budget > 1:
                raise InvalidOption(f"budget is a share of the requests, at most 1, not {budget}")
        self.total = total
        self.backoff = backoff
        self.max_wait = max_wait
        self.jitter = bool(jitter)
        self.respect_retry_after = bool(respect_retry_after)
        self.budget = budget
        self._budgets = None if budget is None else Budgets(budget)

    def allows_error(self, request: ClientRequest, exc: DugongError) -> bool:
        """Return True if *request* may be repeated after *exc*."""
        if not isinstance(exc, TransportError) or not exc.retryable:
            return False
        if isinstance(exc, ConnectionTimedOut) and exc.phase in OWN_LIMITS:
            return False
        if exc.request_sent != "no" and request.method not in self.methods:
            return False
        return request.rewindable()

    def allows_status(self, request: ClientRequest, response: Response) -> bool:
        """Return True if *request* may be repeated after *response*."""
        return (
            response.status_code in self.statuses
            and request.method in self.methods
            and request.rewindable()
        )

    def pause(self, repetition: int) -> float:
        """Return the seconds to wait before a repetition; 0 is the first."""
        return growing_pause(self.backoff, repetition, self.max_wait, jitter=self.jitter)

    def pause_after_error(self, request: ClientRequest, exc: DugongError) -> float | None:
        """Return the seconds to wait before *request* is repeated after *exc*; None for never.

        The repetition is counted among those of the origin, which *budget* limits.
        """
        if not self.allows_error(request, exc):
            return None
        return self.within_limits(request, self.pause(request.repetitions))

    def within_limits(self, request: ClientRequest, seconds: float | None) -> float | None:
        """Return *seconds*, the pause before *request* is repeated; None if it must not be.

        It must not if it was repeated as often as it may be, if its total time ends before the
        pause does, or if there were too many repetitions at its origin. Otherwise this is counted
        as one. None stays None.
        """
        if seconds is None or request.repetitions >= self.total or _is_too_late(request, seconds):
            return None
        return seconds if self.takes(request.url.origin) else None

    def asked_pause(self, response: Response, now: float) -> float | None:
        """Return the seconds that *response* asks to wait; None if it does not.

        Args:
            response: of which Retry-After is read.
            now: seconds of `time.time`.

        """
        if not self.respect_retry_after or response.field("retry-after") is None:
            return None
        from ...http.retry_after import asked_pause  # noqa: PLC0415 - rare

        return asked_pause(response, now)

    def count(self, origin: Origin) -> None:
        """Count a request to *origin*."""
        if self._budgets is not None:
            self._budgets.earn(origin)

    def takes(self, origin: Origin) -> bool:
        """Count a repetition, if there may be one; return False if there may be none."""
        return self._budgets is None or self._budgets.spend(origin)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the settings, which `pickle` keeps, and not the number of repetitions so far."""
        names = Retry.__init__.__kwdefaults__ or {}
        given = {name: getattr(self, name) for name in names}
        return functools.partial(type(self), self.total, **given), ()

    def __repr__(self) -> str:
        return f"Retry({self.total}, statuses={sorted(self.statuses)}, budget={self.budget})"


def _as_methods(methods: Collection[str]) -> frozenset[str]:
    """Return request methods in capitals. Raises TypeError if they are none."""
    if isinstance(methods, str | bytes) or not isinstance(methods, Collection):
        raise TypeError(f"methods are a collection of strings, not {quoted(methods)}")
    for method in methods:
        as_string(method, "a method")
    return frozenset(method.upper() for method in methods)


def _as_statuses(statuses: Collection[int]) -> frozenset[int]:
    """Return status codes. Raises TypeError or InvalidOption if they are none."""
    if isinstance(statuses, str | bytes) or not isinstance(statuses, Collection):
        raise TypeError(f"statuses are a collection of numbers, not {quoted(statuses)}")
    for status in statuses:
        check_int("a status", status, 100, 999)
    return frozenset(statuses)


class Budgets:
    """The repetitions that each origin may still have.

    Args:
        share: what each request adds; see `Retry`.

    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved: OrderedDict[Origin, float] = OrderedDict()
        self._lock = threading.RLock()  # a finalizer or a handler of signals may come in between
        after_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    def earn(self, origin: Origin) -> None:
        """Add the share of one request."""
        with self._lock:
            self._saved[origin] = min(self._saved.get(origin, SAVED) + self._share, SAVED)
            self._saved.move_to_end(origin)
            if len(self._saved) > MOST_ORIGINS:
                self._saved.popitem(last=False)

    def spend(self, origin: Origin) -> bool:
        """Take one repetition; return False if there is none left."""
        with self._lock:
            saved = self._saved.get(origin, SAVED)
            if saved < 1:
                return False
            self._saved[origin] = saved - 1
            return True


class RetryLayer:
    """The layer that repeats requests.

    Args:
        retry: for requests that have none of their own; None for none.
        reading_of: tells how the client reads the body of the response to a request.
        clock: gives seconds of `time.time`.

    """

    def __init__(
        self,
        retry: Retry | None,
        reading_of: Callable[[ClientRequest], ReadingOptions] = lambda _: AS_USUAL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._retry = retry
        self._reading_of = reading_of
        self._clock = clock

    def __call__(self, request: ClientRequest, co_send: Send) -> Co[Response]:
        """Send *request* until it need not be, or must not be, sent again; see `Layer`."""
        retry = request.extensions.get("retry", self._retry)
        if retry is None:
            return (yield from co_send(request))
        retry.count(request.url.origin)
        request.repetitions = 0
        while True:
            outcome = yield from self._co_attempt(request, co_send, retry)
            if not isinstance(outcome, float):
                return outcome
            request.repetitions += 1
            yield from co_pause_before(request, outcome, "pause before a retry")

    def _co_attempt(
        self, request: ClientRequest, co_send: Send, retry: Retry
    ) -> Co[Response | float]:
        """Return the response, or how many seconds to wait before the next attempt."""
        failure: DugongError | None = None
        response: Response | None = None
        try:
            try:
                response = yield from co_send(request)
                seconds = None
                if retry.allows_status(request, response):
                    seconds = retry.within_limits(request, self._pause(request, retry, response))
                if seconds is None:
                    if not (request.stream or _is_passed_by(request, response)):
                        reading = self._reading_of(request)
                        yield from response.co_receive(reading, request.deadline)
                    return response
                yield from co_skip_body(response)
            except DugongError as exc:
                response = None
                seconds = retry.pause_after_error(request, exc)
                if seconds is None:
                    raise
                failure = exc
            if request.hooks is not None:
                yield from request.hooks.co_call("on_retry", request, response, exc=failure)
            return seconds
        except BaseException:
            if response is not None:
                response.close()
            raise
        finally:
            failure = None  # it would keep this frame, which keeps it

    def _pause(self, request: ClientRequest, retry: Retry, response: Response) -> float | None:
        """Return the seconds to wait; None if the server asks for more than may be waited."""
        asked = retry.asked_pause(response, self._clock())
        if asked is None:
            return retry.pause(request.repetitions)
        return asked if asked <= retry.max_wait else None


def _is_passed_by(request: ClientRequest, response: Response) -> bool:
    """Return True if another request may follow *response* because of its head."""
    if request.follow_redirects and response.has_redirect_location:
        return True
    return request.auth is not None and response.status_code == UNAUTHORIZED


def _is_too_late(request: ClientRequest, seconds: float) -> bool:
    """Return True if the total time of *request* ends before the pause does."""
    deadline = request.deadline
    return deadline is not None and time.monotonic() + seconds >= deadline
