"""Trace events, and a combinator that emits those of one operation.

A trace is a plain callable ``(event, info)``, the same under every driver. Each phase begins with
``NAME.started``, and ends with ``NAME.complete`` (``return_value``) or ``NAME.failed``
(``exception``). Without a trace nothing is done.

Not here: the events of requests (connection/h1/observer.py), and logging (log.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..polling.contract import Co

T = TypeVar("T")
Info = dict[str, Any]
Trace = Callable[[str, Info], object]


def co_told(
    trace: Trace | None,
    name: str,
    op: Co[T],
    info: Info,
    *,
    result: Callable[[T], Any] = lambda result: result,
    undo: Callable[[T], object] = lambda _: None,
) -> Co[T]:
    """Run *op*, and report its beginning and its end to *trace*.

    Args:
        trace: the trace, or None.
        name: name of the phase, such as ``"dns.resolve"``.
        op: the operation. It is closed in any case.
        info: the contents of the event at its start.
        result: converts the result for ``return_value``.
        undo: called with the result if *trace* raises at the event for it.

    Returns:
        The result of *op*.

    Raises:
        Exception: any exception of *op* or *trace*.

    """
    if trace is None:
        return (yield from op)
    try:
        trace(f"{name}.started", info)
        try:
            value = yield from op
        except BaseException as exc:
            trace(f"{name}.failed", {"exception": exc})
            raise
    finally:
        op.close()
    try:
        trace(f"{name}.complete", {"return_value": result(value)})
    except BaseException:
        undo(value)
        raise
    return value


def tell_retry(
    trace: Trace, host: str, port: int, failure: Exception | None = None, requests: int = 0
) -> None:
    """Report that requests are repeated on a new connection.

    Args:
        trace: the trace.
        host: host of the server.
        port: port of the server.
        failure: the reason for repeating requests; None if a proxy is asked again.
        requests: number of requests; 0 if a proxy is asked again.

    Raises:
        BaseException: any exception of *trace*.

    """
    info = {"host": host, "port": port, "exception": failure, "requests": requests}
    trace("connection.retry", info)


class Phases:
    """The present phase of one half of a connection, and its events.

    Attributes:
        name: name of the phase, None between two phases.

    """

    def __init__(self, trace: Trace) -> None:
        self.name: str | None = None
        self._trace = trace
        self._info: Info = {}
        self._interrupted: str | None = None

    def reset(self) -> None:
        """Drop the phase: the connection was closed."""
        self.name = self._interrupted = None

    def start(self, name: str, info: Info) -> None:
        """Report the start of *name*."""
        self.name, self._info, self._interrupted = name, info, None
        self._trace(f"{name}.started", info)

    def complete(self, name: str, info: Info) -> None:
        """Report the end of *name*, and before that its start, if that was not reported."""
        if self.name != name:
            self.start(name, self._info)
        self.name = None
        self._trace(f"{name}.complete", info)

    def fail(self, exc: BaseException, *, for_good: bool = True) -> None:
        """Report that the phase, if there is one, has failed with *exc*.

        If not *for_good*, it begins again with `resume`.
        """
        name, self.name = self.name, None
        if name is not None:
            self._interrupted = None if for_good else name
            self._trace(f"{name}.failed", {"exception": exc})

    def resume(self) -> None:
        """Continue a phase that had failed, if there is one."""
        if self._interrupted is not None:
            self.start(self._interrupted, self._info)
