"""Checks and conversions of arguments: bytes-like objects, strings and sizes.

Not here: host names, ports and proxies (hosts.py), and header fields (headers.py).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import TypeVar

from .headers import exact
from .redaction import quoted

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview


def as_bytes(buf: Buffer, name: str = "buf") -> memoryview:
    """Return *buf*, an argument called *name*, as a view of bytes.

    Raises:
        TypeError: it is not bytes-like, or not contiguous.

    """
    try:
        return memoryview(buf).cast("B")
    except TypeError as exc:
        raise not_bytes(buf, exc, name) from None


def not_bytes(data: object, exc: TypeError, name: str) -> TypeError:
    """Return the error for *data* that is not bytes-like; `memoryview` has raised *exc*."""
    kind = type(data).__name__
    if isinstance(data, bytes | bytearray | memoryview):
        return exc  # it is not contiguous
    if isinstance(data, str):
        advice = ": encode it, as by text.encode()"
    elif hasattr(data, "read"):
        advice = ": for streams there are sendfile(), and send() with Request(…, body=stream)"
    elif isinstance(data, dict | list):
        advice = ": encode it, as by json.dumps(…).encode()"
    elif hasattr(data, "__next__"):
        advice = ": for iterators there is send() with Request(…, body=iterator)"
    else:
        advice = ""
    return TypeError(f"{name}: bytes, bytearray or memoryview are needed, not {kind}{advice}")


def as_writable(buf: bytearray | memoryview) -> memoryview:
    """Return *buf* as a view of bytes.

    Raises:
        TypeError: it is not bytes-like, not contiguous, or cannot be written to.

    """
    try:
        view = memoryview(buf).cast("B")
    except TypeError:
        kind = type(buf).__name__
        raise TypeError(
            f"buf: a bytearray or a memoryview to read into is needed, not {kind}"
        ) from None
    if view.readonly:
        raise TypeError(f"it is not possible to read into {type(buf).__name__}, which is read-only")
    return view


def check_size(size: int, name: str = "len_") -> int:
    """Return *size*, a number of bytes and an argument called *name*.

    Raises:
        ValueError: it is negative.
        TypeError: it is not an int.

    """
    try:
        size = operator.index(size)
    except TypeError:
        raise TypeError(f"{name} is a number of bytes, not {quoted(size)}") from None
    if size < 0:
        raise ValueError(f"{name} cannot be {quoted(size)} bytes")
    return size


def as_string(text: object, name: str) -> str:
    """Return *text*, an argument called *name*, as a plain `str`, not a subclass.

    Raises:
        TypeError: it is not a string.

    """
    if not isinstance(text, str):
        raise TypeError(f"{name} is a string, not {quoted(text)}")
    return exact(text)


def iterate(items: Iterable[T], name: str, kind: str) -> Iterator[T]:
    """Return an iterator over *items*, an argument called *name* that has to be *kind*.

    Raises:
        TypeError: it is not iterable.

    """
    try:
        return iter(items)
    except TypeError:
        raise TypeError(f"{name} is {kind}, not {quoted(items)}") from None


def check_callable(function: object, name: str) -> None:
    """Raise TypeError if *function*, an argument called *name*, is not None and not callable."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} is a function or None, not {quoted(function)}")
