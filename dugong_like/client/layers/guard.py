"""Guards: which addresses a client may connect to.

A URL that somebody else has chosen may lead into the network of the program: to services that
trust whoever reaches them (server-side request forgery). Names say nothing about that, as anybody
may have them lead to any address, and to another one the next time. So the guard is asked about
the addresses, each time that a connection is made.

Not here: looking names up (transport/connect/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

from ...errors import AddressForbidden, InvalidOption
from ...http.redaction import mask_target, quoted
from ...polling.contract import Co
from ...transport.connect.dns import co_resolve, family_of
from ...transport.connect.resolvers import Resolver, co_look_up

if TYPE_CHECKING:
    from ..dispatcher import Send
    from ..request import ClientRequest
    from ..response import Response

Address = IPv4Address | IPv6Address
Guard = Callable[[str, Address], bool]

NAT64: Final = IPv6Network("64:ff9b::/96")  # its addresses end with an IPv4 address (RFC 6052)
GLOBAL: Final = IPv6Network("2000::/3")  # all that is given to anybody so far (RFC 4291)
# Networks for special purposes, of the registries of RFC 6890, that `ipaddress` of some versions
# of Python takes for public ones.
SPECIAL: Final = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # protocol assignments (RFC 6890)
            "192.88.99.0/24",  # relays of 6to4, which are no more (RFC 7526)
            "2002::/16",  # 6to4, which is no more (RFC 7526)
            "2001::/23",  # protocol assignments, Teredo for one (RFC 2928)
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)


class PublicOnly:
    """A guard that allows addresses of the public internet only.

    Not those of this machine, of private and shared networks, of links, of multicast, or reserved
    for anything (the registries of RFC 6890); nor IPv6 addresses that contain one of these.

    Args:
        allowed: networks that are allowed all the same, such as ``"10.1.0.0/16"``.

    Raises:
        ValueError: one of *allowed* is no network.
        TypeError: *allowed* is no collection.

    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        if isinstance(allowed, str | bytes) or not isinstance(allowed, Iterable):
            raise TypeError(f"allowed is a collection of networks, not {quoted(allowed)}")
        self._allowed = [ip_network(network) for network in allowed]

    def __call__(self, _host: str, address: Address) -> bool:
        """Return True if *address* may be connected to, whatever host leads to it."""
        leads_to = _destination(address)
        if self._is_allowed(address) or self._is_allowed(leads_to):
            return True
        return _is_public(leads_to)

    def _is_allowed(self, address: Address) -> bool:
        return any(address.version == one.version and address in one for one in self._allowed)


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv6Address) and address not in GLOBAL:
        return False
    return not any(address.version == one.version and address in one for one in SPECIAL)


def _destination(address: Address) -> Address:
    """Return the address that *address* leads to: an IPv4 address in it, or itself.

    Those of 6to4 and Teredo contain one, too, but are not public whatever it is.
    """
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped  # it is only written in another way
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)  # a translator leads there
    return address


def check_address(guard: Guard, host: str, address: str) -> None:
    """Ask *guard* about an address that *host* leads to.

    Raises:
        AddressForbidden: it does not allow that.

    """
    if not guard(host, ip_address(address.partition("%")[0])):
        raise AddressForbidden(f"{host}: the guard does not allow connections to {address}")


def guarded(guard: Guard, resolver: Resolver | None) -> Resolver:
    """Return a resolver that asks *guard* about each address that *resolver* finds."""

    def co_guarded(host: str, port: int) -> Co[Any]:
        if resolver is None:
            addresses: Any = yield from co_resolve(host, port)
        else:
            addresses = yield from co_look_up(host, port, resolver)
        for _, place in addresses:
            check_address(guard, host, place[0])
        return addresses

    return co_guarded


class GuardLayer:
    """The layer that asks the guard about hosts that are addresses, which are not looked up."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def __call__(self, request: ClientRequest, co_send: Send) -> Co[Response]:
        """Send *request* unless its host is an address that is not allowed; see `Layer`."""
        if request.connecting is not None and "proxy" in request.connecting.options:
            raise InvalidOption("guard: addresses behind a proxy are not known")
        host = request.url.host
        if family_of(host) is not None:
            try:
                check_address(self._guard, host, host)
            except AddressForbidden as exc:
                exc.label(request.method, mask_target(str(request.url)))
                exc.request = request
                raise
        return (yield from co_send(request))
