"""HPACK, the receiving half: blocks to header sections (RFC 7541).

A block that is as one before, which most are, is decoded once, as long as the table does not change
between the two. So is each Huffman-coded string. Blocks that mean the same whatever the table has,
as all of nginx do, may change it: what they add is noted, and only added when a block comes that
has to be decoded.

A section beyond the limits is not kept, but decoded to its end, so that the table stays the one of
the peer and the connection can go on.

Not here: the static table (static_table.py), and the meaning of fields (fields.py).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TypeAlias

from ...errors import InvalidResponse
from .huffman import InvalidCode
from .huffman import decode as decode_huffman
from .static_table import (
    DEFAULT_TABLE_SIZE,
    ENTRIES,
    ENTRY_OVERHEAD,
    FIRST_DYNAMIC,
    Field,
    entry_size,
)
from .violations import ErrorCode, Violation

MAX_LIST: Final = 65536  # bytes, counted as in RFC 9113 section 6.5.2; as much as HTTP/1.1 has
MAX_FIELDS: Final = 200  # in a section; servers send 10 to 50
MAX_OCTETS: Final = 5  # of an integer behind its prefix: 35 bits, more than any length needs
MAX_UPDATES: Final = 2  # of the size at the beginning of a block (RFC 7541 section 4.2)
MOST_BLOCKS: Final = 32  # that are remembered
LARGEST_BLOCK: Final = 4096  # bytes of one, together with its fields
MOST_NOTED: Final = 32  # blocks whose entries are noted before it is looked which ones count
MOST_STRINGS: Final = 128  # Huffman-coded strings that are remembered
LARGEST_STRING: Final = 64  # bytes of one
INDEXED: Final = 0x80  # first bits of the representations (RFC 7541 section 6)
ADDED: Final = 0x40
SIZE_UPDATE: Final = 0x20
HUFFMAN: Final = 0x80  # first bit of a string literal (section 5.2)
NAMES: Final = (b"", *[name for name, _ in ENTRIES])  # by index


class HpackError(Violation):
    """A block cannot be decoded: the tables of both sides differ, so the connection has ended."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorCode.COMPRESSION_ERROR, message)


class ListTooLarge(InvalidResponse):
    """A section is larger than the limits allow. The next one can be decoded."""


class FieldSection(list[Field]):
    """The fields of a section, which is not to be changed: equal blocks give the same object.

    Attributes:
        checked: a place for what `fields.py` has made of it; None before.

    """

    checked: Any = None


# The meaning of a block, the entries that it adds to the table, and the bytes that these count.
KnownBlock: TypeAlias = tuple[FieldSection, list[Field], int]


