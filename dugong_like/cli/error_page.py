"""The body of an error response, on standard error.

A file or a pipe gets it as it was sent; a terminal only if it is a short text, and otherwise a
description.

Not here: escaping control characters (escaping.py).
"""

from __future__ import annotations

import re
from typing import Final

from ..client.response import Response
from ..errors import DugongError
from .outcome import reason_of
from .standard import Writer, complain, standard_error

MAX_PAGE: Final = 4096  # bytes for a terminal, decoded; a screen or two
CODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # window sizes for zlib
RAW: Final = -15  # window size for the deflate of some servers (RFC 9110 section 8.4.1.2)

# Media types of readable text (suffixes: RFC 6838 section 4.2.8).
_is_text = re.compile(
    r"(?i)(?:text/[^;]*|application/(?:[^;]*\+)?(?:json|xml))[ \t]*(?:;.*)?", re.DOTALL
).fullmatch


def show_page(response: Response, patience: float | None) -> bool:
    """Write the body of *response*, which has not been read, or a description to standard error.

    Args:
        response: the response, received with ``stream=True``.
        patience: seconds, see `Writer`.

    Returns:
        False if the last line has no end, so that another one must not follow directly.

    Raises nothing: errors of the body are reported there, too.
    """
    unseen = ""
    is_ended = True
    try:
        with standard_error(patience) as error:
            if not error.is_terminal:
                is_ended = _copy(response, error)
            elif response.length != 0:
                unseen = _show(response, error)
    except DugongError as exc:
        complain(reason_of(exc), patience=patience)
    except OSError:
        pass  # there is no way to report it
    if unseen:
        complain(unseen, patience=patience)
    return is_ended


def _copy(response: Response, error: Writer) -> bool:
    last = b"\n"
    try:
        for piece in response.iter_raw():
            error.write(piece)
            last = piece[-1:]
    except DugongError:
        if last != b"\n":
            error.write(b"\n")  # another line follows
        raise
    return last == b"\n"


def _show(response: Response, terminal: Writer) -> str:
    """Write a short text to *terminal*, or return a line that describes the body."""
    kind = response.field("content-type") or ""
    codings = response.field("content-encoding") or ""
    is_text = _is_text(kind) is not None
    length = response.length
    if length is None or (is_text and length <= MAX_PAGE):
        sent = _read(response)
        page = decoded(sent, codings) if is_text else None
        if page is not None and len(page) <= MAX_PAGE:
            terminal.write(page if page[-1:] in {b"", b"\n"} else page + b"\n")
            return ""
        length = len(sent) if len(sent) <= MAX_PAGE else None
    size = f"more than {MAX_PAGE} bytes" if length is None else f"{length} bytes"
    coded = f" ({codings})" if codings else ""
    return f"the answer is not shown here: {kind or 'of no type'}{coded}, {size}"


def _read(response: Response) -> bytes:
    """Return the body, or more than `MAX_PAGE` bytes of it."""
    page = b""
    for piece in response.iter_raw():
        page += piece
        if len(page) > MAX_PAGE:
            break
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
