"""Digests of a file while it arrives or is sent.

Bytes to hash are read back from the file: from its pages in memory, as it has just been written.
So the system still moves the bytes of a body into the file by itself, the bytes that an earlier run
has left count as well, and several ranges may arrive at the same time: the digest follows the bytes
that are there without a gap. It costs no more than hashing bytes on their way (2.90 and 3.22 s of
processor time for 2 GiB on a busy computer, where receiving alone took 2.66).

Not here: the fields with digests (http/digest_fields.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final

from ...http.redaction import quoted
from ...polling.contract import Co
from ...polling.fairness import StepCounter
from ...polling.wake import co_checkpoint

PIECE: Final = 262144  # bytes that are read at once
SHA256_SIZE: Final = 32  # bytes


class RunningDigest:
    """Digests of the bytes of a file from a position on.

    Args:
        names: algorithms, as hashlib calls them.
        begin: the position of the first byte.
        steps: counts the work together with that of others.

    Attributes:
        at: position behind the bytes that were hashed.

    """

    def __init__(
        self, names: Iterable[str], begin: int = 0, steps: StepCounter | None = None
    ) -> None:
        self._hashes = {name: new_hash(name) for name in names}
        self.at = begin
        self._memory = memoryview(b"")
        self._steps = steps or StepCounter()

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def update(self, data: memoryview) -> None:
        """Hash *data*, the next bytes."""
        for each in self._hashes.values():
            each.update(data)
        self.at += len(data)

    def co_follow(self, number: int, end: int) -> Co[None]:
        """Hash what the file has up to the position *end*.

        Args:
            number: descriptor of the file, whose position does not change.
            end: a position; nothing is done if it is behind `at`.

        Raises:
            OSError: the file cannot be read, or ends before.

        """
        if not self._hashes:
            return
        if not self._memory:
            self._memory = memoryview(bytearray(PIECE))
        while self.at < end:
            piece = self._memory[: min(PIECE, end - self.at)]
            count = read_at(number, piece, self.at)
            if count == 0:
                raise OSError(f"the file ended at {self.at} instead of {end}")
            self.update(piece[:count])
            self._steps.done += count * len(self._hashes)  # hashing is what takes the time
            if self._steps.is_over():
                yield from co_checkpoint()

    def value(self, name: str) -> bytes:
        """Return the digest of an algorithm."""
        digest: bytes = self._hashes[name].digest()
        return digest


def new_hash(name: str) -> Any:
    """Return an object of hashlib that finds damage; it need not be allowed for security."""
    import hashlib  # noqa: PLC0415 - 5 ms, which those wait for who have something to hash

    return hashlib.new(name, usedforsecurity=False)


def read_at(number: int, memory: memoryview, position: int) -> int:
    """Read into *memory* from a position of a file; return the number of bytes.

    Raises:
        OSError: the file cannot be read.

    """
    if hasattr(os, "preadv"):
        return os.preadv(number, [memory], position)
    before = os.lseek(number, 0, os.SEEK_CUR)  # elsewhere only one operation has the position
    os.lseek(number, position, os.SEEK_SET)
    data = os.read(number, len(memory))
    os.lseek(number, before, os.SEEK_SET)
    memory[: len(data)] = data
    return len(data)


def as_sha256(value: object) -> bytes:
    """Return a digest that is given as 64 hexadecimal digits, or as 32 bytes.

    Raises:
        ValueError: it has another form.
        TypeError: it is neither.

    """
    if isinstance(value, str):
        try:
            digest = bytes.fromhex(value)
        except ValueError:
            digest = b""
    elif isinstance(value, bytes | bytearray):
        digest = bytes(value)
    else:
        raise TypeError(f"sha256 is a string of hexadecimal digits, or bytes, not {quoted(value)}")
    if len(digest) != SHA256_SIZE:
        raise ValueError("sha256 has 64 hexadecimal digits, or 32 bytes")
    return digest
