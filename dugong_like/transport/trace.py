"""Telling somebody what happens: events, and the combinator that tells of one operation.

A trace is a plain callable ``(event, info)``, the same under every driver. Each phase is
told as ``NAME.started`` with what it begins with, and ends with ``NAME.complete``
(``return_value``) or ``NAME.failed`` (``exception``). With nobody to tell nothing is done.

Not here: who tells what about a request (observed.py), and logging (log.py).
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
    """Run *op* and tell *trace* of its beginning and its end.

    Args:
        trace: who is told, or None.
        name: of the phase, such as ``"dns.resolve"``.
        op: the operation. It is closed in any case.
        info: what to tell when it starts.
        result: makes of the result what is told of it as ``return_value``.
        undo: called with the result if *trace* raises when it is told of it.

    Returns:
        The result of *op*.

    Raises:
        Exception: whatever *op* or *trace* raises.

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
    """Tell that something is said again, on a new connection.

    Args:
        trace: who is told.
        host: of the server.
        port: of the server.
        failure: why requests are repeated; None if a proxy is asked again.
        requests: how many; 0 if a proxy is asked again.

    Raises:
        BaseException: whatever *trace* raises.

    """
    info = {"host": host, "port": port, "exception": failure, "requests": requests}
    trace("connection.retry", info)


class Phases:
    """The phase that one half of a connection is in, and what is told of it.

    Attributes:
        name: of the phase, None between two of them.

    """

    def __init__(self, trace: Trace) -> None:
        self.name: str | None = None
        self._trace = trace
        self._info: Info = {}
        self._interrupted: str | None = None

    def reset(self) -> None:
        """Forget the phase: the connection was closed."""
        self.name = self._interrupted = None

    def start(self, name: str, info: Info) -> None:
        """Tell that *name* begins."""
        self.name, self._info, self._interrupted = name, info, None
        self._trace(f"{name}.started", info)

    def complete(self, name: str, info: Info) -> None:
        """Tell that *name* has ended well, and before that that it began, if nobody has."""
        if self.name != name:
            self.start(name, self._info)
        self.name = None
        self._trace(f"{name}.complete", info)

    def fail(self, exc: BaseException, *, for_good: bool = True) -> None:
        """Tell that the phase, if there is one, has ended with *exc*.

        If not *for_good*, it begins again with `resume`.
        """
        name, self.name = self.name, None
        if name is not None:
            self._interrupted = None if for_good else name
            self._trace(f"{name}.failed", {"exception": exc})

    def resume(self) -> None:
        """Go on with a phase that had failed, if there is one."""
        if self._interrupted is not None:
            self.start(self._interrupted, self._info)
