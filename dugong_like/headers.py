"""Header fields as callers give them.

Not here: the fields of responses (fields.py), and the grammar of fields on the wire
(http1/head.py, http1/request.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TypeVar

T = TypeVar("T")


class CaseInsensitiveDict(MutableMapping[str, str]):
    """A dict whose keys are compared without regard to case.

    All keys are strings. Iteration gives each key as it was written when it was set
    last. Where several keys differ in case only (in the constructor, in `update`, in
    a comparison), the last one wins, as with the keys of a dict.
    """

    __slots__ = ("_items",)

    def __init__(
        self,
        data: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        **kwargs: str,
    ) -> None:
        self._items: dict[str, tuple[str, str]] = {}
        self.update(data, **kwargs)

    def __setitem__(self, key: str, value: str) -> None:
        try:
            self._items[key.lower()] = (key, value)
        except AttributeError:
            raise TypeError(f"names of header fields are strings, not {key!r}") from None

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
        """Like `items`, with every key in lower case."""
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


def exact(text: T) -> T | str:
    """Return *text* as a `str` and no subclass, whose methods might say something else.

    Of an enumeration that is a string too, for example, that is its value. What is no
    string at all is returned as it is.
    """
    return str.__str__(text) if isinstance(text, str) else text


def field_pairs(fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return names and values of *fields*, as exact strings where they are strings.

    Raises:
        TypeError: they are neither a mapping nor pairs.

    """
    if isinstance(fields, str | bytes | bytearray):
        raise TypeError(f"header fields are a mapping, or pairs of names and values: {fields!r}")
    pairs = []
    for pair in fields.items() if isinstance(fields, Mapping) else fields:
        if isinstance(pair, str | bytes | bytearray) or len(pair) != 2:  # noqa: PLR2004 - a pair
            raise TypeError(f"not the name and the value of a header field: {pair!r}")
        name, value = pair
        pairs.append((exact(name), exact(value)))
    return pairs
