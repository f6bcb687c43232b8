"""Features of this Python and this system, determined at each call.

Nothing is cached: another build of OpenSSL, an installed package or a kernel without IPv6 change
the results. Only the standard library is imported; packages are only searched for.

Not here: what the library does without a feature, which is up to each file that uses it.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import select
import socket
import ssl
import sys
from typing import Final

from ..http.redaction import quoted
from .connect.socket_options import KEEPALIVE
from .zero_copy import can_splice

EVERYTHING: Final = "ALL:COMPLEMENTOFALL"  # each cipher of OpenSSL, including useless ones
TLS_VERSIONS: Final = {  # the name of each here and in the ssl module
    "TLSv1": "HAS_TLSv1",
    "TLSv1.1": "HAS_TLSv1_1",
    "TLSv1.2": "HAS_TLSv1_2",
    "TLSv1.3": "HAS_TLSv1_3",
}
PACKAGES: Final = ("gevent", "idna", "trio", "uvloop")


def features() -> dict[str, bool | str | tuple[str, ...]]:
    """Return the features of this Python and this system, by name.

    They are determined anew at each call, which takes a millisecond or so; the dict belongs to
    the caller. The table in :doc:`/supported` describes each key. For a key that an older version
    of the library does not have, use ``features().get(key, False)``.
    """
    return {
        "python": platform.python_version(),
        "free_threading": not getattr(sys, "_is_gil_enabled", _always)(),
        **_of_tls(),
        **_of_system(),
        **{name: importlib.util.find_spec(name) is not None for name in PACKAGES},
    }


def cipher_supported(name: str) -> bool:
    """Return True if the TLS library of this Python has a cipher.

    Args:
        name: as OpenSSL writes it, such as ``"ECDHE-RSA-AES128-GCM-SHA256"`` (TLS 1.2) or
            ``"TLS_AES_128_GCM_SHA256"`` (TLS 1.3), case-sensitive. A list, or a keyword for
            several ciphers (``"HIGH"``), is not a name.

    Returns:
        True if it has. A context may leave it out: `default_ssl_context` has no weak ciphers,
        for example; see *ciphers* of `tls_context`.

    Raises:
        TypeError: *name* is not a string.

    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a cipher is a string, not {quoted(name)}")
    return name in _ciphers()


def _always() -> bool:
    return True


def _ciphers() -> tuple[str, ...]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers(EVERYTHING)
    return tuple(cipher["name"] for cipher in context.get_ciphers())


def _of_tls() -> dict[str, bool | str | tuple[str, ...]]:
    return {
        "openssl": ssl.OPENSSL_VERSION,
        "tls_versions": tuple(
            name for name, flag in TLS_VERSIONS.items() if getattr(ssl, flag, False)
        ),
        "tls1.3": ssl.HAS_TLSv1_3,
        "ciphers": _ciphers(),
        "alpn": ssl.HAS_ALPN,
        "sni": ssl.HAS_SNI,
        "sessions": hasattr(ssl, "SSLSession"),
        "keylog": hasattr(ssl.SSLContext, "keylog_filename"),
    }


def _of_system() -> dict[str, bool | str | tuple[str, ...]]:
    return {
        "platform": sys.platform,
        "poll": hasattr(select, "poll"),
        "epoll": hasattr(select, "epoll"),
        "kqueue": hasattr(select, "kqueue"),
        "eventfd": hasattr(os, "eventfd"),
        "sendfile": hasattr(os, "sendfile"),
        "splice": can_splice(),
        "ipv6": _has_ipv6(),
        "unix_sockets": hasattr(socket, "AF_UNIX"),
        "abstract_unix_sockets": hasattr(socket, "AF_UNIX") and sys.platform == "linux",
        "keepalive_times": all(hasattr(socket, name) for name in KEEPALIVE.values()),
    }


def _has_ipv6() -> bool:
    """Return True if an IPv6 socket can be made, and this machine has the address ``::1``."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
