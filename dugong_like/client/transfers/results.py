"""The results of transfers: plain values.

Not here: errors (errors.py of the package).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..response import Response


class DownloadResult(NamedTuple):
    """A complete download.

    Attributes:
        path: of the file; None if it was given as a file object.
        size: bytes of the file.
        received: bytes of bodies that arrived in this run, those that were of no use included.
        resumed_from: bytes that an earlier run had left, and that were used.
        digests: what was verified: ``"sha256"`` for the argument, and names of fields with their
            algorithm such as ``"Repr-Digest sha-256"``.
        response: the `Response` with the last bytes; its body is in the file.

    """

    path: Path | None
    size: int
    received: int
    resumed_from: int
    digests: tuple[str, ...]
    response: Response


class UploadResult(NamedTuple):
    """A complete upload.

    Attributes:
        path: of the file; None if it was given as a file object.
        size: bytes of the file, or of the rest of it from where the file object stood.
        sent: bytes of bodies that were sent, those that had to be sent again included.
        digests: names of the fields with digests that were sent, with their algorithm.
        response: the final `Response`, with its body.

    """

    path: Path | None
    size: int
    sent: int
    digests: tuple[str, ...]
    response: Response
