"""Values of an argument ``auth=``, and functions as authentication."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..request import Request
from .flow import Auth, Flow

PAIR: Final = 2  # user name and password
# An argument: user name and password, a scheme, or a function; see `as_auth`.
AuthOption = tuple[str, str] | Auth | Callable[[Request], Request | None]


class FunctionAuth(Auth):
    """Authentication by a function that changes each request.

    Args:
        function: gets the request, and returns the one to be sent; None for the same one.

    Raises:
        TypeError: *function* cannot be called.

    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Request], Request | None]) -> None:
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"function is a function of a request, not {type(function).__name__}")
        self._function = function

    def auth_flow(self, request: Request) -> Flow:
        """See `Auth.auth_flow`. Raises TypeError if the function returns anything else."""
        changed = self._function(request)
        if changed is not None and not isinstance(changed, Request):
            kind = type(changed).__name__
            raise TypeError(f"a function for auth returns the request or None, not {kind}")
        yield request if changed is None else changed

    def __repr__(self) -> str:
        return f"FunctionAuth({getattr(self._function, '__name__', '…')})"


def as_auth(auth: AuthOption | None) -> Auth | None:
    """Return *auth*, an argument of that name, as a scheme.

    Args:
        auth: user name and password, which become `BasicAuth`; an object with `Auth.auth_flow`;
            a function, which becomes `FunctionAuth`; or None.

    Raises:
        InvalidRequest: user name or password cannot be sent.
        TypeError: it is something else. The message does not contain it.

    """
    if auth is None or (hasattr(auth, "auth_flow") and not isinstance(auth, type)):
        return auth  # type: ignore[return-value]  # it has what an Auth has
    if isinstance(auth, tuple | list) and len(auth) == PAIR:
        from .basic import BasicAuth  # noqa: PLC0415 - dataclasses take 5 ms to import

        return BasicAuth(*auth)
    if callable(auth) and not isinstance(auth, type):
        return FunctionAuth(auth)
    if isinstance(auth, type):
        raise TypeError(f"auth is a class, where a {auth.__name__}(…) is needed")
    kind = type(auth).__name__
    raise TypeError(
        f"auth is (user, password), an object such as DigestAuth(…), or a function of "
        f"a request, not {kind}"
    )
