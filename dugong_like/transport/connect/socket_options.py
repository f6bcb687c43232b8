"""Options of sockets: family, local address, and options of the system.

Not here: connecting (happy_eyeballs.py, unix.py).
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ...errors import InvalidOption
from ...http.redaction import quoted
from ...polling.numbers import check_flag, check_int
from .dns import family_of
from .happy_eyeballs import new_socket

FAMILIES: Final = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
MAX_PORT: Final = 65535
MAX_INT: Final = 2**31 - 1  # of C
RawOption = tuple[int, int, int | bytes]
# The three numbers of keep-alive: their names here and of the system.
KEEPALIVE: Final = {
    "keepalive_idle": "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE",
    "keepalive_interval": "TCP_KEEPINTVL",
    "keepalive_probes": "TCP_KEEPCNT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """How the sockets of a connection are made; for `HTTPConnection`.

    Args:
        family: `socket.AF_INET` or `socket.AF_INET6` to use only such addresses; None for
            both, or that of *local_address*.
        local_address: host, an IP address of this machine, and port to connect from; port 0
            takes any. With another one the system refuses, for a minute or so, to connect to the
            same server again (TIME_WAIT, RFC 9293 section 3.6.1).
        keepalive: True to have the system probe idle connections (RFC 9293 section 3.8.4).
        keepalive_idle: idle seconds before the first probe; None for the default of the system,
            usually two hours.
        keepalive_interval: seconds between two unanswered probes.
        keepalive_probes: number of unanswered probes after which the connection is lost.
        nodelay: True to send small packets at once (TCP_NODELAY), as suits requests.
        raw: further options, ``(level, option, value)`` each, as arguments of
            `socket.socket.setsockopt`. They are set before connecting, also on unix domain
            sockets, to which the other options do not apply.

    Raises:
        InvalidOption: an option is invalid, or not supported by this system.
        TypeError: an option has the wrong type.

    """

    family: int | None = None
    local_address: tuple[str, int] | None = None
    keepalive: bool = False
    keepalive_idle: int | None = None
    keepalive_interval: int | None = None
    keepalive_probes: int | None = None
    nodelay: bool = True
    raw: Iterable[RawOption] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "raw", _check_raw(self.raw))
        if self.family is not None and self.family not in list(FAMILIES):
            raise InvalidOption(f"family is AF_INET or AF_INET6, not {quoted(self.family)}")
        for name in ("keepalive", "nodelay"):
            check_flag(name, getattr(self, name))
        if self.local_address is not None:
            _check_local(self.local_address, self.family)
        for name, number in self._keepalive_numbers():
            _check_keepalive(name, number)
            if not self.keepalive:
                raise InvalidOption(f"{name} means nothing without keepalive=True")

    def _keepalive_numbers(self) -> list[tuple[str, int]]:
        given = [(name, getattr(self, name)) for name in KEEPALIVE]
        return [(name, number) for name, number in given if number is not None]

    @property
    def only_family(self) -> int:
        """The only family of addresses that can be used, 0 if there are several."""
        if self.family is None and self.local_address is not None:
            return family_of(self.local_address[0]) or 0
        return self.family or 0

    def open(self, family: int) -> socket.socket:
        """Return a new socket, non-blocking and not connected.

        Raises:
            OSError: the system has no descriptors left, or no such local address.
            InvalidOption: the system refuses one of the options.

        """
        sock = new_socket(family)
        try:
            if self.raw:
                self._apply_raw(sock)
            if family in FAMILIES:
                self._apply(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def _apply_raw(self, sock: socket.socket) -> None:
        for level, option, value in self.raw:
            try:
                sock.setsockopt(level, option, value)
            except OSError as exc:
                raise InvalidOption(
                    f"the system refuses the socket option {(level, option, value)}: {exc.strerror}"
                ) from exc

    def _apply(self, sock: socket.socket) -> None:
        if self.nodelay:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.keepalive:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, number in self._keepalive_numbers():
                _set_keepalive(sock, name, number)
        if self.local_address is not None:
            self._bind(sock, self.local_address)

    @staticmethod
    def _bind(sock: socket.socket, address: tuple[str, int]) -> None:
        if address[1]:  # or connecting to other servers would fail, too
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError as exc:
            raise OSError(exc.errno, f"{exc.strerror} (from {address[0]})") from exc


def _set_keepalive(sock: socket.socket, name: str, number: int) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, KEEPALIVE[name]), number)
    except OSError as exc:
        raise InvalidOption(f"the system refuses {name}={number}: {exc.strerror}") from exc


def _check_keepalive(name: str, number: int) -> None:
    check_int(name, number, 1, MAX_INT)
    if not hasattr(socket, KEEPALIVE[name]):
        raise InvalidOption(f"{name} cannot be set on this system")


def _check_local(address: Any, family: int | None) -> None:
    if not isinstance(address, tuple) or len(address) != 2:  # noqa: PLR2004 - a pair
        raise TypeError(f"local_address is a pair of host and port, not {quoted(address)}")
    host, port = address
    if not isinstance(host, str):
        raise TypeError(f"the host of local_address is a string, not {quoted(host)}")
    own = family_of(host)
    if own is None:
        raise InvalidOption(f"local_address is an IP address of this machine, not {quoted(host)}")
    if family not in {None, own}:
        raise InvalidOption(f"local_address {host} is {FAMILIES[own]}, and family is another one")
    check_int("the port of local_address", port, 0, MAX_PORT)


def _check_raw(given: Any) -> tuple[RawOption, ...]:
    try:
        options = tuple(given)
    except TypeError:
        raise TypeError(f"raw has (level, option, value) of each, not {quoted(given)}") from None
    return tuple(map(_check_one, options))


def _check_one(option: Any) -> RawOption:
    if not isinstance(option, tuple | list) or len(option) != 3:  # noqa: PLR2004 - as documented
        raise TypeError(f"a raw option is (level, option, value), not {quoted(option)}")
    numbers = option[:2] if isinstance(option[2], bytes) else option
    for name, number in zip(("level", "option", "value"), numbers, strict=False):
        check_int(f"the {name} of a raw option", number, -MAX_INT - 1, MAX_INT)
    return tuple(option)
