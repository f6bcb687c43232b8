"""The results of a synchronisation: plain values.

Not here: errors (errors.py of the package).
"""

from __future__ import annotations

from typing import NamedTuple

from .plan import Kind


class SyncStep(NamedTuple):
    """A step of a synchronisation: what is planned, or what has come of it.

    Attributes:
        kind: ``"copy"``, ``"delete"`` and others, see `Kind`.
        path: of the file, relative to both sides.
        size: its bytes.
        reason: why.
        error: why it could not be done; None if it could, or is only planned.

    """

    kind: Kind
    path: str
    size: int
    reason: str
    error: Exception | None = None


class SyncProgress(NamedTuple):
    """How far a synchronisation has come.

    Attributes:
        phase: ``"list"``, ``"copy"``, ``"delete"``, ``"verify"`` or ``"finish"``; in a dry run
            ``"list"`` and ``"compare"``.
        files: steps of this phase; with ``"list"`` files that were found.
        done: how many of them are done.
        failed: those of them that have failed.
        bytes: bytes of the files that are to be copied, or verified.
        bytes_done: how many of them are.

    """

    phase: str
    files: int
    done: int
    failed: int
    bytes: int
    bytes_done: int


class SyncResult(NamedTuple):
    """The outcome of a synchronisation.

    Attributes:
        is_dry_run: True if the numbers are those of the plan, and nothing was done.
        copied: files that were copied.
        copied_bytes: bytes of these.
        unchanged: files that were the same on both sides, or turned out to be.
        deleted: files that were deleted.
        extra: files that the source does not have and that were left.
        skipped: links, special files, and those with names of temporary files, that were left out.
        verified: files that were read back and compared.
        failed: files that could not be copied, compared, deleted or listed.
        failures: the first 1,000 of these.

    """

    is_dry_run: bool
    copied: int
    copied_bytes: int
    unchanged: int
    deleted: int
    extra: int
    skipped: int
    verified: int
    failed: int
    failures: tuple[SyncStep, ...]
