"""Response heads: status line and header fields (RFC 9112 sections 2 to 5).

One regular expression matches a whole valid head; only if it does not match are the lines checked
one by one, to unfold values (obs-fold, section 5.2) and to report what is invalid. Everything is
bytes: character set, white space and line ends are those of the RFC.

Trailer sections have the grammar of header fields and are parsed here, too.

Not here: framing (framing.py), and the cache of recent heads (head_cache.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ...errors import InvalidResponse
from ..content_length import content_length
from ..patterns import compiled_later
from ..redaction import quoted, shown_line
from .body_kinds import Framing
from .limits import MAX_FIELDS, Limits

VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"  # field content, also the reason phrase
NAME: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"  # of a field: a token of these
STATUS_LINE: Final = rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: (" + VALUE + rb"))?+\r\n"
FIELD_LINE: Final = NAME + rb"++:" + VALUE + rb"\r\n"

_head = re.compile(
    STATUS_LINE.removesuffix(rb"\r\n") + rb"(\r\n(?:" + FIELD_LINE + rb")*+)\r\n"
).match
# For heads that have arrived in part, or are not as they should be.
_status_line = compiled_later(STATUS_LINE)
_field_line = compiled_later(FIELD_LINE)
_folded_line = compiled_later(rb"[ \t]" + VALUE + rb"\r\n")

# Lines that have arrived in part, and the rest of a line with a valid beginning.
STATUS_LINE_LIKE: Final = b"HTTP/1.1 200 "
MORE_NAME: Final = NAME + rb"*+(?::" + VALUE + rb"\r?)?"
FIRST_NAME: Final = NAME + rb"++(?::" + VALUE + rb"\r?)?"
_status_start = compiled_later(STATUS_LINE.removesuffix(rb"\r\n") + rb"\r?")
_first_line_start = compiled_later(rb"\r|" + FIRST_NAME)
_line_start = compiled_later(rb"\r|[ \t]" + VALUE + rb"\r?|" + FIRST_NAME)
_more_name = compiled_later(MORE_NAME)
_more_value = compiled_later(VALUE + rb"\r?")
Checker = Callable[[], re.Pattern[bytes]]
ZERO: Final = ord("0")
FINAL: Final = 200  # the first status code that ends an exchange
LENGTH: Final = b"content-length:"
LOOKED_AT: Final = 1000  # bytes of an invalid line that are searched for secrets
TLS_ALERT: Final = b"\x15"  # record type (RFC 8446 section 5.1); no HTTP message begins with it


class Head:
    """The head of a response; shared by responses with the same bytes (head_cache.py).

    Attributes:
        minor: minor version: 0 for HTTP/1.0.
        status: status code.
        reason: reason phrase.
        fields: CRLF, and the field lines, each with its CRLF, so that CRLF precedes every name.
        lower: the same in lower case.
        count: number of field lines.
        size: its bytes as they were sent, including the empty line.
        framing: the result of `framing.frame` for most methods; None before.
        whole: its bytes and those of the body, if a request may follow; -1 if it may not, if the
            size of the body is not known from the head, or before `framing` is there.
        plain: see `HTTPResponse.is_plain`; None before anybody has asked.

    """

    __slots__ = (
        *("count", "fields", "framing", "lower", "minor", "plain", "reason", "size", "status"),
        "whole",
    )

    def __init__(self, match: re.Match[bytes], size: int) -> None:
        minor, status, reason, fields = match.groups()
        self.minor = minor[0] - ZERO
        self.status = int(status)
        self.reason = reason or b""
        self.fields = fields
        self.lower = fields.lower()
        self.count = fields.count(b"\n") - 1
        self.size = size
        self.framing: Framing | None = None
        self.whole = -1
        self.plain: bool | None = None

    @property
    def version(self) -> str:
        """The version of HTTP, such as ``"1.1"``."""
        return f"1.{self.minor}"


def find_head(
    data: bytes | bytearray, begin: int, end: int, max_fields: int = MAX_FIELDS
) -> Head | None:
    """Return the head at the beginning of ``data[begin:end]``.

    None means that it is not complete, or that a line is folded or invalid, which `parse_head`
    handles when the head is complete.

    Raises:
        InvalidResponse: there are too many fields.

    """
    match = _head(data, begin, end)
    if match is None:
        return None
    head = Head(match, match.end() - begin)
    check_count(head.count, max_fields)
    return head


def parse_head(
    data: bytes | bytearray,
    max_fields: int = MAX_FIELDS,
    begin: int = 0,
    end: int | None = None,
) -> Head:
    """Return a complete head, parsed, its empty line included.

    Args:
        data: the head is ``data[begin:end]``, without another empty line before *end*.
        max_fields: maximum number of field lines.
        begin: index of its first byte.
        end: index behind its last byte; None for the end of *data*.

    Raises:
        InvalidResponse: a line violates the grammar, or there are too many fields.

    """
    end = len(data) if end is None else end
    match = _head(data, begin, end)
    if match is None:
        line, _, rest = bytes(data[begin:end]).partition(b"\r\n")
        check_line(line + b"\r\n", first=True)
        match = _head(line + b"\r\n" + parse_fields(rest, max_fields) + b"\r\n")
        assert match is not None
    head = Head(match, end - begin)
    check_count(head.count, max_fields)
    return head


def parse_fields(block: bytes, max_fields: int = MAX_FIELDS) -> bytes:
    """Return the lines of a section, checked and unfolded.

    Args:
        block: field lines and the empty line that ends them, or just the empty line.
        max_fields: maximum number of field lines.

    Raises:
        InvalidResponse: a line violates the grammar, or there are too many fields.

    """
    pieces: list[bytes] = []
    for line in block[:-2].split(b"\n")[:-1]:
        check_line(line + b"\n", first=False, folds=bool(pieces))
        text = line.rstrip(b" \t\r")
        if line.startswith((b" ", b"\t")):
            pieces.append(b" " + text.lstrip(b" \t") if text else b"")
        else:
            pieces.append(b"\r\n" + text)
    fields = b"".join([*pieces, b"\r\n"])[2:]
    check_count(fields.count(b"\n"), max_fields)
    return fields


def check_count(count: int, most: int) -> None:
    """Raise `InvalidResponse` if *count* fields are more than *most*."""
    if count > most:
        raise InvalidResponse(f"{count} header fields; at most {most} are taken")


def check_line(line: bytes, *, first: bool, folds: bool = False) -> None:
    """Check one line with its CRLF.

    Args:
        line: the line.
        first: True for a status line.
        folds: True if it may continue the line before it (obs-fold).

    Raises:
        InvalidResponse: the line violates the grammar.

    """
    if first:
        if not _status_line().fullmatch(line):
            raise InvalidResponse(f"not a status line of HTTP/1{_instead(line)}: {quoted(line)}")
    elif not _field_line().fullmatch(line) and not (folds and _folded_line().fullmatch(line)):
        raise InvalidResponse(f"not a header field: {shown_line(line)!r}")


def _instead(line: bytes) -> str:
    """Return a description of *line*, which is in the place of a status line, if it is known.

    A server that speaks TLS sends an alert record (RFC 8446 section 5.1); one that speaks only
    HTTP/2 a SETTINGS frame first (RFC 9113 section 3.4).
    """
    if line.startswith(TLS_ALERT):
        return ", but TLS: is it https://, and TLS missing here?"
    if line[:1] == b"\0" and line[3:5] == b"\x04\0":
        return ", but HTTP/2, which is not spoken here"
    return ""


class Section:
    """Finds the end of a head or a trailer section, and errors in it, while it arrives.

    Invalid input is an error at once, without waiting for the rest of the section. No byte is
    examined twice, so that time is proportional to the number of bytes, however they are split.
    """

    __slots__ = (
        *("_after_first", "_checked", "_count", "_length", "_limits", "_looked_at"),
        *("_rest", "_status", "_value"),
    )

    def __init__(self, limits: Limits, *, status: bool) -> None:
        self._limits = limits
        self._status = status  # does it begin with a status line?
        self._checked = 0  # bytes of complete, checked lines
        self._looked_at = 0  # bytes that have been examined
        self._rest: Checker | None = None  # checks the rest of the present line
        self._after_first = 0  # where the field lines begin
        self._count = 0  # field lines so far
        self._length: int | None = None  # Content-Length, if it was there
        self._value: bytes | None = None  # of Content-Length, if that was the line before

    def find_end(self, data: bytearray, begin: int, end: int) -> int:
        """Search for the empty line in ``data[begin:end]``.

        Returns:
            Index of the end of the section, behind its empty line; -1 if more bytes are needed.

        Raises:
            InvalidResponse: a line violates the grammar or is too long, or the section is.

        """
        if not self._status and data[begin : begin + 2] == b"\r\n"[: end - begin] and end > begin:
            return begin + 2 if end - begin >= 2 else -1  # noqa: PLR2004 - the length of CRLF
        at = data.find(b"\r\n\r\n", begin + max(self._looked_at - 3, 0), end)
        stop = end if at < 0 else at + 4
        if stop - begin > self._limits.header_size:
            raise InvalidResponse(f"header section of more than {self._limits.header_size} bytes")
        if at < 0 or stop - begin > self._limits.line_size:
            self._check_lines(data, begin, stop)
        return -1 if at < 0 else stop

    def _check_lines(self, data: bytearray, begin: int, end: int) -> None:
        start = begin + self._checked
        look = max(start, begin + self._looked_at - 1)
        while (at := data.find(b"\r\n", look, end)) >= 0:
            self._check_length(at + 2 - start)
            self._check_line(data[start : at + 2], start - begin)
            start = look = at + 2
            self._checked = self._looked_at = start - begin
            self._rest = None
        self._check_length(end - start)
        if begin + self._looked_at < end:
            self._check_rest(data, begin, start, end)

    def _check_line(self, line: bytearray, offset: int) -> None:
        """Check a complete line that begins *offset* bytes into the section."""
        if self._status and offset == 0:
            self._after_first = len(line)
            check_line(bytes(line), first=True)
        elif line != b"\r\n":  # the end of the section
            check_line(bytes(line), first=False, folds=self._may_fold(offset))
            folded = line.startswith((b" ", b"\t"))
            self._count += not folded
            check_count(self._count, self._limits.fields)
            if self._status:
                self._check_length_field(line, folded)

    def _check_length_field(self, line: bytearray, folded: bool) -> None:
        """Check the field line before *line* if it is Content-Length and not folded."""
        value, self._value = self._value, None
        if value is not None and not folded:
            self._length = content_length(value, self._length)
        if line[: len(LENGTH)].lower() == LENGTH:
            self._value = bytes(line[len(LENGTH) : -2])

    def _may_fold(self, offset: int) -> bool:
        """Return False for the first field line, which has no line to continue."""
        return offset > self._after_first

    def _check_rest(self, data: bytearray, begin: int, start: int, end: int) -> None:
        """Check the new bytes of a line whose end has not arrived."""
        new = bytes(data[begin + self._looked_at : end])
        is_first = self._status and start == begin
        if self._rest is not None:
            right = self._rest().fullmatch(new)
        elif is_first:
            right = _status_start().fullmatch(new + STATUS_LINE_LIKE[len(new) :])
        else:
            may_fold = self._may_fold(start - begin)
            right = (_line_start if may_fold else _first_line_start)().fullmatch(new)
        if not right:
            line = bytes(data[start : min(end, start + LOOKED_AT)])
            instead = _instead(line) if is_first else ""
            shown = shown_line(line)
            raise InvalidResponse(f"this cannot become a line of a head{instead}: {shown!r}")
        if is_first and end - begin < len(STATUS_LINE_LIKE):
            return  # too short for keeping the position
        looked_at = end - begin - new.endswith(b"\r")  # LF has to follow
        if looked_at > self._looked_at:
            if is_first or b":" in new or new.startswith((b" ", b"\t")):
                self._rest = _more_value
            elif self._rest is None:
                self._rest = _more_name
            self._looked_at = looked_at

    def _check_length(self, length: int) -> None:
        if length > self._limits.line_size:
            raise InvalidResponse(f"line of more than {self._limits.line_size} bytes")
