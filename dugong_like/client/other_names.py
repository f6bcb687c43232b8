"""Names of other libraries, and what stands here in their place, for errors that say so.

Not here: their names of arguments (client.py, request_building.py and others), which are refused
where they are given; :doc:`/coming_from` has all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

OF_RESPONSE: Final = {
    "apparent_encoding": "encoding; default_encoding of the client may be a function that guesses",
    "body": "content",
    "charset_encoding": "encoding",
    "code": "status_code",
    "content_type": "headers['Content-Type']",
    "data": "content",
    "getheader": "headers.get()",
    "geturl": "url",
    "is_permanent_redirect": "status_code, which is 301 or 308 then",
    "is_stream_consumed": "is_closed",
    "iter_any": "aiter_bytes()",
    "iter_chunked": "aiter_bytes()",
    "iter_content": "iter_bytes()",
    "method": "request.method",
    "protocol": "http_version",
    "real_url": "url",
    "release": "close()",
    "release_conn": "close(); after the whole body nothing needs to be released",
    "status": "status_code",
    "stream": "iter_bytes(), or iter_raw() for what was sent",
    "version": "http_version",
}
OF_REQUEST: Final = {
    "content": "body",
    "data": "body",
    "full_url": "url",
    "get_full_url": "url",
    "get_method": "method",
    "has_header": "headers, with 'in'",
    "host": "url.host",
    "params": "url.params",
    "path_url": "url.full_path",
    "real_url": "url",
}
OF_CLIENT: Final = {
    "adapters": "dispatcher",
    "build_url": "build_request().url",
    "connection_pools": "stats()",
    "event_hooks": "bind_event()",
    "get_adapter": "dispatcher",
    "mount": "the argument mounts of the client",
    "prepare_request": "build_request()",
    "send_request": "send()",
    "ws_connect": "websocket()",
}
OF_BLOCKING_CLIENT: Final = {**OF_CLIENT, "aclose": "close()"}
OF_PACKAGE: Final = {
    "ASGITransport": "ASGIDispatcher",
    "AsyncHTTPTransport": "Pool; most of its arguments are those of Client",
    "ClientError": "DugongError",
    "ClientSession": "AsyncClient",
    "ClientTimeout": "Timeouts",
    "ConnectError": "ConnectFailed",
    "ConnectTimeout": "ConnectionTimedOut",
    "ConnectionError": "TransportError",
    "HTTPAdapter": "Pool; most of its arguments are those of Client",
    "HTTPBasicAuth": "BasicAuth",
    "HTTPDigestAuth": "DigestAuth",
    "HTTPError": "DugongError, or StatusError for statuses of 400 and above",
    "HTTPStatusError": "StatusError",
    "HTTPTransport": "Pool; most of its arguments are those of Client",
    "HttpClient": "Client",
    "InvalidURL": "InvalidRequest",
    "MockTransport": "MockDispatcher",
    "PoolLimits": "Limits",
    "PoolManager": "Client",
    "PoolTimeout": "PoolTimedOut",
    "ReadTimeout": "ConnectionTimedOut",
    "RequestError": "DugongError",
    "RequestException": "DugongError",
    "Session": "Client",
    "TCPConnector": "Limits, and arguments of AsyncClient",
    "Timeout": "Timeouts",
    "TimeoutConfig": "Timeouts",
    "TimeoutException": "ConnectionTimedOut",
    "WSGITransport": "WSGIDispatcher",
    "codes": "http.HTTPStatus, of the standard library",
    "exceptions": "DugongError and those below it, all in dugong_like",
    "session": "Client",
}


def no_attribute(owner: object, what: str, name: str, same: Mapping[str, str]) -> AttributeError:
    """Return the error for an attribute that there is not.

    Args:
        owner: the object.
        what: what it is, for the message.
        name: the name that was looked for.
        same: what other libraries call something, and what it is called here.

    """
    hint = f": here it is {same[name]}" if name in same else ""
    return AttributeError(f"{what} has no attribute {name!r}{hint}", name=name, obj=owner)


def unknown_argument(name: str, known: Iterable[str], same: Mapping[str, str]) -> TypeError:
    """Return the error for an argument *name*, which is none of *known*; see `no_attribute`."""
    if name in same:
        known_as, _, reason = same[name].partition("nothing: ")
        if reason:
            return TypeError(f"there is no argument {name!r}, as {reason}")
        return TypeError(f"there is no argument {name!r}: it is called {known_as}")
    return TypeError(f"there is no argument {name!r}; there are {', '.join(sorted(known))}")
