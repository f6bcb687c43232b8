"""HPACK, the sending half: header sections to blocks (RFC 7541).

Programs send the same fields again and again. One that the table has is a byte or two; one that it
cannot have is remembered as it was encoded; and a whole section that is sent a second time is
remembered as a block, as long as the table does not change.

A value is added to the table if it is the first one of its name, or is sent a second time: fields
that differ in each request, such as identifiers, would otherwise push out the others and change the
indices of all of them.

Not here: the static table (static_table.py), and which fields a request has (fields.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

from .huffman import encode as encode_huffman
from .huffman import encoded_size
from .static_table import (
    DEFAULT_TABLE_SIZE,
    FIRST_DYNAMIC,
    INDICES,
    NAME_INDICES,
    Field,
    entry_size,
)

# Never added to a table, as somebody who can choose other fields of the same connection could find
# their values by the sizes of blocks (RFC 7541 section 7.1).
SENSITIVE: Final = frozenset([b"authorization", b"proxy-authorization"])
SHORT_COOKIE: Final = 20  # bytes; shorter ones can be guessed (RFC 7541 section 7.1.3)
# Values that differ in nearly every request, or are not worth an entry.
PASSING: Final = frozenset(
    [
        *(b":path", b"content-length", b"content-md5", b"content-range", b"date", b"etag"),
        *(b"if-match", b"if-modified-since", b"if-none-match", b"if-range", b"range"),
        *(b"if-unmodified-since", b"expect", b"idempotency-key", b"traceparent"),
    ]
)
MOST_KNOWN: Final = 256  # fields whose encoding is remembered, of each kind
LARGEST_KNOWN: Final = 1024  # bytes of one, or of a block
LARGEST_SHARE: Final = 0.75  # of the table that one entry may take, as it evicts others
MOST_BLOCKS: Final = 32  # sections whose blocks are remembered
INDEXED: Final = 0x80  # first bits of the representations (RFC 7541 section 6)
ADDED: Final = 0x40
SIZE_UPDATE: Final = 0x20
NEVER_INDEXED: Final = 0x10
NOT_INDEXED: Final = 0x00
HUFFMAN: Final = 0x80  # first bit of a string literal (section 5.2)


def encode_integer(number: int, bits: int, first: int) -> bytes:
    """Return *number* with a prefix of *bits* bits, in a byte that begins with those of *first*.

    See RFC 7541 section 5.1.
    """
    most = (1 << bits) - 1
    if number < most:
        return bytes((first | number,))
    encoded = bytearray((first | most,))
    number -= most
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def encode_string(data: bytes) -> bytes:
    """Return *data* as a string literal, in the Huffman code if that is shorter."""
    size = encoded_size(data)
    if size < len(data):
        return encode_integer(size, 7, HUFFMAN) + encode_huffman(data)
    return encode_integer(len(data), 7, 0) + data


class Encoder:
    """Encodes the header sections of one connection, in the order in which they are sent.

    Args:
        max_table_size: bytes that the dynamic table may count here, whatever the peer allows.

    """

    __slots__ = (
        *(
            "_added",
            "_announced",
            "_blocks",
            "_candidates",
            "_entries",
            "_fixed",
            "_limit",
            "_lowest",
            "_most",
        ),
        *("_moving", "_names", "_numbers", "_sensitive", "_size", "_used_names"),
        "_update",
    )

    def __init__(self, max_table_size: int = DEFAULT_TABLE_SIZE) -> None:
        self._most = max_table_size
        self._limit = DEFAULT_TABLE_SIZE  # size of the table
        self._announced = DEFAULT_TABLE_SIZE  # what the peer takes it to be
        self._lowest = DEFAULT_TABLE_SIZE  # the smallest that it had since the last block
        self._update = b""  # announces a change of it
        self._entries: deque[Field] = deque()  # the dynamic table, oldest first
        self._size = 0  # bytes that they count
        self._added = 0  # entries since the beginning, which is the number of the newest one
        self._numbers: dict[Field, int] = {}  # of the entries
        self._names: dict[bytes, int] = {}  # number of the newest entry of a name
        self._fixed: dict[Field, bytes] = {}  # encoded, without an index of the dynamic table
        self._moving: dict[Field, bytes] = {}  # with one, until an entry is added
        self._blocks: dict[tuple[Field, ...], bytes] = {}  # until an entry is added
        self._candidates: set[Field] = set()  # were sent, but not added
        self._used_names: set[bytes] = set()  # whose first value was added
        self._sensitive: Collection[bytes] = SENSITIVE
        self.set_max_size(DEFAULT_TABLE_SIZE)

    def set_max_size(self, size: int) -> None:
        """Take the peer's SETTINGS_HEADER_TABLE_SIZE, in bytes. The next block announces it."""
        limit = min(size, self._most)
        if limit == self._limit:
            return
        self._limit = limit
        self._lowest = min(self._lowest, limit)
        self._update = encode_integer(limit, 5, SIZE_UPDATE)
        if self._lowest < min(limit, self._announced):  # RFC 7541 section 4.2
            self._update = encode_integer(self._lowest, 5, SIZE_UPDATE) + self._update
        self._make_room(0)

    def encode(self, fields: Iterable[Field], sensitive: Collection[bytes] = SENSITIVE) -> bytes:
        """Return the block of a header or trailer section.

        It has to be sent, and before any later one, as it changes the table of the peer.

        Args:
            fields: names in lower case and values, in order. A tuple is quickest.
            sensitive: names of fields that are never added to a table; so are short cookies.

        """
        if sensitive is not self._sensitive:
            self._set_sensitive(sensitive)
        if self._update:
            return self._begin() + self.encode(fields, sensitive)
        section = fields if type(fields) is tuple else tuple(fields)
        if (block := self._blocks.get(section)) is not None:
            return block
        added, candidates = self._added, len(self._candidates)
        fixed, moving = self._fixed.get, self._moving.get
        block = b"".join(
            [fixed(field) or moving(field) or self._represent(field) for field in section]
        )
        if self._added == added and len(self._candidates) == candidates:
            if len(self._blocks) >= MOST_BLOCKS:
                self._blocks.clear()
            if len(block) <= LARGEST_KNOWN:
                self._blocks[section] = block
        return block

    def _begin(self) -> bytes:
        """Return the announcement of the size of the table, which is due."""
        update, self._update = self._update, b""
        self._lowest = self._announced = self._limit
        return update

    def _set_sensitive(self, sensitive: Collection[bytes]) -> None:
        if sensitive != self._sensitive:
            self._blocks.clear()
            self._moving.clear()
            self._fixed.clear()
        self._sensitive = sensitive

    def _represent(self, field: Field) -> bytes:
        """Return the representation of *field* (RFC 7541 section 6); add it to the table."""
        name, value = field
        if name in self._sensitive or (name == b"cookie" and len(value) < SHORT_COOKIE):
            return self._literal(field, 4, NEVER_INDEXED)
        if (index := INDICES.get(field)) is not None:
            return self._remember(self._fixed, field, encode_integer(index, 7, INDEXED))
        if (number := self._numbers.get(field)) is not None:
            index = FIRST_DYNAMIC + self._added - number
            return self._remember(self._moving, field, encode_integer(index, 7, INDEXED))
        if name in PASSING:
            return self._name(name, 4, NOT_INDEXED) + encode_string(value)
        size = entry_size(name, value)
        if size > self._limit * LARGEST_SHARE:
            return self._literal(field, 4, NOT_INDEXED)
        if name in self._used_names and field not in self._candidates:
            if len(self._candidates) >= MOST_KNOWN:
                self._candidates.clear()
            self._candidates.add(field)
            return self._name(name, 4, NOT_INDEXED) + encode_string(value)
        self._candidates.discard(field)
        literal = self._name(name, 6, ADDED) + encode_string(value)
        self._add(field, size)
        return literal

    def _literal(self, field: Field, bits: int, first: int) -> bytes:
        """Return a literal that adds nothing to the table (sections 6.2.2 and 6.2.3)."""
        name, value = field
        literal = self._name(name, bits, first) + encode_string(value)
        fixed = name in NAME_INDICES or name not in self._names
        return self._remember(self._fixed if fixed else self._moving, field, literal)

    def _name(self, name: bytes, bits: int, first: int) -> bytes:
        """Return the beginning of a literal: the index of the name, or the name itself."""
        index = NAME_INDICES.get(name)
        if index is None and (number := self._names.get(name)) is not None:
            index = FIRST_DYNAMIC + self._added - number
        if index is None:
            return bytes((first,)) + encode_string(name)
        return encode_integer(index, bits, first)

    def _remember(self, where: dict[Field, bytes], field: Field, encoded: bytes) -> bytes:
        if len(encoded) <= LARGEST_KNOWN:
            if len(where) >= MOST_KNOWN:
                where.clear()
            where[field] = encoded
        return encoded

    def _add(self, field: Field, size: int) -> None:
        """Add an entry of *size* bytes to the table, which has a limit above that."""
        self._make_room(size)
        self._entries.append(field)
        self._size += size
        self._added += 1
        self._numbers[field] = self._names[field[0]] = self._added
        if len(self._used_names) >= MOST_KNOWN:
            self._used_names.clear()
        self._used_names.add(field[0])
        self._moving.clear()
        self._blocks.clear()

    def _make_room(self, size: int) -> None:
        """Evict entries until *size* more bytes fit (RFC 7541 sections 4.3 and 4.4)."""
        while self._size + size > self._limit:
            number = self._added - len(self._entries) + 1
            name, value = field = self._entries.popleft()
            self._size -= entry_size(name, value)
            if self._numbers[field] == number:
                del self._numbers[field]
            if self._names[name] == number:
                del self._names[name]
            self._moving.clear()
            self._blocks.clear()
