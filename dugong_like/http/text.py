"""Bodies as text: which encoding, decoding piece by piece, lines, and the encodings of JSON.

A charset is taken from Content-Type if it names an encoding of text that is known here, so that no
server can choose another codec of Python, such as one that decompresses. A byte order mark counts
more than a charset, as in browsers (WHATWG Encoding standard, section 6).

Not here: reading Content-Type (content_type.py).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, Final

from .patterns import compiled_later
from .redaction import quoted

UTF_8: Final = "utf-8"
# Supersets that pages with these charsets use (WHATWG Encoding standard, section 4.2), and names
# that Python does not know.
SUPERSETS: Final = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949", "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932",
    "unicode-1-1-utf-8": UTF_8, "x-x-big5": "big5", "x-euc-jp": "euc-jp", "x-cp1251": "cp1251",
    "x-cp1252": "cp1252", "x-mac-roman": "mac-roman", "cp-850": "cp850", "windows-949": "cp949",
}  # fmt: skip
# Codecs of Python that give text, but are no charsets, or depend on the machine.
NO_CHARSETS: Final = frozenset(
    ["idna", "mbcs", "oem", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"]
)
# Byte order marks, the longest first of those that begin alike; see JSON_MARKS for UTF-32.
MARKS: Final = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MARKS_32: Final = ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"))
JSON_MARKS: Final = (*MARKS_32, *MARKS)
# Which of the first four bytes of JSON are zero (RFC 4627 section 3).
JSON_ZEROS: Final = (
    (compiled_later(rb"\0\0\0[^\0]"), "utf-32-be"),
    (compiled_later(rb"[^\0]\0\0\0"), "utf-32-le"),
    (compiled_later(rb"\0[^\0]"), "utf-16-be"),
    (compiled_later(rb"[^\0]\0"), "utf-16-le"),
)

# Encodings whose byte order a mark has to tell; as browsers have it if there is none.
WITHOUT_MARK: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}

DefaultEncoding = str | Callable[[bytes], str | None]

_name = compiled_later(r"[0-9A-Za-z][0-9A-Za-z_.:+\-]{0,39}")
_line_end = compiled_later(r"\r\n|\n|\r")


def codec_of(charset: str) -> str | None:
    """Return the name of Python's codec for *charset*; None if it is no charset known here."""
    if not _name().fullmatch(charset):
        return None
    name = SUPERSETS.get(charset.lower(), charset)
    try:
        found = codecs.lookup(name).name
        # Codecs that do not give text are refused here, though not for b"".
        b"a".decode(found, "replace")
    except (LookupError, ValueError):
        return None
    return None if found.replace("_", "-") in NO_CHARSETS else found


def charset_in(content_type: str) -> str | None:
    """Return the charset of *content_type* as Python's codec; None if none is known here."""
    charset = ""
    if "=" in content_type:
        from .content_type import parse_content_type  # noqa: PLC0415 - its patterns take a while

        charset = parse_content_type(content_type).charset
    return codec_of(charset) if charset else None


def encoding_for(content_type: str, default: DefaultEncoding = UTF_8, data: bytes = b"") -> str:
    """Return the name of the codec for a body with this Content-Type.

    Args:
        content_type: value of the field; "" without one.
        default: for a body without a charset, or with one that is not known here: its name, or a
            function that is called with *data* and returns its name, or None.
        data: the body, or the beginning of it.

    Returns:
        ``"utf-8"`` if the default is not known here either.

    """
    found = charset_in(content_type)
    if found is None:
        name = default if isinstance(default, str) else default(data)
        found = codec_of(name) if name else None
    return UTF_8 if found is None else found


