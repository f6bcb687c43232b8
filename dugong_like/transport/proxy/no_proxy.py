"""NO_PROXY: servers that are reached without the proxy of the environment.

There is no standard. This follows the common rules of curl, Go and Python: an entry is a name,
which matches the hosts below it, too, an address or a network, or ``*``; a name or an address may
have a port. Malformed entries match nothing (CVE-2025-22870: they must not match everything,
either, and no part of a zone is a name).

Not here: the other variables (environment.py).
"""

from __future__ import annotations

import re
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from ...errors import InvalidRequest
from ...http.hosts import check_hostname

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAPPED: Final = 96  # bits in front of an IPv4 address that is written as IPv6
PART: Final = r"(0x[0-9a-f]{1,8}|[0-9]{1,11})"
_numbers = re.compile(rf"{PART}(?:\.{PART})?(?:\.{PART})?(?:\.{PART})?", re.IGNORECASE).fullmatch
_network = re.compile(r"[0-9A-Fa-f:.]+/[0-9]{1,3}").fullmatch
_bracketed = re.compile(r"\[([^\[\]]*:[^\[\]]*)\](?::([0-9]{1,5}))?").fullmatch
_with_port = re.compile(r"([^:\[\]]*):([0-9]{1,5})").fullmatch


def is_exempt(value: str, host: str, port: int) -> bool:
    """Return True if an entry of NO_PROXY matches a server.

    Args:
        value: entries, separated by commas or white space.
        host: name or address of the server, without brackets; see `check_hostname`.
        port: its port.

    """
    server = _Server(host, port)
    return any(server.is_meant_by(entry) for entry in re.split(r"[,\s]+", value) if entry)


class _Server:
    def __init__(self, host: str, port: int) -> None:
        self._address, self._zone = address_of(host)
        self._name = _plain(host)
        self._port = port

    def is_meant_by(self, entry: str) -> bool:
        """Return True if *entry* matches this server; False also if it is malformed."""
        if entry == "*":
            return True
        if _network(entry):
            return self._is_in(entry)
        host, port = _split_port(entry)
        if port not in {None, self._port}:
            return False
        address, zone = address_of(host)
        if address is not None:
            return address == self._address and zone in {"", self._zone}
        return self._is_below(host)

    def _is_in(self, entry: str) -> bool:
        """Return True if the network *entry* contains the address of this server."""
        try:
            network: Network = ip_network(entry, strict=False)
        except ValueError:
            return False
        if isinstance(network, IPv6Network) and network.prefixlen >= MAPPED:
            mapped = network.network_address.ipv4_mapped
            if mapped is not None:
                network = IPv4Network((mapped, network.prefixlen - MAPPED))
        return self._address is not None and self._address in network

    def _is_below(self, entry: str) -> bool:
        """Return True if this server has the name *entry*, or one that ends with it."""
        if self._address is not None:
            return False
        try:
            name = _plain(check_hostname(entry.removeprefix(".")))
        except InvalidRequest:
            return False
        return f".{self._name}".endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, int | None]:
    """Return host and port of *entry*; the port is None if there is none."""
    match = _bracketed(entry) or _with_port(entry)
    if match is None:
        return entry, None
    return match[1], None if match[2] is None else int(match[2])


def _plain(name: str) -> str:
    """Return *name* in lower case, without the dot of the root."""
    return name.lower().removesuffix(".")


def address_of(host: str) -> tuple[Address | None, str]:
    """Return address and zone of *host*; None if it is a name.

    IPv4 in IPv6 is IPv4, and IPv4 may have any notation that the system accepts, such as
    ``127.1`` or ``0x7f000001`` (inet_aton).
    """
    text, _, zone = host.partition("%")
    if ":" in text:
        try:
            address = ip_address(text)
        except ValueError:
            return None, ""
        assert isinstance(address, IPv6Address)
        return address.ipv4_mapped or address, zone
    match = _numbers(host)
    return (None, "") if match is None else (_ipv4([part for part in match.groups() if part]), "")


def _ipv4(parts: list[str]) -> IPv4Address | None:
    """Return the address for one to four numbers, the last of which fills the rest."""
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:  # 08 is neither octal nor decimal
        return None
    *front, last = numbers
    if any(number > 0xFF for number in front) or last >= 256 ** (4 - len(front)):  # noqa: PLR2004
        return None
    return IPv4Address(bytes(front) + last.to_bytes(4 - len(front), "big"))


def _number(text: str) -> int:
    if text[:2] in {"0x", "0X"}:
        return int(text, 16)
    return int(text, 8 if text.startswith("0") else 10)
