"""``get`` and ``put``: one file down or up, in bounded memory.

Not here: parsing of arguments (__main__.py).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from ..connection import HTTPConnection
from ..errors import ConnectionClosed, ContinueTimedOut, DugongError
from ..headers import CaseInsensitiveDict
from ..message import BodyFollowing, HTTPResponse
from .progress import progress_bar

PIECE: Final = 262144  # bytes
ASK_FIRST: Final = 1 << 20  # bytes of body from which on 100 (Continue) is asked for
CONTINUE_TIME: Final = 1.0  # seconds to wait for it, as curl does
CONTINUE: Final = 100
ERROR: Final = 400  # the first status code that means failure
STATUS_FAILED: Final = 4  # exit status for those


def get(conn: HTTPConnection, target: str, fields: CaseInsensitiveDict, file: str | None) -> int:
    """Download *target* into *file*, or to standard output.

    Returns:
        Exit status: 0, or `STATUS_FAILED` if the server answered 400 or above. Then
        nothing is written to *file*, and the body goes to standard error.

    Raises:
        DugongError: it did not work; *file* is untouched.
        OSError: *file* cannot be written.

    """
    conn.send_request("GET", target, fields)
    response = conn.read_response()
    if response.status >= ERROR:
        return _failed(conn, response)
    with _output(file) as output, progress_bar(target, response.length) as bar:
        buffer = bytearray(PIECE)
        view = memoryview(buffer)
        while count := conn.readinto(buffer):
            output.write(view[:count])
            bar.update(count)
    return 0


def put(conn: HTTPConnection, target: str, fields: CaseInsensitiveDict, file: str) -> int:
    """Upload *file*, or standard input for ``-``, to *target*.

    Returns:
        Exit status: 0, or `STATUS_FAILED` if the server answered 400 or above.

    Raises:
        DugongError: it did not work.
        OSError: *file* cannot be read.

    """
    if file == "-":
        return _put_stream(conn, target, fields, sys.stdin.buffer, None)
    with Path(file).open("rb") as source:
        size = os.fstat(source.fileno()).st_size if Path(file).is_file() else None
        return _put_stream(conn, target, fields, source, size)


def _put_stream(
    conn: HTTPConnection,
    target: str,
    fields: CaseInsensitiveDict,
    source: BinaryIO,
    size: int | None,
) -> int:
    asks = size is None or size >= ASK_FIRST
    conn.send_request("PUT", target, fields, BodyFollowing(size), expect100=asks)
    if asks:
        try:
            response = conn.read_response()
        except ContinueTimedOut:
            pass  # an old server: it gets the body unasked
        else:
            if response.status != CONTINUE:
                return _answered(conn, response)
    try:
        _send_body(conn, target, source, size)
    except ConnectionClosed as exc:
        if exc.request_sent == "no":
            raise
        try:  # the server may have answered before it had everything, and the answer says why
            response = conn.read_response()
        except DugongError:
            raise exc from None  # there is no answer: why sending failed says more
        if exc.request_sent != "yes" and response.status < ERROR:
            raise  # the server cannot have got what it says is well
        return _answered(conn, response)
    return _answered(conn, conn.read_response())


def _send_body(conn: HTTPConnection, target: str, source: BinaryIO, size: int | None) -> None:
    left = size
    with progress_bar(target, size) as bar:
        while piece := source.read(PIECE if left is None else min(PIECE, left)):
            conn.write(piece)
            bar.update(len(piece))
            left = None if left is None else left - len(piece)
        if left:
            raise OSError(f"the file has become shorter: {left} of {size} bytes are missing")
        conn.finish()


def _answered(conn: HTTPConnection, response: HTTPResponse) -> int:
    if response.status >= ERROR:
        return _failed(conn, response)
    _copy_body(conn, sys.stdout.buffer)
    return 0


def _failed(conn: HTTPConnection, response: HTTPResponse) -> int:
    sys.stderr.write(f"dugong_like: the server answered {response.status} {response.reason}\n")
    sys.stderr.flush()
    _copy_body(conn, sys.stderr.buffer)
    return STATUS_FAILED


def _copy_body(conn: HTTPConnection, output: BinaryIO) -> None:
    while piece := conn.read(PIECE):
        output.write(piece)
    output.flush()


@contextmanager
def _output(file: str | None) -> Iterator[BinaryIO]:
    """Open *file* for writing; it changes only when all is there. None is standard output."""
    if file is None or file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(file)
    if path.exists() and not path.is_file():  # such as /dev/null
        with path.open("wb") as output:
            yield output
        return
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as output:
            yield output
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)  # mkstemp lets nobody else read
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
