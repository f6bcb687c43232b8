"""``multipart/form-data``: the parts of a form with files (RFC 7578).

Names of fields and files are written as browsers do (WHATWG HTML, section 4.10.21.8): in UTF-8, and
percent-encoded are only the quotation mark and the two characters of line ends.

Not here: the values of ordinary fields (forms.py), and reading the files (multipart_body.py).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from .forms import FormData, as_name, form_fields, named_values
from .headers import Fields, Headers
from .multipart_body import (
    AsyncFilePiece,
    AsyncMultipart,
    BytesPiece,
    FilePiece,
    Multipart,
    PathPiece,
    Piece,
)
from .redaction import quoted

MAX_BOUNDARY: Final = 70  # characters (RFC 2046 section 5.1.1)
UNNAMED: Final = "upload"  # a part without the name of a file is an ordinary field to servers
OCTETS: Final = "application/octet-stream"
# The type of what a file is compressed with counts: it is sent as it is.
COMPRESSED: Final = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}
TUPLE: Final = (
    "(filename, content), (filename, content, type) or (filename, content, type, headers)"
)
Content = Any  # bytes-like, str, a binary file, or a path
FileValue = (
    Content
    | tuple[str | None, Content]
    | tuple[str | None, Content, str | None]
    | tuple[str | None, Content, str | None, Fields]
)
Files = Mapping[str, FileValue] | Iterable[tuple[str, FileValue]]

_is_boundary = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_bad_value = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_unsafe = re.compile(rb'["\r\n]')


def multipart(
    data: FormData = (), files: Files = (), *, boundary: str | None = None
) -> Multipart | AsyncMultipart:
    """Return the body of a form with files, for ``Request(body=…)``.

    Args:
        data: ordinary fields, as for `encode_form`; they come first.
        files: a mapping, or pairs, of names of fields and files; a list is several files of one
            name. A file is its content, or a tuple *(filename, content)*, *(filename, content,
            type)* or *(filename, content, type, headers)*. Content is bytes, str (sent as UTF-8),
            a binary file, or a path object, whose file is opened each time the body is sent. A file
            is sent from its present position, and not closed. The name of a file is the last part
            of its ``name`` or path if it is not given, and "upload" if there is none; with None the
            part is an ordinary field. The type is guessed from that name if it is not given, or
            None, and *headers* have no Content-Type.
        boundary: text between the parts; random if None.

    Returns:
        `AsyncMultipart` if the ``read`` of any file is a coroutine function.

    Raises:
        TypeError: an argument, or a part of it, has another type, or a file is opened as text.
        ValueError: *boundary* or a header field is invalid, or a pipe is there twice.
        OSError: the file of a path cannot be read.

    """
    parts = [*_field_parts(data), *_file_parts(files)]
    boundary = os.urandom(16).hex() if boundary is None else _checked(boundary)
    pieces: list[Piece] = []
    for head, content in parts:
        pieces += BytesPiece(f"--{boundary}\r\n".encode() + head + b"\r\n\r\n"), content
        pieces.append(BytesPiece(b"\r\n"))
    pieces.append(BytesPiece(f"--{boundary}--\r\n".encode()))
    read = [piece for piece in pieces if isinstance(piece, FilePiece)]
    once = [id(piece.file) for piece in read if not piece.is_rewindable()]
    if len(set(once)) < len(once):
        raise ValueError("a file that can be read only once is in the form twice")
    value = boundary if _is_token(boundary) else f'"{boundary}"'
    content_type = f"multipart/form-data; boundary={value}"
    if any(isinstance(piece, AsyncFilePiece) for piece in pieces):
        return AsyncMultipart(pieces, content_type)
    return Multipart(pieces, content_type)


def _checked(boundary: str) -> str:
    if not isinstance(boundary, str):
        raise TypeError(f"boundary is a string, not {quoted(boundary)}")
    if not _is_boundary(boundary):
        raise ValueError(
            f"boundary is 1 to {MAX_BOUNDARY} letters, digits and '()+_,-./:=? (RFC 2046 "
            f"section 5.1.1), not {quoted(boundary)}"
        )
    return boundary


def _field_parts(data: FormData) -> Iterator[tuple[bytes, Piece]]:
    """Yield the head and the content of each ordinary field."""
    for name, value in form_fields(data):
        yield _disposition(name, None), BytesPiece(value)


def _file_parts(files: Files) -> Iterator[tuple[bytes, Piece]]:
    """Yield the head and the content of each file."""
    for name, value in named_values(files, "files"):
        for one in value if isinstance(value, list) else (value,):
            yield _file_part(name, one)


def _file_part(name: str, value: FileValue) -> tuple[bytes, Piece]:
    filename: str | None
    content_type: str | None = None
    headers: Fields = ()
    if not isinstance(value, tuple):
        filename, content = _name_of(value), value
    elif len(value) == 2:  # noqa: PLR2004 - see TUPLE
        filename, content = value
    elif len(value) == 3:  # noqa: PLR2004
        filename, content, content_type = value
    elif len(value) == 4:  # noqa: PLR2004
        filename, content, content_type, headers = value
    else:
        raise TypeError(f"files[{quoted(name)}]: a tuple is {TUPLE}, not of {len(value)}")
    for what, text in (("filename", filename), ("type", content_type)):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"files[{quoted(name)}]: {what} is a string, not {quoted(text)}")
    lines = Headers(headers or ()).wire_items()
    if not any(key.lower() == "content-type" for key, _ in lines):
        if content_type is None and filename:
            content_type = _guessed(filename)
        if content_type is not None:
            lines.append(("Content-Type", content_type))
    encoded = None if filename is None else filename.encode("utf-8", "surrogateescape")
    head = _disposition(as_name(name), encoded)
    return head + b"".join(_line(*line) for line in lines), _piece_of(content, name)


def _disposition(name: bytes, filename: bytes | None) -> bytes:
    head = b'Content-Disposition: form-data; name="' + _escaped(name) + b'"'
    return head if filename is None else head + b'; filename="' + _escaped(filename) + b'"'


def _escaped(text: bytes) -> bytes:
    """Return *text* without what would end it: percent-encoding of three characters only."""
    return _unsafe.sub(lambda match: b"%%%02X" % match[0][0], text)


def _line(name: str, value: str) -> bytes:
    encoded = value.encode()
    if not _is_token(name) or _is_bad_value(encoded):
        raise ValueError(f"a part cannot have the field {quoted(name)} with this value")
    return b"\r\n" + name.encode() + b": " + encoded


def _name_of(content: Content) -> str:
    """Return the name of the file, as its own ``name`` or path tells."""
    name = content if isinstance(content, os.PathLike) else getattr(content, "name", None)
    if not isinstance(name, str | bytes | os.PathLike):
        return UNNAMED  # the name of a file that was opened by its descriptor is a number
    name = os.path.basename(os.fsdecode(name))  # noqa: PTH119 - it may be bytes
    return UNNAMED if not name or (name[0] == "<" and name[-1] == ">") else name


def _guessed(filename: str) -> str:
    import mimetypes  # noqa: PLC0415 - 5 ms, only for files

    kind, compression = mimetypes.guess_type(filename)
    if compression is not None:
        return COMPRESSED.get(compression, OCTETS)
    return kind or OCTETS


def _piece_of(content: Content, name: str) -> Piece:
    if isinstance(content, str):
        return BytesPiece(content.encode())
    if isinstance(content, bytes | bytearray | memoryview):
        return BytesPiece(content)
    if isinstance(content, os.PathLike):
        return PathPiece(content)
    if isinstance(content, io.TextIOBase):
        raise TypeError(
            f"files[{quoted(name)}] is opened as text: open it with 'rb', or pass the text itself"
        )
    if isinstance(content, io.IOBase) and not content.readable():
        raise TypeError(f"files[{quoted(name)}] is not opened for reading: open it with 'rb'")
    if not hasattr(content, "read") and not hasattr(content, "readinto"):
        raise TypeError(
            f"files[{quoted(name)}]: content is bytes, str, a binary file or a path, or in a tuple "
            f"{TUPLE}, not {type(content).__name__}"
        )
    return AsyncFilePiece(content) if _is_async(content) else FilePiece(content)


def _is_async(file: Any) -> bool:
    if isinstance(file, io.IOBase):
        return False
    import inspect  # noqa: PLC0415 - 8 ms, only for unusual files

    return inspect.iscoroutinefunction(getattr(file, "read", None))
