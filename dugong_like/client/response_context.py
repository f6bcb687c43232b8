"""Context managers that send a request, and close its response: ``client.stream(…)``.

Not here: the response itself (response.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..drivers.detect import runner
from ..errors import StateError
from ..polling.contract import Co, run

if TYPE_CHECKING:
    from .response import Response

R = TypeVar("R", bound="Response")


class _Context(Generic[R]):
    """A request whose response exists inside of ``with``.

    Args:
        sending: sends the request, and returns the response.

    """

    def __init__(self, sending: Co[R]) -> None:
        self._sending: Co[R] | None = sending
        self._response: R | None = None

    def _begin(self) -> Co[R]:
        sending, self._sending = self._sending, None
        if sending is None:
            raise StateError("this request has been sent: call stream() again for another one")
        return sending

    def _end(self) -> None:
        if self._response is not None:
            self._response.close()

    if not TYPE_CHECKING:  # a type checker knows all names

        def __getattr__(self, name: str) -> Any:
            how = f"'{self._with} client.stream(…) as response' gives one"
            raise AttributeError(f"stream() returns no response, which has {name!r}: {how}")


class ResponseContext(_Context[R]):
    """A context manager that closes the response at its end."""

    _with = "with"

    def __enter__(self) -> R:
        self._response = run(self._begin())
        return self._response

    def __exit__(self, *exc: object) -> None:
        self._end()


class AsyncResponseContext(_Context[R]):
    """The same for ``async with``. The response is read in coroutines."""

    _with = "async with"

    async def __aenter__(self) -> R:
        self._response = response = await runner()(self._begin())
        response.leave_to_coroutines()
        return response

    async def __aexit__(self, *exc: object) -> None:
        self._end()
