"""Requests to URLs: what a `Client` builds, its layers may change, and a dispatcher sends.

Not here: how it is built from arguments (request_building.py), and requests of a connection, which
have a target instead of a URL (http/request.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from ..http.header_validation import FieldLines
from ..http.headers import Fields, Headers
from ..http.redaction import quoted
from ..http.request import Request, Source, is_whole
from ..http.url import URL
from ..polling.contract import Co
from .other_names import OF_REQUEST, no_attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..http.auth.flow import Auth
    from ..polling.timeouts import Timeouts
    from .closing import Closing
    from .connection_settings import ConnectionSettings


OF_LAYERS: Final = frozenset({"retry", "websocket"})  # keys of `extensions`


class EventFunctions(Protocol):
    """The functions that are called on events of a request: `Hooks`."""

    def has(self, *names: str) -> bool:
        """Return True if there is a function for one of the events."""
        ...

    def call(
        self, name: str, request: Any, response: Any = None, exc: BaseException | None = None
    ) -> None:
        """Call the functions of the event *name* where nothing can be waited for."""
        ...

    def co_call(
        self,
        name: str,
        request: Any,
        response: Any = None,
        data: object = None,
        exc: BaseException | None = None,
    ) -> Co[None]:
        """Call the functions of the event *name*."""
        ...


class PreparedFields:
    """Fields that many requests have, checked once.

    Args:
        fields: the fields; they are copied.

    Raises:
        InvalidRequest: see `FieldLines`.

    Attributes:
        pairs: names and values.
        lines: the same, checked and serialised.

    """

    __slots__ = ("lines", "pairs")

    def __init__(self, fields: Headers) -> None:
        self.pairs = fields.wire_items()
        self.lines = FieldLines(fields)


class Hold(Protocol):
    """A connection for several requests: `HeldConnection`."""

    def over(self, pool: Any) -> Any:
        """Return what takes the connection from here, and the first one from *pool*."""
        ...


class ClientRequest(Request):
    """A request to a URL, with what a `Client` has to know to send it.

    Args:
        method: request method.
        url: the `URL`, or its text.
        headers: see `Request`.
        body: see `Request`.

    Raises:
        InvalidRequest: *url* is no URL.
        TypeError: an argument has the wrong type.

    Attributes:
        url: the `URL`; may be changed until the request is sent. `target` is its text.
        stream: True if the body of the response is left to be read by the caller. Otherwise a
            dispatcher may read it at once.
        bounded: True if the body of the response must not be read without looking at its size.
        timeouts: time limits; None for those of the connection.
        total: seconds for the whole request, from sending it to the end of the body, or None.
        deadline: seconds of `time.monotonic` when these have passed; None before it is sent.
        follow_redirects: True if redirects are followed.
        auth: what authenticates it, or None.
        cookies: names and values that are sent in addition to those of the client.
        hooks: functions that are called on events; None for none.
        expect100: True to wait for 100 (Continue) before the body.
        prepared: fields that the request was built with, and the same checked and serialised.
        attempts: how often it was sent, by redirects, authentication and retries.
        repetitions: how often a `Retry` has had it sent again since it was sent last by the caller.
        connecting: settings of the connection that it is sent by; None for those of the client.
        decompress: True or False to have the body of the response decoded or left as it is sent;
            None for what the client does.
        held: keeps one connection for several requests, a `HeldConnection`; None for none.
        alone: True if it is sent by a connection that nobody else uses meanwhile, as it is one of
            several parts of the same thing, which shall not share the speed of one connection.
        misdirected: True if it was sent by an HTTP/2 connection whose server answered 421.
        closing: says when the client that sends it, or will, is closed; None before one is known,
            and while it has nothing to wait for, as it is plain (see `is_plain`).
        extensions: anything that layers of your own want to know.

    """

    stream = False
    bounded = False
    timeouts: Timeouts | None = None
    total: float | None = None
    deadline: float | None = None
    follow_redirects = False
    auth: Auth | None = None
    cookies: Mapping[str, str] | None = None
    hooks: EventFunctions | None = None
    expect100 = False
    prepared: PreparedFields | None = None
    attempts = 0
    repetitions = 0
    connecting: ConnectionSettings | None = None
    decompress: bool | None = None
    held: Hold | None = None
    alone = False
    misdirected = False
    closing: Closing | None = None

    url: URL
    body: Any = None
    _headers: Headers | None = None  # None: those of `prepared`, which nobody has looked at
    _source: Source | None = None

    def __init__(
        self, method: str, url: URL | str, headers: Fields | None = None, body: Any = None
    ) -> None:
        if not isinstance(url, URL | str):
            raise TypeError(f"url is a URL or its text, not {quoted(url)}")
        self.extensions: dict[str, Any] = {}
        super().__init__(method, str(url), headers, body)

    @property
    def headers(self) -> Headers:
        """The fields; a copy of those in `prepared` is made when they are first looked at.

        They may be set, to `Headers`, which are not copied.
        """
        headers = self._headers
        if headers is None:
            pairs = [] if self.prepared is None else self.prepared.pairs.copy()
            headers = self._headers = Headers.of(pairs)
        return headers

    @headers.setter
    def headers(self, headers: Headers) -> None:
        """Set the fields to *headers*, which are not copied."""
        self._headers = headers

    if not TYPE_CHECKING:  # a type checker knows all names

        def __getattr__(self, name: str) -> Any:
            raise no_attribute(self, "a ClientRequest", name, OF_REQUEST)

    def is_plain(self) -> bool:
        """Return True if one exchange on a connection may be all that it needs.

        So it is without authentication, cookies of its own, retries or events, with the connections
        and the decoding of the client, and with both bodies taken as a whole. The total time limit
        is up to the caller.
        """
        return not (
            self.stream
            or self.auth is not None
            or self.hooks is not None
            or self.cookies
            or self.expect100
            or self.bounded
            or self.held is not None
            or self.connecting is not None
            or self.decompress is not None
            or (self.extensions and not OF_LAYERS.isdisjoint(self.extensions))
        ) and (self.body is None or is_whole(self.body))

    def fields(self) -> Any:
        """Return the fields to send: the lines of `prepared`, if the fields still are those."""
        headers, prepared = self._headers, self.prepared
        if prepared is not None and (headers is None or headers.has_pairs(prepared.pairs)):
            return prepared.lines
        return self.headers

    @property
    def target(self) -> str:
        """The request target in absolute form (RFC 9112 section 3.2.2): the text of `url`.

        Setting it sets `url`, which raises InvalidRequest if it is no URL.
        """
        return str(self.url)

    @target.setter
    def target(self, text: str) -> None:
        """Set `url` to that of *text*. Raises InvalidRequest if it is none."""
        self.url = URL(text)

    def copy(self) -> ClientRequest:
        """Return a request with the same URL, body and options, and fields of its own."""
        return self.redirected(self.url, self.method, self.headers.copy())

    def redirected(
        self, url: URL, method: str, headers: Headers, *, with_body: bool = True
    ) -> ClientRequest:
        """Return a request with the options of this one for another URL.

        The body is sent from where it first began.

        Args:
            url: where it leads.
            method: its request method.
            headers: its fields, which are not copied.
            with_body: False to leave the body out.

        """
        request = ClientRequest.__new__(type(self))
        request.__dict__.update(self.__dict__)
        request.url = url
        request.method = method
        request.headers = headers
        request.extensions = dict(self.extensions)
        if not with_body:
            request.body = None
        elif self.body is not None:
            request.take_body(self)
        return request
