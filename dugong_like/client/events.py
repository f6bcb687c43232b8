"""Events of a client: functions of the user's that are called while a request is on its way.

Not here: the calls (client.py, response.py and the layers).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from ..errors import InvalidOption
from ..http.redaction import quoted
from ..polling.contract import Co

if TYPE_CHECKING:
    from .request import ClientRequest
    from .response import Response

# Called once for each response, in this order.
ONCE: Final = ("pre_request", "on_headers", "post_request")
# Called any number of times between them.
MANY: Final = ("data_received", "data_processed", "on_redirect", "on_retry", "on_informational")
NAMES: Final = (*ONCE, *MANY)
SAME: Final = {"request": "pre_request", "response": "on_headers"}  # as httpx and requests call it

HookFunction = Callable[..., Any]
HookFunctions = Mapping[str, HookFunction | Iterable[HookFunction]]


class Hooks:
    """Functions by the names of the events on which they are called.

    Each is called as ``function(response, data=None, exc=None, request=request)``. *response* is
    None before there is one. It may be a plain function, a function that returns an operation
    (such as a generator function), or on asyncio and trio a coroutine function. An exception of it
    ends the request.

    ``post_request`` comes once for each request: at the end of the body, or with *exc* if the
    request has failed. It also comes if the response is closed before its end, or the operation is
    given up: nothing can be waited for then, so a function that would wait is stopped there.

    Args:
        functions: one function, or several, by name.

    Raises:
        InvalidOption: a name is that of no event.
        TypeError: they are no mapping, or a function is not callable.

    """

    __slots__ = ("_functions",)

    def __init__(self, functions: HookFunctions | None = None) -> None:
        self._functions: dict[str, list[HookFunction]] = {}
        if not isinstance(functions, Mapping | None):
            raise TypeError(f"hooks is a mapping of names to functions, not {quoted(functions)}")
        for name, given in (functions or {}).items():
            if not callable(given) and not isinstance(given, Iterable):
                raise TypeError(f"hooks: {name} is a function, or several, not {quoted(given)}")
            for function in [given] if callable(given) else given:
                self.bind(name, function)

    def bind(self, name: str, function: HookFunction) -> None:
        """Call *function* on the events called *name*, after those that were bound before."""
        if name not in NAMES:
            if name in SAME:
                raise InvalidOption(f"no event {quoted(name)}: it is called {SAME[name]}")
            raise InvalidOption(f"no event {quoted(name)}; there are {', '.join(NAMES)}")
        if not callable(function):
            raise TypeError(f"{name}: a function is called, not {quoted(function)}")
        self._functions.setdefault(name, []).append(function)

    def joined(self, functions: HookFunctions | None) -> Hooks:
        """Return these functions, and *functions* after them; raises as the constructor."""
        both = Hooks(self._functions)
        for name, added in Hooks(functions).functions().items():
            for function in added:
                both.bind(name, function)
        return both

    def functions(self) -> dict[str, list[HookFunction]]:
        """Return the functions by the names of their events."""
        return dict(self._functions)

    def has(self, *names: str) -> bool:
        """Return True if there is a function for one of the events."""
        return any(name in self._functions for name in names)

    def __bool__(self) -> bool:
        return bool(self._functions)

    def call(
        self,
        name: str,
        request: ClientRequest,
        response: Response | None = None,
        exc: BaseException | None = None,
    ) -> None:
        """Call the functions of the event *name* where nothing can be waited for.

        An operation or coroutine runs until it would wait, and is closed then.
        """
        for function in self._functions.get(name, ()):
            result = function(response, data=None, exc=exc, request=request)
            if isinstance(result, GeneratorType | CoroutineType):
                try:
                    result.send(None)
                except StopIteration:
                    pass
                finally:
                    result.close()

    def co_call(
        self,
        name: str,
        request: ClientRequest,
        response: Response | None = None,
        data: object = None,
        exc: BaseException | None = None,
    ) -> Co[None]:
        """Call the functions of the event *name*."""
        for function in self._functions.get(name, ()):
            result = function(response, data=data, exc=exc, request=request)
            if type(result) is GeneratorType:
                yield from result
            elif isinstance(result, Awaitable):
                from .async_bodies import co_await  # noqa: PLC0415 - for those who have one

                yield from co_await(result)
