"""Header fields of a response as an `email.message.Message` that is filled on demand.

Most programs look at one or two fields of a response, which are searched in the received bytes.
This file is imported for the first look, as importing the email package takes 10 ms.

Not here: the fields of requests (headers.py), and the grammar of fields (http/h1/response_head.py).
"""

from __future__ import annotations

from email.message import Message
from typing import Any

from .field_search import key_of, keys


class FieldsMessage(Message):
    """Fields in order, with repetitions.

    Args:
        wire: CRLF, and checked field lines, each with its CRLF; values may have any byte
            from 0x80 on, which is decoded as Latin-1.
        lower: the same in lower case, if available.

    """

    _wire: bytes | None = None  # after the message has been filled

    def __init__(self, wire: bytes, lower: bytes | None = None) -> None:
        self._wire = wire
        self._lower = wire.lower() if lower is None else lower

    def __getattr__(self, name: str) -> Any:
        """Fill the message when one of its own attributes is used for the first time."""
        wire = self.__dict__.pop("_wire", None)
        if wire is None:
            raise AttributeError(name)
        super().__init__()
        for line in wire.decode("latin-1").split("\r\n"):
            field, colon, value = line.partition(":")
            if colon:
                self[field] = value.strip(" \t")
        return getattr(self, name)

    def get(self, name: str, failobj: Any = None) -> Any:
        """Return the value of the first field called *name*, or *failobj*."""
        wire = self._wire
        if wire is None:
            return super().get(name, failobj)
        lower = self._lower
        key = keys.get(name) or key_of(name)
        at = lower.find(key)
        if at < 0:
            return failobj
        begin = at + len(key)
        return wire[begin : lower.find(b"\r", begin)].decode("latin-1").strip(" \t")

    def get_all(self, name: str, failobj: Any = None) -> Any:
        """Return the values of all fields called *name*, or *failobj* if there are none."""
        wire = self._wire
        if wire is None:
            return super().get_all(name, failobj)
        lower = self._lower
        key = keys.get(name) or key_of(name)
        values = []
        at = lower.find(key)
        while at >= 0:
            begin = at + len(key)
            end = lower.find(b"\r", begin)
            values.append(wire[begin:end].decode("latin-1").strip(" \t"))
            at = lower.find(key, end)
        return values or failobj

    def get_param(self, *args: Any, **kwargs: Any) -> Any:
        """See `email.message.Message`; a malformed parameter counts as missing."""
        try:
            return super().get_param(*args, **kwargs)
        except ValueError:  # a part number of thousands of digits
            return args[1] if len(args) > 1 else kwargs.get("failobj")

    __getitem__ = get

    def __contains__(self, name: object) -> bool:
        """Return True if there is a field called *name*."""
        return isinstance(name, str) and self.get(name) is not None
