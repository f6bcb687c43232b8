"""The responses to PROPFIND: ``multistatus`` (RFC 4918 sections 13 and 14.16), read as they arrive.

The XML comes from a server that may be hostile. Declarations of entities, and any document type,
are refused; depth, text and the whole are bounded; nothing is kept but the element at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple
from xml.parsers import expat

from ...errors import TransferError

MAX_SIZE: Final = 1 << 30  # bytes; a million files in one folder have half of that
MAX_TEXT: Final = 65536  # characters of one element
MAX_DEPTH: Final = 32
DAV: Final = "DAV: "  # a namespace, and what is between it and a name
OK_STATUSES: Final = ("200", "201", "203", "206")
WANTED: Final = frozenset({
    f"{DAV}{name}"
    for name in ("href", "status", "getcontentlength", "getetag", "getlastmodified")
})  # fmt: skip


class Resource(NamedTuple):
    """The properties of one resource.

    Attributes:
        href: its URL, or the path of that, percent-encoded.
        is_folder: True for a collection.
        size: bytes; None if it does not say.
        etag: its entity tag, or None.
        modified: the time of its last change, as in Last-Modified, or None.

    """

    href: str
    is_folder: bool
    size: int | None
    etag: str | None
    modified: str | None


class Multistatus:
    """Reads a response.

    Args:
        take: called with each resource that has properties.

    """

    def __init__(self, take: Callable[[Resource], object]) -> None:
        self._take = take
        self._size = 0
        self._path: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._href: str | None = None
        self._found: dict[str, str] = {}  # properties of the response at hand
        self._pending: dict[str, str] = {}  # those of its propstat at hand
        self._status = ""
        self._seen_root = False
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add_text
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        self._parser = parser

    def add(self, data: bytes) -> None:
        """Read *data*, which comes next.

        Raises:
            TransferError: it is no such response, or too large.

        """
        self._size += len(data)
        if self._size > MAX_SIZE:
            raise invalid(f"it has more than {MAX_SIZE} bytes")
        try:
            self._parser.Parse(data, False)
        except expat.ExpatError as exc:
            raise invalid(str(exc)) from None

    def end(self) -> None:
        """Check that it is complete. Raises TransferError if it is not."""
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError as exc:
            raise invalid(str(exc)) from None

    def _start(self, name: str, _: object) -> None:
        if not self._seen_root:
            if name != f"{DAV}multistatus":
                raise invalid("it is something else")
            self._seen_root = True
        self._path.append(name)
        if len(self._path) > MAX_DEPTH:
            raise invalid("it is nested too deeply")
        self._text.clear()
        self._length = 0
        if name == f"{DAV}response":
            self._href = None
            self._found = {}
        elif name == f"{DAV}propstat":
            self._pending, self._status = {}, ""
        elif name == f"{DAV}collection" and self._path[-2:-1] == [f"{DAV}resourcetype"]:
            self._pending[name] = ""

    def _add_text(self, text: str) -> None:
        if self._path[-1] not in WANTED:
            return
        self._length += len(text)
        if self._length > MAX_TEXT:
            raise invalid("an element is too long")
        self._text.append(text)

    def _end(self, name: str) -> None:
        self._path.pop()
        if name in WANTED:
            self._keep(name, "".join(self._text).strip())
        elif name == f"{DAV}propstat":
            if self._status in OK_STATUSES:
                self._found.update(self._pending)
        elif name == f"{DAV}response" and self._href is not None and self._found:
            self._give(self._href, self._found)

    def _keep(self, name: str, text: str) -> None:
        above = self._path[-1] if self._path else ""
        if name == f"{DAV}href":
            if above == f"{DAV}response":
                self._href = text
        elif name == f"{DAV}status":
            if above == f"{DAV}propstat":
                self._status = text.split(" ")[1] if " " in text else ""
        elif above == f"{DAV}prop":
            self._pending[name] = text

    def _give(self, href: str, found: dict[str, str]) -> None:
        size = found.get(f"{DAV}getcontentlength", "")
        self._take(
            Resource(
                href,
                f"{DAV}collection" in found,
                int(size) if size.isascii() and size.isdigit() and len(size) < 20 else None,  # noqa: PLR2004
                found.get(f"{DAV}getetag") or None,
                found.get(f"{DAV}getlastmodified") or None,
            )
        )


def _refuse(*_: object) -> None:
    raise invalid("it has a document type, or declares entities")


def invalid(what: str) -> TransferError:
    """Return the error of a response that is not valid."""
    return TransferError(f"the response to PROPFIND is not valid: {what}")
