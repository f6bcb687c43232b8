"""A synchronisation: lists both sides, plans, and does what is planned.

=========  =========================================================================================
Phase      What is done
=========  =========================================================================================
list       both listings, then the plan; a dry run ends here
copy       what is in the way is deleted, then files are copied, many at the same time
delete     what the source does not have; only if both listings are complete and nothing has failed
verify     what was copied is read back, if that is asked for
finish     the server is told what is there (`Remote.co_finish`), without what is damaged
=========  =========================================================================================

Each file is an operation of its own on the scheduler of `Client.map`. Its error is one of the
result, and the others go on; but if several files in a row fail in the network, no other is begun,
and the error is that of the run. When a file has arrived it is recorded at once.

Not here: what has to be done (plan.py), and each side (local.py, remote.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from ...errors import (
    ContentChanged,
    DigestMismatch,
    DugongError,
    StatusError,
    TransferError,
    TransportError,
)
from ...http.content_range import parse_content_range
from ...http.redaction import MAX_PATH, quoted
from ...polling.contract import Co
from ...polling.fairness import StepCounter
from ...polling.wake import co_checkpoint, co_sleep
from ..bulk.work import Work
from ..layers.retry import Retry
from ..transfers.budget import RETRIES
from ..transfers.download import DownloadSettings
from ..transfers.downloading import co_download_to, co_read_explanation
from .local import is_temporary, seconds_to_rest
from .plan import Kind, Plan, Rules, Step
from .record import DAMAGED
from .remote import co_digest_of, label, refusal, tag_of
from .results import SyncProgress, SyncResult, SyncStep
from .steps import TO_ASK, TO_COPY, Steps
from .tree import Facts, Tree, parents

if TYPE_CHECKING:
    from ..bulk.map_results import MapResults
    from ..request import ClientRequest
    from ..response import Response
    from .local import LocalFolder, SourceFile
    from .options import SyncSettings
    from .record import Record
    from .remote import Remote, Send

T = TypeVar("T")
WHOLE: Final = 1 << 18  # bytes; smaller files are received in memory, together with others
AHEAD: Final = 16  # files under way for each connection
ATTEMPTS: Final = 3  # for a file that changes while it is read
PAUSE: Final = 0.2  # seconds between two of these
IN_A_ROW: Final = 10  # failures in the network that end a run
MAX_FAILURES: Final = 1000  # that are kept
OK: Final = 200


class Sync:
    """One run.

    Args:
        co_send: `Client.co_send`.
        run_all: `Client.map`.
        local: the local side.
        remote: the other one.
        record: of the pair, open.
        settings: see there.
        upload: True if the source is local.

    """

    def __init__(
        self,
        co_send: Send,
        run_all: Callable[..., MapResults],
        local: LocalFolder,
        remote: Remote,
        record: Record,
        settings: SyncSettings,
        *,
        upload: bool,
    ) -> None:
        self._co_send = co_send
        self._run_all = run_all
        self._local = local
        self._remote = remote
        self._record = record
        self._settings = settings
        self._upload = upload
        self._here = Tree(record.database, "here")
        self._there = Tree(record.database, "there")
        self._steps = Steps(record.database)
        self._rules = Rules(upload)
        self._phase = "list"
        self._files = self._done = self._bytes = self._bytes_done = 0
        self._failed_before = 0
        self._copied = self._copied_bytes = self._unchanged = self._extra = 0
        self._deleted = self._verified = self._failed = 0
        self._failures: list[SyncStep] = []
        self._in_a_row = 0
        self._stop: TransportError | None = None
        self._is_listing_new = False
        self._temporary = 0  # files left out, as they have such names
        self._in_the_way: set[str] = set()
        self._kept_in_the_way: set[str] = set()
        self._files_in_the_way: set[str] = set()

    def co_run(self) -> Co[SyncResult]:
        """Run it, and return the result.

        Raises:
            StatusError, TransferError: a side cannot be listed, or the list cannot be stored.
            TransportError: the network has failed; what was copied before is recorded.
            OSError: the folder cannot be listed.
            Exception: of the functions for progress.

        """
        yield from self._co_list()
        yield from self._co_plan()
        if self._settings.dry_run:
            return (yield from self._co_planned())
        self._check_deletes()
        yield from self._co_copy()
        yield from self._co_delete()
        if not self._upload and not self._failed:
            self._local.remove_strays()
        if self._settings.verify:
            yield from self._co_verify()
        # A list of no files is for a folder without files: there is one to restore then.
        is_first = not (self._failed or self._remote.is_there)
        if self._upload and (self._is_listing_new or is_first):
            self._begin("finish", 0, 0)
            yield from self._remote.co_finish(self._co_send, self._there)
        return self._result(is_dry_run=False)

    # ---- listing and planning

    def _co_list(self) -> Co[None]:
        self._begin("list", 0, 0)
        if not self._upload:
            yield from self._remote.co_list(self._co_send, self._take_there, must_exist=True)
        yield from self._local.co_list(
            self._here, self._settings.exclusion, must_exist=self._upload
        )
        if self._upload:  # the source first: without it nothing is asked of the server
            yield from self._remote.co_list(self._co_send, self._take_there, must_exist=False)
            self._temporary += len(self._local.strays)
        excludes = self._settings.exclusion  # of which the other side has listed what it has
        there = [
            (path, exc)
            for path, exc in self._remote.failures
            if not (excludes(path) or excludes.folder(path))
        ]
        for path, exc in (*self._local.failures, *there):
            self._fail(SyncStep(Kind.COPY, path, 0, "list", exc))
        for tree in (self._here, self._there):
            for path, reason in tree.refused:
                error = TransferError(f"{quoted(path, MAX_PATH)}: {reason}", path=path)
                self._fail(SyncStep(Kind.COPY, path, 0, "list", error))
            self._failed += tree.refused_count - len(tree.refused)
        self._report()

    def _take_there(self, path: str, facts: Facts) -> None:
        """Take a file of the other side; not one that would be a temporary file here."""
        if is_temporary(path):
            self._temporary += 1
        else:
            self._there.add(path, facts)

    def _co_plan(self) -> Co[None]:
        settings, remote = self._settings, self._remote
        source, other = self._here, self._there
        if not self._upload:
            source, other = other, source
        self._rules = Rules(
            self._upload,
            delete=settings.delete,
            checksum=settings.checksum,
            exact_times=remote.exact_times,
            listing_lags=remote.listing_lags,
            excludes=settings.exclusion if settings.exclusion else None,
            source_folders=source.folders,
            other_folders=other.folders,
        )
        plan = Plan(self._here, self._there, self._record, self._rules)
        fairness = StepCounter()
        for step in plan:
            self._steps.add(step)
            if fairness.is_over():
                yield from co_checkpoint()
        self._unchanged, self._extra = plan.unchanged, plan.extra
        self._in_the_way, self._files_in_the_way = plan.in_the_way, plan.files_in_the_way

    def _co_planned(self) -> Co[SyncResult]:
        """Report all steps, and return their numbers; what has to be compared for that is."""
        self._plan_deletes(Kind.CLEAR)
        self._begin("compare", *self._steps.count(*TO_ASK))
        yield from self._co_all(self._steps.of(*TO_ASK), self._co_plan_file)
        for step in self._steps.of(Kind.COPY):
            try:
                self._check_way(step.path)
            except TransferError as exc:
                self._fail(SyncStep(*step, exc))
            else:
                self._copied += 1
                self._copied_bytes += step.size
                self._tell(SyncStep(*step))
        if not self._failed:  # otherwise nothing would be deleted, see `_co_delete`
            self._plan_deletes(Kind.DELETE)
        else:
            self._extra += self._steps.count(Kind.DELETE)[0]
        return self._result(is_dry_run=True)

    def _plan_deletes(self, kind: Kind) -> None:
        for step in self._steps.of(kind):
            self._deleted += 1
            self._tell(SyncStep(*step))

    def _co_plan_file(self, co_send: Send, step: Step, _: _Counted) -> Co[Step | None]:
        done = yield from self._co_asked(co_send, step)
        if done is not None:
            self._copied += 1
            self._copied_bytes += step.size
        return done

    def _check_way(self, path: str) -> None:
        """Check that no file or folder that is left on the other side is in the way of a file.

        Raises:
            TransferError: there is one.

        """
        if path in self._kept_in_the_way:
            raise TransferError(
                "a folder has this name on the other side, with files that are left alone",
                path=path,
            )
        if self._settings.delete:
            return
        if path in self._in_the_way:
            raise TransferError(
                "a folder with files has this name on the other side; they are deleted only with "
                "delete=True (--delete)",
                path=path,
            )
        if self._files_in_the_way:
            for folder in parents(path):
                if folder in self._files_in_the_way:
                    raise TransferError(
                        f"{quoted(folder, MAX_PATH)} is a file on the other side; it is deleted "
                        "only with delete=True (--delete)",
                        path=path,
                    )

    def _check_deletes(self) -> None:
        """Check that not too much would be deleted.

        Raises:
            TransferError: it would; nothing was changed.

        """
        most = self._settings.max_delete
        count, _ = self._steps.count(Kind.CLEAR, Kind.DELETE)
        if most is not None and count > most:
            raise TransferError(
                f"{count} files would be deleted, more than max_delete={most}: nothing was changed"
            )

    def _result(self, *, is_dry_run: bool) -> SyncResult:
        return SyncResult(
            is_dry_run,
            self._copied,
            self._copied_bytes,
            self._unchanged,
            self._deleted,
            self._extra,
            self._local.skipped + self._temporary,
            self._verified,
            self._failed,
            tuple(self._failures),
        )

    # ---- phases

    def _co_copy(self) -> Co[None]:
        self._begin("copy", *self._steps.count(Kind.CLEAR, *TO_COPY))
        if not self._upload and (self._files or not self._local.is_there):
            self._local.check_writable()
        yield from self._co_delete_all(Kind.CLEAR)
        if self._upload and (self._files or not self._remote.is_there):
            yield from self._co_prepare_folders()
        yield from self._co_all(self._steps.of(*TO_COPY), self._co_copy_file)

    def _co_prepare_folders(self) -> Co[None]:
        """Make the folders that files will be in, and remove those that have names of files."""
        if self._settings.delete:
            for path in sorted(self._in_the_way):
                if self._there.has_below(path):
                    continue
                if not (yield from self._remote.co_remove_folder(self._co_send, path)):
                    self._kept_in_the_way.add(path)
        folders = sorted(self._steps.folders - self._there.folders)
        yield from self._remote.co_make_folders(self._co_send, folders)

    def _co_delete(self) -> Co[None]:
        self._begin("delete", *self._steps.count(Kind.DELETE))
        if self._failed:
            count, _ = self._steps.count(Kind.DELETE)
            self._extra += count  # not now: what has failed may have been moved
        else:
            yield from self._co_delete_all(Kind.DELETE)
        for step in self._steps.of(Kind.FORGET):
            self._record.remove(step.path)

    def _co_verify(self) -> Co[None]:
        self._begin("verify", self._copied, self._copied_bytes)
        yield from self._co_all(self._steps.copied(), self._co_verify_file)

    def _co_delete_all(self, kind: Kind) -> Co[None]:
        """Delete files, many by one request if the server can do that."""
        steps, together = self._steps.of(kind), self._remote.deletes_at_once
        if self._upload and together > 1:
            yield from self._co_works(_groups(steps, together), self._co_delete_group, 1)
        else:
            yield from self._co_all(steps, self._co_delete_file)

    def _co_all(self, steps: Iterator[Step], co_do: Callable[..., Co[Step | None]]) -> Co[None]:
        """Do all *steps*, several at a time.

        Args:
            steps: see there.
            co_do: does one, and returns what was done; None if nothing had to be.

        Raises:
            TransportError, Exception: see `_co_works`.

        """
        yield from self._co_works(steps, partial(self._co_step, co_do))

    def _co_works(
        self, things: Iterator[T], co_do: Callable[[T, Send], Co[None]], ahead: int = AHEAD
    ) -> Co[None]:
        """Do *co_do* with each of *things*, several at a time.

        Args:
            things: what is done, such as steps.
            co_do: does one, with a function that sends requests.
            ahead: how many are under way for each connection.

        Raises:
            TransportError: the network has failed.
            Exception: of the functions for progress.

        """
        jobs = self._settings.jobs
        works = (
            Work(self._remote.origin, partial(co_do, thing))
            for thing in self._while_it_works(things)
        )
        results = self._run_all(
            works, ordered=False, errors="return", concurrency=jobs, window=jobs * ahead
        )
        try:
            while (item := (yield from results.co_next())) is not None:
                if item.error is not None:
                    raise item.error
        finally:
            results.close()
        if self._stop is not None:
            raise self._stop

    def _while_it_works(self, things: Iterator[T]) -> Iterator[T]:
        for thing in things:
            if self._stop is not None:
                return
            yield thing

    def _co_step(
        self, co_do: Callable[..., Co[Step | None]], step: Step, co_send: Send
    ) -> Co[None]:
        """Do one step, and note what has come of it."""
        counted = _Counted(self)
        done: Step | None = None
        error: Exception | None = None
        try:
            done = yield from co_do(co_send, step, counted)
            self._in_a_row = 0
        except (DugongError, OSError) as exc:
            error = exc
            yield from self._co_note(exc)
        self._done += 1
        counted.end(step.size if step.kind in TO_COPY else 0)
        if error is not None:
            self._fail(SyncStep(*step, error))
        elif done is not None:
            self._tell(SyncStep(*done))
        self._report()

    def _co_note(self, exc: Exception) -> Co[None]:
        """Note an error: several in a row of the network end the run."""
        if isinstance(exc, StatusError):
            label(exc)
            with suppress(DugongError):
                yield from co_read_explanation(exc.response)
        if isinstance(exc, TransportError):
            self._in_a_row += 1
            if self._in_a_row >= IN_A_ROW:
                self._stop = exc
        else:
            self._in_a_row = 0

    def _co_delete_group(self, steps: list[Step], co_send: Send) -> Co[None]:
        """Delete files by one request, and note what has come of each."""
        paths = [step.path for step in steps]
        errors: dict[str, DugongError] = {}
        try:
            errors = yield from self._remote.co_delete_many(co_send, paths)
            self._in_a_row = 0
        except DugongError as exc:
            errors = dict.fromkeys(paths, exc)
            yield from self._co_note(exc)
        for step in steps:
            self._done += 1
            error = errors.get(step.path)
            if error is not None:
                if isinstance(error, StatusError):
                    label(error)
                self._fail(SyncStep(*step, error))
            else:
                self._note_deleted(step.path)
                self._tell(SyncStep(*step))
        self._report()

    # ---- one file

    def _co_copy_file(self, co_send: Send, step: Step, counted: _Counted) -> Co[Step | None]:
        found = yield from self._co_asked(co_send, step)
        if found is None:
            return None
        path, reason = step.path, found.reason
        self._check_way(path)
        if self._upload:
            size = yield from self._co_send_file(co_send, path, counted)
        else:
            size = yield from self._co_receive_file(co_send, path, counted)
        self._copied += 1
        self._copied_bytes += size
        if self._settings.verify:
            self._steps.note_copied(path, size)
        return Step(Kind.COPY, path, size, reason)

    def _co_asked(self, co_send: Send, step: Step) -> Co[Step | None]:
        """Return a step that copies; None if a question shows that the file is unchanged."""
        path, reason = step.path, step.reason
        if step.kind is Kind.CONFIRM:
            is_unchanged = yield from self._co_is_there(co_send, path)
        elif step.kind is Kind.COMPARE:
            is_unchanged, reason = (yield from self._co_is_equal(co_send, path)), "other bytes"
        else:
            return step
        if is_unchanged:
            self._unchanged += 1
            return None
        return Step(Kind.COPY, path, step.size, reason)

    def _co_is_there(self, co_send: Send, path: str) -> Co[bool]:
        """Return True if the server has what an earlier run has sent; the list has no such tag."""
        known = self._record.get(path)
        found = yield from self._remote.co_look(co_send, path)
        if known is None or found is None or known.tag is None:
            return False
        if found.size not in {None, known.size} or found.tag != known.tag:
            return False
        if (there := self._there.get(path)) is not None and there.tag == found.tag:
            return False  # the list has another file by this tag, of the same size and second
        self._there.add(path, Facts(known.size, known.mtime_ns, known.tag))
        self._is_listing_new = True
        return True

    def _co_is_equal(self, co_send: Send, path: str) -> Co[bool]:
        """Return True if both sides have the same bytes; then that is recorded, if it can be."""
        there = self._there.get(path)
        assert there is not None
        digest = there.digest
        with self._local.opened(path) as file:
            if file.size != there.size:
                return False  # since it was listed
            is_equal = yield from self._remote.co_is_same(co_send, file, there)
            if is_equal is None:
                request = self._remote.get(path)
                wanted = yield from co_digest_of(co_send, request, self._settings.rate)
                digest = yield from file.co_digest()
                is_equal = digest == wanted
            if not is_equal or self._settings.dry_run or seconds_to_rest(file.mtime_ns):
                return is_equal  # a change at once could have the time of a file that is so new
            self._record.put(path, file.size, file.mtime_ns, there.tag)
            if self._upload and (there.mtime_ns, there.digest) != (file.mtime_ns, digest):
                self._there.add(path, Facts(file.size, file.mtime_ns, there.tag, digest))
                self._is_listing_new = True
        return True

    def _co_send_file(self, co_send: Send, path: str, counted: _Counted) -> Co[int]:
        """Send a file, again if it changes meanwhile; return its size."""
        has_rested, attempt = False, 1
        while True:
            try:
                with self._local.opened(path) as file:
                    rest = 0.0 if has_rested else seconds_to_rest(file.mtime_ns)
                    if not rest:
                        return (yield from self._co_put(co_send, file, counted))
            except ContentChanged:
                if attempt == ATTEMPTS:
                    raise
                attempt += 1
                rest = PAUSE
            has_rested = True
            yield from co_sleep(rest, "file that is written to")

    def _co_put(self, co_send: Send, file: SourceFile, counted: _Counted) -> Co[int]:
        if file.body is not None:
            file.body.progress = counted
        digest = None
        if self._settings.checksum:
            digest = yield from file.co_digest(self._remote.digest_name)
        # A file that has changed meanwhile is an error of `co_put`, which looks after the answer.
        stored = yield from self._remote.co_put(co_send, file, digest, self._settings.rate)
        self._record.put(file.path, file.size, file.mtime_ns, stored.tag)
        facts = Facts(file.size, file.mtime_ns, stored.tag, stored.digest)
        self._there.add(file.path, facts)
        self._is_listing_new = True
        return file.size

    def _co_receive_file(self, co_send: Send, path: str, counted: _Counted) -> Co[int]:
        """Receive a file; return its size."""
        listed = self._there.get(path)
        assert listed is not None
        request = self._remote.get(path)
        if listed.size > WHOLE:
            settings = DownloadSettings(
                Retry(RETRIES),
                client_retries=True,
                sha256=listed.sha256,
                progress=counted,
                rate=self._settings.rate,
                synced=self._settings.fsync,
            )
            co_checked = partial(self._co_send_checked, co_send, path, listed)
            result = yield from co_download_to(
                self._local.destination(path), co_checked, request, settings
            )
            response, size = result.response, result.size
            mtime_ns = self._remote.mtime_of(path, listed, response, size)
            facts = self._local.set_time(path, mtime_ns)
        else:
            if self._settings.rate is not None:
                yield from self._settings.rate.co_take(listed.size)
            response = yield from co_send(request)
            if response.status_code != OK:
                raise refusal(response)
            data = response.content
            mtime_ns = self._remote.mtime_of(path, listed, response, len(data))
            _check_digest(data, listed.sha256, path)
            facts = yield from self._local.co_write(path, data, mtime_ns)
        if facts.mtime_ns is not None:
            self._record.put(path, facts.size, facts.mtime_ns, tag_of(response))
        return facts.size

    def _co_send_checked(
        self, co_send: Send, path: str, listed: Facts, request: ClientRequest, *, stream: bool
    ) -> Co[Response]:
        """Send a request for bytes of a file; return the response, if it has the listed version.

        Raises:
            ContentChanged: it has another one. The file that is here keeps its bytes.

        """
        response = yield from co_send(request, stream=stream)
        if response.is_success:
            try:
                self._remote.mtime_of(path, listed, response, _size_of(response, listed.size))
            except ContentChanged:
                response.close()
                raise
        return response

    def _co_delete_file(self, co_send: Send, step: Step, _: _Counted) -> Co[Step]:
        if self._upload:
            yield from self._remote.co_delete(co_send, step.path)
        else:
            self._local.delete(step.path)
        self._note_deleted(step.path)
        return step

    def _note_deleted(self, path: str) -> None:
        if self._upload:
            self._there.remove(path)
            self._is_listing_new = True
        self._record.remove(path)
        self._deleted += 1

    def _co_verify_file(self, co_send: Send, step: Step, _: _Counted) -> Co[None]:
        """Compare the bytes of both sides; that the file was copied has been told before."""
        with self._local.opened(step.path) as file:
            if not (yield from self._remote.co_is_stored(co_send, file)):
                yield from self._co_read_back(co_send, file)
        self._verified += 1

    def _co_read_back(self, co_send: Send, file: SourceFile) -> Co[None]:
        rate = self._settings.rate
        wanted = yield from co_digest_of(co_send, self._remote.get(file.path), rate)
        digest = yield from file.co_digest()
        if digest != wanted:
            self._record.put(file.path, file.size, file.mtime_ns, DAMAGED)
            if self._upload:
                self._there.remove(file.path)
                self._is_listing_new = True
            raise _mismatch(wanted, digest, file.path)

    # ---- progress

    def _begin(self, phase: str, files: int, count: int) -> None:
        self._phase, self._files, self._bytes = phase, files, count
        self._done = self._bytes_done = 0
        self._failed_before = self._failed
        self._report()

    def moved(self, count: int) -> None:
        """Note that *count* bytes were moved; a negative number takes some back."""
        self._bytes_done += count
        self._report()

    def _report(self) -> None:
        if self._settings.on_progress is None:
            return
        files = len(self._here) if self._phase == "list" else self._files
        failed = self._failed - self._failed_before
        self._settings.on_progress(
            SyncProgress(
                self._phase, files, self._done, failed, self._bytes, max(self._bytes_done, 0)
            )
        )

    def _tell(self, step: SyncStep) -> None:
        if self._settings.on_step is not None:
            self._settings.on_step(step)

    def _fail(self, step: SyncStep) -> None:
        self._failed += 1
        if len(self._failures) < MAX_FAILURES:
            self._failures.append(step)
        self._tell(step)


class _Counted:
    """The bytes of one step, which count once whatever has to be sent again."""

    def __init__(self, sync: Sync) -> None:
        self._sync = sync
        self._count = 0

    def __call__(self, count: int, _total: int | None = None) -> None:
        """Take it that *count* bytes are there."""
        change, self._count = count - self._count, count
        self._sync.moved(change)

    def end(self, size: int) -> None:
        """Take it that the step is over, of *size* bytes."""
        if size != self._count:
            self(size)


def _size_of(response: Response, otherwise: int) -> int:
    """Return the bytes of the whole file that *response* has, or a range of; as far as it says."""
    if response.status_code == OK:
        length = response.field("content-length") or ""
        coded = response.field("content-encoding") is not None
        return int(length) if length.isascii() and length.isdigit() and not coded else otherwise
    found = parse_content_range(response.field("content-range"))
    return otherwise if found is None or found.size is None else found.size


def _groups(steps: Iterator[Step], most: int) -> Iterator[list[Step]]:
    while group := list(islice(steps, most)):
        yield group


def _check_digest(data: bytes, wanted: bytes | None, path: str) -> None:
    if wanted is not None and (digest := hashlib.sha256(data).digest()) != wanted:
        raise _mismatch(wanted, digest, path)


def _mismatch(wanted: bytes, digest: bytes, path: str) -> DigestMismatch:
    return DigestMismatch(
        f"{quoted(path, MAX_PATH)}: both sides have other bytes"
        f" (SHA-256 {digest.hex()} instead of {wanted.hex()})",
        algorithm="sha-256",
        expected=wanted,
        actual=digest,
        path=path,
    )