class Decoder:
    """Decodes the header blocks of one connection, in the order in which they arrive.

    Args:
        max_table_size: bytes that the peer may use for the dynamic table; 4096 until it has
            acknowledged another SETTINGS_HEADER_TABLE_SIZE (`set_max_size`).
        max_list: limit for the bytes of a section, counted as in RFC 9113 section 6.5.2.
        max_fields: limit for the number of its fields.

    """

    __slots__ = (
        *("_adding", "_blocks", "_entries", "_limit", "_max_fields", "_max_list", "_most"),
        *("_most_noted", "_must_update", "_noted", "_size", "_strings"),
    )

    def __init__(
        self,
        max_table_size: int = DEFAULT_TABLE_SIZE,
        max_list: int = MAX_LIST,
        max_fields: int = MAX_FIELDS,
    ) -> None:
        self._most = max_table_size
        self._limit = min(max_table_size, DEFAULT_TABLE_SIZE)  # size of the table, by the peer
        self._must_update = False  # has the limit been lowered below it?
        self._max_list = max_list
        self._max_fields = max_fields
        self._entries: deque[Field] = deque()  # the dynamic table, newest first
        self._size = 0  # bytes that they count
        self._blocks: dict[bytes, KnownBlock] = {}  # until the table changes
        # Blocks that add to the table and do not refer to it, as all of nginx are.
        self._adding: dict[bytes, KnownBlock] = {}
        self._noted: list[KnownBlock] = []  # those that came again
        self._most_noted = MOST_NOTED  # before those are dropped that others have evicted
        self._strings: dict[bytes, bytes] = {}

    def set_max_size(self, size: int) -> None:
        """Set the bytes that the peer may use for the table, when it has acknowledged them.

        If its table is larger, the next block has to begin with a smaller size (RFC 9113 section
        4.3.1).
        """
        self._most = size
        self._must_update = self._limit > size

    def known(self, block: bytes) -> KnownBlock | None:
        """Return what is known of *block*, if an equal one was decoded before; None otherwise.

        Nothing changes: *block* is still to be decoded, or what is returned given to `repeat`, if
        it has added entries.
        """
        known = self._blocks.get(block) or self._adding.get(block)
        if known is None or known[2] > self._limit or self._must_update:
            return None
        return known

    def decode(self, block: bytes) -> FieldSection:
        """Return the fields of a block.

        Raises:
            HpackError: it is invalid.
            ListTooLarge: it has more bytes or fields than the limits.

        """
        known = self._blocks.get(block)
        if known is not None and not self._must_update:
            return known[0]
        known = self._adding.get(block)
        if known is not None and known[2] <= self._limit and not self._must_update:
            self.repeat(known)
            return known[0]
        try:
            return self._decode(block)
        except IndexError:
            raise HpackError("a header block ends inside of a field (RFC 7541 section 6)") from None

    def _decode(self, block: bytes) -> FieldSection:
        if self._noted:
            self._add_noted()
        section = FieldSection()
        place = self._take_updates(block)
        is_stable = is_known = place == 0  # the latter: it means the same whatever the table has
        count, size = 0, 0
        added: list[Field] = []
        while place < len(block):
            first = block[place]
            place += 1
            if first >= INDEXED:  # section 6.1
                index = first & 0x7F
                if index == 0x7F:  # noqa: PLR2004 - the largest prefix
                    index, place = self._integer(block, place, index)
                field = self._entry(index)
                is_known &= index < FIRST_DYNAMIC
            elif first >= ADDED:  # section 6.2.1
                field, place = self._literal(block, place, first & 0x3F, 0x3F)
                self._add(field)
                added.append(field)
                is_stable = False  # until the table changes
                is_known &= first & 0x3F < FIRST_DYNAMIC
            elif first >= SIZE_UPDATE:
                raise HpackError("a size update behind a field (RFC 7541 section 4.2)")
            else:  # sections 6.2.2 and 6.2.3
                field, place = self._literal(block, place, first & 0x0F, 0x0F)
                is_known &= first & 0x0F < 0x0F  # noqa: PLR2004 - the largest prefix
            count += 1
            size += len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
            if size <= self._max_list:
                section.append(field)
        if size > self._max_list or count > self._max_fields:
            raise ListTooLarge(
                f"a header section of {count} fields and {size} bytes (RFC 9113 section 6.5.2); at "
                f"most {self._max_fields} fields and {self._max_list} bytes are taken"
            )
        if (is_stable or is_known) and len(block) + size <= LARGEST_BLOCK:
            self._remember(bytes(block), section, added)
        return section

    def repeat(self, known: KnownBlock) -> None:
        """Note that a block has come again, which adds to the table; see `known`."""
        noted = self._noted
        noted.append(known)
        if self._blocks:
            self._blocks.clear()
        if len(noted) > self._most_noted:
            self._drop_evicted()

    def _drop_evicted(self) -> None:
        """Drop what was noted of blocks whose entries have been evicted since by later ones."""
        noted = self._noted
        size = place = 0
        for place in range(len(noted) - 1, -1, -1):
            size += noted[place][2]
            if size >= self._limit:  # so nothing is left of what was there before
                self._entries.clear()
                self._size = 0
                break
        del noted[:place]
        self._most_noted = 2 * len(noted) + MOST_NOTED

    def _add_noted(self) -> None:
        """Add what was noted to the table."""
        self._drop_evicted()
        for _, added, size in self._noted:
            self._entries.extendleft(added)
            self._size += size
            self._make_room(0)
        self._noted.clear()

    def _remember(self, block: bytes, section: FieldSection, added: list[Field]) -> None:
        if added:
            if len(self._adding) >= MOST_BLOCKS:
                self._adding.clear()
            self._adding[block] = section, added, sum(entry_size(*field) for field in added)
        else:
            if len(self._blocks) >= MOST_BLOCKS:
                self._blocks.clear()
            self._blocks[block] = section, added, 0

    def _take_updates(self, block: bytes) -> int:
        """Take the size updates at the beginning of a block (section 6.3); return their end."""
        place = updates = 0
        while place < len(block) and SIZE_UPDATE <= block[place] < ADDED:
            updates += 1
            if updates > MAX_UPDATES:
                raise HpackError("more than two size updates in a row (RFC 7541 section 4.2)")
            size, place = block[place] & 0x1F, place + 1
            if size == 0x1F:  # noqa: PLR2004 - the largest prefix
                size, place = self._integer(block, place, size)
            if size > self._most:
                raise HpackError(
                    f"a size update to {size} bytes; at most {self._most} are allowed (RFC 7541 "
                    "section 6.3)"
                )
            self._limit = size
            self._must_update = False
            self._blocks.clear()
            self._make_room(0)
        if self._must_update:
            raise HpackError(
                "a block begins without an update to a smaller size, which was acknowledged (RFC "
                "9113 section 4.3.1)"
            )
        return place

    def _integer(self, block: bytes, place: int, number: int) -> tuple[int, int]:
        """Return an integer whose prefix is full, with *number*, and the place behind it.

        See RFC 7541 section 5.1.
        """
        for shift in range(0, 7 * MAX_OCTETS, 7):
            octet = block[place]
            place += 1
            number += (octet & 0x7F) << shift
            if octet < 0x80:  # noqa: PLR2004 - the last one
                return number, place
        raise HpackError(f"an integer of more than {MAX_OCTETS} octets (RFC 7541 section 5.1)")

    def _entry(self, index: int) -> Field:
        """Return the field with *index* (RFC 7541 section 2.3.3)."""
        if 0 < index < FIRST_DYNAMIC:
            return ENTRIES[index - 1]
        if not FIRST_DYNAMIC <= index < FIRST_DYNAMIC + len(self._entries):
            raise HpackError(
                f"index {index} of tables with {FIRST_DYNAMIC - 1 + len(self._entries)} entries "
                "(RFC 7541 section 2.3.3)"
            )
        return self._entries[index - FIRST_DYNAMIC]

    def _literal(self, block: bytes, place: int, index: int, most: int) -> tuple[Field, int]:
        """Return a literal field, and the place behind it.

        Args:
            block: the block.
            place: where to read on.
            index: of its name in the tables, or 0; *most* if more octets of it follow.
            most: the largest number in the prefix.

        """
        if index == most:
            octet = block[place]
            if octet < 0x80:  # noqa: PLR2004 - the only octet, as nearly always
                index += octet
                place += 1
            else:
                index, place = self._integer(block, place, index)
        if 0 < index < FIRST_DYNAMIC:
            name = NAMES[index]
        elif index:
            name, _ = self._entry(index)
        else:
            name, place = self._string(block, place)
        value, place = self._string(block, place)
        return (name, value), place

    def _string(self, block: bytes, place: int) -> tuple[bytes, int]:
        """Return a string literal (RFC 7541 section 5.2), and the place behind it."""
        first = block[place]
        place += 1
        size = first & 0x7F
        if size == 0x7F:  # noqa: PLR2004 - the largest prefix
            size, place = self._integer(block, place, size)
        end = place + size
        if end > len(block):
            raise IndexError
        data = block[place:end]
        if first >= HUFFMAN:
            data = self._strings.get(data) or self._decode_string(data)
        return data, end

    def _decode_string(self, data: bytes) -> bytes:
        """Return what the Huffman code *data* stands for."""
        try:
            text = decode_huffman(data)
        except InvalidCode as exc:
            raise HpackError(f"Huffman code: {exc}") from None
        if len(data) <= LARGEST_STRING:
            if len(self._strings) >= MOST_STRINGS:
                self._strings.clear()
            self._strings[data] = text
        return text

    def _add(self, field: Field) -> None:
        """Add an entry to the dynamic table; one that does not fit empties it (section 4.4)."""
        size = entry_size(*field)
        self._make_room(size)
        if size <= self._limit:
            self._entries.appendleft(field)
            self._size += size
        self._blocks.clear()

    def _make_room(self, size: int) -> None:
        """Evict entries until *size* more bytes fit, or there are none (section 4.3)."""
        entries, limit = self._entries, self._limit - size
        while entries and self._size > limit:
            name, value = entries.pop()
            self._size -= len(name) + len(value) + ENTRY_OVERHEAD
