"""Operations of several requests each, which `Client.map` runs as it sends requests.

Such an operation has one result, whatever it does for that: it may send a file, ask what has become
of it, and write that down. Its requests are pipelined with those of others where they can be.

Not here: when they are begun and resumed (schedule.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from ...http.url import Origin
    from ...polling.contract import Co
    from ..response import Response

Send: TypeAlias = "Callable[..., Co[Response]]"


class Work(NamedTuple):
    """An operation as an item of `Client.map`.

    Attributes:
        origin: where most of its requests go.
        co_run: returns the operation; it is called with ``co_send`` of a client.

    """

    origin: Origin
    co_run: Callable[[Send], Co[Any]]
