"""Forwarding: what goes to the proxy with each request (RFC 9112 section 3.2.2).

The proxy reads every request, so each one has the fields for it. None of them is ever
part of a request inside a tunnel.

Not here: the target in absolute-form (http1/request.py).
"""

from __future__ import annotations

from ..auth import AuthSession
from ..headers import CaseInsensitiveDict, Fields
from ..http1.challenges import challenges_in
from ..http1.request import encode_fields


class Forwarding:
    """Fields for the proxy in requests that it forwards.

    Args:
        fields: header fields for the proxy, checked.
        session: says who asks; None if nobody wants to know, or *fields* say it.

    """

    __slots__ = ("_lines", "_session")

    def __init__(self, fields: CaseInsensitiveDict, session: AuthSession | None) -> None:
        self._lines = {
            name.lower(): encode_fields({name: value}).decode("latin-1")
            for name, value in fields.items()
        }
        self._session = session

    def lines(self, method: str, target: str, given: Fields | None) -> str:
        """Return field lines for a request, each with its CRLF.

        Args:
            method: its method.
            target: its target in absolute-form.
            given: its fields, which win.

        """
        given = given or CaseInsensitiveDict()
        lines = [line for name, line in self._lines.items() if name not in given]
        if self._session is not None and "proxy-authorization" not in given:
            value = self._session.value(method, target)
            if value is not None:
                lines.append(f"Proxy-Authorization: {value}\r\n")
        return "".join(lines)

    def learn(self, fields: bytes) -> None:
        """Take the header *fields* of a 407: the next request may answer its challenge."""
        if self._session is not None:
            self._session.learn(challenges_in(fields, b"proxy-authenticate"), None)
