"""CONNECT: a tunnel through an HTTP proxy (RFC 9110 section 9.3.6).

Not here: forwarding without a tunnel, which only takes a target in absolute-form
(operations.py), and TLS inside the tunnel (connect.py).
"""

from __future__ import annotations

from typing import Final

from ..errors import (
    MAX_REFUSAL_BODY,
    ConnectionClosed,
    InvalidResponse,
    TunnelRefused,
)
from ..http1.body import ENDLESS, SIZED, UNTIL_CLOSE, Body, Source
from ..http1.chunked import ChunkedBody
from ..http1.framing import Kind, frame
from ..http1.head import Head, Section, parse_head
from ..http1.limits import Limits
from ..http1.request import encode_fields

OK: Final = range(200, 300)
INFORMATIONAL: Final = range(100, 200)


class Tunnel:
    """The conversation with the proxy.

    Send `request`, then call `receive` whenever bytes have arrived, until it returns
    True.

    Args:
        authority: host and port of the server, ``host:port``.
        limits: how long the answer may be.

    """

    def __init__(self, authority: str, limits: Limits) -> None:
        self.request = (
            f"CONNECT {authority} HTTP/1.1\r\n".encode("ascii")
            + encode_fields({"Host": authority})
            + b"\r\n"
        )
        self._authority = authority
        self._limits = limits
        self._section = Section(limits, status=True)
        self._informational = 0
        self._refusal: TunnelRefused | None = None
        self._body: Body | None = None
        self._owed = 0  # bytes of it that come next, in front of further framing

    def receive(self, source: Source) -> bool:
        """Take what has arrived; True says that the tunnel is open.

        Raises:
            TunnelRefused: the answer was not 2xx, and has arrived as a whole.
            InvalidResponse: the answer is not HTTP, or bytes came behind it.

        """
        while self._body is None:
            stop = self._section.find_end(source.data, source.begin, source.end)
            if stop < 0:
                return False
            head = parse_head(source.data, self._limits.fields, source.begin, stop)
            source.begin = stop
            if head.status in OK:
                if source.begin < source.end:
                    raise InvalidResponse("the proxy sent bytes before the tunnel was used")
                return True
            self._note(head)
        self._receive_body(self._body, source)
        return False

    def end_of_stream(self) -> None:
        """Note that the proxy has closed the connection.

        Raises:
            TunnelRefused: the answer was not 2xx.
            ConnectionClosed: there was no answer.

        """
        if self._refusal is not None:
            raise self._refusal
        raise ConnectionClosed("the proxy closed the connection instead of opening a tunnel")

    def _note(self, head: Head) -> None:
        if head.status in INFORMATIONAL and head.status != 101:  # noqa: PLR2004
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
        )
        framing = frame("CONNECT", head)
        if framing.kind is Kind.NONE:
            raise self._refusal
        if framing.kind is Kind.SIZED and framing.length is not None:
            self._body, self._owed = SIZED, framing.length
        elif framing.kind is Kind.CHUNKED:
            self._body = ChunkedBody(self._limits)
        else:
            self._body, self._owed = UNTIL_CLOSE, ENDLESS

    def _receive_body(self, body: Body, source: Source) -> None:
        assert self._refusal is not None
        following: int | None = None
        try:
            while self._owed or (following := body.next(source)):
                self._owed = self._owed or following or 0
                count = min(self._owed, source.end - source.begin)
                if count == 0:
                    return
                self._refusal.body += bytes(source.data[source.begin : source.begin + count])
                source.begin += count
                self._owed -= count
                if len(self._refusal.body) >= MAX_REFUSAL_BODY:
                    self._refusal.body = self._refusal.body[:MAX_REFUSAL_BODY]
                    raise self._refusal
        except InvalidResponse as exc:
            raise self._refusal from exc  # that it is refused is what matters
        if following == 0:
            raise self._refusal
