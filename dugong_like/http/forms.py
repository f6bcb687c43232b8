"""Fields of forms, and ``application/x-www-form-urlencoded`` (WHATWG URL standard, section 5).

Values are written as httpx writes them: booleans as in JSON, None as the empty string.

Not here: ``multipart/form-data`` (multipart.py), and the query of a URL.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from .headers import NO_PAIRS, PAIR, exact
from .redaction import quoted

FORM_TYPE: Final = "application/x-www-form-urlencoded"
Value = str | bytes | bytearray | memoryview | int | float | bool | None
# The fields of a form: a list or tuple of values is several fields of that name.
FormData = (
    Mapping[str, Value | Sequence[Value]]
    | Mapping[str, Value]
    | Iterable[tuple[str, Value | Sequence[Value]]]
    | Iterable[tuple[str, Value]]
)
PLAIN: Final = frozenset(b"*-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
ENCODED: Final = [bytes([code]) if code in PLAIN else b"%%%02X" % code for code in range(256)]
ENCODED[ord(" ")] = b"+"


class EncodedForm(bytes):
    """The body of a form, which is bytes.

    Attributes:
        content_type: value of Content-Type.

    """

    __slots__ = ()
    content_type = FORM_TYPE

    @property
    def length(self) -> int:
        """Number of bytes."""
        return len(self)


def encode_form(data: FormData) -> EncodedForm:
    """Return the fields of a form as the body of a request.

    Args:
        data: a mapping, or pairs, of names and values. Names are str, bytes or int; values besides
            float, bool and None, or lists or tuples of all these. Text is encoded in UTF-8.

    Raises:
        TypeError: *data*, a name or a value has another type.
        UnicodeEncodeError: text with a surrogate.

    """
    fields = (_encoded(name) + b"=" + _encoded(value) for name, value in form_fields(data))
    return EncodedForm(b"&".join(fields))


def _encoded(text: bytes) -> bytes:
    if PLAIN.issuperset(text):
        return text
    return b"".join([ENCODED[code] for code in text])


def form_fields(data: FormData) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and values of *data* as they are sent, for each of several values one pair.

    Raises:
        TypeError, UnicodeEncodeError: see `encode_form`.

    """
    for name, value in named_values(data, "data"):
        encoded = as_name(name)
        for one in value if isinstance(value, list | tuple) else (value,):
            yield encoded, as_value(one, name)


def named_values(data: Any, argument: str) -> Iterator[tuple[Any, Any]]:
    """Yield the items of a mapping, or pairs. Raises TypeError if *argument* is neither."""
    if isinstance(data, Mapping):
        yield from data.items()
        return
    if isinstance(data, NO_PAIRS) or not isinstance(data, Iterable):
        raise TypeError(
            f"{argument} is a mapping, or pairs of names and values, not {type(data).__name__}"
        )
    for pair in data:
        if not isinstance(pair, list | tuple) or len(pair) != PAIR:
            raise TypeError(
                f"{argument}: each item is a pair of a name and a value, not {type(pair).__name__}"
            )
        yield pair[0], pair[1]


def as_name(name: object) -> bytes:
    """Return the *name* of a field in UTF-8. Raises TypeError if it is no str, bytes or int."""
    if isinstance(name, str | bytes | bytearray) or (
        isinstance(name, int) and not isinstance(name, bool)
    ):
        return as_value(name, "")
    raise TypeError(f"the name of a field is a string, not {quoted(name)}")


def as_value(value: object, name: object) -> bytes:
    """Return the *value* of a field in UTF-8.

    Args:
        value: str, bytes-like, int, float, bool or None.
        name: of the field, for the message.

    Raises:
        TypeError: it has another type.
        UnicodeEncodeError: text with a surrogate.

    """
    if isinstance(value, str):
        return str(exact(value)).encode()
    if value is None:
        return b""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, float):
        return float.__repr__(value).encode()
    try:
        return str(operator.index(value)).encode()  # type: ignore[arg-type]  # checked here
    except TypeError:
        pass
    advice = ": files go into files=" if hasattr(value, "read") else ": convert it, as by str()"
    raise TypeError(
        f"field {quoted(name)}: a value is str, bytes, int, float, bool, None or a list of these, "
        f"not {type(value).__name__}{advice}"
    )
