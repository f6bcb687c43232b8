"""The documents of S3 (XML): what is in them, as names and texts.

All that are used here have the same form: a root, with texts, and with records that have texts::

    <ListBucketResult>
      <IsTruncated>false</IsTruncated>
      <Contents><Key>a</Key><Size>1</Size></Contents>
    </ListBucketResult>

The XML comes from a server that may be hostile. A document type, and with it declarations of
entities, is refused; depth and size are bounded. Namespaces are ignored, as not all servers send
the same one.

Not here: which documents there are (s3.py, s3_parts.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple
from xml.parsers import expat

from ...errors import TransferError
from ...http.redaction import quoted

MAX_SIZE: Final = 16 << 20  # bytes; 1,000 keys of 1,024 characters, each encoded as 9, have 10 MiB
MAX_DEPTH: Final = 16
MAX_NAME: Final = 64  # characters of a name in a message
OF_ROOT: Final = 2  # depth of the texts of the root, and of the records
OF_RECORD: Final = 3  # depth of their texts
# What a text has instead of characters; a parser takes CR for LF (XML 1.0 section 2.11).
ESCAPED: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;", "\n": "&#10;"}
)
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


class Document(NamedTuple):
    """A document.

    Attributes:
        root: name of the root.
        texts: those of the root, by name.
        records: of each record its name, and its texts by name.

    """

    root: str
    texts: dict[str, str]
    records: list[tuple[str, dict[str, str]]]

    def of(self, name: str) -> Iterable[dict[str, str]]:
        """Yield the texts of the records called *name*."""
        return (texts for each, texts in self.records if each == name)

    def check(self, root: str) -> None:
        """Check that it is one of a kind, such as where nothing in it means that nothing is there.

        Args:
            root: name of the root.

        Raises:
            TransferError: it is another one.

        """
        if self.root != root:
            raise invalid(f"it is {quoted(self.root, MAX_NAME)}, and not {root}")


class _Reader:
    """The functions that the parser calls, and the document that they fill."""

    def __init__(self) -> None:
        self.document = Document("", {}, [])
        self._path: list[str] = []
        self._record: dict[str, str] = {}
        self._text: list[str] = []

    def start(self, name: str, _: object) -> None:
        name = name.rpartition(" ")[2]
        if not self._path:
            self.document = Document(name, {}, [])
        self._path.append(name)
        if len(self._path) > MAX_DEPTH:
            raise invalid("it is nested too deeply")
        if len(self._path) == OF_ROOT:
            self._record = {}
        self._text.clear()

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, _: str) -> None:
        depth, name = len(self._path), self._path.pop()
        if depth == OF_RECORD:
            self._record[name] = "".join(self._text)
        elif depth == OF_ROOT and self._record:
            self.document.records.append((name, self._record))
        elif depth == OF_ROOT:
            self.document.texts[name] = "".join(self._text)
        self._text.clear()


def parse(data: bytes) -> Document:
    """Return what is in a document.

    Raises:
        TransferError: it is none, or may not be read.

    """
    if len(data) > MAX_SIZE:
        raise invalid(f"it has more than {MAX_SIZE} bytes")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as exc:
        raise invalid(str(exc)) from None
    return reader.document


def compose(
    root: str,
    record: str,
    records: Iterable[Iterable[tuple[str, str]]],
    texts: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return a document.

    Args:
        root: name of the root.
        record: name of each record.
        records: of each record its names and texts.
        texts: those of the root.

    """
    parts = [f'<{root} xmlns="{NAMESPACE}">', _elements(texts)]
    parts += [f"<{record}>{_elements(each)}</{record}>" for each in records]
    parts.append(f"</{root}>")
    return "".join(parts).encode()


def _elements(texts: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<{name}>{text.translate(ESCAPED)}</{name}>" for name, text in texts)


def invalid(what: str) -> TransferError:
    """Return the error of a document that is not valid."""
    return TransferError(f"the document of the server is not valid: {what}")


def _refuse(*_: object) -> None:
    raise invalid("it has a document type, or declares entities")
