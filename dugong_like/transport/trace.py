"""Trace events, and a combinator that emits those of one operation.

A trace is a plain callable ``(event, info)``, the same under every driver. Each phase begins with
``NAME.started``, and ends with ``NAME.complete`` (``return_value``) or ``NAME.failed``
(``exception``). Without a trace nothing is done.

Not here: the events of requests (connection/h1/trace_events.py), and logging (log.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..polling.contract import Co

T = TypeVar("T")
Info = dict[str, Any]
Trace = Callable[[str, Info], object]


def co_traced(
    trace: Trace | None,
    name: str,
    op: Co[T],
    info: Info,
    *,
    result: Callable[[T], Any] = lambda result: result,
    undo: Callable[[T], object] = lambda _: None,
) -> Co[T]:
    """Return an operation that runs *op*, and reports its beginning and its end to *trace*.

    Args:
        trace: the trace, or None.
        name: name of the phase, such as ``"dns.resolve"``.
        op: the operation. It is closed in any case.
        info: the contents of the event at its start.
        result: converts the result for ``return_value``.
        undo: called with the result if *trace* raises at the event for it.

    Returns:
        The operation, which returns the result of *op*, and raises any exception of *op* or
        *trace*; *op* itself if there is no trace.

    """
    return op if trace is None else _co_traced(trace, name, op, info, result, undo)


def _co_traced(
    trace: Trace,
    name: str,
    op: Co[T],
    info: Info,
    result: Callable[[T], Any],
    undo: Callable[[T], object],
) -> Co[T]:
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


def report_retry(
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
