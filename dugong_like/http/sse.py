r"""Server-sent events: a stream of bytes in, events out (WHATWG HTML section 9.2).

A stream is UTF-8 text in lines that end with LF, CRLF or CR. Lines are fields of an event, which an
empty line completes; at the end of the stream an event without one is dropped.

Whole events are taken out of each piece at once: the bytes are not looked at line by line before
their fields are, and most events of most servers are a single field.

Not here: requests, reconnections and waiting (client/event_source.py).
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import Any, Final, NamedTuple

from ..errors import SSEError
from .redaction import quoted

MESSAGE: Final = "message"  # the type of an event that names none
MAX_EVENT_SIZE: Final = 1024 * 1024  # bytes, as httpx2: what is larger is a file, not an event
MAX_RETRY: Final = 86_400_000  # milliseconds, a day; numbers may have any number of digits
MAX_DIGITS: Final = 15
BOM: Final = codecs.BOM_UTF8
LF: Final = 10
CR: Final = 13
COMMENT: Final = ord(":")  # how one begins


class ServerSentEvent(NamedTuple):
    """An event of a stream.

    Attributes:
        type: what kind of event it is, ``"message"`` unless the server names another.
        data: the text; several lines are joined by LF.
        id: the last ID that the stream has named, with this event or before; ``""`` without one.
        retry: the milliseconds before a reconnection that the server has asked for with this event;
            None if it has not.

    """

    type: str = MESSAGE
    data: str = ""
    id: str = ""
    retry: int | None = None

    @property
    def event(self) -> str:
        """The `type`, as httpx2 and the stream itself call it."""
        return self.type

    def json(self, **options: Any) -> Any:
        """Return the value of *data*, which is JSON.

        Args:
            options: of `json.loads`.

        Raises:
            ValueError: it is no JSON; a note names the event and shows the beginning.

        """
        try:
            return json.loads(self.data, **options)
        except ValueError as exc:
            kind, shown = quoted(self.type[:60]), quoted(self.data[:60])
            exc.add_note(f"the data of an event of type {kind} begins with {shown}")
            raise


# Most events are like this one: nothing is repeated, and the fields are in this order.
_usual = re.compile(
    r"(?:id: ?+([^\n\0]*+)\n)?+(?:event: ?+([^\n]*+)\n)?+data: ?+([^\n]*+)"
).fullmatch
_new_event = tuple.__new__  # `ServerSentEvent()` without its call in between


class EventStreamParser:
    """Makes events of the bytes of one stream; how these are cut has no effect.

    Args:
        last_event_id: the ID of the last event of the stream before, which this one goes on from.
        max_event_size: bytes of the lines of one event at most, without comments and the ends of
            lines; None for any number.

    Attributes:
        last_event_id: the last ID that the stream has named, with an event that is complete.
        retry: the milliseconds before a reconnection that it has named last; None before.
        failure: the error after which nothing more is parsed; None without one.

    """

    def __init__(
        self, last_event_id: str = "", max_event_size: int | None = MAX_EVENT_SIZE
    ) -> None:
        self.last_event_id = last_event_id
        self.retry: int | None = None
        self.failure: SSEError | None = None
        self._most: float = math.inf if max_event_size is None else max_event_size
        self._is_between = False  # two events: nothing of the next one has been seen
        self._start: bytes | None = b""  # while it may be a byte order mark
        self._after_cr = False
        self._line: list[bytes] = []  # parts of the line that has not ended
        self._line_size = 0  # bytes
        # Of the event that is not complete:
        self._is_begun = False
        self._size = 0  # bytes of its lines that have ended
        self._type = ""
        self._data: list[str] = []
        self._id = last_event_id
        self._retry: int | None = None

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events that are complete with *data*.

        If an event is too large, those before it are returned, and `failure` is set.

        Raises:
            SSEError: `failure` was set before.

        """
        if self.failure is not None:
            raise self.failure
        is_whole = data.endswith(b"\n\n") and b"\r" not in data
        if is_whole and self._is_between and len(data) <= self._most:  # as from most servers
            return self._parse(data.decode("utf-8", "replace"))
        lines = self._checked(self._ended_lines(data))
        events = self._parse(lines.decode("utf-8", "replace")) if lines else []
        self._is_between = self._start is None and not (
            self._is_begun or self._line or self._after_cr
        )
        return events

    def _ended_lines(self, data: bytes) -> bytes:
        """Return the lines that have ended, each with LF; keep the one that has not."""
        if self._start is not None:
            data = self._start + data
            if len(data) < len(BOM) and BOM.startswith(data):
                self._start = data
                return b""
            self._start = None
            data = data.removeprefix(BOM)
        if self._after_cr and data:
            self._after_cr = False
            if data[0] == LF:  # that line had ended already
                data = data[1:]
        if b"\r" in data:
            self._after_cr = data[-1] == CR
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = data.rfind(b"\n") + 1
        lines = data[:end]
        if end and self._line:
            lines = b"".join([*self._line, lines])
            self._line.clear()
            self._line_size = 0
        if end < len(data):
            self._keep(data[end:])
        return lines

    def _keep(self, part: bytes) -> None:
        """Keep a part of a line that has not ended; of a comment only how it begins."""
        if self._line and self._line[0][0] == COMMENT:
            return
        if not self._line and part[0] == COMMENT:
            part = part[:1]
        else:
            self._line_size += len(part)
        self._line.append(part)

    def _checked(self, lines: bytes) -> bytes:
        """Return *lines* without those of an event that is too large, and count the others."""
        if self._size + len(lines) > self._most:
            lines = self._counted(lines)
        else:
            end = lines.rfind(b"\n\n") + 2
            if end > 1:
                self._size = 0
            self._counted(lines[end:] if end > 1 else lines)
        if self._size + self._line_size > self._most:
            self._fail()
        return lines

    def _counted(self, lines: bytes) -> bytes:
        """Count bytes of *lines*; return them up to the event that is too large."""
        begin = at = 0
        for line in lines.split(b"\n")[:-1]:
            if not line:
                self._size = 0
                begin = at + 1
            elif line[0] != COMMENT:
                self._size += len(line)
                if self._size > self._most:
                    self._fail()
                    return lines[:begin]
            at += len(line) + 1
        return lines

    def _fail(self) -> None:
        self.failure = SSEError(f"an event of the stream has more than {self._most} bytes")
        self._line.clear()

    def _parse(self, text: str) -> list[ServerSentEvent]:
        """Return the events in lines of text, each of which has ended."""
        events: list[ServerSentEvent] = []
        blocks = text.split("\n\n")
        rest = blocks.pop()
        append = events.append
        last_id = self.last_event_id
        is_fresh = not self._is_begun
        for block in blocks:
            if is_fresh and (match := _usual(block)) is not None:
                new_id, kind, data = match.groups()
                if new_id is not None:
                    last_id = self.last_event_id = self._id = new_id
                append(_new_event(ServerSentEvent, (kind or MESSAGE, data, last_id, None)))
            else:
                self._take(block, events)
                self._complete(events)
                last_id = self.last_event_id
                is_fresh = True
        if rest:
            self._take(rest[:-1], events)
        return events

    def _take(self, block: str, events: list[ServerSentEvent]) -> None:
        """Process lines; an empty one is there only if it completes an event of before."""
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if value.startswith(" "):
                value = value[1:]
            if name == "data":
                self._data.append(value)
            elif name == "event":
                self._type = value
            elif name == "id":
                if "\0" not in value:
                    self._id = value
            elif name == "retry":
                if value.isascii() and value.isdigit():
                    self._retry = self.retry = _milliseconds(value)
            elif not line:
                self._complete(events)
        self._is_begun = bool(line)

    def _complete(self, events: list[ServerSentEvent]) -> None:
        """Append the event that an empty line completes; without data there is none."""
        self.last_event_id = last_id = self._id
        if self._data:
            text = "\n".join(self._data)
            kind = self._type or MESSAGE
            events.append(_new_event(ServerSentEvent, (kind, text, last_id, self._retry)))
            self._data = []
        self._type = ""
        self._retry = None
        self._is_begun = False


def _milliseconds(digits: str) -> int:
    digits = digits.lstrip("0")
    return min(int(digits or "0"), MAX_RETRY) if len(digits) <= MAX_DIGITS else MAX_RETRY
