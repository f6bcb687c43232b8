"""Common parts of WSGI and ASGI: a request as a server sees it, and the length of a response.

Not here: the two interfaces (wsgi.py, asgi.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...errors import ConnectionClosed
from ...http.percent import decode
from ...http.redaction import quoted
from ...http.request import BodyFollowing, as_piece, is_whole
from ...polling.contract import Co

if TYPE_CHECKING:
    from ..request import ClientRequest

FAILED: Final = 500  # Internal Server Error
FAILED_BODY: Final = b"Internal Server Error"
BROKEN_OFF: Final = "the application has ended before its response was complete"
CLIENT: Final = ("127.0.0.1", 123)  # host and port, of nobody
NO_CONTENT: Final = frozenset({204, 304})


def check_client(client: object) -> tuple[str, int]:
    """Return *client*, an argument of that name: host and port.

    Raises:
        TypeError: it is no such pair.

    """
    if not isinstance(client, tuple | list) or len(client) != 2:  # noqa: PLR2004 - as said
        raise TypeError(f"client is a pair of host and port, not {quoted(client)}")
    return client[0], client[1]


class RequestBody:
    """The body of a request, in pieces.

    Args:
        request: its body is read from its beginning.

    Raises:
        TypeError: the body is written in later calls.
        StateError: it has been read, and cannot be read again.

    Attributes:
        length: number of bytes; None if it is unknown.
        whole: the body, if it is in memory; None if it is a stream.

    """

    def __init__(self, request: ClientRequest) -> None:
        body: Any = request.body
        self.whole: bytes | None = None
        self.length: int | None
        if isinstance(body, BodyFollowing):
            raise TypeError("an application takes a request with its body, not BodyFollowing")
        if body is None or is_whole(body):
            self.whole = b"" if body is None else bytes(as_piece(body))
            self.length = len(self.whole)
        else:
            self._source = request.source()
            self.length = self._source.begin()

    def co_next(self) -> Co[bytes]:
        """Return the next bytes; ``b""`` at the end."""
        if self.whole is not None:
            whole, self.whole = self.whole, b""
            return whole
        return bytes((yield from self._source.co_next()))


def request_fields(request: ClientRequest, length: int | None) -> list[tuple[str, str]]:
    """Return the fields of *request* as they are received, with Host and those of the framing.

    Args:
        request: the request.
        length: bytes of its body; None if it is unknown.

    """
    fields = request.headers.wire_items()
    names = {name.lower() for name, _ in fields}
    if "host" not in names:
        fields.insert(0, ("Host", request.url.origin.host_field))
    if length is None:
        fields.append(("Transfer-Encoding", "chunked"))
    elif request.body is not None:
        fields.append(("Content-Length", str(length)))
    return fields


def path_of(request: ClientRequest) -> bytes:
    """Return the path of *request*, percent-decoded."""
    return decode(request.url.path)


class BodyLength:
    """Counts the bytes of a response, as the framing of HTTP does.

    Args:
        request: the request.
        status: status code of the response.
        fields: its header fields.

    Attributes:
        is_without_body: True if there is none, whatever the application sends (RFC 9110 6.4.1).

    """

    def __init__(self, request: ClientRequest, status: int, fields: list[tuple[str, str]]) -> None:
        self.is_without_body = request.method == "HEAD" or status in NO_CONTENT
        lengths = [value for name, value in fields if name.lower() == "content-length"]
        is_counted = lengths and not self.is_without_body and lengths[0].isdecimal()
        self._left = int(lengths[0]) if is_counted else None

    def cut(self, piece: bytes) -> bytes:
        """Return what a server sends of *piece*: no more than Content-Length says."""
        if self.is_without_body:
            return b""
        if self._left is not None:
            piece = piece[: self._left]
            self._left -= len(piece)
        return piece

    def check_end(self) -> None:
        """Check that the body is complete.

        Raises:
            ConnectionClosed: it is shorter than Content-Length says.

        """
        if self._left:
            raise ConnectionClosed(
                f"the application has sent {self._left} bytes less than its Content-Length says",
                request_sent="yes",
            )
