"""Bytes-like objects and sizes that callers pass: checked, and turned into what is used inside.

Not here: host names, ports and proxies (origin.py), and header fields (headers.py).
"""

from __future__ import annotations

import operator

Buffer = bytes | bytearray | memoryview


def as_bytes(buf: Buffer) -> memoryview:
    """Return *buf* as a view of bytes.

    Raises:
        TypeError: it is not bytes-like, or not contiguous.

    """
    return memoryview(buf).cast("B")


def as_writable(buf: bytearray | memoryview) -> memoryview:
    """Return *buf* as a view of bytes.

    Raises:
        TypeError: it is not bytes-like, not contiguous, or cannot be written to.

    """
    view = memoryview(buf).cast("B")
    if view.readonly:
        raise TypeError(f"it is not possible to read into {type(buf).__name__}, which is read-only")
    return view


def check_size(size: int) -> int:
    """Return *size*, a number of bytes.

    Raises:
        ValueError: it is negative.
        TypeError: it is no int.

    """
    size = operator.index(size)
    if size < 0:
        raise ValueError(f"it is not possible to read {size} bytes")
    return size
