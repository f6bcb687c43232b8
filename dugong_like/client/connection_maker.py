"""The part of a connector that a pool uses, for connectors of adapters and of tests as well.

Two more methods are optional, ``negotiates`` and ``allows_http_1``: see `Connector`, which has all.

Not here: the connector itself (connector.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ..connection.connection import HTTPConnection
    from ..http.url import Origin
    from ..polling.timeouts import Timeouts


class ConnectionMaker(Protocol):
    """The part of a connector that a pool uses."""

    @property
    def timeouts(self) -> Timeouts:
        """Time limits, of which `Timeouts.pool` is that of the pool."""

    def key(self, origin: Origin) -> Hashable:
        """Return what is equal for origins that the same connections lead to."""
        ...

    def connection(self, origin: Origin) -> HTTPConnection:
        """Return a new connection, which is opened when it is first used."""
        ...
