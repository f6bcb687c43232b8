"""Negotiate: Kerberos and NTLM (RFC 4559, RFC 4178), by way of pyspnego.

The server authenticates the connection, so all rounds go over the same one: whoever sends the
requests of the flow sees that by ``same_connection``.

Not here: proxies, and channel bindings (RFC 5929).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final

from ...errors import AuthenticationFailed, InvalidRequest
from ..challenges import Challenge
from ..extras import missing_extra
from ..request import Request
from .flow import UNAUTHORIZED, Auth, Flow, challenges_of
from .scope import origin_of
from .text import check_text

MAX_ROUNDS: Final = 8  # Kerberos has one, NTLM two, and SPNEGO one more
# Protocols, and the schemes with which a server offers them, in order of preference.
SCHEMES: Final = {
    "negotiate": ("Negotiate", "NTLM"),
    "kerberos": ("Negotiate",),
    "ntlm": ("NTLM", "Negotiate"),
}


class NegotiateAuth(Auth):
    """Kerberos or NTLM, after the server has asked for it.

    The tickets, and what is needed for them, are the system's. Kerberos may look something up in
    the network for a ticket, and blocks the thread until it has it. Works with pyspnego, which the
    extra ``negotiate`` installs, ``pyspnego[kerberos]`` with Kerberos.

    Args:
        user: name, perhaps ``DOMAIN\\user`` or ``user@REALM``; None for the user of the system.
        password: its password; None for what the system has kept of it.
        host: name of the server in its identity (``HTTP/host``); None for that in the URL.
        protocol: ``"negotiate"``, ``"kerberos"`` or ``"ntlm"``.

    Raises:
        ModuleNotFoundError: pyspnego is not installed.
        InvalidRequest: a name or the password has control characters.
        TypeError: an argument has the wrong type.
        ValueError: *protocol* is unknown.

    """

    __slots__ = ("_arguments", "_host", "_protocol")

    same_connection = True

    def __init__(
        self,
        user: str | None = None,
        password: str | None = None,
        *,
        host: str | None = None,
        protocol: str = "negotiate",
    ) -> None:
        for name, text in (("user", user), ("password", password), ("host", host)):
            if text is not None:
                check_text(name, text)
        if not isinstance(protocol, str):
            raise TypeError(f"protocol is a string, not {type(protocol).__name__}")
        if protocol not in SCHEMES:
            raise ValueError(f"protocol is one of {', '.join(SCHEMES)}")
        try:
            import spnego  # noqa: F401, PLC0415 - of an extra
        except ModuleNotFoundError as exc:
            raise missing_extra("NegotiateAuth", "pyspnego", "negotiate") from exc
        self._arguments = user, password
        self._host = host
        self._protocol = protocol

    def auth_flow(self, request: Request) -> Flow:
        """See `Auth.auth_flow`.

        Raises:
            AuthenticationFailed: there is no ticket or password for the server; or the server does
                not prove its identity.

        """
        response = yield request
        if response.status_code != UNAUTHORIZED:
            return
        scheme = self._scheme_in(challenges_of(response))
        if scheme is None:
            return
        context, received = self._context(request, scheme), None
        for _ in range(MAX_ROUNDS):
            token = _step(context, received)
            if not token:
                return  # nothing more to say: refused
            value = b64encode(token).decode("ascii")
            request.headers.set("Authorization", f"{scheme} {value}")
            response = yield request
            received = _token_in(challenges_of(response), scheme)
            if response.status_code != UNAUTHORIZED:
                if received is not None and not context.complete:
                    _step(context, received)  # the proof of the server
                return
            if received is None:
                return

    def _scheme_in(self, challenges: Sequence[Challenge]) -> str | None:
        offered = {challenge.scheme for challenge in challenges}
        known = SCHEMES[self._protocol]
        return next((scheme for scheme in known if scheme.lower() in offered), None)

    def _context(self, request: Request, scheme: str) -> Any:
        import spnego  # noqa: PLC0415 - of an extra

        origin = origin_of(request)
        host = self._host or (None if origin is None else origin.host)
        if host is None:
            raise InvalidRequest("NegotiateAuth needs a URL, or host=")
        protocol = "ntlm" if scheme == "NTLM" else self._protocol
        user, password = self._arguments
        try:
            return spnego.client(user, password, host, service="HTTP", protocol=protocol)
        except Exception as exc:  # noqa: BLE001 - of the system's library, whichever that is
            raise _failed(exc) from None

    def __repr__(self) -> str:
        return "NegotiateAuth()"


def _step(context: Any, received: bytes | None) -> bytes | None:
    """Return what is to be sent after *received*; None if that was the last."""
    try:
        token: bytes | None = context.step(received)
    except Exception as exc:  # noqa: BLE001 - of the system's library, whichever that is
        raise _failed(exc) from None
    return token


def _failed(exc: Exception) -> AuthenticationFailed:
    """Return the error for *exc*, whose text may name accounts."""
    return AuthenticationFailed(f"Negotiate is not possible: {type(exc).__name__} of spnego")


def _token_in(challenges: Sequence[Challenge], scheme: str) -> bytes | None:
    """Return the token in *challenges*, None if there is none."""
    for challenge in challenges:
        if challenge.scheme == scheme.lower() and challenge.token68:
            try:
                return b64decode(challenge.token68, validate=True)
            except ValueError:
                return None
    return None
