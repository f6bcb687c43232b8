"""Places that credentials are for: never another origin (RFC 9110 section 11.5).

Not here: the paths of an origin for which a Digest challenge holds (digest.py).
"""

from __future__ import annotations

from ..request import Request
from ..url import URL, Origin, as_origin
from .flow import Auth, Flow


def origin_of(request: Request) -> Origin | None:
    """Return the origin of a request to a URL, None of a request by path.

    Raises:
        InvalidRequest: its target is neither.

    """
    target = request.target
    return None if target.startswith(("/", "*")) else URL(target).origin


def path_of(request: Request) -> str:
    """Return path and query of *request*, as its server sees them.

    Raises:
        InvalidRequest: its target is neither a URL nor a path.

    """
    target = request.target
    return target if target.startswith(("/", "*")) else URL(target).target


class BoundAuth(Auth):
    """Authentication for one origin: requests to another one are sent as they are.

    Args:
        auth: an object with `Auth.auth_flow`.
        origin: an `Origin`, or a URL of it.

    Raises:
        InvalidRequest: *origin* is not valid.
        TypeError: an argument has the wrong type.

    Attributes:
        auth: as given.
        origin: as an `Origin`.

    """

    __slots__ = (
        *("auth", "origin"),
        *("requires_request_body", "requires_response_body", "same_connection"),
    )

    def __init__(self, auth: Auth, origin: Origin | URL | str) -> None:
        if isinstance(auth, type) or not hasattr(auth, "auth_flow"):
            raise TypeError(f"auth has an auth_flow(), unlike {type(auth).__name__}")
        if not isinstance(origin, Origin | URL | str):
            raise TypeError(f"origin is a URL, its text or an Origin, not {type(origin).__name__}")
        self.auth = auth
        self.origin = as_origin(origin)
        for name in ("requires_request_body", "requires_response_body", "same_connection"):
            setattr(self, name, getattr(auth, name, False))

    def auth_flow(self, request: Request) -> Flow:
        """See `Auth.auth_flow`."""
        if origin_of(request) == self.origin:
            return self.auth.auth_flow(request)
        return super().auth_flow(request)

    def __repr__(self) -> str:
        return f"BoundAuth({self.auth!r}, {str(self.origin)!r})"
