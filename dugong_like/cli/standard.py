"""Standard input, output and error of the process, each of which may be closed, full or a terminal.

Output is written to the descriptor at once, without the buffers of `sys.stdout`: Python writes the
rest of a failed buffer again at its exit, and then ends with the status 120.

A stream is waited for as it was given to the process. One that is blocking, as nearly all are,
waits in the system until its other end goes on, however long that takes: ``get | less`` may stand
still for a night. One that is non-blocking has a time limit: there is no other sign that its other
end is gone for good, such as a parent that waits for this process before it reads the pipe.

Not here: other files (output_file.py, upload.py), and escaping (escaping.py).
"""

from __future__ import annotations

import errno
import math
import os
import select
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import FileIO
from typing import BinaryIO, Final, TextIO, TypeAlias, cast

from ..errors import ConnectionTimedOut
from ..polling.binary_streams import BinaryWriter
from ..polling.combinators import stall
from ..polling.contract import POLLOUT, Co, PollNeeded, run
from .escaping import HarmlessText, one_line
from .outcome import too_late, with_name

Opener: TypeAlias = Callable[[str, int], int]

OUTPUT: Final = "standard output"
ERROR: Final = "standard error"
INPUT: Final = "standard input"
# Seconds; see `Writer`. Less than the 60 seconds after which servers give up a client that takes
# nothing (nginx: send_timeout, Apache: Timeout), as it takes nothing while the output is full: the
# error would be that the connection was lost, and not the reason for it.
PATIENCE: Final = 30
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


@contextmanager
def opened_input(file: str, opener: Opener | None = None) -> Iterator[tuple[BinaryIO, str]]:
    """Open *file*, or standard input for ``-``, and yield it with its name for messages.

    Args:
        file: the argument of the user.
        opener: of the file, as of `open`.

    Raises:
        OSError: it cannot be read, or is closed.

    """
    if file == "-":
        standard = binary(sys.stdin)
        if standard is None:
            raise closed(INPUT)
        yield standard, INPUT
        return
    with FileIO(file, opener=opener) as stream:
        yield stream, file


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
        name: see above.
        is_terminal: True if the stream is one.
        file: the stream, if it is a regular file, which the system can move bytes into.

    Raises:
        TypeError: *stream* is a text stream.

    """

    def __init__(
        self, stream: BinaryIO | None, name: str, patience: float | None = PATIENCE
    ) -> None:
        self._writer = None if stream is None else BinaryWriter(stream)
        self.name = name
        self._patience = math.inf if patience is None else patience
        self.is_terminal = is_terminal(stream)
        self.file = stream if _is_regular(stream) else None
        self._text = HarmlessText() if self.is_terminal else None

    def write(self, data: bytes | memoryview) -> None:
        """Write *data*.

        Raises:
            OSError: the stream cannot be written; `BrokenPipeError` if its reader has closed it,
                `TimeoutError` if it has taken nothing for *patience* seconds. That reports how
                many bytes it has taken before.

        """
        if self._text is not None:
            data = encoded(self._text.add(data))
        self._write(data)

    def end(self) -> None:
        """Write the rest, such as half a character. Raises as `write`."""
        if self._text is not None:
            self._write(encoded(self._text.end()))
        if self._writer is not None:
            self._run(self._writer, self._writer.co_flush())

    def _write(self, data: bytes | memoryview) -> None:
        if self._writer is not None:
            self._run(self._writer, self._writer.co_write_all(data))
        elif data:
            raise closed(self.name)

    def _run(self, writer: BinaryWriter, op: Co[object]) -> None:
        try:
            run(stall(self._patience, op))
        except ConnectionTimedOut as exc:
            raise too_late(
                self.name,
                f"nothing could be written for {self._patience:g} seconds "
                f"(bytes written before: {writer.written})",
            ) from exc
        except OSError as exc:
            raise with_name(exc, self.name) from exc


def _is_regular(stream: BinaryIO | None) -> bool:
    try:
        return stream is not None and stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


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


class StandardOutput:
    """Standard output as the place for a body: a stream, also if it is a file."""

    destination = None

    def open(self, patience: float | None) -> AbstractContextManager[Writer]:
        """See `standard_output`."""
        return standard_output(patience)

    def removed_on_signals(self) -> AbstractContextManager[None]:
        """Return a context without effect: what was written stays."""
        return nullcontext()


@contextmanager
def standard_error(patience: float | None = PATIENCE) -> Iterator[Writer]:
    """Yield a `Writer` to standard error. Raises as that."""
    error = Writer(binary(sys.stderr), ERROR, patience)
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


def takes_now(stream: BinaryIO) -> bool:
    """Return True if *stream* takes a line without blocking.

    A pipe that is ready takes some thousand bytes (PIPE_BUF); a terminal that was stopped by Ctrl-S
    is not ready. Systems without ``poll`` cannot tell, and return True.

    Raises:
        OSError, ValueError: it is closed, or has no descriptor.

    """
    if not hasattr(select, "poll"):
        return True
    return PollNeeded(stream.fileno(), POLLOUT).poll(0)


def complain_at_once(text: str) -> None:
    """As `complain`, but without waiting for a reader, or not at all.

    On a terminal in a line of its own, behind a bar or ``^C``.
    """
    try:
        stream = binary(sys.stderr)
        if stream is not None and takes_now(stream):
            start = b"\n" if is_terminal(stream) else b""
            os.write(stream.fileno(), start + _line(text))
    except (OSError, ValueError):
        pass


def write_lines(lines: Iterable[str], patience: float | None = PATIENCE) -> None:
    """Write *lines*, which may have anything in them, to standard error, if possible.

    Args:
        lines: without ends.
        patience: seconds, see `Writer`.

    """
    try:
        with standard_error(patience) as error:
            error.write(encoded("".join(f"{one_line(line)}\n" for line in lines)))
    except OSError:
        pass


def complain(*texts: str, patience: float | None = PATIENCE) -> None:
    """Write each of *texts* as one line to standard error, if possible.

    Args:
        texts: the lines.
        patience: seconds, see `Writer`. When they have passed, the rest of the lines is not tried.

    """
    try:
        with standard_error(patience) as error:
            for text in texts:
                error.write(_line(text))
    except OSError:
        pass
