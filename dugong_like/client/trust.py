"""Which servers connections for https trust, and what they show: options of a client and a request.

Not here: making contexts (transport/tls/contexts.py).
"""

from __future__ import annotations

import os
from threading import RLock
from typing import TYPE_CHECKING, Any

from ..errors import InvalidOption
from ..http.redaction import quoted
from ..polling.fork import after_fork
from ..transport.connect.options import check_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..transport.tls.authorities import FilePath
    from ..transport.tls.contexts import ClientCertificate
    from ..transport.tls.over_socket import SSLContext


class Trust:
    """A context for TLS, which is made when it is first needed.

    Args:
        ssl_context: the context; or None, to make one from the other arguments.
        verify: see `Connector`.
        cert: see `Connector`.

    Raises:
        InvalidOption: *verify* or *cert* is given together with *ssl_context*.
        TypeError: an argument has the wrong type.

    """

    def __init__(
        self,
        ssl_context: SSLContext | None = None,
        verify: bool | FilePath = True,
        cert: ClientCertificate | None = None,
    ) -> None:
        if not isinstance(verify, bool | str | bytes | os.PathLike):
            shown = quoted(verify)
            hint = ": it goes in ssl_context" if hasattr(verify, "wrap_socket") else ""
            raise TypeError(f"verify is True, False, or the path of authorities, not {shown}{hint}")
        is_path = isinstance(cert, str | bytes | os.PathLike)
        is_pair = isinstance(cert, tuple | list) and len(cert) in (2, 3)
        if cert is not None and not is_path and not is_pair:
            kind = "a path, or a tuple of certificate, key, and perhaps a password"
            count = f"{len(cert)} elements" if isinstance(cert, tuple | list) else quoted(cert)
            raise TypeError(f"cert is {kind}, not {count}")
        if ssl_context is not None:
            check_context(ssl_context)
            for name, is_given in (("verify", verify is not True), ("cert", cert is not None)):
                if is_given:
                    raise InvalidOption(f"{name} is up to the ssl_context that is given as well")
        self._is_given = ssl_context is not None
        self._verify = verify
        self._cert = cert
        self._context = ssl_context
        self._making = RLock()  # so that there is one
        after_fork(self._renew_lock)

    def _renew_lock(self) -> None:
        self._making = RLock()

    def changed(self, options: Mapping[str, Any]) -> Trust:
        """Return what *options*, some of the arguments of the constructor, make of this.

        Raises:
            InvalidOption: one of them is up to the context that was given here.

        """
        options = {name: options[name] for name in OPTIONS if name in options}
        if not options:
            return self
        if options.get("ssl_context") is not None:
            return Trust(**options)
        if self._is_given:
            raise InvalidOption(
                f"{' and '.join(options)}: the client has an ssl_context, which decides that; "
                "give the request another ssl_context"
            )
        return Trust(**{"verify": self._verify, "cert": self._cert} | options)

    def context(self) -> SSLContext:
        """Return the context, made at the first call.

        Raises:
            InvalidOption: it cannot be made; see `tls_context`.

        """
        context = self._context
        if context is not None:
            return context
        with self._making:
            if self._context is None:
                self._context = self._make()
            return self._context

    def _make(self) -> SSLContext:
        from ..transport.tls import contexts  # noqa: PLC0415 - https only

        if self._verify is True and self._cert is None:
            return contexts.default_ssl_context()
        if isinstance(self._verify, bool):
            return contexts.tls_context(verify=self._verify, client_cert=self._cert)
        return contexts.tls_context(ca=self._verify, client_cert=self._cert)


OPTIONS = ("ssl_context", "verify", "cert")
