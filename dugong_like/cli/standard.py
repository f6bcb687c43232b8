"""Standard input, output and error of the process, each of which may be closed, full or a terminal.

Output is written to the descriptor at once, without the buffers of `sys.stdout`: Python writes the
rest of a failed buffer again at its exit, and then ends with the status 120.

Not here: other files (output_file.py, upload.py), and escaping (escaping.py).
"""

from __future__ import annotations

import errno
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, TextIO, cast

from ..errors import ConnectionTimedOut
from ..polling.binary_streams import co_flush, co_write_all
from ..polling.combinators import stall
from ..polling.contract import POLLOUT, Co, PollNeeded, run
from .escaping import HarmlessText, one_line
from .outcome import with_name

OUTPUT: Final = "standard output"
ERROR: Final = "standard error"
INPUT: Final = "standard input"
PATIENCE: Final = 60  # seconds; see `Writer`
MAX_LINE: Final = 2000  # characters of a message; a server may send a Location of 64 KiB
NAME: Final = "dugong_like"
# Flags for opening a closed one, so that using it is an error.
WRONG_WAYS: Final = (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_RDONLY))


def occupy_closed() -> None:
    """Occupy the numbers of closed standard streams.

    Otherwise the next socket would get one of them, and messages that a library or a child process
    writes to standard error would be sent to the server.
    """
    for name, flags in WRONG_WAYS:
        if getattr(sys, name) is None:
            try:
                os.open(os.devnull, flags)  # the lowest free number
            except OSError:
                return  # not essential


def binary(stream: TextIO | None) -> BinaryIO | None:
    """Return the raw stream of *stream*, a standard stream; None if it is closed."""
    if stream is None:
        return None
    buffer = stream.buffer
    return cast("BinaryIO", getattr(buffer, "raw", buffer))


def is_terminal(stream: TextIO | BinaryIO | None) -> bool:
    """Return True if *stream* is a terminal; False if it is closed."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


class Writer:
    """Writes all its data, also to non-blocking streams.

    A terminal only gets text without control characters.

    Args:
        stream: a binary stream; None for a closed one.
        name: name of the stream, for errors.
        patience: seconds for which a non-blocking stream may take nothing; None for no limit.

    Attributes:
        is_terminal: True if the stream is one.

    """

    def __init__(
        self, stream: BinaryIO | None, name: str, patience: float | None = PATIENCE
    ) -> None:
        self._stream = stream
        self._name = name
        self._patience = math.inf if patience is None else patience
        self.is_terminal = is_terminal(stream)
        self._text = HarmlessText() if self.is_terminal else None

    def write(self, data: bytes | memoryview) -> None:
        """Write *data*.

        Raises:
            OSError: the stream cannot be written; `BrokenPipeError` if its reader has closed it.

        """
        if self._text is not None:
            data = encoded(self._text.add(data))
        self._write(data)

    def end(self) -> None:
        """Write the rest, such as half a character. Raises as `write`."""
        if self._text is not None:
            self._write(encoded(self._text.end()))
        if self._stream is not None:
            self._run(co_flush(self._stream))

    def _write(self, data: bytes | memoryview) -> None:
        if self._stream is not None:
            self._run(co_write_all(self._stream, data))
        elif data:
            raise closed(self._name)

    def _run(self, op: Co[object]) -> None:
        try:
            run(stall(self._patience, op))
        except ConnectionTimedOut as exc:
            raise TimeoutError(
                f"{self._name}: nobody has read for {self._patience:g} seconds"
            ) from exc
        except OSError as exc:
            raise with_name(exc, self._name) from exc


def encoded(text: str) -> bytes:
    """Return *text* in the encoding of terminals on this system."""
    return text.encode(getattr(sys.stdout, "encoding", None) or "utf-8", "backslashreplace")


def closed(name: str) -> OSError:
    """Return the error of the system for a closed stream, about *name*."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF), name)


@contextmanager
def standard_output(patience: float | None = PATIENCE) -> Iterator[Writer]:
    """Yield a `Writer` to standard output. Raises as that."""
    output = Writer(binary(sys.stdout), OUTPUT, patience)
    yield output
    output.end()


@contextmanager
def standard_error() -> Iterator[Writer]:
    """Yield a `Writer` to standard error. Raises as that."""
    error = Writer(binary(sys.stderr), ERROR)
    yield error
    error.end()


def print_output(text: str) -> None:
    """Write *text*, which is trusted, to standard output.

    Raises:
        OSError: it cannot be written, or is closed.

    """
    with standard_output() as output:
        output.write(encoded(text))


def _line(text: str) -> bytes:
    shown = text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}..."
    return encoded(f"{NAME}: {one_line(shown)}\n")


def complain_at_once(text: str) -> None:
    """As `complain`, but without waiting for a reader, or not at all.

    On a terminal in a line of its own, behind a bar or ``^C``.
    """
    try:
        stream = binary(sys.stderr)
        # A pipe that is ready takes this number of bytes without blocking (PIPE_BUF).
        if stream is not None and PollNeeded(stream.fileno(), POLLOUT).poll(0):
            start = b"\n" if is_terminal(stream) else b""
            os.write(stream.fileno(), start + _line(text))
    except (OSError, ValueError):
        pass


def complain(text: str) -> None:
    """Write *text* as one line to standard error, if possible."""
    try:
        with standard_error() as error:
            error.write(_line(text))
    except OSError:
        pass
