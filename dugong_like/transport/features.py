"""What this Python and this system can do, found out when somebody asks.

Nothing is remembered: another build of OpenSSL, an installed package or a kernel that has been
told to do without IPv6 change the answers. Nothing is imported that is not in the standard
library, either; packages are only looked for.

Not here: what is done where something is missing, which each file that would need it decides.
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

EVERYTHING: Final = "ALL:COMPLEMENTOFALL"  # each cipher that OpenSSL has, also those of no use
TLS_VERSIONS: Final = {  # the name of each, and what the ssl module calls it
    "TLSv1": "HAS_TLSv1",
    "TLSv1.1": "HAS_TLSv1_1",
    "TLSv1.2": "HAS_TLSv1_2",
    "TLSv1.3": "HAS_TLSv1_3",
}
PACKAGES: Final = ("gevent", "trio", "uvloop")


def features() -> dict[str, bool | str | tuple[str, ...]]:
    """Return what this Python and this system can do, by name.

    It is found out anew each time, which takes a millisecond or so; the dict is yours. The table in
    :doc:`/supported` says what each key means. A key that is missing in an older version of
    the library is best asked for with ``features().get(key, False)``.
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
            ``"TLS_AES_128_GCM_SHA256"`` (TLS 1.3); upper and lower case count. A list, or a
            keyword for several (``"HIGH"``), is the name of none.

    Returns:
        True if it has. Contexts leave many of them out, `default_ssl_context` those that are
        weak, for example; see *ciphers* of `tls_context`.

    Raises:
        TypeError: *name* is no string.

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
    """Return True if a socket of IPv6 can be made, and this machine is called ``::1``."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