class TextDecoder:
    """Decodes a body that arrives in pieces; characters may be cut anywhere.

    Args:
        encoding: name of the codec; see `encoding_for`. A byte order mark at the beginning is left
            out, and chooses another one.
        errors: as for ``bytes.decode``.

    Raises:
        LookupError: *encoding* is not known here.

    """

    def __init__(self, encoding: str, errors: str = "replace") -> None:
        found = codec_of(encoding)
        if found is None:
            raise LookupError(f"no encoding of text is called {quoted(encoding)}")
        self._encoding = found
        self._errors = errors
        self._marks = MARKS_32 if found.startswith("utf-32") else MARKS
        self._start: bytes | None = b""  # while it may be a mark
        self._decoder: codecs.IncrementalDecoder | None = None

    def decode(self, data: bytes, *, final: bool = False) -> str:
        """Return the text of *data* and of what was kept of the bytes before.

        Args:
            data: may be empty.
            final: True at the end of the body, where a cut character is replaced, too.

        Raises:
            UnicodeDecodeError: it is invalid, and *errors* is ``"strict"``.

        """
        if self._decoder is None:
            self._start = data = (self._start or b"") + data
            if not final and self._may_be_mark(data):
                return ""
            self._start = None
            encoding, size = self._encoding, 0
            for mark, name in self._marks:
                if data.startswith(mark):
                    encoding, size = name, len(mark)
            encoding = WITHOUT_MARK.get(encoding, encoding)
            data = data[size:]
            self._decoder = codecs.getincrementaldecoder(encoding)(self._errors)
        return self._decoder.decode(data, final)

    def _may_be_mark(self, data: bytes) -> bool:
        """Return True if *data* is the beginning of a mark, and not a whole one."""
        return any(len(data) < len(mark) and mark.startswith(data) for mark, _ in self._marks)


def decode_text(data: bytes, encoding: str, errors: str = "replace") -> str:
    """Return a whole body as text. See `TextDecoder`."""
    return TextDecoder(encoding, errors).decode(data, final=True)


class LineSplitter:
    r"""Splits text that arrives in pieces at LF, CRLF and CR, and nowhere else.

    `str.splitlines` also splits at U+2028 and others, which may be inside of JSON.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []  # of the line that has not ended
        self._after_cr = False

    def feed(self, text: str) -> list[str]:
        """Return the lines that are complete, without their ends.

        A CR ends a line at once; a LF that follows in the next piece belongs to it.
        """
        if not text:
            return []
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text.endswith("\r")
        lines = _line_end().split(text) if "\r" in text else text.split("\n")
        if len(lines) > 1:
            self._parts.append(lines[0])
            lines[0] = "".join(self._parts)
            self._parts = []
        if rest := lines.pop():
            self._parts.append(rest)
        return lines

    def finish(self) -> list[str]:
        """Return the last line if it has no end, as a list."""
        parts, self._parts = self._parts, []
        return ["".join(parts)] if parts else []


def dump_json(value: Any) -> bytes:
    """Return *value* as JSON in UTF-8, without blanks (RFC 8259).

    Raises:
        TypeError, ValueError: it has no form in JSON, such as NaN; the message begins with "json".

    """
    import json  # noqa: PLC0415 - 1 ms, for programs that send it

    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise type(exc)(f"json: {exc}") from None
    return text.encode()


def json_encoding(data: bytes) -> str:
    """Return the encoding of JSON: UTF-8 (RFC 8259 section 8.1), or UTF-16 or UTF-32 of RFC 4627.

    Args:
        data: the document, or its first four bytes.

    """
    for mark, name in JSON_MARKS:
        if data.startswith(mark):
            return name
    for zeros, name in JSON_ZEROS:
        if zeros().match(data):
            return name
    return UTF_8


def json_text(data: bytes, content_type: str = "") -> str:
    """Return a JSON document as text, without a byte order mark.

    Its bytes decide. Only if they are not of the encoding that they seem to be, the charset of
    *content_type* counts, which JSON does not have.

    Raises:
        UnicodeDecodeError: it is of neither encoding.

    """
    encoding = json_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        charset = charset_in(content_type)
        if charset is None or charset == encoding:
            raise
        text = data.decode(charset)
    return text.removeprefix("\ufeff")
