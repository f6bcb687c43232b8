"""The heads of requests and responses as text, for ``-i``, ``-I`` and ``-v``.

With ``-v`` the requests are shown as they go to the server, after redirects, authentication and
cookies; secrets in them are masked.

Not here: escaping control characters, which is done by what writes to a terminal (standard.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..client.dispatcher import Dispatcher
from ..client.request import ClientRequest
from ..client.response import Response
from ..http.redaction import mask_fields, mask_target
from ..polling.contract import Co


def head_of(response: Response) -> bytes:
    """Return status line and fields of *response* as they are sent, with the empty line."""
    status = f"HTTP/{response.http_version} {response.status_code} {response.reason_phrase}"
    lines = [status, *(f"{name}: {value}" for name, value in response.headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1", "replace")


class Verbose:
    """A dispatcher that reports what another one sends and receives.

    Args:
        dispatcher: the other one.
        report: called with lines without ends, which may have control characters.

    """

    def __init__(self, dispatcher: Dispatcher, report: Callable[[list[str]], object]) -> None:
        self._dispatcher = dispatcher
        self._report = report

    def co_dispatch(self, request: ClientRequest) -> Co[Response]:
        """Do what the other one does; see `Dispatcher`."""
        url = request.url
        fields = request.headers.wire_items()
        if "host" not in request.headers:
            fields.insert(0, ("Host", url.origin.host_field))
        if request.body is not None:
            fields.append(_framing(request.body))
        self._report([f"> {request.method} {mask_target(url.target)}", *_shown(">", fields), ">"])
        response = yield from self._dispatcher.co_dispatch(request)
        lines = [*_connection(response)]
        for each in response.informational:
            lines += [f"< HTTP/{each.http_version} {each.status} {each.reason}".rstrip()]
            lines += [*_shown("<", each.pairs()), "<"]
        status = f"< HTTP/{response.http_version} {response.status_code} {response.reason_phrase}"
        lines += [status.rstrip(), *_shown("<", response.headers.items()), "<"]
        self._report(lines)
        return response

    def co_close(self) -> Co[None]:
        """Close the other one."""
        yield from self._dispatcher.co_close()


def _framing(body: object) -> tuple[str, str]:
    """Return the field that says where *body* ends (RFC 9112 section 6)."""
    length = len(body) if isinstance(body, bytes) else getattr(body, "length", None)
    return ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))


def _shown(mark: str, fields: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{mark} {name}: {value}" for name, value in mask_fields(fields)]


def _connection(response: Response) -> list[str]:
    """Return a line about the connection of *response*, or none."""
    connection = response.connection
    if connection is None:
        return []
    address = connection.get_extra_info("server_addr")
    version = connection.tls_version
    where = f"{address[0]} port {address[1]}" if isinstance(address, tuple) else "the server"
    return [f"* connected to {where}" + (f", {version}" if version else "")]
