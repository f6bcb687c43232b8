"""Content codings of a response: which ones it has, and taking them off (RFC 9110 section 8.4).

A body is decoded in bounded steps: however little was received, no more decoded bytes are in memory
than the caller asks for, a constant besides. The end counts as much as the content: a body that is
truncated, has a wrong checksum, or goes on behind its end is an error, whole or in pieces.

Not here: the single codings (decompressors.py), and compressing.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol, cast

from ..errors import BodyTooLarge, DecodingError, StateError
from .arguments import check_size
from .decompressors import (
    BrotliDecompressor,
    Decompressor,
    DeflateDecompressor,
    GzipDecompressor,
    ZstdDecompressor,
    brotli_module,
    zstd_module,
)
from .headers import Headers
from .redaction import quoted

MAX_CODINGS: Final = 5  # servers use one; each needs memory and time
STEP: Final = 65536  # decoded bytes that are given at once, if not told otherwise
FIELD: Final = "Content-Encoding"


class Fields(Protocol):
    """The fields of a response, such as `email.message.Message`."""

    def get_all(self, name: str, failobj: Any = None, /) -> Any:
        """Return the values of all fields called *name*, or *failobj*."""
        ...


Codings = str | None | list[str] | tuple[str, ...] | Headers | Mapping[str, str] | Fields


@functools.cache
def decompressors() -> dict[str, Callable[[], Decompressor]]:
    """Return what decompresses each coding that is available, by its name in lower case."""
    found: dict[str, Callable[[], Decompressor]] = {
        "gzip": GzipDecompressor,
        "x-gzip": GzipDecompressor,  # the same (RFC 9110 section 8.4.1.3)
        "deflate": DeflateDecompressor,
    }
    if brotli_module() is not None:
        found["br"] = BrotliDecompressor
    if zstd_module() is not None:
        found["zstd"] = ZstdDecompressor
    return found


@functools.cache
def accept_encoding() -> str:
    """Return the value of Accept-Encoding for the codings that are available here."""
    return ", ".join(name for name in decompressors() if not name.startswith("x-"))


def content_codings(fields: Codings) -> list[str]:
    """Return the codings of a body, in the order in which they were applied, in lower case.

    Args:
        fields: the value of Content-Encoding, a list or tuple of the values of several such
            fields, or all fields of the response. None or "" if there is none. "identity" and
            empty elements are left out.

    Raises:
        TypeError: *fields* has another type.

    """
    return [name for value in _values(fields) for name in _names_in(value)]


@functools.lru_cache(maxsize=128)
def _names_in(value: str) -> tuple[str, ...]:
    names = [name.strip(" \t").lower() for name in value.split(",")]
    return tuple(name for name in names if name not in {"", "identity"})


def _values(fields: Codings) -> Iterable[str]:
    if fields is None:
        return ()
    if isinstance(fields, str):
        return (fields,)
    if isinstance(fields, list | tuple):
        return fields
    if isinstance(fields, Headers):
        return fields.get_values(FIELD)
    if isinstance(fields, Mapping):
        return [value for name, value in fields.items() if name.lower() == FIELD.lower()]
    if hasattr(fields, "get_all"):  # email.message.Message
        return cast("list[str]", fields.get_all(FIELD, []))
    raise TypeError(f"fields are those of a response, or values of {FIELD}, not {quoted(fields)}")


def decoder_for(fields: Codings, *, step: int = STEP) -> Decoder | None:
    """Return a decoder for a body with these content codings.

    Args:
        fields: as for `content_codings`.
        step: decoded bytes that are given at once.

    Returns:
        None if there is nothing to decode, or if a coding is not available here: the body is
        used as it is then.

    Raises:
        DecodingError: there are more than `MAX_CODINGS`.
        ValueError, TypeError: *step* is not a positive number.

    """
    names = content_codings(fields)
    available = decompressors()
    if not names or any(name not in available for name in names):
        return None
    if len(names) > MAX_CODINGS:
        raise DecodingError(
            f"the body has {len(names)} content codings; at most {MAX_CODINGS} are taken",
            request_sent="yes",
        )
    return Decoder([available[name]() for name in reversed(names)], step=step)


def decode_all(data: bytes, fields: Codings, max_length: int | None = None) -> bytes:
    """Return *data*, a whole body, decoded; unchanged if `decoder_for` has no decoder for it.

    Args:
        data: all that was received of the body.
        fields: as for `content_codings`.
        max_length: decoded bytes at most; None for any number.

    Raises:
        DecodingError: as of `decoder_for` and `Decoder`.
        BodyTooLarge: it has more than *max_length* bytes, which are not in memory.

    """
    decoder = decoder_for(fields)
    if decoder is None:
        if max_length is not None and len(data) > max_length:
            raise too_large(max_length)
        return data
    return decoder.decode_all(data, max_length)


def too_large(most: int) -> BodyTooLarge:
    """Return the error of a decoded body of more than *most* bytes."""
    return BodyTooLarge(f"the decoded body has more than {most} bytes", request_sent="yes")


class Decoder:
    """Takes the content codings off a body, in pieces of any size.

    A body of no bytes is empty, whatever its codings: responses to HEAD, 204, 304 and such with
    ``Content-Length: 0`` name the codings of a body that they do not have.

    Args:
        stages: the decompressors, that of the coding that was applied last first.
        step: decoded bytes that are given at once, if `decode` is not told otherwise.

    Raises:
        ValueError, TypeError: *step* is not a positive number.

    """

    def __init__(self, stages: list[Decompressor], *, step: int = STEP) -> None:
        check_limit(step, "step")
        self._stages = stages
        self._step = step
        self._is_begun = False
        self._error: DecodingError | None = None

    def decode(self, data: bytes | bytearray | memoryview = b"", max_length: int = 0) -> bytes:
        """Add received bytes, and return the next decoded ones.

        Args:
            data: any number of bytes; none to get more of what was added before.
            max_length: bytes to return at most; 0 for the step of the decoder.

        Returns:
            At least one byte; ``b""`` if there are none before more is received. As long as
            something is returned, more may follow without more *data*.

        Raises:
            DecodingError: the bytes are invalid, or follow the end of the body. Later calls
                raise it again.

        """
        if self._error is not None:
            raise self._error
        most = max_length or self._step
        if data:
            self._is_begun = True
            self._stages[0].feed(data if type(data) is bytes else bytes(data))
        try:
            if len(self._stages) == 1:
                return self._stages[0].take(most)
            return self._take(most)
        except DecodingError as exc:
            self._error = exc
            raise

    def _take(self, most: int) -> bytes:
        """Ask the last stage, and the ones before it for what it needs."""
        last = at = len(self._stages) - 1
        while True:
            data = self._stages[at].take(most if at == last else self._step)
            if data and at == last:
                return data
            if data:
                at += 1
                self._stages[at].feed(data)
            elif at:
                at -= 1
            else:
                return b""

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[bytes]:
        """Add received bytes, and yield all that follows from them, in pieces of one step at most.

        Raises:
            DecodingError: as of `decode`.

        """
        piece = self.decode(data)
        while piece:
            yield piece
            piece = self.decode()

    def finish(self) -> None:
        """Check, at the end of the received body, that it is also the end of the decoded one.

        Raises:
            DecodingError: the body is truncated, or has been invalid before.
            StateError: `decode` has more bytes.

        """
        if self.decode(b"", 1):
            raise StateError("the decoder has bytes that were not taken", request_sent="yes")
        if not self._is_begun:
            return
        for stage in self._stages:
            try:
                stage.finish()
            except DecodingError as exc:
                self._error = exc
                raise

    def decode_all(
        self, data: bytes | bytearray | memoryview, max_length: int | None = None
    ) -> bytes:
        """Return *data*, which is the whole body, or all of its rest, decoded. See `decode_all`."""
        most = sys.maxsize - 1 if max_length is None else max_length
        total = 0
        pieces = []
        piece = self.decode(data, most + 1)
        if len(piece) <= most and len(self._stages) == 1 and self._stages[0].is_complete():
            return piece  # as almost always
        while piece:
            total += len(piece)
            if total > most:
                raise too_large(most)
            pieces.append(piece)
            piece = self.decode(b"", most + 1 - total)
        self.finish()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def check_limit(count: int, name: str) -> None:
    """Raise ValueError or TypeError if *count*, called *name*, is not a positive number."""
    if not check_size(count, name):
        raise ValueError(f"{name} is at least 1, not {quoted(count)}")
