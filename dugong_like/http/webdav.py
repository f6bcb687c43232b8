"""WebDAV: asking for the properties of resources, and reading the answer (RFC 4918).

The answer to PROPFIND is 207 (Multi-Status), a document of XML with one element for each resource.
It is read as it arrives, and nothing is kept but the element at hand, so a folder of any size needs
little memory. The server may be hostile: a document type, declarations of entities, elements that
are nested too deeply and values that are too long are refused.

Not here: sending requests (client/sync/webdav.py, adapters/fsspec_webdav.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from ..errors import InvalidResponse
from .percent import decode

MULTI_STATUS: Final = 207
XML: Final = "application/xml; charset=utf-8"
# Asks for what a `Resource` has, and nothing else: all properties may be dear (section 9.1).
PROPFIND: Final = (
    b'<?xml version="1.0" encoding="utf-8"?>\n'
    b'<propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getetag/>'
    b"<getlastmodified/><creationdate/><getcontenttype/></prop></propfind>\n"
)
MAX_SIZE: Final = 1 << 30  # bytes; a million files in one folder have half of that
MAX_TEXT: Final = 65536  # characters of one value
MAX_DEPTH: Final = 32  # elements within each other; those of section 14 need 7
MAX_SIZE_DIGITS: Final = 18  # more bytes than any storage has
DAV: Final = "DAV: "  # the namespace, as expat puts it in front of a name
# A property of ownCloud and Nextcloud, and the element that is in it.
CHECKSUMS: Final = "other http://owncloud.org/ns checksums"
CHECKSUM: Final = "other http://owncloud.org/ns checksum"
COLLECTION: Final = "collection"

_success = re.compile(r"HTTP/[0-9.]+ +2[0-9]{2}\b").match
_authority = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*").match


class Resource(NamedTuple):
    """A file or folder with the properties that a server tells.

    Attributes:
        href: its URL, or the path of it, as the server has written it.
        is_folder: True for a collection.
        size: bytes; None if the server does not say it.
        etag: entity tag, with its quotes, or None.
        modified: time of its last change in the format of Last-Modified, or None.
        created: the time when it was made in the format of RFC 3339, or None.
        content_type: media type, or None.
        checksums: digests that ownCloud or Nextcloud name, such as ``SHA1:hex``, with spaces
            between; None if there are none, or were not asked for.

    """

    href: str
    is_folder: bool
    size: int | None = None
    etag: str | None = None
    modified: str | None = None
    created: str | None = None
    content_type: str | None = None
    checksums: str | None = None

    @property
    def path(self) -> str:
        """The path of *href*; see `path_of`."""
        return path_of(self.href)


class Multistatus:
    """Reads the body of a 207 response (section 14.16).

    Args:
        take: called with each resource that has properties with a status of success.

    """

    def __init__(self, take: Callable[[Resource], object]) -> None:
        from xml.parsers import expat  # noqa: PLC0415 - for those who want it

        self._take = take
        self._errors = expat.ExpatError
        self._parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add_text
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        self._size = 0
        self._open: list[str] = []  # names of the elements that have begun
        self._text = ""
        self._href = ""
        self._part: dict[str, str] = {}  # properties of the propstat element at hand
        self._part_is_good = False
        self._known: dict[str, str] = {}  # those with a status of success
        self._has_properties = False

    def add(self, data: bytes) -> None:
        """Read *data*, which comes next.

        Raises:
            InvalidResponse: this is not the XML of a Multi-Status, or beyond a limit.

        """
        self._size += len(data)
        if self._size > MAX_SIZE:
            raise invalid(f"it has more than {MAX_SIZE} bytes")
        self._parse(data, is_final=False)

    def end(self) -> None:
        """Take the end of the body.

        Raises:
            InvalidResponse: the document is not complete.

        """
        self._parse(b"", is_final=True)

    def _parse(self, data: bytes, *, is_final: bool) -> None:
        try:
            self._parser.Parse(data, is_final)
        except self._errors as exc:
            raise invalid(str(exc)) from None

    @staticmethod
    def _refuse(*_: object) -> None:
        raise invalid("it has a document type, or declares entities")

    def _begin(self, name: str, _attributes: object) -> None:
        name = name.removeprefix(DAV) if name.startswith(DAV) else f"other {name}"
        if not self._open and name != "multistatus":
            raise invalid("its XML is no multistatus")
        if len(self._open) >= MAX_DEPTH:
            raise invalid(f"it has more than {MAX_DEPTH} elements within each other")
        self._open.append(name)
        self._text = ""
        if name == "response":
            self._href, self._known, self._has_properties = "", {}, False
        elif name == "propstat":
            self._part, self._part_is_good = {}, False
        elif name == COLLECTION and self._open[-2] == "resourcetype":
            self._part[COLLECTION] = ""

    def _add_text(self, text: str) -> None:
        self._text += text
        if len(self._text) > MAX_TEXT:
            raise invalid(f"a value has more than {MAX_TEXT} characters")

    def _end(self, _name: str) -> None:
        name = self._open.pop()
        text, self._text = self._text.strip(), ""
        outer = self._open[-1] if self._open else ""
        if outer == "prop" and text:
            self._part[name] = text
        elif outer == CHECKSUMS and name == CHECKSUM:
            self._part[CHECKSUMS] = f"{self._part.get(CHECKSUMS, '')} {text}".strip()
        elif outer == "propstat" and name == "status":
            self._part_is_good = _success(text) is not None
        elif outer == "response" and name == "href":
            self._href = self._href or text
        elif outer == "response" and name == "propstat" and self._part_is_good:
            self._known.update(self._part)
            self._has_properties = True
        elif name == "response" and self._href and self._has_properties:
            self._take(self._resource())

    def _resource(self) -> Resource:
        known = self._known
        length = known.get("getcontentlength", "")
        is_length = length.isascii() and length.isdigit() and len(length) <= MAX_SIZE_DIGITS
        return Resource(
            self._href,
            COLLECTION in known,
            int(length) if is_length else None,
            known.get("getetag"),
            known.get("getlastmodified"),
            known.get("creationdate"),
            known.get("getcontenttype"),
            known.get(CHECKSUMS),
        )


def invalid(what: str) -> InvalidResponse:
    """Return the error of an answer to PROPFIND that is not valid."""
    return InvalidResponse(f"the answer to PROPFIND is not valid: {what}", request_sent="yes")


def path_of(href: str) -> str:
    """Return the path of *href*, a URL or the path of one, percent-decoded.

    Servers write it in either form, and encode more or fewer characters than the client does, so
    only decoded paths can be compared (section 8.3).
    """
    authority = _authority(href)
    path = href[authority.end() :] if authority else href
    for separator in ("?", "#"):
        path = path.partition(separator)[0]
    return decode(path).decode("utf-8", "surrogateescape")
