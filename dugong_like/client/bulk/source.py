"""The iterable of `Client.map`: it is asked for one request after the other, and never twice.

Not here: when that is done (schedule.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...errors import InvalidOption
from ...http.arguments import iterate
from ...http.redaction import quoted
from ...http.request import Request
from ...http.url import URL
from ..request import ClientRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...polling.contract import Co
    from ..request_building import RequestOptions
    from .work import Work

MapRequest: TypeAlias = "str | URL | tuple[str, str | URL] | Request | Work"
KIND: Final = "an iterable of URLs, pairs of method and URL, and requests"
PAIR: Final = 2  # method and URL
END: Final = object()


class Source:
    """Gives what the iterable gives.

    Args:
        requests: the iterable, which may be an asynchronous one.

    Raises:
        TypeError: it is not iterable, or one request.

    Attributes:
        is_over: True if nothing more will come.
        failure: the exception that has ended it; None if it has ended in order, or not yet.
        is_async: True if asking it may wait.

    """

    def __init__(self, requests: Iterable[Any] | AsyncIterable[Any]) -> None:
        if isinstance(requests, str | bytes | URL | Request):
            raise TypeError(f"requests is {KIND}, not one of these: {quoted(requests)}")
        self.is_async = isinstance(requests, AsyncIterable)
        self.is_over = False
        self.failure: Exception | None = None
        self._coming: Iterator[Any] = iter(())
        self._arriving: AsyncIterator[Any] | None = None
        if isinstance(requests, AsyncIterable):
            self._arriving = aiter(requests)
        else:
            self._coming = iterate(requests, "requests", KIND)

    def take(self) -> Any:
        """Return the next one; `END` if there is none, as `is_over` and `failure` say then."""
        try:
            return next(self._coming)
        except StopIteration:
            self.close()
        except Exception as exc:  # noqa: BLE001 - raised when all before it is answered
            self.close()
            self.failure = exc
        return END

    def co_take(self) -> Co[Any]:
        """Do what `take` does with an asynchronous iterable."""
        from ..async_bodies import co_await  # noqa: PLC0415 - for those who have one

        arriving = self._arriving
        assert arriving is not None

        async def following() -> Any:
            async for given in arriving:
                return given
            return END

        try:
            given = yield from co_await(following())
        except Exception as exc:  # noqa: BLE001 - the same
            self.close()
            self.failure = exc
            return END
        if given is END:
            self.close()
        return given

    def close(self) -> None:
        """Ask for nothing more. The iterable is left to its owner."""
        self.is_over = True
        self._coming, self._arriving = iter(()), None


def as_request(
    given: Any, build: Callable[..., ClientRequest], options: RequestOptions
) -> ClientRequest:
    """Return the request that *given*, an item of the iterable, stands for.

    Args:
        given: a URL, a pair of method and URL, or a request.
        build: `Client.build_request`.
        options: for those that are built.

    Raises:
        TypeError: it is something else.
        InvalidOption: the body of its response is to be left to the caller.
        InvalidRequest: it cannot be sent.

    """
    if type(given) is str or isinstance(given, str | URL):
        return build("GET", given, **options)
    if isinstance(given, ClientRequest):
        if given.stream:
            raise InvalidOption("stream: the responses of map() are read as a whole")
        return given
    if isinstance(given, Request):
        request = build(given.method, given.target, **{**options, "headers": given.headers})
        request.take_body(given)
        request.idempotent = given.idempotent
        return request
    is_several = isinstance(given, tuple | list)
    if is_several and len(given) == PAIR:
        method, url = given
        return build(method, url, **options)
    found = f"a {type(given).__name__} of {len(given)}" if is_several else quoted(given)
    raise TypeError(f"an item of requests is a URL, (method, URL) or a request, not {found}")
