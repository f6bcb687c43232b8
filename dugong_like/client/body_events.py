"""The events of the body of a response, and of its end: when their functions are called.

Not here: the functions (events.py), and the events before the body (layers/events.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..polling.contract import Co
    from .request import ClientRequest, EventFunctions


class BodyEvents:
    """Calls functions on ``data_received``, ``data_processed`` and ``post_request``.

    The response is an argument of each call, as it has this object.

    Args:
        request: the request that the response is for.
        hooks: the functions.

    Attributes:
        is_kept: True while events of data are kept for later.
        reports_end: True if the end is to be reported.

    """

    __slots__ = ("_hooks", "_kept", "_processed", "_request", "is_kept", "reports_end")

    def __init__(self, request: ClientRequest, hooks: EventFunctions) -> None:
        self._request = request
        self._hooks = hooks
        self._kept: list[tuple[str, bytes]] = []
        self._processed: bytearray | None = None  # decoded bytes, if somebody has asked for them
        self.is_kept = self.reports_end = False

    def co_report(self, response: Any, name: str, data: bytes) -> Co[None]:
        """Report *data*, by the event *name*, or keep that for `co_report_kept`."""
        if self.is_kept:
            self._kept.append((name, data))
            return
        if name == "data_processed" and self._processed is not None:
            self._processed += data
        yield from self._hooks.co_call(name, self._request, response, data)

    def keep(self) -> None:
        """Keep the events of data that come from now on, until `take_kept`."""
        self.is_kept = True

    def take_kept(self) -> list[tuple[str, bytes]]:
        """Return names and data of the events that were kept, to be reported now."""
        kept, self._kept = self._kept, []
        self.is_kept = False
        return kept

    def take_processed(self) -> bytes:
        """Return what was decoded since the last call, or nothing if this is the first one."""
        processed = self._processed
        if processed is None:
            self._processed = bytearray()
            return b""
        taken = bytes(processed)
        processed.clear()
        return taken

    def forget_processed(self) -> None:
        """Keep decoded bytes no longer: the whole body is in memory."""
        self._processed = None

    def co_end(self, response: Any) -> Co[None]:
        """Report the end of the body, once."""
        if self.reports_end:
            self.reports_end = False
            yield from self._hooks.co_call("post_request", self._request, response)

    def end(self, response: Any, exc: BaseException | None) -> None:
        """Report the end where nothing can be waited for, once; *exc* if there is an error."""
        if self.reports_end:
            self.reports_end = False
            self._hooks.call("post_request", self._request, response, exc=exc)
