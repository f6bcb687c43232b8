"""The parameters of a query: names and values, as in ``?name=value&name=value``.

RFC 3986 section 3.4 does not define what is in a query. Parameters are those of HTML forms
(``application/x-www-form-urlencoded`` of the URL standard), and they are read as forms are: ``+``
and ``%20`` are a blank, and only ``&`` separates. They are written with ``%20``, as ``+`` is a
blank only to servers that read forms, and ``%20`` to each. Every byte except letters, digits and
``-._~`` is encoded, as signatures of requests need it (RFC 5849 section 3.6, and AWS).

Not here: forms as bodies of requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from ..errors import InvalidRequest
from .headers import exact
from .patterns import compiled_later
from .percent import IN_COMPONENT, NOT_SENT, decode, encode, is_shown
from .redaction import mask_target, quoted

Value = str | int | float | None  # a bool is an int
PAIR: Final = 2  # elements

_query = compiled_later(r"[\x21\x22\x24-\x7e]*")  # as `check_target` accepts it


class QueryParams(Mapping[str, str]):
    """Parameters of a query in order, any number of them with the same name.

    Immutable and hashable: `set`, `add`, `remove` and `merge` return new objects. As a mapping it
    has the first value of each name. Two objects are equal if they have the same names with the
    same values, those of one name in the same order.

    ``str(params)`` is the query, without ``?``. A parameter that came from text is in it byte for
    byte as it was, so what a server has signed stays valid.

    Args:
        params: a mapping, or pairs, of names and values; or text, a query that is percent-encoded
            already, without ``?``; or None for no parameters. A value is a string, a number,
            True or False (sent as ``true`` and ``false``), None (sent as an empty value,
            ``name=``), or a list or tuple of these, which repeats the name for each; an empty
            one leaves the name out.

    Raises:
        InvalidRequest: text has blanks, control characters, ``#`` or characters that are not
            ASCII; or a name or value cannot be encoded in UTF-8.
        TypeError: an argument, a name or a value has another type.

    """

    __slots__ = ("_items",)

    def __init__(self, params: Params = None) -> None:
        self._items: tuple[tuple[str, str, str], ...]  # name, value, and both as they are sent
        if params is None:
            self._items = ()
        elif isinstance(params, QueryParams):
            self._items = params._items  # noqa: SLF001 - of this class
        elif isinstance(params, str):
            pieces = check_query(params, "params").split("&")
            self._items = tuple([_parsed(piece) for piece in pieces if piece])
        else:
            self._items = tuple([_item(name, value) for name, value in _pairs(params)])

    def get_list(self, name: str) -> list[str]:
        """Return all values of *name* in order; an empty list if there are none."""
        return [value for key, value, _ in self._items if key == name]

    getlist = get_list  # its name in other libraries

    def multi_items(self) -> list[tuple[str, str]]:
        """Return all pairs of name and value, with repetitions, in order."""
        return [(name, value) for name, value, _ in self._items]

    def set(self, name: str, value: Values) -> QueryParams:
        """Return parameters with *value* as the only one of *name*, at the position of the first.

        Raises:
            InvalidRequest, TypeError: as the constructor.

        """
        return self._with({_name(name): _items(name, value)})

    def add(self, name: str, value: Values) -> QueryParams:
        """Return parameters with *value* at the end; others of *name* are kept.

        Raises:
            InvalidRequest, TypeError: as the constructor.

        """
        return _made([*self._items, *_items(name, value)])

    def remove(self, name: str) -> QueryParams:
        """Return parameters without *name*, which may be missing."""
        return _made([item for item in self._items if item[0] != name])

    def merge(self, params: Params) -> QueryParams:
        """Return parameters with those of *params* in place of all that have the same names.

        Raises:
            InvalidRequest, TypeError: as the constructor.

        """
        new: dict[str, list[tuple[str, str, str]]] = {}
        for item in QueryParams(params)._items:  # noqa: SLF001 - of this class
            new.setdefault(item[0], []).append(item)
        return self._with(new)

    def _with(self, new: dict[str, list[tuple[str, str, str]]]) -> QueryParams:
        """Return parameters with those of *new* at the position of the first of their name."""
        items: list[tuple[str, str, str]] = []
        left = dict(new)
        for item in self._items:
            if item[0] not in new:
                items.append(item)
            else:
                items += left.pop(item[0], ())
        for others in left.values():
            items += others
        return _made(items)

    def __getitem__(self, name: str) -> str:
        for key, value, _ in self._items:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([name for name, _, _ in self._items]))

    def __len__(self) -> int:
        return len({name for name, _, _ in self._items})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, QueryParams):
            return NotImplemented
        return self._by_name() == other._by_name()

    def __hash__(self) -> int:
        return hash(frozenset((name, *values) for name, values in self._by_name().items()))

    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value, _ in self._items:
            found.setdefault(name, []).append(value)
        return found

    def __reduce__(self) -> tuple[type[QueryParams], tuple[str]]:
        return QueryParams, (str(self),)

    def __str__(self) -> str:
        return "&".join([text for _, _, text in self._items])

    def __repr__(self) -> str:
        return f"QueryParams({mask_target(f'?{self}')[1:]!r})"


Values = Value | Sequence[Value]
# An argument for parameters; see `QueryParams`.
Params = QueryParams | str | Mapping[str, Values] | Iterable[tuple[str, Values]] | None


def encode_params(params: Params) -> str:
    """Return *params* as a query, without ``?``. Text is returned as it is.

    Raises:
        InvalidRequest, TypeError: see `QueryParams`.

    """
    if params is None:
        return ""
    if isinstance(params, QueryParams):
        return str(params)
    if isinstance(params, str):
        return check_query(params, "params")
    return "&".join([_item(name, value)[2] for name, value in _pairs(params)])


def check_query(text: str, name: str) -> str:
    """Return *text*, an argument called *name*: a query that is percent-encoded already.

    Raises:
        InvalidRequest: it cannot be sent as it is.

    """
    text = exact(text)
    if _query().fullmatch(text):
        return text
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise InvalidRequest(f"{name}: a query has no control characters: {quoted(text)}")
    written = encode(text, NOT_SENT).replace("#", "%23")
    advice = f", as in {written}" if is_shown(f"?{written}") else ""
    raise InvalidRequest(
        f"{name}: text is percent-encoded already{advice}; give a mapping to have names and values "
        f"encoded: {quoted(text)}"
    )


def _made(items: list[tuple[str, str, str]]) -> QueryParams:
    params = QueryParams()
    params._items = tuple(items)  # noqa: SLF001 - of this class
    return params


def _parsed(piece: str) -> tuple[str, str, str]:
    """Return name and value of *piece*, which is between two ``&``."""
    name, _, value = piece.partition("=")
    return _decoded(name), _decoded(value), piece


def _decoded(text: str) -> str:
    """Return *text* as the URL standard reads a form: what is not UTF-8 becomes U+FFFD."""
    if "+" not in text and "%" not in text:
        return text
    return decode(text.replace("+", " ")).decode("utf-8", "replace")


def _pairs(params: object) -> Iterator[tuple[str, Value]]:
    """Yield each name and each value of *params*, which is a mapping or has pairs."""
    pairs: Iterable[object]
    if type(params) is dict or isinstance(params, Mapping):
        pairs = params.items()
    elif isinstance(params, Iterable) and not isinstance(params, bytes | bytearray | memoryview):
        pairs = params
    else:
        raise TypeError(f"params: a mapping, pairs or text, not {type(params).__name__}")
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != PAIR:
            raise TypeError(f"params: a pair of name and value, not {type(pair).__name__}")
        name, values = pair
        if isinstance(values, list | tuple):
            for value in values:
                yield name, value
        else:
            yield name, values


def _items(name: str, value: Values) -> list[tuple[str, str, str]]:
    return [_item(*pair) for pair in _pairs([(name, value)])]


def _item(name: str, value: Value) -> tuple[str, str, str]:
    """Return a parameter: name, value, and both as they are sent."""
    name = _name(name)
    text = _text(name, value)
    return name, text, f"{encode(name, IN_COMPONENT)}={encode(text, IN_COMPONENT)}"


def _name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"params: a name is a string, not {type(name).__name__}")
    return exact(name)


def _text(name: str, value: Value) -> str:
    """Return the value of *name* as text, before it is encoded."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return exact(value)  # such as the value of an enumeration
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value)
    raise TypeError(
        f"params: the value of {quoted(name)} is a string, a number, a bool, None, or a list or "
        f"tuple of them, not {type(value).__name__}"
    )
