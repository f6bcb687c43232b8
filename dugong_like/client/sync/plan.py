"""The plan: what has to be done so that one side becomes like the other one.

A pure function of two listings and the record, all ordered by path. For each path:

====== ====== ============================================= =======================================
Source Other  And                                           Then
====== ====== ============================================= =======================================
yes    yes    both are what the record says                 unchanged
yes    yes    both have the size and the exact time         unchanged, if times of the server are
..     ..     that were sent                                those it was given (`Rules.exact_times`)
yes    yes    the sizes are equal, and digests are asked    COMPARE
..     ..     for
yes    yes    the record knows the local file, and the      CONFIRM
..     ..     listing is one that a killed run leaves old
yes    yes    anything else                                 COPY: also if only sizes could be
..     ..                                                   compared
yes    no     as in CONFIRM                                 CONFIRM
yes    no     anything else                                 COPY
no     yes    it has the name of a folder of the source,    CLEAR, if deletes are wanted
..     ..     or is in a folder that has the name of a file
no     yes    anything else                                 DELETE, if deletes are wanted
no     no     the record has it                             FORGET
====== ====== ============================================= =======================================

Times are compared for equality only, so a clock that is wrong, or is set, makes no difference. Two
times are equal as well if a file system with coarse times would store one as the other.

Not here: listings (tree.py), and doing it (run.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar

from .record import Known
from .tree import Facts, Item, as_text, parents

T = TypeVar("T", Item, Known)
NO_FOLDERS: Final[AbstractSet[str]] = frozenset()
# Steps of the times that file systems store, in nanoseconds: FAT, HFS+, exFAT, those whose times
# are set in microseconds, and NTFS.
GRAINS: Final = (2 * 10**9, 10**9, 10**7, 10**3, 10**2)


class Kind(StrEnum):
    """The kinds of steps, in the order in which they are done."""

    CLEAR = "clear"  # delete what has the name of something that will be copied
    CONFIRM = "confirm"  # ask whether a file has arrived in an earlier run; copy it if not
    COMPARE = "compare"  # compare digests; copy the file if they differ
    COPY = "copy"
    DELETE = "delete"
    FORGET = "forget"  # in the record only


class Step(NamedTuple):
    """One thing to do.

    Attributes:
        kind: see there.
        path: of the file.
        size: bytes of the file that is copied, or deleted.
        reason: why, for people.

    """

    kind: Kind
    path: str
    size: int
    reason: str


class Rules(NamedTuple):
    """The rules of a plan, besides the listings.

    Attributes:
        upload: True if the source is local.
        delete: True to delete what the source does not have.
        checksum: True to compare digests.
        exact_times: True if the times of the server are those that were sent, to the nanosecond.
        listing_lags: True if a run that was killed leaves a listing that does not have all.
        excludes: returns True for paths that are left alone.
        source_folders: folders of the source.
        other_folders: those of the other side.

    """

    upload: bool
    delete: bool = False
    checksum: bool = False
    exact_times: bool = False
    listing_lags: bool = False
    excludes: Callable[[str], bool] | None = None
    source_folders: AbstractSet[str] = NO_FOLDERS
    other_folders: AbstractSet[str] = NO_FOLDERS


class Plan:
    """Iterates over the steps.

    Args:
        local: the local listing, ordered by path.
        remote: that of the server, likewise.
        record: the record, likewise.
        rules: see there.

    Attributes:
        unchanged: files that are the same on both sides, so far.
        extra: files that the source does not have and that are left, so far.
        in_the_way: folders that have the names of files of the source, so far.
        files_in_the_way: files that have the names of folders of the source, and that are left, so
            far.

    """

    def __init__(
        self, local: Iterable[Item], remote: Iterable[Item], record: Iterable[Known], rules: Rules
    ) -> None:
        self._local, self._remote, self._record = local, remote, record
        self._rules = rules
        self.in_the_way: set[str] = set()
        self.files_in_the_way: set[str] = set()
        self.unchanged = 0
        self.extra = 0

    def __iter__(self) -> Iterator[Step]:
        excludes = self._rules.excludes
        for path, here, there, known in merged(self._local, self._remote, self._record):
            text = as_text(path)
            if excludes is not None and excludes(text):
                continue
            step = self._step(text, here, there, known)
            if step is not None:
                yield step

    def _step(
        self, path: str, here: Facts | None, there: Facts | None, known: Known | None
    ) -> Step | None:
        rules = self._rules
        source, other = (here, there) if rules.upload else (there, here)
        if source is None:
            if other is not None:
                return self._surplus(path, other)
            return Step(Kind.FORGET, path, 0, "it is on neither side")
        if path in rules.other_folders:
            self.in_the_way.add(path)
        if other is None:
            if rules.listing_lags and rules.upload and _is_known(here, known):
                return Step(Kind.CONFIRM, path, source.size, "an earlier run may have sent it")
            return Step(Kind.COPY, path, source.size, "new")
        assert here is not None
        assert there is not None
        reason = self._difference(here, there, known)
        if rules.checksum and here.size == there.size:
            return Step(Kind.COMPARE, path, source.size, "to compare digests")
        if reason is None:
            self.unchanged += 1
            return None
        if rules.listing_lags and rules.upload and _is_known(here, known):
            return Step(Kind.CONFIRM, path, source.size, "an earlier run may have sent it")
        return Step(Kind.COPY, path, source.size, reason)

    def _difference(self, here: Facts, there: Facts, known: Known | None) -> str | None:
        """Return what is different; None if nothing is."""
        if here.size != there.size:
            return "another size"
        if _is_known(here, known) and known is not None and known.tag is not None:
            if known.tag == there.tag:
                return "another time" if self._is_listed_otherwise(here, there) else None
            if there.tag is not None:
                return "another version on the server"
        if self._rules.exact_times and there.mtime_ns is not None:
            return None if here.mtime_ns == there.mtime_ns else "another time"
        if known is not None and known.mtime_ns != here.mtime_ns:
            return "another time"
        return "only the size is known"

    def _is_listed_otherwise(self, here: Facts, there: Facts) -> bool:
        """Return True if the list has another time for a file whose tag is the same.

        Servers make tags of size and seconds: within one second two versions have the same.
        """
        if not self._rules.exact_times or there.mtime_ns is None:
            return False
        return here.mtime_ns is None or not _may_be_stored_as(there.mtime_ns, here.mtime_ns)

    def _surplus(self, path: str, other: Facts) -> Step | None:
        """Return what becomes of a file that the source does not have."""
        rules = self._rules
        if not rules.delete:
            self.extra += 1
            if path in rules.source_folders:
                self.files_in_the_way.add(path)
            return None
        if path in rules.source_folders or not self.in_the_way.isdisjoint(parents(path)):
            return Step(Kind.CLEAR, path, other.size, "in the way of another file")
        return Step(Kind.DELETE, path, other.size, "not in the source")


def _may_be_stored_as(mtime_ns: int, stored: int) -> bool:
    """Return True if a file system may store *mtime_ns* as *stored*, rounded down or up.

    That its times are coarse is seen by *stored*: one of 2.5 s is not of a file system that has
    whole seconds only.
    """
    grain = next((each for each in GRAINS if stored % each == 0), 1)
    return abs(mtime_ns - stored) < grain


def _is_known(here: Facts | None, known: Known | None) -> bool:
    """Return True if the local file is the one of the record."""
    return (
        here is not None
        and known is not None
        and (known.size, known.mtime_ns) == (here.size, here.mtime_ns)
    )


def merged(
    local: Iterable[Item], remote: Iterable[Item], record: Iterable[Known]
) -> Iterator[tuple[bytes, Facts | None, Facts | None, Known | None]]:
    """Yield each path with what is known of it here, there, and from earlier runs."""
    locals_, remotes, knowns = iter(local), iter(remote), iter(record)
    here, there, known = next(locals_, None), next(remotes, None), next(knowns, None)
    while True:
        paths = [each[0] for each in (here, there, known) if each is not None]
        if not paths:
            return
        path = min(paths)
        facts_here = facts_there = row = None
        if here is not None and here[0] == path:
            facts_here, here = here.facts, next(locals_, None)
        if there is not None and there[0] == path:
            facts_there, there = there.facts, next(remotes, None)
        if known is not None and known[0] == path:
            row, known = known, next(knowns, None)
        yield path, facts_here, facts_there, row
