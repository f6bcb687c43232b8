"""OAuth 2.0: tokens that are obtained, used until they expire, and renewed (RFC 6749, RFC 6750).

The grants, and what a response of the token endpoint means, are oauthlib's; requests, waiting and
turns are here. Several requests that need a token at once cause one request for it, in any threads
and loops: with refresh tokens that may be used once, two would end the authorization.

Not here: asking a user (RFC 6749 section 4.1.1), for which oauthlib makes the URL.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Generator
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus, urlencode

from ...errors import AuthenticationFailed, InvalidRequest
from ...polling.fair_lock import FairLock
from ...polling.fork import after_fork
from ...polling.numbers import check_flag
from ..extras import missing_extra
from ..headers import Headers
from ..redaction import quoted
from ..request import Request
from ..url import URL, Origin
from .flow import UNAUTHORIZED, Auth, Flow, Response, can_send_again
from .scope import origin_of

FAR: Final = 10**9  # seconds, 30 years
CODE: Final = "authorization_code"
FORM: Final = "application/x-www-form-urlencoded"

_scheme = re.compile("[Hh][Tt][Tt][Pp]:")


class OAuth2(Auth):
    """Tokens of OAuth 2.0: obtained from a token endpoint when they are needed.

    A token that has expired, or that a server refuses with 401, is renewed, by its refresh token if
    there is one, otherwise by the grant of *client*, and the request is sent once more. Everything
    goes over TLS, or to this machine (RFC 6749 section 1.6). Works with oauthlib, which the extra
    ``oauth`` installs.

    Args:
        client: identifier of the client, for the grant of client credentials (RFC 6749 section
            4.4); or any client of ``oauthlib.oauth2``, such as a ``LegacyApplicationClient``, or a
            ``WebApplicationClient(…, token={…})``.
        token_url: URL of the token endpoint; None if the token of *client* is all there is.
        client_secret: secret of the client; None for a client without one.
        in_body: True to send identifier and secret in the body, for servers that do not know
            Basic authentication (RFC 6749 section 2.3.1).
        on_token: called with each new token, a dict, for example to save the refresh token.
        parameters: of the grant, as oauthlib's ``prepare_request_body`` takes them: ``scope``,
            ``username``, ``password``, ``code``, ``redirect_uri`` and so on.

    Raises:
        ModuleNotFoundError: oauthlib is not installed.
        InvalidRequest: *token_url* is not a URL, or is neither https nor on this machine.
        TypeError: an argument has the wrong type.

    """

    def __init__(
        self,
        client: Any,
        token_url: URL | str | None = None,
        client_secret: str | None = None,
        *,
        in_body: bool = False,
        on_token: Callable[[dict[str, Any]], object] | None = None,
        **parameters: Any,
    ) -> None:
        try:
            from oauthlib import oauth2  # noqa: PLC0415 - of an extra
        except ModuleNotFoundError as exc:
            raise missing_extra("OAuth2", "oauthlib", "oauth") from exc
        if isinstance(client, str):
            client = oauth2.BackendApplicationClient(client)
        if not isinstance(client, oauth2.Client):
            kind = type(client).__name__
            raise TypeError(f"client is an identifier or a client of oauthlib, not {kind}")
        if token_url is not None and not isinstance(token_url, str | URL):
            raise TypeError(f"token_url is a URL or its text, not {type(token_url).__name__}")
        if client_secret is not None and not isinstance(client_secret, str):
            raise TypeError(f"client_secret is a string, not {type(client_secret).__name__}")
        if on_token is not None and not callable(on_token):
            raise TypeError(f"on_token is a function of a token, not {type(on_token).__name__}")
        if token_url is not None:
            token_url = URL(token_url) if isinstance(token_url, str) else token_url
            _check_secure(token_url.origin)
        check_flag("in_body", in_body)
        self._errors = oauth2.OAuth2Error, oauth2.TokenExpiredError
        self._client = client
        self._url = None if token_url is None else str(token_url)
        self._secret = client_secret
        self._in_body = bool(in_body)
        self._on_token = on_token
        self._parameters = parameters
        self._refused: str | None = None  # a token
        self._turn = FairLock()  # of the one that obtains a token
        after_fork(self._forget_parent)

    def auth_flow(self, request: Request) -> Flow:
        """See `Auth.auth_flow`.

        Raises:
            AuthenticationFailed: the token endpoint gives no token.
            InvalidRequest: the request is neither to https nor to this machine.

        """
        origin = origin_of(request)
        if origin is None:
            raise InvalidRequest("OAuth2 is for requests to URLs only")
        _check_secure(origin)
        plain = request.target
        used = self._client.access_token
        if not used or used == self._refused or not self._sign(request, plain):
            yield from self._flow_renew(used)
            used = self._client.access_token
            if not self._sign(request, plain):
                raise AuthenticationFailed("the token has expired already when it was given")
        response = yield request
        if response.status_code != UNAUTHORIZED or not self._can_renew():
            return
        if not can_send_again(request):
            self._refused = used  # the next request renews it first
            return
        yield from self._flow_renew(used)
        if self._client.access_token != used and self._sign(request, plain):
            yield request

    def _sign(self, request: Request, url: str) -> bool:
        """Add the token to *request*, whose target is *url* without it; False if it has expired."""
        # The check of oauthlib knows no machine of one's own; `_check_secure` was there before.
        secure = _scheme.sub("https:", url, count=1)
        try:
            signed, fields, _ = self._client.add_token(secure, request.method, headers={})
        except self._errors[1]:
            return False
        except ValueError:  # another type of token
            raise AuthenticationFailed("the token has a type that oauthlib does not know") from None
        request.target = url if signed == secure else url.partition(":")[0] + signed[5:]
        for name, value in (fields or {}).items():
            request.headers.set(name, value)
        return True

    # ---- obtaining tokens

    def _can_renew(self) -> bool:
        client = self._client
        return self._url is not None and bool(client.refresh_token or self._grants_again())

    def _grants_again(self) -> bool:
        """Return True if the grant may be used any number of times: a code may be used once."""
        grant = getattr(self._client, "grant_type", CODE)
        return "code" not in self._parameters and grant != CODE

    def _flow_renew(self, refused: str | None) -> Flow:
        """Obtain a token, unless another operation has replaced the *refused* one."""
        yield from self._turn.co_holding(self._flow_replace(refused))

    def _flow_replace(self, refused: str | None) -> Flow:
        if self._client.access_token == refused:
            yield from self._flow_obtain()

    def _flow_obtain(self) -> Flow:
        client = self._client
        if self._url is None:
            raise AuthenticationFailed("there is no valid token, and no token_url to get one")
        if client.refresh_token:
            response = yield self._token_request(client.prepare_refresh_body())
            if (yield from self._co_take(response, needed=not self._grants_again())):
                return
            client.refresh_token = None  # it was refused
        try:
            body = client.prepare_request_body(**self._parameters)
        except NotImplementedError:
            raise AuthenticationFailed("this client of oauthlib obtains no tokens") from None
        response = yield self._token_request(body)
        yield from self._co_take(response, needed=True)

    def _token_request(self, body: str) -> Request:
        fields = Headers({"Content-Type": FORM, "Accept": "application/json"})
        identifier = self._client.client_id
        if self._secret is not None and not self._in_body:
            both = f"{quote_plus(identifier)}:{quote_plus(self._secret)}".encode()
            fields.add("Authorization", "Basic " + b64encode(both).decode("ascii"))
        else:
            own = {"client_id": identifier}
            if self._secret is not None:
                own["client_secret"] = self._secret
            given = dict(parse_qsl(body, keep_blank_values=True))
            body = urlencode(given | own)
        assert self._url is not None  # see _flow_obtain
        return Request("POST", self._url, fields, body.encode())

    def _co_take(self, response: Response, *, needed: bool) -> Generator[Any, Any, bool]:
        """Take the token in *response*; return False if there is none, and none is *needed*."""
        data = yield from response.co_read()
        client = self._client
        try:
            client.parse_request_body_response(data.decode("utf-8", "replace"))
        except Warning as changed:  # the scope is another one, which section 3.3 allows
            client.token = changed.token  # type: ignore[attr-defined]
            client.populate_token_attributes(client.token)
        except self._errors[0] as exc:
            if not needed:
                return False
            code = quoted(exc.error) if exc.error else "no token"
            raise AuthenticationFailed(
                f"the token endpoint answers {response.status_code}, {code}"
            ) from None
        except (ValueError, TypeError, AttributeError):  # not what RFC 6749 section 5.1 says
            raise AuthenticationFailed("the token endpoint answers something else") from None
        token = dict(client.token)
        if "expires_at" not in token and "expires_in" not in token:
            client.populate_token_attributes({"expires_in": FAR})  # not when the last one does
        if self._on_token is not None:
            self._on_token(token)
        return True

    def _forget_parent(self) -> None:
        """In a child process: nobody is obtaining a token there."""
        self._turn.forget_parent()

    def __repr__(self) -> str:
        return "OAuth2()"


def _check_secure(origin: Origin) -> None:
    """Raise `InvalidRequest` if tokens could be read on the way to *origin*."""
    if origin.secure or origin.host == "localhost" or origin.host.endswith(".localhost"):
        return
    try:
        if ip_address(origin.host).is_loopback:
            return
    except ValueError:
        pass  # a name
    raise InvalidRequest(f"OAuth2 needs https, which is not used with {origin}")
