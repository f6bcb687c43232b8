"""Scripted connections: for testing a program without a server, and without waiting.

Bytes arrive when they are received, and not before. So the responses to several requests follow
one after the other in a script, and nothing depends on timing.

Over https a script has what is inside of TLS, as it has no keys: there is no handshake.

Not here: other transports (transport/custom.py), and responses to requests of a client by rules
(client/dispatchers/mock.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from types import NoneType
from typing import Any, Final, Self, TypeVar, cast

from ..errors import ConnectFailed, ConnectionClosed, InvalidRequest
from ..http.arguments import as_bytes, as_string
from ..http.headers import Fields, Headers, field_pairs
from ..http.hosts import authority
from ..http.redaction import quoted
from ..polling.contract import POLLIN, Co, PollNeeded
from ..polling.numbers import check_flag, check_int
from ..polling.wake import Wake
from .custom import BaseStream
from .stream import Data, Part, Stream

Event = bytes | float | Exception | None  # bytes, a pause in seconds, an exception, or a wait
T = TypeVar("T")
KINDS: Final = (bytes, int, float, Exception, NoneType)  # of `Event`
Room = int | None | Exception  # bytes that are taken; None: not now


class ScriptedStream(BaseStream):
    """A stream that receives scripted bytes and records sent ones; see `ScriptedTransport`.

    Args:
        incoming: the script of receiving: bytes, which are never joined; None, for which the
            reader waits once; numbers, which are pauses in seconds (`math.inf` for ever); and
            exceptions, which are raised. The end of the script, or ``b""``, is the end of the
            stream.
        rooms: the script of sending: the number of bytes that each call takes; None, for which
            the sender waits once; an exception, which is raised. After the last one all bytes
            are taken.
        secured: True to stand for a connection with TLS; see `BaseStream.secured`.

    Attributes:
        incoming: the rest of that script.
        rooms: the rest of that script.
        sent: all bytes that were taken.
        closed: True if the stream has been closed.
        fd: -1 before the first wait.

    """

    fd = -1

    def __init__(
        self,
        incoming: Iterable[Event] = (),
        rooms: Iterable[Room] = (),
        *,
        secured: bool = False,
    ) -> None:
        check_flag("secured", secured)
        self.secured = bool(secured)
        self.incoming = _checked("incoming", incoming, KINDS)
        self.rooms = _checked("rooms", rooms, (int, Exception, NoneType))
        self.sent = b""
        self._dropped: list[Event] = []  # the rest of the script when the stream was shut down
        self.closed = False
        self._deaf = False
        self._until: float | None = None  # `time.monotonic` seconds at which a pause is over
        self._wakes: list[Wake] = []  # of the receiver and of the sender

    def reply(self, status: int = 200, headers: Fields | None = None, **body: Any) -> Self:
        """Add a response to the script, and return the stream.

        Args:
            status: the status code.
            headers: its fields.
            body: how its body is given, by name: see `scripted_response`.

        """
        self.incoming.append(scripted_response(status, headers, **body))
        return self

    def check(self) -> None:
        """Check that all of the script was received. Pauses, waits and the end do not count.

        Raises:
            AssertionError: it was not.

        """
        left = [
            one
            for one in self._dropped + self.incoming
            if one and isinstance(one, bytes | Exception)
        ]
        if left:
            shown = ", ".join(map(quoted, left))
            raise AssertionError(f"the script was not used up: {shown}")

    def recv_into(self, buffer: memoryview) -> int | None:
        """See `Stream.recv_into`."""
        data = self.recv(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def recv(self, size: int) -> bytes | None:
        """See `Stream.recv`."""
        self.waiting = False
        if self.closed:
            raise ConnectionClosed("the stream is closed")
        while self.incoming:
            event = self.incoming[0]
            if isinstance(event, bytes):
                return self._give(event, size)
            if isinstance(event, float | int) and not self._is_over(event):
                return None
            del self.incoming[0]
            if isinstance(event, Exception):
                raise event
            if event is None:
                return None
        return b""

    def _give(self, piece: bytes, size: int) -> bytes:
        if len(piece) > size:
            self.incoming[0] = piece[size:]
        elif piece:  # the end stays there
            del self.incoming[0]
        return piece[:size]

    def _is_over(self, seconds: float) -> bool:
        """Return True if a pause is over; it begins with the first call."""
        now = time.monotonic()
        if self._until is None:
            self._until = now + seconds
            return False
        if now < self._until:
            return False
        self._until = None
        return True

    def send(self, parts: Sequence[Part]) -> int | None:
        """See `Stream.send`."""
        if self.closed or self._deaf:
            raise ConnectionClosed("the stream takes no more", request_sent="maybe")
        total = sum(map(len, parts))
        room = self.rooms.pop(0) if self.rooms else total
        if room is None:
            return None
        if isinstance(room, Exception):
            raise room
        data = b"".join(cast("Sequence[Data]", parts))[:room]  # without `bulk` there are no files
        self.sent += data
        return len(data)

    def wanted_by_recv(self, deadline: float | None) -> PollNeeded:
        """See `Stream.wanted_by_recv`."""
        self.waiting = True
        until, wake = self._until, self._wake(0)
        if until is None:
            wake.set()
        else:
            wake.clear()
            if until < math.inf:
                deadline = until if deadline is None else min(deadline, until)
        return PollNeeded(wake.fd, POLLIN, deadline)

    def wanted_by_send(
        self,
        deadline: float | None,
        *,
        watch: bool = False,  # noqa: ARG002 - bytes never arrive before they are received
    ) -> PollNeeded:
        """See `Stream.wanted_by_send`."""
        self._wake(1).set()
        return PollNeeded(self._wake(1).fd, POLLIN, deadline)

    def recv_would_block(self) -> bool:
        """Return True unless the stream has ended or failed: bytes only arrive on demand."""
        event = self.incoming[0] if self.incoming else b""
        return not isinstance(event, Exception) and event != b""

    def shut_down_writing(self) -> None:
        """Take no more bytes."""
        self._deaf = True

    def end_sending(self) -> bool | None:
        """Take no more bytes, and return True: it does not block."""
        self._deaf = True
        return True

    def shut_down(self) -> None:
        """End the stream in both directions, and wake the operations that wait."""
        self._deaf = True
        self._dropped, self.incoming = self.incoming, []
        for wake in self._wakes:
            wake.set()

    def close(self) -> None:
        """See `Stream.close`."""
        self.closed = True
        for wake in self._wakes:
            wake.close()

    def _wake(self, which: int) -> Wake:
        if not self._wakes:
            self._wakes = [Wake(), Wake()]
            self.fd = self._wakes[0].fd
        return self._wakes[which]


def _checked(name: str, given: Iterable[T], kinds: tuple[type, ...]) -> list[T]:
    """Return the items of a script as a list.

    Raises:
        TypeError: an item has the wrong type.

    """
    try:
        parts = list(given)
    except TypeError:
        raise TypeError(f"{name} is a list of what happens, not {quoted(given)}") from None
    for part in parts:
        if not isinstance(part, kinds) or isinstance(part, bool):
            listed = ", ".join("None" if kind is NoneType else kind.__name__ for kind in kinds)
            raise TypeError(f"{name} is of {listed}; {quoted(part)} is none of these")
    return parts


class ScriptedTransport:
    """A `Transport` that returns one scripted stream after the other.

    A context manager: leaving it without an exception calls `check`.

    Args:
        scripts: one for each connection: the argument *incoming* of a `ScriptedStream`; or such
            a stream; or an exception, such as `ConnectFailed`, which connecting raises. After
            the last one connecting fails.
        secured: True if the streams that are made of scripts stand for connections with TLS, for
            https; see `BaseStream.secured`.

    Attributes:
        streams: the streams of the connections, in order; ``streams[0].sent`` are the bytes that
            the first connection has sent.
        places: the destinations of the connections: pairs of host and port, or paths as bytes.

    """

    def __init__(
        self, *scripts: Iterable[Event] | ScriptedStream | Exception, secured: bool = False
    ) -> None:
        check_flag("secured", secured)
        self._secured = bool(secured)
        self.streams: list[ScriptedStream] = []
        self.places: list[tuple[str, int] | bytes] = []
        self._scripts = [
            script
            if isinstance(script, ScriptedStream | Exception)
            else _checked("a script", script, KINDS)
            for script in scripts
        ]

    def reply(
        self,
        status: int = 200,
        headers: Fields | None = None,
        *,
        anew: bool = False,
        **body: Any,
    ) -> Self:
        """Add a response to the last script, or to a new one if there is none.

        Args:
            status: see `scripted_response`.
            headers: see there.
            anew: True to begin the script of another connection with it.
            body: see there.

        Raises:
            ValueError, TypeError: see there.

        """
        response = scripted_response(status, headers, **body)
        last = self._scripts[-1] if self._scripts else None
        if anew or last is None or isinstance(last, Exception):
            self._scripts.append([response])
        elif isinstance(last, ScriptedStream):
            last.incoming.append(response)
        else:
            last.append(response)
        return self

    def check(self) -> None:
        """Check that the scripts were used up.

        Raises:
            AssertionError: connections that have scripts were not made; or see
                `ScriptedStream.check`.

        """
        for stream in self.streams:
            stream.check()
        if self._scripts:
            raise AssertionError(
                f"{len(self._scripts)} connections that have scripts were not made"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        if kind is None:
            self.check()

    def co_connect_tcp(self, host: str, port: int) -> Co[Stream]:
        """See `Transport.co_connect_tcp`."""
        return self._co_connect((host, port))

    def co_connect_unix(self, path: bytes) -> Co[Stream]:
        """See `Transport.co_connect_unix`."""
        return self._co_connect(path)

    def _co_connect(self, place: tuple[str, int] | bytes) -> Co[Stream]:
        yield from ()
        self.places.append(place)
        if not self._scripts:
            where = authority(*place) if isinstance(place, tuple) else quoted(place)
            raise ConnectFailed(f"no script is left for a connection to {where}")
        script = self._scripts.pop(0)
        if isinstance(script, Exception):
            raise script
        stream = script if isinstance(script, ScriptedStream) else self._stream_of(script)
        self.streams.append(stream)
        return stream

    def _stream_of(self, script: list[Event]) -> ScriptedStream:
        return ScriptedStream(script, secured=self._secured)


def scripted_response(
    status: int = 200,
    headers: Fields | None = None,
    *,
    content: bytes = b"",
    text: str | None = None,
    json: Any = None,
    reason: str | None = None,
) -> bytes:
    """Return a response as a server would send it, with Content-Length unless *headers* has it.

    Args:
        status: status code.
        headers: header fields, as for a request.
        content: the body.
        text: the body as text, sent as UTF-8, instead of *content*.
        json: a value that is sent as JSON, instead of *content*.
        reason: the text behind the status code; None for the usual one.

    Raises:
        InvalidRequest: a header field is invalid.
        InvalidOption: *status* is no status code.
        TypeError: an argument has the wrong type.

    """
    check_int("status", status, 100, 999)
    fields = Headers(field_pairs(headers) if headers else ())
    if text is not None:
        content = as_string(text, "text").encode()
        fields.setdefault("Content-Type", "text/plain; charset=utf-8")
    elif json is not None:
        from json import dumps  # noqa: PLC0415 - for those who want it

        content = dumps(json).encode()
        fields.setdefault("Content-Type", "application/json")
    if status >= 200 and status not in (204, 304) and "transfer-encoding" not in fields:  # noqa: PLR2004 - they have no body
        fields.setdefault("Content-Length", str(len(content)))
    if reason is None:
        from http import HTTPStatus  # noqa: PLC0415 - for those who want the usual one

        reason = next((one.phrase for one in HTTPStatus if one == status), "")
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields)]
    for line in lines:
        if not line.isprintable():
            raise InvalidRequest(f"a line of the response has control characters: {quoted(line)}")
    head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
    return head + b"\r\n" + bytes(as_bytes(content, "content"))
