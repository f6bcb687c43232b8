"""The arguments of `Client.map`, checked before anything is sent.

Not here: what is done with them (schedule.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from ...errors import InvalidOption
from ...http.arguments import check_callable
from ...http.redaction import quoted
from ...polling.numbers import check_flag, check_int, check_seconds
from ..request_building import RequestOptions, unknown_option

if TYPE_CHECKING:
    from .results import MapProgress

CONCURRENCY: Final = 8  # connections: 4 to 16 are enough for any link if requests are pipelined
DEPTH: Final = 32  # requests; half of them are sent together
WINDOW: Final = 512  # requests at least
FILLS: Final = 2  # as many as fill the connections: one that stands still does not stop the others
MAX_BYTES: Final = 16 << 20
MOST: Final = 1 << 20  # of each of these numbers
SAME: Final = {
    "buffersize": "window",
    "chunksize": "depth",
    "max_concurrency": "concurrency",
    "max_workers": "concurrency",
    "pool_size": "concurrency",
    "prefetch": "window",
    "return_exceptions": "errors='return'",
    "size": "concurrency",
    "workers": "concurrency",
}  # what other libraries call an argument


class MapOptions(RequestOptions, total=False):
    """The optional arguments of `Client.map`."""

    concurrency: int
    window: int
    depth: int
    ordered: bool
    errors: Literal["raise", "return"]
    max_bytes: int
    total: float | None
    on_progress: Callable[[MapProgress], object] | None


CONSUMED: Final = ("content", "data", "files", "headers", "params")  # in each request
OWN: Final = MapOptions.__annotations__.keys() - RequestOptions.__annotations__.keys()


class MapSettings:
    """The options of `Client.map`, checked.

    Args:
        options: as given.

    Raises:
        InvalidOption: one has an invalid value.
        TypeError: one has the wrong type, or there is no such argument.

    Attributes:
        concurrency: and the others: see `Client.map`.
        of_requests: options for requests that are made here.

    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        for name in options:
            if name not in MapOptions.__annotations__:
                raise unknown_option(name, MapOptions.__annotations__, SAME)
        self.concurrency: int = options.get("concurrency", CONCURRENCY)
        self.depth: int = options.get("depth", DEPTH)
        self.max_bytes: int = options.get("max_bytes", MAX_BYTES)
        self.total: float | None = options.get("total")
        check_int("concurrency", self.concurrency, 1, MOST)
        check_int("depth", self.depth, 1, MOST)
        fills = self.concurrency * self.depth
        self.window: int = options.get("window", min(max(FILLS * fills, WINDOW), MOST))
        check_int("window", self.window, 1, MOST)
        check_int("max_bytes", self.max_bytes, 1)
        if self.total is not None:
            check_seconds(self.total, "total")
        check_flag("ordered", ordered := options.get("ordered", True))
        self.ordered = bool(ordered)
        errors = options.get("errors", "raise")
        if not isinstance(errors, str):
            raise TypeError(f"errors is 'raise' or 'return', not {quoted(errors)}")
        if errors not in ("raise", "return"):
            raise InvalidOption(f"errors is 'raise' or 'return', not {quoted(errors)}")
        self.raises = errors == "raise"
        check_callable(on_progress := options.get("on_progress"), "on_progress")
        self.on_progress: Callable[[MapProgress], object] | None = on_progress
        if options.get("stream"):
            raise InvalidOption("stream: the responses of map() are read as a whole")
        others = {name: value for name, value in options.items() if name not in OWN}
        for name in CONSUMED:
            _check_reusable(name, others.get(name))
        self.of_requests = cast("RequestOptions", others)


def _check_reusable(name: str, value: object) -> None:
    """Check the option *name*, which all requests share.

    Raises:
        InvalidOption: *value* would be used up by the first of them.

    """
    if isinstance(value, Iterator | AsyncIterator) or hasattr(value, "read"):
        kind = "which is read once"
        raise InvalidOption(f"{name} is for each request of map(), not {quoted(value)}, {kind}")
