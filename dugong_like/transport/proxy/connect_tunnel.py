"""CONNECT: a tunnel through an HTTP proxy (RFC 9110 section 9.3.6).

After a 407 with a suitable challenge the request is repeated once, with credentials: on the same
connection if that persists, otherwise on a new one. Some proxies close it without announcing that:
this is only noticed when the request is sent, or gets no response, and then it is sent once more
on a new connection.

Not here: forwarding without a tunnel (forward.py), credentials (credentials.py), and TLS inside
the tunnel (open.py).
"""

from __future__ import annotations

import re
from typing import Final

from ...errors import (
    MAX_REFUSAL_BODY,
    ConnectionClosed,
    InvalidResponse,
    TunnelRefused,
)
from ...http.auth.proxy_protocol import AuthSession
from ...http.h1.body import ENDLESS, SIZED, UNTIL_CLOSE, Body, Source
from ...http.h1.body_kinds import Kind
from ...http.h1.chunked import ChunkedBody
from ...http.h1.framing import closes_proxy, frame
from ...http.h1.limits import Limits
from ...http.h1.response_head import Head, Section, parse_head
from ...http.header_validation import FieldLines
from ...http.headers import Headers
from .credentials import learn

OK: Final = range(200, 300)
INFORMATIONAL: Final = range(100, 200)
SWITCHING_PROTOCOLS: Final = 101
# Temporary failures: Request Timeout (the proxy waited for the request); Too Many Requests (RFC
# 6585); Bad Gateway, Service Unavailable and Gateway Timeout (RFC 9110 section 15.6).
TEMPORARY: Final = frozenset([408, 429, 502, 503, 504])

_find_retry_after = re.compile(rb"(?i:\nretry-after):([^\r]*+)").findall


class Tunnel:
    """The handshake with the proxy; see `Conversation`.

    Args:
        authority: host and port of the server, ``host:port``.
        limits: for the response.
        fields: header fields for the proxy, checked.
        session: the credentials; None without, or if *fields* contain them.

    """

    def __init__(
        self,
        authority: str,
        limits: Limits,
        fields: Headers | None = None,
        session: AuthSession | None = None,
    ) -> None:
        self.opened = False
        self._authority = authority
        self._limits = limits
        self._fields = fields or Headers()
        self._session = session
        self._answered = False  # has a challenge been answered?
        self._doubtful = False  # on the same connection, without a response since?
        self._begin()

    def _begin(self) -> None:
        """Send the request, for the first time or once more."""
        fields = self._fields.copy()
        self._value: str | None = None
        if self._session is not None:
            self._value = self._session.value("CONNECT", self._authority)
        if self._value is not None:
            fields.set("Proxy-Authorization", self._value)
        self.to_send = (
            f"CONNECT {self._authority} HTTP/1.1\r\nHost: {self._authority}\r\n".encode("ascii")
            + FieldLines(fields).encode()
            + b"\r\n"
        )
        self._section = Section(self._limits, status=True)
        self._informational = 0
        self._refusal: TunnelRefused | None = None
        self._body: Body | None = None
        self._owed = 0  # bytes of the body in front of further framing
        self._reusable = False  # does the connection take another request?
        self._again = False  # will the request be repeated?

    def receive(self, source: Source) -> bool:
        """Take what has arrived; see `Conversation.receive`."""
        self._doubtful = False
        while self._body is None:
            stop = self._section.find_end(source.data, source.begin, source.end)
            if stop < 0:
                return False
            head = parse_head(source.data, self._limits.fields, source.begin, stop)
            source.begin = stop
            if head.status in OK:
                if source.begin < source.end:
                    raise InvalidResponse("the proxy sent bytes before the tunnel was used")
                self.opened = True
                return True
            self._note(head)
        try:
            whole = self._receive_body(self._body, source)
        except InvalidResponse as exc:
            assert self._refusal is not None
            raise self._refusal from exc  # the refusal is more important
        if whole is None:
            return False
        here = whole and self._reusable and source.begin == source.end
        self._end_refusal()
        self._doubtful = here
        return not here

    def end_of_stream(self, failure: ConnectionClosed | None = None) -> None:
        """Handle the end of the connection; see `Conversation.end_of_stream`."""
        if self._refusal is not None:
            self._end_refusal(failure)
        elif self._doubtful and (failure is None or failure.retryable):
            self._doubtful = False
            self._begin()
        else:
            raise failure or ConnectionClosed(
                "the proxy closed the connection instead of opening a tunnel"
            )

    def _note(self, head: Head) -> None:
        """Process a response that does not open the tunnel."""
        if head.status in INFORMATIONAL and head.status != SWITCHING_PROTOCOLS:
            self._informational += 1
            if self._informational > (most := self._limits.informational):
                raise InvalidResponse(f"more than {most} informational responses")
            self._section = Section(self._limits, status=True)
            return
        reason = head.reason.decode("latin-1")
        self._refusal = TunnelRefused(
            f"the proxy did not open a tunnel to {self._authority}: {head.status} {reason}",
            head.status,
            reason,
            retryable=head.status in TEMPORARY,
            retry_after=_retry_after(head.fields),
        )
        kind, length, reusable = frame("CONNECT", head)
        if kind is Kind.NONE:
            raise self._refusal
        if kind is Kind.SIZED and length is not None:
            self._body, self._owed = SIZED, length
        elif kind is Kind.CHUNKED:
            self._body = ChunkedBody(self._limits)
        else:
            self._body, self._owed = UNTIL_CLOSE, ENDLESS
        self._reusable = reusable and not closes_proxy(head)
        if not self._answered:
            self._again = learn(self._session, head, self._value)

    def _receive_body(self, body: Body, source: Source) -> bool | None:
        """Take the body of a refusal: True at its end, False if the rest is not needed."""
        assert self._refusal is not None
        following: int | None = None
        while self._owed or (following := body.next(source)):
            self._owed = self._owed or following or 0
            count = min(self._owed, source.end - source.begin)
            if count == 0:
                return None
            self._refusal.body += bytes(source.data[source.begin : source.begin + count])
            source.begin += count
            self._owed -= count
            if len(self._refusal.body) >= MAX_REFUSAL_BODY:
                self._refusal.body = self._refusal.body[:MAX_REFUSAL_BODY]
                return False
        return True if following == 0 else None

    def _end_refusal(self, failure: ConnectionClosed | None = None) -> None:
        """Repeat the request if there are new credentials; otherwise raise the refusal."""
        assert self._refusal is not None
        if not self._again:
            raise self._refusal from failure
        self._answered = True
        self._begin()


def _retry_after(fields: bytes) -> str | None:
    """Return the value of Retry-After (RFC 9110 section 10.2.3); None if there is not just one."""
    values = _find_retry_after(fields)
    return values[0].strip(b" \t").decode("latin-1") if len(values) == 1 else None
