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
from ..http.patterns import compiled_later
from ..polling.contract import Co
from .outcome import reason_of
from .standard import complain, standard_error

MAX_PAGE: Final = 4096  # bytes for a terminal, decoded; a screen or two
AT_ONCE: Final = 65536  # bytes that are shown together
CODINGS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # window sizes for zlib
RAW: Final = -15  # window size for the deflate of some servers (RFC 9110 section 8.4.1.2)

# Media types of readable text (suffixes: RFC 6838 section 4.2.8).
_is_text = compiled_later(
    r"(?i)(?:text/[^;]*|application/(?:[^;]*\+)?(?:json|xml))[ \t]*(?:;.*)?", re.DOTALL
)


class ErrorPage:
    """The body of an error response, read and shown in turn, as reading may have to wait.

    Nothing is shown while it is read, so that the line of another transfer is not put into the
    middle of a short page.

    Args:
        response: the response, received with ``stream=True``, of which nothing was read.
        patience: seconds, see `Writer`.
        is_terminal: True to show it as for a terminal.

    """

    def __init__(self, response: Response, patience: float | None, is_terminal: bool) -> None:
        self._response = response
        self._patience = patience
        self._is_terminal = is_terminal
        self._pieces = response.co_iter_raw()
        self._has_ended = is_terminal and response.length == 0
        self._error: DugongError | None = None
        self._last = b"\n"  # byte that was shown

    def co_read(self) -> Co[bytes | None]:
        """Return the bytes to show next; None at the end. `show` tells its reason if early."""
        if self._has_ended:
            return None
        most = AT_ONCE
        if self._is_terminal:
            length = self._response.length
            if length is not None and (self._kind is None or length > MAX_PAGE):
                self._has_ended = True
                return b""
            most = MAX_PAGE + 1
        pieces = []
        size = 0
        try:
            while size < most:
                piece = yield from next(self._pieces)
                if piece is None:
                    self._has_ended = True
                    break
                pieces.append(piece)
                size += len(piece)
        except DugongError as exc:
            self._has_ended = True
            self._error = exc
        self._has_ended |= self._is_terminal
        if not (pieces or self._is_terminal or self._error):
            return None
        return b"".join(pieces)

    def show(self, data: bytes) -> bool:
        """Write *data*, what `co_read` has returned, or a description of it, to standard error.

        Returns:
            False if the last line has no end, so that another one must not follow directly.

        """
        try:
            if not self._is_terminal:
                self._last = data[-1:] or self._last
                if self._error is not None and self._last != b"\n":
                    data += b"\n"
                with standard_error(self._patience) as error:
                    error.write(data)
            elif self._error is None:
                self._show_on_terminal(data)
        except OSError:
            pass  # there is no way to report it
        if self._error is not None:
            complain(reason_of(self._error), patience=self._patience)
            return True
        return self._last == b"\n"

    @property
    def _kind(self) -> re.Match[str] | None:
        """Not None if it is readable text."""
        return _is_text().fullmatch(self._response.field("content-type") or "")

    def _show_on_terminal(self, sent: bytes) -> None:
        kind = self._response.field("content-type") or ""
        codings = self._response.field("content-encoding") or ""
        length = self._response.length
        if length is None or length <= MAX_PAGE:
            page = decoded(sent, codings) if self._kind is not None else None
            if page is not None and len(page) <= MAX_PAGE:
                with standard_error(self._patience) as terminal:
                    terminal.write(page if page[-1:] in {b"", b"\n"} else page + b"\n")
                return
            if length is None and len(sent) <= MAX_PAGE:
                length = len(sent)
        size = f"more than {MAX_PAGE} bytes" if length is None else f"{length} bytes"
        coded = f" ({codings})" if codings else ""
        what = f"the answer is not shown here: {kind or 'of no type'}{coded}, {size}"
        complain(what, patience=self._patience)


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
