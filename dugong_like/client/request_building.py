"""Building requests of a client from arguments: URL, parameters, fields, and one of four bodies.

Not here: what the arguments mean to the sender (client.py), and the encodings (http/).
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypedDict

from ..errors import InvalidOption, InvalidRequest
from ..http.arguments import as_string, check_callable
from ..http.headers import Fields, Headers, Text, as_text, field_pairs
from ..http.query import QueryParams
from ..http.redaction import quoted, shown_url
from ..http.request import check_body
from ..http.text import dump_json
from ..http.url import URL
from ..polling.numbers import check_flag
from ..polling.timeouts import NAMES, Timeouts, as_timeouts
from .other_names import unknown_argument
from .request import ClientRequest, PreparedFields

if TYPE_CHECKING:
    from ..http.query import Params
    from ..transport.tls.authorities import FilePath
    from ..transport.tls.contexts import ClientCertificate
    from ..transport.tls.over_socket import SSLContext
    from .connection_settings import ProxyChoice
    from .events import HookFunctions
    from .layers.retry import Retry

CODINGS: Final = "Accept-Encoding"
MOST_KNOWN: Final = 256  # URLs that are kept in parsed form
LONGEST_KNOWN: Final = 256  # characters of these
MOST_TYPES: Final = 8  # of bodies whose fields are kept checked
SAME: Final = {
    "allow_redirects": "follow_redirects",
    "body": "content",
    "bind": "hooks",
    "client_version": "headers={'User-Agent': …} of the client",
    "dispatch": "dispatcher of the client",
    "event_hooks": "hooks",
    "max_retries": "retry=Retry(total=…)",
    "pool_size": "limits of the client",
    "proxies": "proxy",
    "query_params": "params",
    "retries": "retry=Retry(total=…)",
    "ssl": "ssl_context, or verify and cert",
    "transport": "dispatcher of the client",
    "version": "http_version",
    "wait_continue": "expect100",
    "websocket_handler": "handler of Client.websocket",
}  # what other libraries call an argument
OF_CLIENT: Final = frozenset({
    *("base_url", "default_encoding", "dispatcher", "guard", "layers", "limits", "max_body"),
    *("http2", "max_redirects", "mounts", "raise_for_status", "rate", "store_cookies"),
    *("trust_env", "versions"),
})  # fmt: skip


class SharedOptions(TypedDict, total=False):
    """The optional arguments that all ways to send a request have; see `Client.build_request`."""

    params: Params | None
    headers: Fields | Mapping[str, str | None] | None
    cookies: Mapping[str, str] | None
    auth: Any
    timeout: float | Timeouts | None
    follow_redirects: bool
    hooks: HookFunctions | None
    retry: Retry | None
    extensions: Mapping[str, Any] | None
    ssl_context: SSLContext | None
    verify: bool | FilePath
    cert: ClientCertificate | None
    proxy: ProxyChoice | Mapping[str, ProxyChoice]
    server_hostname: str | None


class RequestOptions(SharedOptions, total=False):
    """The optional arguments of a request; see `Client.build_request`."""

    content: Any
    data: Any
    json: Any
    files: Any
    expect100: bool
    compress: str | None
    progress: Callable[[int, int | None], object] | None
    stream: bool
    decompress: bool
    http_version: str


OF_RECEIVING: Final = frozenset({
    *("decompress", "ssl_context", "verify", "cert", "proxy", "http_version", "server_hostname"),
})  # fmt: skip
KNOWN: Final = frozenset(RequestOptions.__annotations__)


def unknown_option(name: str, known: Iterable[str], same: Mapping[str, str]) -> TypeError:
    """Return the error for an argument called *name*, which is none of *known*."""
    if name in OF_CLIENT and name not in same:
        return TypeError(f"{name} is an argument of the client, not of a request")
    return unknown_argument(name, known, same)


def _check_progress(name: str, function: object) -> None:
    check_callable(function, name)


def _check_compress(_name: str, coding: object) -> None:
    if coding is not None:
        from ..http.encoders import check_coding  # noqa: PLC0415 - for those who want it

        check_coding(coding)


def _check_extensions(name: str, extensions: object) -> None:
    if not isinstance(extensions, Mapping | None):
        raise TypeError(f"{name} is a mapping, not {quoted(extensions)}")


# Of options that nothing else checks in every request, such as one without a body.
CHECKS: Final[Mapping[str, Callable[[str, object], None]]] = {
    "compress": _check_compress,
    "expect100": check_flag,
    "extensions": _check_extensions,
    "follow_redirects": check_flag,
    "progress": _check_progress,
    "stream": check_flag,
}


def _check_options(options: RequestOptions) -> None:
    for name, value in options.items():
        if name not in KNOWN:
            raise unknown_option(name, KNOWN, SAME)
        if (check := CHECKS.get(name)) is not None:
            check(name, value)


_is_absolute = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://").match  # a path may have a URL in it


class RequestBuilder:
    """The part that all requests of a client have in common.

    Args:
        base_url: what relative URLs are appended to, or None.
        headers: fields of each request; a value None removes a default one.
        params: parameters of the query of each request.
        defaults: fields that the client adds unless *headers* has them.
        dumps: writes JSON.

    Attributes:
        base_url: as a `URL`, or None.
        credentials: user and password that were in *base_url*, or None.
        headers: the fields of each request.
        params: as `QueryParams`, or None.

    """

    def __init__(
        self,
        base_url: URL | str | None,
        headers: Fields | Mapping[str, str | None] | None,
        params: Params | None,
        defaults: list[tuple[str, str]],
        dumps: Callable[[Any], str | bytes] | None = None,
    ) -> None:
        self.base_url: URL | None = None
        self.credentials: tuple[str, str] | None = None
        if isinstance(base_url, URL):
            self.base_url = base_url
        elif base_url is not None:
            from ..http.userinfo import split_credentials  # noqa: PLC0415 - those who have a base

            self.base_url, self.credentials = split_credentials(base_url)
        self._base = (
            "" if self.base_url is None else f"{self.base_url.origin}{self.base_url.target}"
        )
        self.headers = Headers.of(merged_fields(defaults, headers))
        self.params = None if params is None else QueryParams(params)
        self._codings = dict(defaults).get(CODINGS)
        self._dumps = dumps or dump_json
        self._prepared: PreparedFields | None = None
        self._typed: dict[str, tuple[PreparedFields, PreparedFields]] = {}  # see `_with_type`
        self._known: dict[str, URL] = {}  # the URLs of requests, with `params`, by their text

    def url_of(self, url: URL | str) -> tuple[URL, Any]:
        """Return the URL for an argument, and user and password if it has them.

        A relative one is appended to the path of `base_url`.

        Raises:
            InvalidRequest: it is no URL of http or https, or relative without a `base_url`.
            TypeError: it is neither a `URL` nor a string.

        """
        if type(url) is URL:
            return _for_http(url), None
        text = url if type(url) is str else as_string(url, "url")
        if self._base and not _is_absolute(text):
            base = self._base.partition("?")[0]
            if not text:
                text = self._base
            elif text.startswith("?"):
                text = base + text
            else:
                text = f"{base.rstrip('/')}/{text.lstrip('/')}"
        elif "@" in text:
            from ..http.userinfo import split_credentials  # noqa: PLC0415 - rare

            place, credentials = split_credentials(text)
            return _for_http(place), credentials
        return _for_http(URL(text)), None

    def build(self, method: str, url: URL | str, options: RequestOptions) -> ClientRequest:
        """Return a request; see `Client.build_request`."""
        place = self._known.get(url) if type(url) is str else None
        credentials = None
        if place is None:
            place, credentials = self._place(url)
        if type(method) is not str:
            method = as_string(method, "method")
        prepared = self._prepared
        if prepared is None or not self.headers.has_pairs(prepared.pairs):
            prepared = self._prepared = PreparedFields(self.headers)
        request = ClientRequest.__new__(ClientRequest)  # as all has the right type already
        request.method = method.upper()
        request.url = place
        request.prepared = prepared
        request.extensions = {}
        if credentials is not None:
            from ..http.auth.basic import BasicAuth  # noqa: PLC0415 - rare

            request.auth = BasicAuth(*credentials)
        if options:
            self._apply(request, options)
        return request

    def _with_type(self, prepared: PreparedFields, kind: str) -> PreparedFields:
        """Return *prepared* with the Content-Type *kind*, unless they have one."""
        before, typed = self._typed.get(kind, (None, None))
        if before is not prepared or typed is None:
            headers = Headers.of(prepared.pairs.copy())
            headers.setdefault("Content-Type", kind)
            typed = PreparedFields(headers)
            if len(self._typed) >= MOST_TYPES:  # a form with files has a type of its own
                self._typed.clear()
            self._typed[kind] = prepared, typed
        return typed

    def _place(self, url: URL | str) -> tuple[URL, Any]:
        """Return what `url_of` does, with `params`, and remember it if it is short."""
        place, credentials = self.url_of(url)
        if self.params is not None:
            place = place.with_query(self.params)
        if type(url) is str and len(url) <= LONGEST_KNOWN and credentials is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[url] = place
        return place, credentials

    def _apply(self, request: ClientRequest, options: RequestOptions) -> None:
        _check_options(options)
        if (params := options.get("params")) is not None:
            request.url = request.url.with_query(params)
        self._set_body(request, options)
        if (headers := options.get("headers")) is not None:
            request.headers = Headers.of(merged_fields(request.headers.wire_items(), headers))
            if "range" in request.headers:
                self._ask_for_plain_parts(request.headers, headers)
        if (cookies := options.get("cookies")) is not None:
            if not isinstance(cookies, Mapping):
                raise TypeError(f"cookies is a mapping of names to values, not {quoted(cookies)}")
            request.cookies = cookies
        if request.body is not None:
            self._wrap_body(request, options)
        request.stream = bool(options.get("stream", False))
        request.expect100 = bool(options.get("expect100", False))
        if (extensions := options.get("extensions")) is not None:
            request.extensions.update(extensions)
        if not OF_RECEIVING.isdisjoint(options):
            self._apply_to_receiving(request, options)

    def _apply_to_receiving(self, request: ClientRequest, options: RequestOptions) -> None:
        """Take what is about the connection, or the decoding of the response."""
        if "decompress" in options:
            check_flag("decompress", options["decompress"])
            request.decompress = bool(options["decompress"])
            if not request.decompress:
                if self._codings is not None and request.headers.get(CODINGS) == self._codings:
                    request.headers.remove(CODINGS)
            elif CODINGS not in request.headers and not _names(options.get("headers"), CODINGS):
                from ..http.codings import accept_encoding  # noqa: PLC0415 - rare

                request.headers.set(CODINGS, accept_encoding())
        from .connection_settings import ConnectionSettings  # noqa: PLC0415 - rare

        settings = ConnectionSettings(options)
        if settings.options:
            request.connecting = settings

    def _ask_for_plain_parts(
        self, headers: Headers, given: Fields | Mapping[str, str | None]
    ) -> None:
        """Ask for no coding along with Range, unless the caller does: parts cannot be decoded.

        So do browsers (Fetch standard, HTTP-network-or-cache fetch).

        Args:
            headers: the fields of the request.
            given: those of them that are given for it.

        """
        if self._codings is None or headers.get(CODINGS) != self._codings:
            return
        if not _names(given, CODINGS):
            headers.set(CODINGS, "identity")

    def _wrap_body(self, request: ClientRequest, options: RequestOptions) -> None:
        """Have the body compressed and its progress reported, if that is wanted."""
        if (coding := options.get("compress")) is not None:
            from ..http.encoders import encoded_body  # noqa: PLC0415 - for those who want it

            request.body = encoded_body(request.body, coding)
            request.headers.set("Content-Encoding", coding)
        if isinstance(request.body, AsyncIterable):
            from .async_bodies import AsyncBody  # noqa: PLC0415 - for those who have one

            request.body = AsyncBody(request.body)
        if (progress := options.get("progress")) is not None:
            from .progress import with_progress  # noqa: PLC0415 - for those who want it

            request.body = with_progress(request.body, progress)

    def _set_body(self, request: ClientRequest, options: RequestOptions) -> None:
        given = [
            name for name in ("content", "data", "json", "files") if options.get(name) is not None
        ]
        if not given:
            return
        if len(given) > 1 and given != ["data", "files"]:
            raise InvalidOption(f"a request has one body, not {' and '.join(given)}")
        kind = ""
        body: Any
        if given[0] == "content":
            body, kind = as_content(options["content"])
        elif given[0] == "json":
            body, kind = as_bytes_of(self._dumps(options["json"])), "application/json"
        elif given == ["data"] and not is_form(options["data"]):
            body, kind = as_content(options["data"])
        else:
            body, kind = as_form(options.get("data"), options.get("files"))
        request.body = body
        if kind:
            assert request.prepared is not None
            request.prepared = self._with_type(request.prepared, kind)  # nobody has changed them


def _for_http(url: URL) -> URL:
    """Return *url*, if requests can be sent to it.

    Raises:
        InvalidRequest: it is that of a WebSocket.

    """
    if url.scheme not in ("http", "https"):
        raise InvalidRequest(
            f"not a URL of http or https: {shown_url(str(url))!r}: Client.websocket(url) opens a "
            "WebSocket"
        )
    return url


def as_bytes_of(text: str | bytes) -> bytes:
    """Return *text*, which a function that writes JSON has returned, as bytes."""
    return text.encode() if isinstance(text, str) else text


def as_content(content: Any) -> tuple[Any, str]:
    """Return a body, and its Content-Type if there is one by default.

    Raises:
        TypeError: it is nothing that can be sent.

    """
    if isinstance(content, str):
        return content.encode(), "text/plain; charset=utf-8"
    if isinstance(content, dict):
        raise TypeError("content is sent as it is: a dict goes with json= or data=")
    check_body(content)
    return content, ""


def is_form(data: object) -> bool:
    """Return True if *data* is encoded as a form: a mapping, or a list of pairs."""
    return isinstance(data, Mapping) or (
        isinstance(data, list | tuple) and all(isinstance(pair, tuple | list) for pair in data)
    )


def as_form(data: Any, files: Any) -> tuple[Any, str]:
    """Return the body of a form, and its Content-Type.

    Raises:
        TypeError, ValueError: see `encode_form` and `multipart`.

    """
    if files is None:
        from ..http.forms import encode_form  # noqa: PLC0415 - for those who send forms

        form = encode_form(data)
        return form, form.content_type
    from ..http.multipart import multipart  # noqa: PLC0415 - for those who send files

    body = multipart(data or (), files)
    return body, body.content_type


def merged_fields(
    pairs: list[tuple[str, str]], headers: Fields | Mapping[str, str | None] | None
) -> list[tuple[str, str]]:
    """Return *pairs* with the fields of *headers* in place of those of the same name.

    Args:
        pairs: names and values.
        headers: as for a request; the value None removes a field.

    Raises:
        TypeError: *headers* are no fields.

    """
    if headers is None:
        return list(pairs)
    new: list[tuple[Any, Any]] = list(field_pairs(headers))  # type: ignore[arg-type]
    names = {_lower(name) for name, _ in new}
    kept = [pair for pair in pairs if pair[0].lower() not in names]
    return kept + Headers([pair for pair in new if pair[1] is not None]).wire_items()


def _names(headers: Fields | Mapping[str, str | None] | None, name: str) -> bool:
    """Return True if *headers* have a field *name*, perhaps with the value None."""
    pairs: list[tuple[Any, Any]] = list(field_pairs(headers or ()))  # type: ignore[arg-type]
    return any(_lower(each) == name.lower() for each, _ in pairs)


def _lower(name: Text) -> str:
    text = as_text(name)
    if not isinstance(text, str):
        raise TypeError(f"name of a header field is neither str nor bytes: {quoted(name)}")
    return text.lower()


def split_timeout(timeout: float | Timeouts | None) -> tuple[Timeouts, float | None]:
    """Return the limits for a connection, and the total limit, which a client keeps itself.

    Raises:
        InvalidOption, TypeError: *timeout* is no time limit.

    """
    if isinstance(timeout, tuple):  # as for requests
        raise TypeError("timeout is a number of seconds, or Timeouts(connect=…, read=…)")
    timeouts = as_timeouts(timeout)
    if timeouts.total is None:
        return timeouts, None
    return _without_total(timeouts), timeouts.total


@functools.lru_cache(maxsize=64)
def _without_total(timeouts: Timeouts) -> Timeouts:
    names = (name for name in NAMES if name != "total")
    return Timeouts(**{name: getattr(timeouts, name) for name in names})
