"""The body of an error response, on standard error.

A file or a pipe gets it as it was sent; a terminal only if it is a short text, and otherwise a
description.

Not here: escaping control characters (escaping.py).
"""

from __future__ import annotations

import re
from typing import Final

from ..connection.connection import HTTPConnection
from ..connection.exchange import HTTPResponse
from ..errors import DugongError
from .outcome import reason_of
from .standard import Writer, complain, standard_error

PIECE: Final = 65536  # bytes at once
MAX_PAGE: Final = 4096  # bytes for a terminal, decoded; a screen or two
CODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # window sizes for zlib
RAW: Final = -15  # window size for the deflate of some servers (RFC 9110 section 8.4.1.2)

# Media types of readable text (suffixes: RFC 6838 section 4.2.8).
_is_text = re.compile(
    r"(?i)(?:text/[^;]*|application/(?:[^;]*\+)?(?:json|xml))[ \t]*(?:;.*)?", re.DOTALL
).fullmatch


def show_page(conn: HTTPConnection, response: HTTPResponse, patience: float | None) -> None:
    """Write the body of *response*, which has not been read, or a description to standard error.

    Args:
        conn: the connection.
        response: the response to the last request on it.
        patience: seconds, see `Writer`.

    Raises nothing: errors of the body are reported there, too.
    """
    unseen = ""
    try:
        with standard_error(patience) as error:
            if not error.is_terminal:
                _copy(conn, error)
            elif response.length != 0:
                unseen = _show(conn, response, error)
    except DugongError as exc:
        complain(reason_of(exc), patience=patience)
    except OSError:
        pass  # there is no way to report it
    if unseen:
        complain(unseen, patience=patience)


def _copy(conn: HTTPConnection, error: Writer) -> None:
    last = b"\n"
    try:
        while piece := conn.read(PIECE):
            error.write(piece)
            last = piece[-1:]
    except DugongError:
        if last != b"\n":
            error.write(b"\n")  # another line follows
        raise


def _show(conn: HTTPConnection, response: HTTPResponse, terminal: Writer) -> str:
    """Write a short text to *terminal*, or return a line that describes the body."""
    kind = str(response.headers.get("Content-Type", ""))
    codings = str(response.headers.get("Content-Encoding", ""))
    is_text = _is_text(kind) is not None
    length = response.length
    if length is None or (is_text and length <= MAX_PAGE):
        sent = _read(conn)
        page = decoded(sent, codings) if is_text else None
        if page is not None and len(page) <= MAX_PAGE:
            terminal.write(page if page[-1:] in {b"", b"\n"} else page + b"\n")
            return ""
        length = len(sent) if len(sent) <= MAX_PAGE else None
    size = f"more than {MAX_PAGE} bytes" if length is None else f"{length} bytes"
    coded = f" ({codings})" if codings else ""
    return f"the answer is not shown here: {kind or 'of no type'}{coded}, {size}"


def _read(conn: HTTPConnection) -> bytes:
    """Return the body, or more than `MAX_PAGE` bytes of it."""
    page = b""
    while len(page) <= MAX_PAGE and (piece := conn.read(MAX_PAGE + 1 - len(page))):
        page += piece
    return page


def decoded(data: bytes, codings: str) -> bytes | None:
    """Return *data* without its content codings (RFC 9110 section 8.4).

    Args:
        data: at most a page.
        codings: the value of Content-Encoding.

    Returns:
        The bytes; None if they are too many for a page, or a coding is unknown or invalid.

    """
    for name in reversed(codings.lower().split(",")):
        coding = name.strip(" \t")
        if coding in {"", "identity"}:
            continue
        if coding not in CODINGS:
            return None
        result = _inflated(data, CODINGS[coding])
        if result is None and coding == "deflate":
            result = _inflated(data, RAW)
        if result is None:
            return None
        data = result
    return data


def _inflated(data: bytes, window: int) -> bytes | None:
    import zlib  # noqa: PLC0415 - rarely needed

    inflating = zlib.decompressobj(window)
    try:
        result = inflating.decompress(data, MAX_PAGE + 1)
    except zlib.error:
        return None
    return result if inflating.eof and len(result) <= MAX_PAGE else None
