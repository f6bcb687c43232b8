"""Header fields as callers see them.

`CaseInsensitiveDict` is what requests take; `fields_to_message` makes the
`email.message.Message` that responses give out. That one is made only when somebody
asks, and the email package is imported only then.

Not here: the grammar of fields on the wire (http1/head.py, http1/request.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message


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


def fields_to_message(fields: bytes) -> Message:
    """Return field lines as a `Message`.

    Args:
        fields: checked field lines, each ended by CRLF; values may have any byte
            from 0x80 on, which comes out as the Latin-1 character of that number.

    Returns:
        The fields in their order, repeated ones repeated; empty for ``b""``.

    """
    from email.message import Message  # noqa: PLC0415 - 10 ms that most programs never need

    message = Message()
    for line in fields.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            message[name] = value.strip(" \t")
    return message
