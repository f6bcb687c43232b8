"""Header fields of requests, as arguments of the caller.

Not here: the fields of responses (lazy_message.py), and the grammar of fields on the wire
(http/h1/response_head.py, http/header_validation.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final, Self, TypeVar

from ..errors import InvalidOption
from .redaction import MASK, SECRET, quoted, shown_text

T = TypeVar("T")
Text = str | bytes  # bytes are sent as they are, str as Latin-1
Pairs = Iterable[tuple[Text, Text]]
# An argument for fields: each item of a mapping, or each pair, is one field.
Fields = Mapping[str, Text] | Mapping[bytes, Text] | Pairs
NO_PAIRS: Final = (str, bytes, bytearray)  # even if they have two elements
PAIR: Final = 2  # elements
LATIN_1: Final = "iso-8859-1"  # each byte is one character, so nothing is lost


class CaseInsensitiveDict(MutableMapping[str, str]):
    """A dict whose keys are compared without regard to case.

    All keys are strings. Iteration gives each key as it was written when it was last set. Of
    several keys that differ in case only (in the constructor, in `update`, in a comparison) the
    last one wins, as with equal keys of a dict.

    Args:
        data: a mapping, or pairs of names and values; None for nothing.
        kwargs: further names and values.

    Raises:
        TypeError: *data* is neither, or a name is no string.

    """

    __slots__ = ("_items",)

    def __init__(
        self,
        data: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        **kwargs: str,
    ) -> None:
        if data is not None and not isinstance(data, Iterable):
            raise TypeError(f"data is a mapping, or pairs of names and values, not {quoted(data)}")
        self._items: dict[str, tuple[str, str]] = {}
        self.update(() if data is None else data, **kwargs)

    def __setitem__(self, key: str, value: str) -> None:
        try:
            self._items[key.lower()] = (key, value)
        except AttributeError:
            raise TypeError(f"the name of a header field is a string, not {quoted(key)}") from None

    def __getitem__(self, key: str) -> str:
        return self._items[key.lower()][1]

    def __delitem__(self, key: str) -> None:
        del self._items[key.lower()]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def lower_items(self) -> Iterator[tuple[str, str]]:
        """Return an iterator like `items`, with every key in lower case."""
        return ((key, value) for key, (_, value) in self._items.items())

    def copy(self) -> CaseInsensitiveDict:
        """Return an independent dict with the same items."""
        return CaseInsensitiveDict(self._items.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.lower_items()) == dict(CaseInsensitiveDict(other).lower_items())

    __hash__ = None  # type: ignore[assignment]  # mutable, as dict is

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.items())!r})"


class Headers:
    """Header fields in order, any number of them with the same name.

    Names are compared without regard to case and kept as they were written. Iteration gives
    ``(name, value)`` pairs, and ``len()`` counts them. As the fields of a request, each pair is a
    line of its own. The characters of names and values are checked when they are sent.

    Two objects are equal if they have the same names with the same values, those of one name in
    the same order: the order of different names has no meaning (RFC 9110 section 5.3).

    ``headers[name]`` is the value of all fields of that name, joined by commas; `get` returns the
    first. ``headers[name] = value`` is `set`, and ``del headers[name]`` is `remove`.

    Values are decoded as Latin-1, the historical encoding of field values, which gives each byte as
    one character (RFC 9110 section 5.5); see `encoding` for others.

    Args:
        name_value_pairs: a mapping, or pairs. Names and values may be bytes, and are kept as the
            str of the same Latin-1 characters.
        encoding: see the attribute; None for Latin-1.

    Raises:
        TypeError: they are neither, or a name or value is neither str nor bytes.
        InvalidOption: there is no codec *encoding*.
        UnicodeEncodeError: a value cannot be encoded by it.

    """

    __slots__ = ("_encoding", "_pairs")

    def __init__(self, name_value_pairs: Fields = (), encoding: str | None = None) -> None:
        self._pairs: list[tuple[str, str]] = []  # as Latin-1
        self._encoding: str | None = None  # None: Latin-1, which needs no step
        if encoding is not None:
            self.encoding = encoding
        if type(name_value_pairs) is not tuple or name_value_pairs:  # () is the default
            self.add_pairs(name_value_pairs)

    @classmethod
    def of(cls, pairs: list[tuple[str, str]]) -> Self:
        """Return an object with *pairs*, a list of pairs of strings, which is not copied."""
        self = cls.__new__(cls)
        self._pairs = pairs
        self._encoding = None
        return self

    @property
    def encoding(self) -> str:
        """The name of the codec of the values, ``"iso-8859-1"`` unless it is set.

        It says how values that are str are read and written. ``raw``, and what is sent, are the
        same bytes before and after it is set. A value whose bytes are invalid in this encoding is
        read as Latin-1, so with ``"utf-8"`` each value is what its server most likely meant.

        Set to None it is Latin-1 again. Raises InvalidOption if there is no such codec of text,
        TypeError if it is no string.
        """
        return self._encoding or LATIN_1

    @encoding.setter
    def encoding(self, name: str | None) -> None:
        """Set it to *name*; None for Latin-1. Raises InvalidOption, TypeError: see there."""
        self._encoding = None if name is None else _codec(name)

    def add(self, name: Text, value: Text) -> None:
        """Add a field and keep those of the same name. Raises what the constructor raises."""
        self._pairs.append(self._field(name, value))

    def add_pairs(self, name_value_pairs: Fields) -> None:
        """Add fields: all, or none if it raises what the constructor raises."""
        self._pairs += self._fields(name_value_pairs, "name_value_pairs")

    def set(self, name: Text, value: Text) -> None:
        """Replace all fields called *name* by one, at the position of the first.

        Raises:
            TypeError: *name* or *value* is neither str nor bytes.
            UnicodeEncodeError: *value* cannot be encoded by `encoding`.

        """
        field = self._field(name, value)
        places = self._places(field[0])
        if not places:
            self._pairs.append(field)
            return
        self._pairs[places[0]] = field
        for place in reversed(places[1:]):
            del self._pairs[place]

    def get_values(self, name: str) -> Iterator[str]:
        """Return an iterator over the values of all fields called *name*, in order."""
        return iter(self._values(name))

    def get(self, name: str, default: T = None) -> str | T:  # type: ignore[assignment]  # as dict
        """Return the value of the first field called *name*, or *default*."""
        return next(self.get_values(name), default)

    def remove(self, name: str) -> None:
        """Remove all fields called *name*.

        Raises:
            KeyError: there is none.

        """
        places = self._places(name)
        if not places:
            raise KeyError(name)
        for place in reversed(places):
            del self._pairs[place]

    def remove_value(self, name: str, value: str) -> None:
        """Remove the first field called *name* that has the value *value*.

        Raises:
            ValueError: there is none.
            TypeError: *name* or *value* is neither str nor bytes.

        """
        name, wanted = self._field(name, value)
        for place in self._places(name):
            if self._pairs[place][1] == wanted:
                del self._pairs[place]
                return
        shown = MASK if name.lower() in SECRET else shown_text(wanted)
        raise ValueError(f"there is no field {shown_text(name)}: {shown}")

    def get_list(self, name: str, split_commas: bool = False) -> list[str]:
        """Return the values of all fields called *name*, in order.

        Args:
            name: of the fields, in any case.
            split_commas: True to split each value at its commas, and to strip white space and
                leave out what is empty (RFC 9110 section 5.6.1). Commas in quoted strings split,
                too; it is not for Set-Cookie and dates.

        """
        values = self._values(name)
        if not split_commas:
            return values
        parts = [part.strip(" \t") for value in values for part in value.split(",")]
        return [part for part in parts if part]

    def update(self, fields: Fields) -> None:
        """Replace the fields of each name in *fields* by those in it.

        Raises:
            TypeError, UnicodeEncodeError: as the constructor; nothing is changed then.

        """
        new = self._fields(fields, "fields")
        names = {name.lower() for name, _ in new}
        self._pairs[:] = [pair for pair in self._pairs if pair[0].lower() not in names] + new

    def setdefault(self, name: str, value: str) -> str:
        """Return the value of the first field called *name*; add one with *value* if missing."""
        if (found := self.get(name)) is None:
            self.add(name, value)
            return value
        return found

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The fields as bytes, as they are on the wire."""
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._pairs]

    def clear(self) -> None:
        """Remove all fields."""
        self._pairs.clear()

    def copy(self) -> Headers:
        """Return an independent object with the same fields and the same `encoding`."""
        copied = Headers.of(self._pairs.copy())
        copied.encoding = self._encoding
        return copied

    def has_pairs(self, pairs: list[tuple[str, str]]) -> bool:
        """Return True if `wire_items` are exactly *pairs*, in that order, cheaply."""
        return self._pairs == pairs

    def wire_items(self) -> list[tuple[str, str]]:
        """Return the pairs as they are sent, as a new list: in Latin-1, whatever `encoding` is."""
        return self._pairs.copy()

    def items(self) -> list[tuple[str, str]]:
        """Return the pairs as a new list."""
        if self._encoding is None:
            return self._pairs.copy()
        return [(name, self._decoded(value)) for name, value in self._pairs]

    def keys(self) -> list[str]:
        """Return the names, with repetitions."""
        return [name for name, _ in self._pairs]

    def values(self) -> list[str]:
        """Return the values, in the order of `keys`."""
        return [value for _, value in self.items()]

    def __getitem__(self, name: str) -> str:
        """Return the values of all fields called *name*, joined by commas (RFC 9110 section 5.3).

        Raises:
            KeyError: there is none.

        """
        values = self._values(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __setitem__(self, name: Text, value: Text) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        self.remove(name)

    def _field(self, name: object, value: object) -> tuple[str, str]:
        """Return both as they are kept. Raises what the constructor raises."""
        if self._encoding is None or not isinstance(value, str):
            return _strings(name, value)
        return _strings(name, str.encode(value, self._encoding))

    def _fields(self, fields: Fields, what: str) -> list[tuple[str, str]]:
        """Return *fields*, an argument called *what*, as they are kept."""
        if isinstance(fields, Headers):
            return fields.wire_items()
        return [self._field(*pair) for pair in field_pairs(fields, what)]

    def _values(self, name: str) -> list[str]:
        """Return the values of the fields called *name*, in order."""
        values = [self._pairs[place][1] for place in self._places(name)]
        if self._encoding is None:
            return values
        return [self._decoded(value) for value in values]

    def _decoded(self, value: str) -> str:
        """Return *value*, which is kept as Latin-1, decoded by `encoding` if it is valid in it."""
        try:
            return value.encode(LATIN_1).decode(self.encoding)
        except UnicodeError:  # also: it was given as characters that Latin-1 has not
            return value

    def _places(self, name: str) -> list[int]:
        """Return the indices of the fields called *name*."""
        if not isinstance(name, str):
            return []
        key = name.lower()
        return [place for place, pair in enumerate(self._pairs) if pair[0].lower() == key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs if self._encoding is None else self.items())

    def __len__(self) -> int:
        return len(self._pairs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._places(name))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self._by_name() == other._by_name()

    __hash__ = None  # type: ignore[assignment]  # mutable, as list is

    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self._pairs:
            found.setdefault(name.lower(), []).append(value)
        return found

    def __repr__(self) -> str:
        encoding = "" if self._encoding is None else f", encoding={self._encoding!r}"
        return f"{type(self).__name__}({self.items()!r}{encoding})"


def _strings(name: object, value: object) -> tuple[str, str]:
    """Return both as exact strings. Raises TypeError for objects other than str and bytes."""
    text = as_text(name)
    if not isinstance(text, str):
        raise TypeError(f"name of a header field is neither str nor bytes: {quoted(name)}")
    content = as_text(value)
    if not isinstance(content, str):
        kind = type(value).__name__  # not the value, which may be secret
        raise TypeError(
            f"value of header field {shown_text(text)} is neither str nor bytes but {kind}"
        )
    return text, content


def _codec(name: str) -> str:
    """Return the name of the codec of text *name*.

    Raises:
        InvalidOption: there is none.
        TypeError: *name* is no string.

    """
    if not isinstance(name, str):
        raise TypeError(f"encoding is a string, not {quoted(name)}")
    try:
        "".encode(name)  # which refuses codecs of bytes, too
    except (LookupError, ValueError):  # ValueError: it has a NUL
        raise InvalidOption(f"encoding: there is no codec {quoted(name)}") from None
    return name


def exact(text: T) -> T | str:
    """Return *text* as a plain `str`; a subclass may override its methods.

    For example, the member of an enumeration of strings becomes its value. Other objects are
    returned unchanged.
    """
    return str.__str__(text) if isinstance(text, str) else text


def as_text(part: object) -> object:
    """Return a name or value as a plain `str`; bytes are decoded as Latin-1.

    Other objects are returned unchanged.
    """
    return bytes.decode(part, "latin-1") if isinstance(part, bytes) else exact(part)


def field_pairs(fields: Fields, name: str = "headers") -> Iterable[tuple[Any, Any]]:
    """Return names and values of *fields*, an argument called *name*, in order, unchanged.

    Those of `Headers` are as they are sent.

    The result has to be consumed at once: it may be a view of *fields*.

    Raises:
        TypeError: they are neither a mapping nor pairs.

    """
    if type(fields) is dict:
        return fields.items()
    if isinstance(fields, Headers):
        return fields.wire_items()
    if isinstance(fields, NO_PAIRS) or not isinstance(fields, Iterable):
        kind = type(fields).__name__
        raise TypeError(
            f"{name}: header fields are a mapping, or pairs of names and values, not {kind}"
        )
    pairs: list[Any]
    if type(fields) is not list and isinstance(fields, Mapping):
        pairs = list(fields.items())
    else:
        pairs = list(fields)
    for pair in pairs:
        if type(pair) is tuple and len(pair) == PAIR:
            continue
        kind = type(pair).__name__
        if isinstance(pair, NO_PAIRS) or not hasattr(pair, "__len__"):
            raise TypeError(f"{name}: a header field is a pair of name and value, not {kind}")
        if len(pair) != PAIR:
            raise TypeError(f"{name}: a header field is two strings, not {kind} of {len(pair)}")
    return pairs
