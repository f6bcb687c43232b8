"""Bytes-like objects and sizes that callers pass: checked, and turned into what is used inside.

Not here: host names, ports and proxies (hosts.py), and header fields (headers.py).
"""

from __future__ import annotations

import operator

Buffer = bytes | bytearray | memoryview


def as_bytes(buf: Buffer) -> memoryview:
    """Return *buf* as a view of bytes.

    Raises:
        TypeError: it is not bytes-like, or not contiguous.

    """
    try:
        return memoryview(buf).cast("B")
    except TypeError as exc:
        raise not_bytes(buf, exc) from None


def not_bytes(data: object, exc: TypeError) -> TypeError:
    """Return the error that *data* is not bytes-like, which `memoryview` has raised as *exc*."""
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
    return TypeError(f"bytes, bytearray or memoryview are needed, not {kind}{advice}")


def as_writable(buf: bytearray | memoryview) -> memoryview:
    """Return *buf* as a view of bytes.

    Raises:
        TypeError: it is not bytes-like, not contiguous, or cannot be written to.

    """
    try:
        view = memoryview(buf).cast("B")
    except TypeError:
        kind = type(buf).__name__
        raise TypeError(f"a bytearray or a memoryview to read into is needed, not {kind}") from None
    if view.readonly:
        raise TypeError(f"it is not possible to read into {type(buf).__name__}, which is read-only")
    return view


def check_size(size: int) -> int:
    """Return *size*, a number of bytes.

    Raises:
        ValueError: it is negative.
        TypeError: it is no int.

    """
    try:
        size = operator.index(size)
    except TypeError:
        raise TypeError(f"a number of bytes is an int, not {size!r}") from None
    if size < 0:
        raise ValueError(f"it is not possible to read {size} bytes")
    return size
