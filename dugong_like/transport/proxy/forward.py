"""Forwarding: fields for the proxy in each request (RFC 9112 section 3.2.2).

The proxy reads every request, so each one has the fields for it. They are never part of a
request inside a tunnel.

Not here: the target in absolute-form (http/h1/request_head.py), and credentials (credentials.py).
"""

from __future__ import annotations

from collections.abc import Collection

from ...http.auth.proxy_protocol import AuthSession
from ...http.h1.framing import closes_proxy
from ...http.h1.response_head import Head
from ...http.header_validation import FieldLines
from ...http.headers import Headers
from .credentials import learn


class Forwarding:
    """Fields for the proxy in requests that it forwards.

    Args:
        fields: header fields for the proxy, checked.
        session: the credentials; None without, or if *fields* contain them.

    """

    __slots__ = ("_lines", "_session")

    def __init__(self, fields: Headers, session: AuthSession | None) -> None:
        self._lines = [(name.lower(), FieldLines([(name, value)]).text) for name, value in fields]
        self._session = session

    def lines(self, method: str, target: str, given: Collection[str]) -> str:
        """Return field lines for a request, each with its CRLF.

        Args:
            method: its method.
            target: its target in absolute-form.
            given: names of its fields, in lower case, which are left out.

        """
        lines = [line for name, line in self._lines if name not in given]
        if self._session is not None and "proxy-authorization" not in given:
            value = self._session.value(method, target)
            if value is not None:
                lines.append(f"Proxy-Authorization: {value}\r\n")
        return "".join(lines)

    def note_response(self, head: Head) -> bool:
        """Process the *head* of a final response: its challenge is for the next request.

        Returns:
            False if the proxy announces that it closes the connection.

        """
        learn(self._session, head, None)
        return not closes_proxy(head)
