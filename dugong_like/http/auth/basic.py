"""Basic: user name and password as they are (RFC 7617)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...errors import InvalidRequest
from ..challenges import Challenge
from ..request import Request
from .flow import Auth, Flow
from .proxy_protocol import AuthSession
from .text import check_text


@dataclass(frozen=True, slots=True)
class BasicAuth(Auth):
    """User name and password, sent as they are (RFC 7617), in UTF-8, with the first request.

    Anyone who can read the connection can read them. With SOCKS5 they are the user name and
    password of RFC 1929.

    Args:
        user: name without a colon.
        password: may be empty.

    Raises:
        InvalidRequest: *user* has a colon, or an argument has control characters.
        TypeError: an argument is not a string.

    """

    user: str = field(repr=False)
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "user", check_text("user name", self.user))
        object.__setattr__(self, "password", check_text("password", self.password))
        if ":" in self.user:
            raise InvalidRequest("the user name has a colon (RFC 7617 section 2)")

    def session(self) -> AuthSession:
        """Return the state for one proxy."""
        return _BasicSession(self._value())

    def auth_flow(self, request: Request) -> Flow:
        """See `Auth.auth_flow`."""
        request.headers.set("Authorization", self._value())
        yield request

    def _value(self) -> str:
        both = f"{self.user}:{self.password}".encode()
        return "Basic " + b64encode(both).decode("ascii")


class _BasicSession:
    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def value(self, method: str, target: str) -> str:  # noqa: ARG002 - the same for all requests
        return self._value

    def learn(self, challenges: Sequence[Challenge], refused: str | None) -> bool:
        """Return True only if Basic is asked for and was not sent yet."""
        return refused is None and any(challenge.scheme == "basic" for challenge in challenges)
