"""`Client`: requests to URLs, blocking and as operations.

A client is options and layers above a dispatcher, which is a `Pool` unless another is given. Once
for each request there are the total time limit, the events, and redirects; each request of these
passes the other layers (chain.py). Most need no layer, and go directly to a connection (direct.py).

Not here: building requests (request_building.py), reading responses (response.py), the layers
(layers/), and coroutines (async_client.py).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeGuard, TypeVar, Unpack
from weakref import ref

from ..errors import DeadlineExceeded, DugongError, InvalidOption, StateError
from ..http.auth.option import AuthOption, as_auth
from ..http.redaction import mask_target, quoted
from ..http.url import as_origin
from ..http.version import VERSION
from ..polling.contract import Co, run, within
from ..polling.timeouts import Timeouts, how_given
from ..polling.twin_documentation import twin_of
from .arguments import check_client_arguments, check_retry, given_arguments
from .chain import Chain
from .closing import Closing, closed
from .decoding import ReadingOptions
from .events import HookFunctions, Hooks
from .layers.events import events
from .layers.redirects import Redirects
from .other_names import OF_BLOCKING_CLIENT, OF_CLIENT, no_attribute
from .pool_limits import DEFAULT_TIMEOUTS, HTTP_2_OR_1, Limits
from .request_building import RequestBuilder, RequestOptions, split_timeout, unknown_option
from .response import Response
from .response_context import ResponseContext

if TYPE_CHECKING:
    import os
    from ssl import SSLContext
    from types import ModuleType
    from typing import BinaryIO

    from ..connection.websocket import WebSocket
    from ..connection.websocket_handler import WebSocketHandler
    from ..drivers.detect import Runner, Wait
    from ..http.auth.flow import Auth
    from ..http.cookies import Cookies
    from ..http.h2.options import H2Options
    from ..http.headers import Fields, Headers
    from ..http.query import Params
    from ..http.url import URL, Origin
    from ..transport.connect.resolvers import Resolver
    from ..transport.connect.socket_options import SocketOptions
    from ..transport.proxy.proxy import Proxy
    from .bulk.map_results import MapResults
    from .bulk.options import MapOptions
    from .bulk.results import MapItem, MapProgress
    from .bulk.source import MapRequest
    from .direct import DirectDispatch
    from .dispatcher import Dispatcher, Layer
    from .event_source import EventSource, SSEOptions
    from .layers.guard import Guard
    from .layers.rate import RequestRate
    from .layers.retry import Retry
    from .pickling import ClientState
    from .pool import Pool
    from .request import ClientRequest
    from .sync.options import SyncOptions
    from .sync.remote import Remote
    from .sync.results import SyncResult
    from .transfers.options import DownloadOptions, UploadOptions
    from .transfers.results import DownloadResult, UploadResult
    from .websocket import OpeningOptions

T = TypeVar("T")

MAX_REDIRECTS: Final = 20  # as browsers
# Status code. The body of a redirect, of a challenge or of an error that is retried is dropped: the
# layers decide how much of it is read.
WHOLE_BELOW: Final = 300
SAME: Final = {
    "allow_redirects": "follow_redirects",
    "app": "dispatcher=ASGIDispatcher(app), or WSGIDispatcher(app)",
    "auth_flow": "auth",
    "dispatch": "dispatcher",
    "event_hooks": "hooks",
    "http1": "versions",
    "max_retries": "retry=Retry(total=…)",
    "max_workers": "limits=Limits(max_connections=…)",
    "pool_limits": "limits",
    "pool_size": "limits=Limits(max_per_origin=…)",
    "pool_connections": "limits=Limits(max_keepalive=…)",
    "pool_maxsize": "limits=Limits(max_per_origin=…)",
    "proxies": "proxy",
    "query_params": "params",
    "retries": "retry=Retry(total=…)",
    "source_address": "local_address",
    "ssl": "ssl_context",
    "transport": "dispatcher",
    "max_response_size": "max_body",
}  # what other libraries call an argument


class Client:
    """Sends requests to URLs, over connections that it keeps.

    Any number of threads and event loops may share one. Each operation exists twice: ``co_x``
    returns an operation, ``x`` blocks; see `AsyncClient` for coroutines. A context manager:
    leaving it closes the connections.

    Args:
        base_url: URL that relative ones are appended to. User and password in it authenticate
            requests to its origin, unless there is *auth*.
        headers: fields of each request; a value None removes a default one.
        params: parameters that are added to the query of each request.
        cookies: `Cookies`, which are used and not copied; or names and values, which go to the
            origin of *base_url* only.
        auth: what authenticates each request: a pair of user and password, `BasicAuth`,
            `DigestAuth`, `BearerAuth` and others, or any object with ``auth_flow``.
        timeout: seconds without progress, or `Timeouts`. `Timeouts.total` covers a request with
            its redirects, retries and body. By default there is no total limit; 10 s to connect,
            30 s to wait for a connection, 300 s for the head of a response, and 60 s without
            progress.
        follow_redirects: True to follow redirects, except those of HEAD.
        max_redirects: number of redirects of one request.
        keep_fields: names of request fields that are sent to other origins after a redirect, in
            addition to those that are safe: see `Redirects`.
        insecure_redirects: True to follow redirects from https to http.
        retry: a `Retry`; None to repeat nothing but requests that a kept connection has lost, if
            the server has not processed them, or may safely do so twice.
        limits: `Limits` of the connections.
        ssl_context: for https; it replaces *verify* and *cert*.
        verify: True to check certificates against the usual authorities, or the path of a file or
            folder of others; False to check nothing, which lets anybody read and change what is
            sent.
        cert: client certificate: the path of a file, or a tuple of certificate, key, and perhaps
            the password of the key.
        proxy: a `Proxy`, its URL, or a mapping such as ``{"https://": …, "all://": …}``.
        trust_env: True to use the proxies of the environment (``https_proxy`` and others).
        store_cookies: True to keep the cookies that servers set.
        decompress: True to ask for compressed responses, and to decompress them.
        max_body: bytes of a decoded body at most; None for any number.
        default_encoding: of text whose server says none: a name, or a function of the bytes.
        raise_for_status: True to raise `StatusError` for each 4xx and 5xx.
        json: what writes and reads JSON: a module or object with ``dumps`` and ``loads``; None for
            the module of the standard library.
        hooks: functions that are called on events; see `Hooks`.
        layers: generator functions between requests and responses; see `Layer`.
        guard: which addresses may be connected to, such as `PublicOnly`: a function of host and
            address (of `ipaddress`) that returns True if they may. Proxies are not used then.
        rate: a `RequestRate`.
        resolver: see `HTTPConnection`.
        local_address: address, or address and port, to connect from.
        uds: path of a unix domain socket for all connections.
        versions: what may be spoken. By default HTTP/2 with https, where the server chooses it, so
            that one connection serves many requests at the same time, and else HTTP/1.1;
            ``("http/1.1",)`` for nothing else; see :doc:`/http2` and `HTTPConnection`.
        http2: `H2Options`.
        socket_options: `SocketOptions`.
        dispatcher: answers the requests instead of a `Pool`, for example a `MockDispatcher`.
        mounts: dispatchers for some URLs, by their beginning such as ``"https://example.org"``,
            ``"http://"`` or ``"all://*.example.org"``. The longest one that fits is used.

    Raises:
        InvalidOption, InvalidRequest, ValueError: an argument has an invalid value.
        TypeError: an argument has the wrong type, or there is no such argument.

    """

    def __init__(  # noqa: PLR0913 - each is documented above
        self,
        *,
        base_url: URL | str | None = None,
        headers: Fields | Mapping[str, str | None] | None = None,
        params: Params | None = None,
        cookies: Cookies | Mapping[str, str] | None = None,
        auth: AuthOption | None = None,
        timeout: float | Timeouts | None = DEFAULT_TIMEOUTS,
        follow_redirects: bool = True,
        max_redirects: int = MAX_REDIRECTS,
        keep_fields: Iterable[str] = (),
        insecure_redirects: bool = False,
        retry: Retry | None = None,
        limits: Limits | None = None,
        ssl_context: SSLContext | None = None,
        verify: bool | str | os.PathLike[str] = True,
        cert: Any = None,
        proxy: Proxy | str | Mapping[str, Proxy | str | None] | None = None,
        trust_env: bool = True,
        store_cookies: bool = True,
        decompress: bool = True,
        max_body: int | None = None,
        default_encoding: str | Callable[[bytes], str | None] = "utf-8",
        raise_for_status: bool = False,
        json: ModuleType | Any | None = None,
        hooks: HookFunctions | None = None,
        layers: Sequence[Layer] = (),
        guard: Guard | None = None,
        rate: RequestRate | None = None,
        resolver: Resolver | None = None,
        local_address: str | tuple[str, int] | None = None,
        uds: str | os.PathLike[str] | None = None,
        versions: Sequence[str] = HTTP_2_OR_1,
        http2: H2Options | None = None,
        socket_options: SocketOptions | None = None,
        dispatcher: Dispatcher | None = None,
        mounts: Mapping[str, Dispatcher] | None = None,
        **unknown: Any,
    ) -> None:
        for name in unknown:
            raise unknown_option(name, Client.__init__.__kwdefaults__ or (), SAME)
        arguments = locals()
        check_client_arguments(arguments)
        self._given = given_arguments(arguments, Client.__init__.__kwdefaults__ or {})
        self._timeouts, self._total = split_timeout(timeout)
        self._builder = RequestBuilder(
            base_url,
            headers,
            params,
            default_fields(decompress),
            None if json is None else json.dumps,
        )
        loads = None if json is None else json.loads
        self._reading, self._other_reading = (
            ReadingOptions(decodes, max_body, default_encoding, loads)
            for decodes in (bool(decompress), not decompress)
        )
        self._hooks = Hooks(hooks)
        self._auth = as_auth(auth) or self._auth_of_base()
        self._follow_redirects = bool(follow_redirects)
        self._raise_for_status = bool(raise_for_status)
        self._redirects = Redirects(max_redirects, keep_fields, insecure=insecure_redirects)
        self._cookies = self._cookies_of(cookies)
        self._retry = retry
        if dispatcher is None:
            dispatcher = _pool(
                limits,
                guard,
                ssl_context=ssl_context,
                verify=verify,
                cert=cert,
                proxy=proxy,
                trust_env=trust_env,
                timeout=self._timeouts,
                resolver=resolver,
                uds=uds,
                versions=versions,
                http2=http2,
                socket_options=_with_address(socket_options, local_address),
            )
        if mounts:
            from .mounts import Mounts  # noqa: PLC0415 - for those who use them
        self._chain = Chain(
            dispatcher,
            self._cookies,
            self._reading_of,
            stores_cookies=bool(store_cookies),
            layers=layers,
            retry=retry,
            rate=rate,
            guard=guard,
            mounts=Mounts(mounts) if mounts else None,
        )
        self._is_closed = False
        self._closing = Closing()
        self._sources: set[ref[EventSource]] = set()  # those that may wait for events
        self._direct = None if retry is not None else self._direct_dispatch()

    def _direct_dispatch(self) -> DirectDispatch | None:
        """Return what sends most requests of this client directly; None if they need layers.

        With retries that is for `map` only, where each response is looked at before it is taken.
        """
        pool = self._chain.dispatcher
        if (
            not self._chain.is_short
            or self._hooks
            or self._auth is not None
            or self._total is not None
            or self._reading.max_body is not None
            or type(self).co_send is not Client.co_send  # a subclass has a layer of its own
            or not _is_pool(pool)
        ):
            return None
        from .direct import DirectDispatch  # noqa: PLC0415 - not needed with a dispatcher

        return DirectDispatch(
            pool,
            self._cookies,
            stores_cookies=self._chain.stores_cookies,
            reading=self._reading,
            raises=self._raise_for_status,
            retry=self._retry,
        )

    # ---- settings that may be looked at

    @property
    def headers(self) -> Headers:
        """The fields of each request, which may be changed."""
        return self._builder.headers

    @property
    def base_url(self) -> URL | None:
        """The URL that relative ones are appended to, or None."""
        return self._builder.base_url

    @property
    def cookies(self) -> Cookies:
        """The cookies of this client, which may be changed."""
        return self._cookies

    @property
    def dispatcher(self) -> Dispatcher:
        """The dispatcher of the requests: the `Pool`, unless another was given."""
        return self._chain.dispatcher

    @property
    def is_closed(self) -> bool:
        """True after `close`."""
        return self._is_closed

    def bind_event(self, name: str, function: Callable[..., Any]) -> None:
        """Call *function* on each event *name*, for all requests from now on; see `Hooks`.

        Raises:
            InvalidOption: there is no such event.
            TypeError: *function* is not callable.

        """
        self._hooks.bind(name, function)
        self._direct = None

    # ---- requests

    def build_request(
        self, method: str, url: URL | str, **options: Unpack[RequestOptions]
    ) -> ClientRequest:
        """Return a request with the settings of this client, to be sent by `send`.

        Args:
            method: request method.
            url: a `URL` or its text, relative if there is a `base_url`.
            options:
                *params*, added to the query: a mapping, pairs, or a string.
                *headers*, in place of those of the client of the same name; None removes one.
                *cookies*, names and values for this request only.
                *content*, the body as it is sent: bytes, str (as UTF-8), a binary file, an
                iterable of bytes, with `AsyncClient` an asynchronous one.
                *data*, a form: a mapping or pairs; or what *content* takes.
                *json*, a value; *files*, for a form with files, a mapping or pairs.
                *auth*, instead of that of the client; None for none.
                *timeout*, as for the client.
                *follow_redirects*, *retry*, *stream*, *hooks*: for this request.
                *expect100*, True to ask the server before the body is sent.
                *decompress*, False to have the body of the response as it is sent, and not to
                ask for a compressed one; True for the opposite.
                *verify*, *cert*, *ssl_context*, *proxy*, as for the client, whose settings they
                replace; *http_version*, ``"1.0"`` or ``"1.1"``; *server_hostname*, the name that
                the certificate has to have. Such a request has connections of its own. *proxy* of
                None is none, not even that of the environment. After a redirect to another origin
                *cert*, *ssl_context* and *server_hostname* do not hold.
                *compress*, ``"gzip"``, ``"deflate"``, ``"br"`` or ``"zstd"`` for the body.
                *progress*, called with the bytes of the body that were sent, and with all.
                *extensions*, for layers of your own.

        Raises:
            InvalidRequest: *url* or another part of the request is invalid.
            InvalidOption: there are two bodies, or an option has an invalid value.
            TypeError: an argument has the wrong type, or there is no such argument.

        """
        request = self._builder.build(method, url, options)
        request.timeouts = self._timeouts
        request.follow_redirects = self._follow_redirects and request.method != "HEAD"
        if options or self._direct is None:
            self._apply(request, options)
        return request

    def _apply(self, request: ClientRequest, options: RequestOptions) -> None:
        """Give *request* what it has from the client, unless its own *options* say otherwise."""
        request.closing = self._closing
        total = self._total
        if "timeout" in options:
            request.timeouts, total = split_timeout(options["timeout"])
        request.total = total
        if "follow_redirects" in options:
            request.follow_redirects = bool(options["follow_redirects"])
        if "auth" in options:
            request.auth = as_auth(options["auth"])
        elif self._auth is not None and request.auth is None:
            request.auth = self._auth
        hooks = options.get("hooks")
        if self._hooks:
            request.hooks = self._hooks.joined(hooks)
        elif hooks is not None:
            request.hooks = Hooks(hooks)
        if "retry" in options:
            check_retry(options["retry"])
            request.extensions["retry"] = options["retry"]

    def co_send(self, request: ClientRequest, *, stream: bool | None = None) -> Co[Response]:
        """Send a request of `build_request` and return its response.

        Args:
            request: it may be changed before, and sent several times if its body can be.
            stream: True to leave the body of the response to the caller, who has to read or close
                it; False to read it. None for what `build_request` was told.

        Raises:
            TooManyRedirects, RedirectRefused: see there; the last response is in the exception.
            StatusError: the client was told to raise it.
            DeadlineExceeded: the total time has passed.
            StateError: the client is closed.
            DugongError: see `HTTPConnection.exchange`; `DugongError.request_sent` says if the
                request may be repeated.

        """
        if stream is not None:
            request.stream = stream
        if self._is_closed:
            raise closed(request)
        if request.timeouts is None:  # it was not built by a client
            request.timeouts = self._timeouts
        if self._reading.max_body is not None:
            request.bounded = True
        if request.total is None:
            return self._co_send(request)
        return self._co_send_in_time(request, request.total)

    @twin_of(co_send)
    def send(self, request: ClientRequest, *, stream: bool | None = None) -> Response:
        """Blocking twin of `co_send`."""
        if stream is not None:
            request.stream = stream
        if request.total is None and request.is_plain():
            return self._send_directly(request)
        return run(self.co_send(request))

    def _send_directly(self, request: ClientRequest) -> Response:
        """Do what `send` does with a plain request that has no total time limit."""
        direct = self._direct
        if direct is None or (member := direct.begin(request)) is None:
            return run(self.co_send(request))
        try:
            reply = member.connection.exchange(  # type: ignore[union-attr]  # it is made
                request.method, request.url.target, request.fields(), request.body
            )
        except BaseException as exc:
            if not direct.repeats(member, request, exc):
                raise
            going = self._co_send_through(request, member.taken)
        else:
            response = direct.end(member, request, reply)
            if response.is_closed:
                return response
            going = self._co_complete(request, response)
        return run(going)

    async def send_by(self, wait: Wait, run: Runner, request: ClientRequest) -> Response:
        """Do what `co_send` does, in a coroutine: for a driver that can wait without it.

        Args:
            wait: see `HTTPConnection.exchange_by`.
            run: the same.
            request: see `co_send`.

        Raises:
            DugongError: what `co_send` raises.

        """
        direct = self._direct
        if (
            direct is None
            or request.total is not None
            or not request.is_plain()
            or (member := direct.begin(request)) is None
        ):
            return await self.send_through(run, request)
        try:
            reply = await member.connection.exchange_by(  # type: ignore[union-attr]  # it is made
                wait, run, request.method, request.url.target, request.fields(), request.body
            )
        except BaseException as exc:
            if not direct.repeats(member, request, exc):
                raise
            going = self._co_send_through(request, member.taken)
        else:
            response = direct.end(member, request, reply)
            if response.is_closed:
                return response
            going = self._co_complete(request, response)
        return await run(going)

    async def send_through(self, run: Runner, request: ClientRequest) -> Response:
        """Do what `co_send` does, in a coroutine, by *run*; see `send_by`."""
        response = await run(self.co_send(request))
        if request.stream:
            response.leave_to_coroutines()
        return response

    def _co_send_in_time(self, request: ClientRequest, total: float) -> Co[Response]:
        failure = DeadlineExceeded(
            f"the response was not complete within {total} s ({how_given(total, 'total')})"
        )
        failure.label(request.method, mask_target(str(request.url)))
        failure.request = request
        request.deadline = time.monotonic() + total
        return (yield from within(request.deadline, self._co_send(request), failure))

    def _co_send(self, request: ClientRequest) -> Co[Response]:
        direct = self._direct
        if direct is None or not request.is_plain() or (member := direct.begin(request)) is None:
            return (yield from self._co_send_through(request, time.monotonic()))
        try:
            reply = yield from member.connection.co_exchange(  # type: ignore[union-attr]  # the same
                request.method, request.url.target, request.fields(), request.body
            )
        except BaseException as exc:
            if not direct.repeats(member, request, exc):
                raise
            going = self._co_send_through(request, member.taken)
        else:
            response = direct.end(member, request, reply)
            if response.is_closed:
                return response
            going = self._co_complete(request, response)
        return (yield from going)

    def _co_send_through(self, request: ClientRequest, begun_at: float) -> Co[Response]:
        """Send a request, which began at some time, through the layers that it needs."""
        request.closing = self._closing  # it may have been built by another client
        if request.hooks is None:
            going = self._co_redirected(request)
        else:
            going = events(request, self._co_redirected)
        return self._co_end(request, going, begun_at)

    def _co_complete(self, request: ClientRequest, response: Response) -> Co[Response]:
        """Do what is left to do after the first response, which has come directly."""
        if request.misdirected and response.status_code == 421:  # noqa: PLR2004 - see `Pool`
            return self._co_send_through(request, response.begun_at)
        going = self._redirects.co_follow(request, response, self._chain.co_send)
        return self._co_end(request, going, response.begun_at)

    def _co_end(self, request: ClientRequest, going: Co[Response], begun_at: float) -> Co[Response]:
        try:
            response = yield from going
        except DugongError as exc:
            about = exc.request or request
            exc.label_request(about, mask_target(str(about.url)))
            raise
        if response.request is not None:
            response.attempts = response.request.attempts
        if response.next_request is not None:
            response.follow_with(self._co_follow)
        reading = self._reading if request.decompress is None else self._reading_of(request)
        response.begin(begun_at, request.deadline, reading)
        if not request.stream and not response.finish_if_received():
            yield from response.co_read()
        if self._raise_for_status and response.is_error:
            self._raise_status(response)
        return response

    def _reading_of(self, request: ClientRequest) -> ReadingOptions:
        """Return how the body of the response to *request* is read."""
        if request.decompress in (None, self._reading.decompress):
            return self._reading
        return self._other_reading

    @staticmethod
    def _raise_status(response: Response) -> None:
        try:
            response.raise_for_status()
        finally:
            response.close()

    def _co_follow(self, response: Response) -> Co[Response]:
        assert response.next_request is not None
        following = yield from self.co_send(response.next_request)
        following.history = (*response.history, response, *following.history)
        return following

    def _co_redirected(self, request: ClientRequest) -> Co[Response]:
        """Send *request*, and follow its redirects, each of which may need other layers."""
        return self._redirects(request, self._chain.co_send)

    # ---- the methods of HTTP

    def co_request(
        self, method: str, url: URL | str, **options: Unpack[RequestOptions]
    ) -> Co[Response]:
        """Build a request and send it.

        Args:
            method: request method.
            url: see `build_request`.
            options: see `build_request`.

        Returns:
            The response, with its body read unless ``stream=True``.

        Raises:
            InvalidRequest, InvalidOption, TypeError: see `build_request`; nothing was sent.
            DugongError: see `co_send`.

        """
        return self.co_send(self.build_request(method, url, **options))

    @twin_of(co_request)
    def request(self, method: str, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Blocking twin of `co_request`."""
        return self.send(self.build_request(method, url, **options))

    def co_get(self, url: URL | str, **options: Unpack[RequestOptions]) -> Co[Response]:
        """Send GET; see `co_request`."""
        return self.co_send(self.build_request("GET", url, **options))

    @twin_of(co_get)
    def get(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Blocking twin of `co_get`."""
        request = self.build_request("GET", url, **options)
        if options or request.auth is not None:
            return self.send(request)
        return self._send_directly(request)  # as it is plain

    def co_head(self, url: URL | str, **options: Unpack[RequestOptions]) -> Co[Response]:
        """Send HEAD, whose redirects are followed only if asked; see `co_request`."""
        return self.co_send(self.build_request("HEAD", url, **options))

    @twin_of(co_head)
    def head(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Blocking twin of `co_head`."""
        return self.send(self.build_request("HEAD", url, **options))

    def co_options(self, url: URL | str, **options: Unpack[RequestOptions]) -> Co[Response]:
        """Send OPTIONS; see `co_request`."""
        return self.co_send(self.build_request("OPTIONS", url, **options))

    @twin_of(co_options)
    def options(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Blocking twin of `co_options`."""
        return self.send(self.build_request("OPTIONS", url, **options))

    def co_post(self, url: URL | str, **options: Unpack[RequestOptions]) -> Co[Response]:
        """Send POST; see `co_request`."""
        return self.co_send(self.build_request("POST", url, **options))

    @twin_of(co_post)
    def post(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Blocking twin of `co_post`."""
        return self.send(self.build_request("POST", url, **options))

    def co_put(self, url: URL | str, **options: Unpack[RequestOptions]) -> Co[Response]:
        """Send PUT; see `co_request`."""
        return self.co_send(self.build_request("PUT", url, **options))

    @twin_of(co_put)
    def put(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Blocking twin of `co_put`."""
        return self.send(self.build_request("PUT", url, **options))

    def co_patch(self, url: URL | str, **options: Unpack[RequestOptions]) -> Co[Response]:
        """Send PATCH; see `co_request`."""
        return self.co_send(self.build_request("PATCH", url, **options))

    @twin_of(co_patch)
    def patch(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Blocking twin of `co_patch`."""
        return self.send(self.build_request("PATCH", url, **options))

    def co_delete(self, url: URL | str, **options: Unpack[RequestOptions]) -> Co[Response]:
        """Send DELETE; see `co_request`."""
        return self.co_send(self.build_request("DELETE", url, **options))

    @twin_of(co_delete)
    def delete(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Blocking twin of `co_delete`."""
        return self.send(self.build_request("DELETE", url, **options))

    def co_query(self, url: URL | str, **options: Unpack[RequestOptions]) -> Co[Response]:
        """Send QUERY, a safe request with a body; see `co_request`."""
        return self.co_send(self.build_request("QUERY", url, **options))

    @twin_of(co_query)
    def query(self, url: URL | str, **options: Unpack[RequestOptions]) -> Response:
        """Blocking twin of `co_query`."""
        return self.send(self.build_request("QUERY", url, **options))

    def co_stream(
        self, method: str, url: URL | str, **options: Unpack[RequestOptions]
    ) -> Co[Response]:
        """Send a request and leave the body of its response to the caller; see `co_request`.

        The response has to be read to its end, or closed.
        """
        options["stream"] = True
        return self.co_request(method, url, **options)

    @twin_of(co_stream)
    def stream(
        self, method: str, url: URL | str, **options: Unpack[RequestOptions]
    ) -> AbstractContextManager[Response]:
        """Blocking twin of `co_stream`, as a context manager that closes the response.

        ``with client.stream("GET", url) as response:`` sends the request.
        """
        return ResponseContext(self.co_stream(method, url, **options))

    def sse(self, url: URL | str, **options: Unpack[SSEOptions]) -> EventSource:
        """Return the server-sent events of a URL (WHATWG HTML section 9.2).

        ``with client.sse(url) as events: for event in events: …``, or without ``with``.

        Args:
            url: see `build_request`.
            options:
                *method*, ``"GET"`` by default.
                *reconnect*, False to end with the first stream. By default the source reconnects
                with GET and QUERY, and with other methods only if this is True.
                *reconnect_after*, seconds before that, 3 unless the server says otherwise.
                *max_wait*, seconds to which this pause grows while connections fail, 60.
                *last_event_id*, the ID of the event to go on after.
                *max_event_size*, bytes of one event at most, 1 MiB; None for any number.
                *stall*, seconds without a byte after which a connection counts as failed, 60; None
                for no limit. It replaces that of *timeout*, whose other limits hold as well.
                All others are those of `build_request`.

        Raises:
            InvalidRequest, InvalidOption, TypeError: see `build_request` and `EventSource`; nothing
                was sent.

        """
        from .event_source import event_source  # noqa: PLC0415 - for those who want it

        source = event_source(self.build_request, self.co_send, url, options)
        self._sources.add(ref(source, self._sources.discard))
        return source

    # ---- files

    def co_download(
        self,
        url: URL | str,
        target: str | os.PathLike[str] | BinaryIO,
        **options: Unpack[DownloadOptions],
    ) -> Co[DownloadResult]:
        """Download a file; see :doc:`/transfers`.

        It is never half there under its name: until it is complete its bytes are in ``FILE.part``,
        and ``FILE.part.json`` says of which version. The next download of the same URL to the same
        file goes on there, also after this process was killed. An existing file keeps its owner and
        its permissions, and is replaced when all bytes are there.

        Args:
            url: see `build_request`.
            target: path of the file; or a binary file to write to, from its present position on.
            options:
                *resume*, False to leave nothing to another download, whatever ends this one, and to
                begin anew each time.
                *ranges*, how many requests at the same time fetch the rest of a large file, 1.
                *sha256*, the digest that the file has to have: 64 hexadecimal digits, or bytes.
                Those of Repr-Digest, Content-Digest (RFC 9530) and Content-MD5 are verified, too.
                *progress*, called with the bytes that are there, and with all, None if unknown.
                *rate*, bytes a second at most, or a `RateLimit`.
                *retries*, how often it goes on where it stopped after the connection was lost,
                without 16 MiB of progress in between: 5, or a `Retry` with other pauses.
                *sparse*, True to make holes of zeros; *preallocate*, False not to reserve room;
                *fsync*, False not to wait until the storage has it.
                *params*, *headers*, *cookies*, *auth*, *timeout*, *follow_redirects*, *hooks*,
                *retry*, *extensions*, *ssl_context*, *verify*, *cert*, *proxy*, *http_version* and
                *server_hostname* as of `build_request`. Content codings are not asked for.

        Raises:
            StatusError: the status is that of no download. The error has the `Response`, with its
                body unless that is larger than 64 KiB.
            PartInUse: another download to the same file is under way.
            TransferFileFailed: the file cannot be written; what has arrived is kept.
            DigestMismatch, ContentChanged, UnusableRange, BodyTooLarge: see there.
            OSError: the file cannot be opened or replaced; nothing was sent.
            InvalidRequest, InvalidOption, TypeError, ValueError: an argument is invalid; nothing
                was sent.
            DugongError: see `co_send`, and `Response.co_read`. A note says if the next download
                goes on.

        """
        from .transfers.downloading import co_download  # noqa: PLC0415 - for those who want it

        return co_download(self.build_request, self.co_send, url, target, options, self._retry)

    @twin_of(co_download)
    def download(
        self,
        url: URL | str,
        target: str | os.PathLike[str] | BinaryIO,
        **options: Unpack[DownloadOptions],
    ) -> DownloadResult:
        """Blocking twin of `co_download`."""
        return run(self.co_download(url, target, **options))

    def co_upload(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        url: URL | str,
        **options: Unpack[UploadOptions],
    ) -> Co[UploadResult]:
        """Upload a file; see :doc:`/transfers`.

        Over plain TCP the system sends a regular file by itself (on Linux). One that is written to
        meanwhile is noticed, if its size or its time changes.

        Args:
            source: path of a file; or a binary file to read from, from its present position on.
            url: see `build_request`.
            options:
                *method*, ``"PUT"`` by default.
                *digest*, ``"sha-256"`` or ``"sha-512"`` to send Repr-Digest (RFC 9530): the file is
                read twice for that; with *trailer* True it is read once, and sent in chunks with
                the digest behind them.
                *expect100*, True or False to ask the server first, or not to; by default it is
                asked from 1 MiB on, and waited for a second (`Timeouts.expect100`).
                *if_match*, an entity tag that the resource has to have; *if_none_match*, ``"*"`` if
                it must not exist. Such a request is repeated only if none of it was processed.
                *progress*, called with the bytes that were sent, and with all, None if unknown.
                *rate*, bytes a second at most, or a `RateLimit`.
                *retry*, `Retry()` unless the client has another; None for never. A file is sent
                again from where it began.
                *resumable*, True to go on where the server stands after a lost connection, if it
                has resumable uploads (draft-ietf-httpbis-resumable-upload); *retries*, how often
                that may happen without 16 MiB of progress in between, 5, or a `Retry`; *record*,
                True to leave a record beside the file, or the path for it, by which another process
                goes on after this one was killed.
                *params*, *headers*, *cookies*, *auth*, *timeout*, *follow_redirects*, *hooks*,
                *extensions*, *ssl_context*, *verify*, *cert*, *proxy*, *http_version* and
                *server_hostname* as of `build_request`.

        Raises:
            StatusError: the response is no success; the error has it.
            ContentChanged: the file has changed while it was read.
            TransferError: the server answered before it had everything.
            TransferFileFailed, FileTooShort: the file cannot be read to its end.
            PartInUse: another process goes on with the same record.
            OSError: the file cannot be opened; nothing was sent.
            InvalidRequest, InvalidOption, TypeError, ValueError: an argument is invalid; nothing
                was sent.
            DugongError: see `co_send`.

        """
        from .transfers.upload import co_upload  # noqa: PLC0415 - for those who want it

        return co_upload(self.build_request, self.co_send, source, url, options, self._retry)

    @twin_of(co_upload)
    def upload(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        url: URL | str,
        **options: Unpack[UploadOptions],
    ) -> UploadResult:
        """Blocking twin of `co_upload`."""
        return run(self.co_upload(source, url, **options))

    def co_sync(
        self,
        source: str | os.PathLike[str] | URL | Remote,
        target: str | os.PathLike[str] | URL | Remote,
        **options: Unpack[SyncOptions],
    ) -> Co[SyncResult]:
        """Make a folder on a server like a local one, or the other way round; see :doc:`/sync`.

        Only files that have changed are copied, many at the same time. A file is there when it is
        complete, and not before. A run that is ended, also by ``kill -9``, is gone on with by the
        next one. Files and folders of *target* that *source* does not have are left.

        Args:
            source: path of a folder, or URL of one.
            target: the other one of both. A string is a URL if it begins with ``http://`` or
                ``https://``; and ``s3://bucket/prefix`` is a place in S3, as it is, not encoded.
            options:
                *delete*, True to delete files that the source does not have, when all is copied
                and nothing has failed; *max_delete*, how many at most.
                *dry_run*, True to change nothing, and have the numbers of what would be done.
                *checksum*, True to compare the bytes of files whose size is equal; *verify*, True
                to read back what was copied, and compare it.
                *exclude*, patterns of what is left alone, such as ``*.tmp`` or ``cache/``.
                *links*, ``"skip"`` to leave symbolic links out, or ``"follow"``.
                *jobs*, how many connections, 8. *rate*, bytes a second at most, or a `RateLimit`.
                *total*, seconds for all; None for no limit.
                *fsync*, True to wait until the storage has each file that is received.
                *server*, ``"webdav"``, or ``"manifest"`` for one that lists no files; by default
                (``"auto"``) it is asked.
                *s3_endpoint*, URL of a service for ``s3://`` that is not Amazon's; by default that
                of ``$AWS_ENDPOINT_URL_S3``, ``$AWS_ENDPOINT_URL`` or the profile.
                *record*, path of the file with what earlier runs have done; by default it is
                below ``$XDG_STATE_HOME`` or ``~/.local/state``; False for none.
                *on_progress*, called with a `SyncProgress`; *on_step*, called with a `SyncStep` for
                each file that is copied, deleted, or could not be; with *dry_run* for each that
                would be.

        Returns:
            What has come of it. Files that could not be copied are in `SyncResult.failures`: that
            is no exception.

        Raises:
            StatusError: the server does not list its files, or take the list of them.
            PartInUse: another run has the record open.
            TransferError: a list or the record is not valid; or *max_delete* is exceeded.
            OSError: the local folder cannot be listed.
            AuthenticationFailed: there are no credentials for S3.
            ModuleNotFoundError: ``s3://`` needs botocore.
            InvalidRequest, InvalidOption, TypeError, ValueError: an argument is invalid; nothing
                was sent.
            DugongError: see `co_send`: the network has failed.

        """
        from .sync.syncing import SyncParts, co_sync  # noqa: PLC0415 - for those who want it

        parts = SyncParts(self.build_request, self.co_send, self.map, self._retry)
        return co_sync(parts, source, target, options)

    @twin_of(co_sync)
    def sync(
        self,
        source: str | os.PathLike[str] | URL | Remote,
        target: str | os.PathLike[str] | URL | Remote,
        **options: Unpack[SyncOptions],
    ) -> SyncResult:
        """Blocking twin of `co_sync`."""
        return run(self.co_sync(source, target, **options))

    # ---- many requests

    def map(
        self,
        requests: Iterable[MapRequest] | AsyncIterable[MapRequest],
        **options: Unpack[MapOptions],
    ) -> MapResults:
        """Send many requests, and return an iteration over their results; see :doc:`/bulk`.

        ``for item in client.map(urls): …``. They are taken from the iterable as there is room for
        them, and sent while a result is waited for: in one thread, over a few connections to each
        origin. Over HTTP/1.1 those are pipelined that may be repeated: idempotent ones (RFC 9110
        section 9.2.2), and those whose ``idempotent`` is True, if their bodies are in memory and
        their time limits (*timeout*) those of the client, a total one excepted. If a connection
        ends they are sent again as a `Pipeline` does. Over HTTP/2 those without a body share
        connections, each on its stream. Any other one has a connection for itself, or a stream of
        HTTP/2. Redirects, cookies, authentication, retries, events and layers of your own hold for
        each.

        Args:
            requests: URLs, pairs of method and URL, `ClientRequest` of `build_request`, or
                `Request` whose target is a URL. With `AsyncClient` it may be asynchronous.
            options:
                *concurrency*, connections to each origin at most, 8; *depth*, how many pipelined
                requests may be unanswered on each, 32. Over HTTP/2 the product of both is the most
                streams, if the server allows as many.
                *window*, how many requests are taken whose results have not been returned, twice
                what fills the connections, and 512 at least.
                *max_bytes*, no request is taken while bodies in memory have more, 16 MiB; those of
                responses that have not come count as those before.
                *ordered*, False to have results as they come, not in the order of the requests.
                *errors*, ``"return"`` to have errors of requests as results; by default
                (``"raise"``) the first one is raised and ends all.
                *total*, seconds for all; None for no limit.
                *on_progress*, called with a `MapProgress` for each result.
                All others are those of `build_request`, for requests that are given by their URLs.
                Each request reads them anew: iterators and streams are none.

        Raises:
            InvalidOption, TypeError, ValueError: an argument is invalid; nothing was sent.

        Returns:
            `MapResults`: of a `MapItem` for each request.

        """
        from .bulk.map_results import MapResults  # noqa: PLC0415 - for those who want it
        from .bulk.schedule import ClientParts  # noqa: PLC0415

        dispatcher = self._chain.dispatcher
        parts = ClientParts(
            self.build_request,
            self._over,
            dispatcher,
            dispatcher if _is_pool(dispatcher) else None,
            self._direct if self._retry is None else self._direct_dispatch(),
            self._timeouts,
            self._retry,
            self._reading_of,
            self._closing,
        )
        return MapResults(parts, requests, options)

    def co_map(
        self,
        requests: Iterable[MapRequest] | AsyncIterable[MapRequest],
        take: Callable[[MapItem], object],
        **options: Unpack[MapOptions],
    ) -> Co[MapProgress]:
        """Send many requests, and call *take* with each result; see `map`.

        The results one after the other are ``client.map(…).co_next()``.

        Args:
            requests: see `map`.
            take: a function of a `MapItem`.
            options: see `map`.

        Returns:
            How many there were, a `MapProgress`.

        Raises:
            InvalidOption, TypeError: see `map`; nothing was sent.
            Exception: what `MapResults.co_next` and *take* raise.

        """
        from .bulk.map_results import co_each  # noqa: PLC0415 - for those who want it

        if not callable(take):
            raise TypeError(f"take is a function of one argument, not {quoted(take)}")
        return co_each(self.map(requests, **options), take)

    def _over(self, dispatcher: Dispatcher) -> Client:
        """Return this client above another dispatcher: with its layers, and all that they keep.

        When this one is closed it still completes what is under way; the dispatcher refuses others.
        """
        client = object.__new__(type(self))
        chain = self._chain.over(dispatcher)
        client.__dict__.update(self.__dict__, _chain=chain, _direct=None, _is_closed=False)
        return client

    # ---- WebSockets

    def co_websocket(
        self,
        url: URL | str,
        *,
        handler: WebSocketHandler | None = None,
        **options: Unpack[OpeningOptions],
    ) -> Co[WebSocket]:
        """Open a WebSocket (RFC 6455).

        The handshake is a GET with the settings of this client: fields, cookies, authentication,
        redirects, proxies, TLS and time limits. A proxy opens a tunnel for it. The connection
        belongs to the pool no longer.

        Args:
            url: such as ``"wss://www.example.org/chat"``; ``https`` for ``wss`` does as well. It
                may be relative if there is a `base_url`.
            handler: a `WebSocketHandler`: its functions are called for whatever comes, and the
                operation ends when the WebSocket is closed.
            options: *params*, *headers*, *cookies*, *auth*, *timeout*, *follow_redirects*,
                *retry*, *hooks*, *extensions*, *ssl_context*, *verify*, *cert*, *proxy* and
                *server_hostname* as of `build_request`.
                *subprotocols*, names of which the server may select one, the preferred one first.
                *deflate*, True to offer compression, or a `Deflate` with limits.
                *max_message*, bytes of a decompressed message at most: 16 MiB; *max_fragment*,
                bytes of one of its frames.
                *ping_interval*, 20 seconds without a byte after which whoever waits sends a ping,
                and *ping_timeout*, 20 seconds for anything to come after it.
                *close_timeout*, 10 seconds that closing may take.

        Returns:
            The `WebSocket`: open, or closed with a *handler*.

        Raises:
            WebSocketRefused: the server opens none. It has the `Response`, with its body unless
                that is larger than 64 KiB.
            InvalidRequest, InvalidOption, TypeError: an argument is invalid; nothing was sent.
            ModuleNotFoundError: the library `websockets` is not installed.
            DugongError: see `co_send`; with a *handler* see `WebSocket.co_serve`.

        """
        from ..http.websocket.handshake import check_installed  # noqa: PLC0415 - for those who

        check_installed()
        from .websocket import co_open  # noqa: PLC0415 - open one

        return co_open(self.build_request, self.co_send, url, handler, options)

    @twin_of(co_websocket)
    def websocket(
        self,
        url: URL | str,
        *,
        handler: WebSocketHandler | None = None,
        **options: Unpack[OpeningOptions],
    ) -> WebSocket:
        """Blocking twin of `co_websocket`."""
        return run(self.co_websocket(url, handler=handler, **options))

    # ---- connections

    def co_warm(self, place: URL | Origin | str, count: int = 1) -> Co[None]:
        """Have *count* idle connections to the origin of a URL.

        Raises:
            StateError: the dispatcher has no connections.
            DugongError: a connection cannot be made.

        """
        warm = getattr(self._chain.dispatcher, "co_warm", None)
        if warm is None:
            raise StateError(f"{type(self._chain.dispatcher).__name__} has no connections to warm")
        yield from warm(as_origin(place), count)

    @twin_of(co_warm)
    def warm(self, place: URL | Origin | str, count: int = 1) -> None:
        """Blocking twin of `co_warm`."""
        run(self.co_warm(place, count))

    def stats(self) -> Any:
        """Return what the pool counts; see `Pool.stats`."""
        stats = getattr(self._chain.dispatcher, "stats", None)
        return None if stats is None else stats()

    def co_close(self) -> Co[None]:
        """Close the connections. Further requests are `StateError`.

        Requests under way are completed, as their connections are closed when they are given back.
        Those that wait for a connection, for their rate, or until they may be repeated end at once.
        An `EventSource`, which would never end, is closed: its next event is a `StateError`, also
        for whoever waits for it. A WebSocket is left to its caller.

        Raises:
            Exception: what a function raises that is called on the end of a source; all is closed
                by then.

        """
        self._is_closed = True
        self._direct = None
        self._closing.close()
        try:
            with ExitStack() as ending:  # all of them, whatever the functions of one raise
                for known in self._sources.copy():
                    if (source := known()) is not None:
                        ending.callback(source.end, partial(closed, source.request))
        finally:
            yield from self._chain.co_close()

    @twin_of(co_close)
    def close(self) -> None:
        """Blocking twin of `co_close`."""
        run(self.co_close())

    def __getstate__(self) -> tuple[ClientState, dict[str, Any]]:
        """Return what `pickle` and `copy` keep: the settings, fields and cookies; no connections.

        Attributes of subclasses are kept as well.
        """
        from .pickling import ClientState, picklable  # noqa: PLC0415 - for those who want it

        given = picklable(self._given, self._cookies)
        hooks = self._hooks.functions()
        state = ClientState(given, self.headers, hooks, self._is_closed)
        own = vars(Client())
        return state, {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, kept: tuple[ClientState, dict[str, Any]]) -> None:
        from .pickling import restored  # noqa: PLC0415 - as above

        state, others = kept
        given = restored(state.given)
        Client.__init__(self, **{**given, "headers": None, "hooks": state.hooks})
        self.headers.clear()
        self.headers.add_pairs(state.headers.wire_items())
        self.__dict__.update(others)
        if state.is_closed:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __setattr__(self, name: str, value: object) -> None:
        refuse_setting(name)
        object.__setattr__(self, name, value)

    if not TYPE_CHECKING:  # a type checker knows all names

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, name)

    def __aenter__(self) -> NoReturn:
        raise TypeError("'async with' goes with AsyncClient(…), which has the same arguments")

    __aexit__ = __aenter__  # looked up before that, and never called

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else repr(self._chain.dispatcher)
        return f"<{type(self).__name__} {state}>"

    def _auth_of_base(self) -> Auth | None:
        """Return what user and password in the base URL mean; None without them."""
        base, credentials = self._builder.base_url, self._builder.credentials
        if base is None or credentials is None:
            return None
        from ..http.auth.basic import BasicAuth  # noqa: PLC0415 - rare
        from ..http.auth.scope import BoundAuth  # noqa: PLC0415 - rare

        return BoundAuth(BasicAuth(*credentials), base)

    def _cookies_of(self, given: Cookies | Mapping[str, str] | None) -> Cookies:
        from ..http.cookies import Cookies  # noqa: PLC0415 - not needed to import a client

        if isinstance(given, Cookies):
            return given
        if not isinstance(given, Mapping | None):
            raise TypeError(f"cookies is Cookies or a mapping, not {quoted(given)}")
        cookies = Cookies()
        if self._builder.base_url is not None:
            cookies.bind(self._builder.base_url)
        if given is not None:
            cookies.update(given)
        return cookies


def refuse_setting(name: str) -> None:
    """Refuse to set an attribute of a client that is called as an argument.

    Clients of other libraries have such attributes. Setting one here would have no effect.

    Raises:
        AttributeError: *name* is that of an argument.

    """
    if name in (Client.__init__.__kwdefaults__ or ()) or name in SAME:
        raise AttributeError(f"{SAME.get(name, name)} is set when the client is made, not later")


def missing_attribute(client: object, name: str) -> AttributeError:
    """Return the error for an attribute *name* that a client does not have."""
    kind = type(client).__name__
    same = OF_BLOCKING_CLIENT if isinstance(client, Client) else OF_CLIENT
    if name not in same and (name in SAME or name in (Client.__init__.__kwdefaults__ or ())):
        own = SAME.get(name, name)
        return AttributeError(f"{kind} has no attribute {name!r}: {own} is an argument of it only")
    return no_attribute(client, kind, name, same)


def default_fields(decompress: bool) -> list[tuple[str, str]]:
    """Return the fields that a client adds to each request."""
    fields = [("User-Agent", f"dugong_like/{VERSION}"), ("Accept", "*/*")]
    if decompress:
        from ..http.codings import accept_encoding  # noqa: PLC0415 - for those who want it

        fields.append(("Accept-Encoding", accept_encoding()))
    return fields


def _is_pool(dispatcher: Dispatcher) -> TypeGuard[Pool]:
    """Return True if *dispatcher* sends requests as a `Pool` does."""
    from .pool import Pool  # noqa: PLC0415 - not needed with a dispatcher

    return isinstance(dispatcher, Pool) and type(dispatcher).co_dispatch is Pool.co_dispatch


def _pool(limits: Limits | None, guard: Guard | None, **options: Any) -> Pool:
    """Return a pool with the options of a `Connector`, of which None is the default.

    Raises:
        InvalidOption: *guard* cannot see where connections lead.
        Exception: what `Connector` raises.

    """
    from .connector import Connector  # noqa: PLC0415 - not needed with a dispatcher
    from .pool import Pool  # noqa: PLC0415

    if guard is not None:
        from .layers.guard import guarded  # noqa: PLC0415 - for those who want it

        if options["proxy"] is not None or options["uds"] is not None:
            raise InvalidOption("guard: addresses behind a proxy or a socket are not known")
        options["trust_env"] = False  # the proxies there would look the names up
        options["resolver"] = guarded(guard, options["resolver"])
    given = {name: value for name, value in options.items() if value is not None}
    return Pool(Connector(whole_below=WHOLE_BELOW, **given), limits or Limits())


def _with_address(
    options: SocketOptions | None, address: str | tuple[str, int] | None
) -> SocketOptions | None:
    if address is None:
        return options
    from ..transport.connect.socket_options import SocketOptions  # noqa: PLC0415 - rare

    if options is not None:
        raise InvalidOption("local_address goes into socket_options if those are given")
    return SocketOptions(local_address=(address, 0) if isinstance(address, str) else address)
