"""Bearer: a token as it is (RFC 6750).

Not here: obtaining a token.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from ...polling.contract import Co
from ..request import Request
from .flow import UNAUTHORIZED, Auth, Flow
from .text import check_token

Source = str | Callable[[], str | Co[str]]


@dataclass(frozen=True, slots=True)
class BearerAuth(Auth):
    """A token that is sent with each request.

    Anyone who can read the connection can use it: RFC 6750 section 5.3 demands TLS.

    Args:
        token: the token; or a function without arguments that returns it, or an operation whose
            result it is. It is called for each request, and once more if the server has refused
            the token: another one is tried then.

    Raises:
        InvalidRequest: the token cannot be sent. A function may return such a one: the error is
            raised by the request then.
        TypeError: *token* has the wrong type.

    """

    token: Source = field(repr=False)

    def __post_init__(self) -> None:
        if not callable(self.token):
            object.__setattr__(self, "token", check_token("token", self.token))

    def auth_flow(self, request: Request) -> Flow:
        """See `Auth.auth_flow`."""
        token = yield from self._co_token()
        request.headers.set("Authorization", f"Bearer {token}")
        response = yield request
        if response.status_code == UNAUTHORIZED and callable(self.token):
            other = yield from self._co_token()
            if other != token:
                request.headers.set("Authorization", f"Bearer {other}")
                yield request

    def _co_token(self) -> Generator[Any, Any, str]:
        if not callable(self.token):
            return self.token
        token = self.token()
        if isinstance(token, Generator):
            token = yield from token
        return check_token("token", token)
