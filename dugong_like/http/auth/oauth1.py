"""OAuth 1.0: each request is signed (RFC 5849), by way of oauthlib.

Not here: obtaining the token, for which a user is asked (RFC 5849 section 2). Its three requests
are signed by the same class, with ``callback_uri`` and ``verifier``.
"""

from __future__ import annotations

import copy
from base64 import b64encode
from typing import Any, Final

from ...errors import InvalidRequest
from ...polling.numbers import check_flag
from ..extras import missing_extra
from ..request import Request
from .flow import Auth, Flow, co_hold_body
from .scope import origin_of

FORM: Final = "application/x-www-form-urlencoded"


class OAuth1(Auth):
    """Signatures of OAuth 1.0 for requests to URLs.

    A body of a form is part of the signature (RFC 5849 section 3.4.1.3.1), and is read into memory
    for that; any other one is not, unless *body_hash* demands it. Works with oauthlib, which the
    extra ``oauth`` installs. At the level DEBUG the logger ``oauthlib`` writes what it signs.

    Args:
        client_key: identifier of the client (``oauth_consumer_key``).
        client_secret: its secret.
        client: an ``oauthlib.oauth1.Client`` instead of these and *options*.
        body_hash: True to sign the hash of other bodies, too (``oauth_body_hash``, an extension
            that not every server knows).
        options: any other arguments of ``oauthlib.oauth1.Client``: ``resource_owner_key`` and
            ``resource_owner_secret`` for the token, ``signature_method``, ``rsa_key``, ``realm``,
            ``callback_uri``, ``verifier``, ``signature_type``.

    Raises:
        ModuleNotFoundError: oauthlib is not installed.
        TypeError: there are both a client and a key, or none of them, or an option is unknown.

    """

    __slots__ = ("_body_hash", "_client")

    def __init__(
        self,
        client_key: str | None = None,
        client_secret: str | None = None,
        *,
        client: Any = None,
        body_hash: bool = False,
        **options: Any,
    ) -> None:
        check_flag("body_hash", body_hash)
        self._body_hash = body_hash
        if client is not None:
            if client_key is not None or client_secret is not None or options:
                raise TypeError("client replaces client_key and all options")
            if not callable(getattr(client, "sign", None)):
                raise TypeError(f"client is a client of oauthlib, not {type(client).__name__}")
            self._client = client
            return
        for name, text in (("client_key", client_key), ("client_secret", client_secret)):
            if not isinstance(text, str) and (text is not None or name == "client_key"):
                raise TypeError(f"{name} is a string, not {type(text).__name__}")
        try:
            from oauthlib.oauth1 import Client  # noqa: PLC0415 - of an extra
        except ModuleNotFoundError as exc:
            raise missing_extra("OAuth1", "oauthlib", "oauth") from exc
        self._client = Client(client_key, client_secret, **options)

    def auth_flow(self, request: Request) -> Flow:
        """See `Auth.auth_flow`. Raises InvalidRequest if oauthlib cannot sign the request."""
        if origin_of(request) is None:
            raise InvalidRequest("OAuth1 signs requests to URLs only")
        is_form = _media_type(request) == FORM and request.method not in {"GET", "HEAD"}
        client, form = self._client, None
        if is_form:
            form = yield from co_hold_body(request)
        elif self._body_hash and request.body is not None:
            client = _with_body_hash(client, (yield from co_hold_body(request)))
        self._sign(client, request, form)
        yield request

    @staticmethod
    def _sign(client: Any, request: Request, form: bytes | None) -> None:
        """Sign *request*, with the body *form* if that is a form."""
        fields = {name: value for name, value in request.headers if name.lower() == "host"}
        if form is not None:
            fields["Content-Type"] = FORM  # without parameters, as oauthlib compares it
        try:
            body = None if form is None else form.decode()
            url, signed, changed = client.sign(request.target, request.method, body, fields)
        except ValueError:  # whose message may quote the body
            raise InvalidRequest("OAuth1 cannot sign the request: see oauthlib.oauth1") from None
        request.target = url
        if form is not None and changed != body:
            request.body = changed.encode()
            if "content-length" in request.headers:
                request.headers.set("Content-Length", str(len(request.body)))
        if "Authorization" in signed:
            request.headers.set("Authorization", signed["Authorization"])

    def __repr__(self) -> str:
        return "OAuth1()"


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _with_body_hash(client: Any, body: bytes) -> Any:
    """Return a client that signs the hash of *body*, which oauthlib computes for text only."""
    import hashlib  # noqa: PLC0415 - 5 ms, for signatures only

    value = b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode("ascii")
    signing = copy.copy(client)
    given = client.get_oauth_params
    signing.get_oauth_params = lambda request: [*given(request), ("oauth_body_hash", value)]
    return signing
