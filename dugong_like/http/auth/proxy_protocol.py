"""Protocol of authentication for proxies, which is asked for single field values.

Credentials are values that can be used for any proxy. The state of an authentication, such as a
nonce, is kept in a session, and each proxy has its own: nothing made for one proxy is ever sent
to another.

Not here: the protocol for servers (flow.py), and sending credentials (transport/proxy).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..challenges import Challenge


class AuthSession(Protocol):
    """The authentication state for one proxy. Used from several threads."""

    def value(self, method: str, target: str) -> str | None:
        """Return the value of ``Proxy-Authorization`` for a request.

        Args:
            method: request method.
            target: request target as it is sent: with CONNECT ``host:port``.

        Returns:
            The value; None if a challenge is needed first.

        """
        ...

    def learn(self, challenges: Sequence[Challenge], refused: str | None) -> bool:
        """Take the challenges of a 407 response.

        Args:
            challenges: those of the response.
            refused: the credentials of the request; None if it had none.

        Returns:
            True if the next `value` may be accepted, False if another attempt is useless.

        """
        ...


class ProxyAuth(Protocol):
    """Credentials for a proxy. An additional scheme has to have this one method."""

    def session(self) -> AuthSession:
        """Return the state for one proxy, without any challenge."""
        ...
