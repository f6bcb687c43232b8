"""The filters that a connection wants between itself and its stream, put around each new one.

Not here: what each of them does (minimum_rate.py, wire_dump.py, throttle.py).
"""

from __future__ import annotations

import math
import os

from ...http.redaction import quoted
from ...polling.binary_streams import is_binary
from ...polling.rates import Budget
from ...polling.timeouts import Timeouts
from ..stream import Stream
from .minimum_rate import Meter, MeteredStream
from .throttle import ThrottledStream
from .wire_dump import TraceFile, WireDump


class Filters:
    """Wraps streams; see `Budget` and ``HTTPConnection(trace_file=…)``.

    Args:
        dump: where every byte is written to, or None.
        budget: how fast bytes may pass, and have to; None: as fast or slow as they like.
        timeouts: those of the connection. The shortest for a wait, or for a whole operation, holds
            for a non-blocking *dump*, too.

    Raises:
        TypeError: one of them has the wrong type.

    Attributes:
        budget: as given, or one without limits.

    """

    __slots__ = ("_dump", "budget")

    def __init__(self, dump: TraceFile | None, budget: Budget | None, timeouts: Timeouts) -> None:
        if budget is not None and not isinstance(budget, Budget):
            raise TypeError(f"budget is Budget(…), not {quoted(budget)}")
        if not isinstance(dump, str | os.PathLike | None) and not is_binary(dump, "write"):
            raise TypeError(f"trace_file is a path or a binary file, not {quoted(dump)}")
        limits = (timeouts.to_read, timeouts.to_write, timeouts.total)
        patience = min((limit for limit in limits if limit is not None), default=math.inf)
        self._dump = None if dump is None else WireDump(dump, patience)
        self.budget = budget or Budget()

    def wrap(self, stream: Stream) -> tuple[Stream, Meter | None]:
        """Return *stream* with the filters around it, and what counts for the minimum rate.

        Raises:
            OSError: the file for the dump cannot be opened or written.

        """
        budget, meter = self.budget, None
        if budget.minimum_rate is not None:
            meter = Meter(budget.minimum_rate)
            stream = MeteredStream(stream, meter)
        if self._dump is not None:
            stream = self._dump.wrap(stream)
        if budget.download is not None or budget.upload is not None:
            stream = ThrottledStream(stream, budget.download, budget.upload)
        return stream, meter
