"""Host names to addresses, without blocking.

Not here: the threads in which the system's resolver blocks (helper_threads.py), connecting to the
addresses (happy_eyeballs.py), and resolvers of the caller's (resolvers.py).
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ...errors import DNSUnavailable, HostnameNotResolvable
from ...polling.contract import Co

if TYPE_CHECKING:
    from .happy_eyeballs import Address

NO_SUCH_NAME: Final = {
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
}


def co_resolve(
    host: str, port: int, test_hostnames: Sequence[str] = (), family: int = 0
) -> Co[list[Address]]:
    """Look up the addresses of *host*.

    Args:
        host: name or IP address.
        port: port number, put into each address.
        test_hostnames: names to look up if *host* does not exist. If none of them exists
            either, the name service is considered out of order.
        family: family of the addresses; 0 for any.

    Returns:
        Family and socket address of each, in the order of the system (RFC 6724); at
        least one.

    Raises:
        HostnameNotResolvable: there is no such name, or it has no address.
        DNSUnavailable: the name service did not answer, or was not asked as too many earlier
            look-ups hang.

    """
    if is_address(host):
        try:
            return look_up(host, port, family)  # no look-up
        except socket.gaierror as exc:  # another family, or a scope that does not exist
            raise HostnameNotResolvable(
                f"{host} cannot be used: {exc.strerror}", name=host
            ) from exc
        except OSError as exc:  # there are no descriptors left, not even to load a codec
            raise DNSUnavailable(f"cannot look up {host}: {exc.strerror}", name=host) from exc
    answer = yield from _co_ask(host, port, family)
    if isinstance(answer, list):
        return answer
    if answer.errno not in NO_SUCH_NAME:
        raise DNSUnavailable(f"cannot look up {host}: {answer.strerror}", name=host) from answer
    for name in test_hostnames:
        if isinstance((yield from _co_ask(name, port, family, host)), list):
            break
    else:
        if test_hostnames:
            raise DNSUnavailable(
                f"neither {host} nor a test name can be looked up", name=host
            ) from answer
    raise HostnameNotResolvable(f"{host} does not exist: {answer.strerror}", name=host) from answer


def family_of(host: str) -> socket.AddressFamily | None:
    """Return the family of *host*, if it is an IP address, perhaps with a scope; else None."""
    for family, text in ((socket.AF_INET, host), (socket.AF_INET6, host.partition("%")[0])):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return family
    return None


def is_address(host: str) -> bool:
    """Return True if *host* is an IPv4 or IPv6 address, perhaps with a scope."""
    return family_of(host) is not None


@functools.lru_cache(maxsize=128)
def literal(host: str, port: int) -> Address | None:
    """Return the socket address for *host*; None if it is a name, or has a scope.

    A scope is looked up like a name: its number may change.
    """
    for family, rest in ((socket.AF_INET, ()), (socket.AF_INET6, (0, 0))):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return family, (host, port, *rest)
    return None


def look_up(host: str, port: int, family: int = 0) -> list[Address]:
    """Look *host* up with the resolver of the system, blocking.

    Raises:
        socket.gaierror: there is no answer, or a negative one.
        OSError: the system has no descriptors left.

    """
    try:
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except UnicodeError as exc:  # a label is empty or too long
        raise socket.gaierror(socket.EAI_NONAME, f"not a host name: {exc}") from exc
    return [(one[0], one[4]) for one in found]


def _co_ask(
    host: str, port: int, family: int, wanted: str | None = None
) -> Co[list[Address] | socket.gaierror]:
    """Look *host* up; errors name *wanted* instead, if given."""
    from .helper_threads import co_in_thread  # noqa: PLC0415 - for names

    def ask() -> list[Address] | socket.gaierror:
        try:
            return look_up(host, port, family)
        except socket.gaierror as exc:
            return exc
        except Exception as exc:  # noqa: BLE001 - the same as no answer of the system
            return socket.gaierror(socket.EAI_FAIL, str(exc))

    return co_in_thread(ask, wanted or host)
