"""Several URLs in one command: at the same time into files, one by one to standard output.

Not here: a single request (transfer.py), and lists of URLs (url_list.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from ..drivers.loop import Loop
from ..drivers.loop_task import Task
from ..errors import DugongError
from ..polling.contract import Co
from .outcome import (
    FAILED,
    NOT_MODIFIED,
    REDIRECTED,
    REFUSED,
    SUCCESS,
    WRONG_ARGUMENTS,
    CommandFailed,
    failure_status,
    reason_of,
)

AT_ONCE: Final = 5  # transfers; more seldom make it faster, and servers have limits
MOST_PAUSING: Final = 64  # jobs that wait until they may go on; they have no connection meanwhile
FAILURES: Final = (CommandFailed, DugongError, OSError)
SEVERITY: Final = (SUCCESS, NOT_MODIFIED, REDIRECTED, REFUSED, FAILED, WRONG_ARGUMENTS)

Job = Callable[[], Co[int]]


class Jobs(Protocol):
    """A source of jobs; several operations take from it."""

    def co_next(self) -> Co[Job | None]:
        """Return what returns an operation whose result is an exit status; None at the end.

        Raises:
            CommandFailed, OSError: there may be others, which cannot be had.

        """
        ...

    @property
    def room(self) -> int:
        """How many may run at a time, without those that pause; it may change at any time."""
        ...


class GivenJobs:
    """Jobs that are known before.

    Args:
        jobs: see `Jobs`.
        room: see `Jobs`.

    Attributes:
        room: as given.

    """

    def __init__(self, jobs: Iterable[Job], room: int) -> None:
        self._jobs = iter(jobs)
        self.room = room

    def co_next(self) -> Co[Job | None]:
        """See `Jobs`."""
        return next(self._jobs, None)
        yield


class Statuses:
    """The exit statuses of jobs, of which two are kept.

    Attributes:
        first: that of the first job, in their order, that has not succeeded.
        worst: the worst one, see `SEVERITY`.

    """

    def __init__(self) -> None:
        self.first = self.worst = SUCCESS
        self._first_number = -1

    def note(self, number: int, status: int) -> None:
        """Take the *status* of a job."""
        if status == SUCCESS:
            return
        if self.first == SUCCESS or number < self._first_number:
            self.first, self._first_number = status, number
        self.worst = max(self.worst, status, key=SEVERITY.index)


class _Run:
    """Jobs that are under way.

    A worker does one after the other. There are as many as there is room for: one that pauses makes
    room for another one, and one ends if there are too many.
    """

    def __init__(self, jobs: Jobs, report: Callable[[str], object], loop: Loop) -> None:
        self.statuses = Statuses()
        self.failure: Task[None] | None = None
        self._jobs = jobs
        self._report = report
        self._loop = loop
        self._count = 0
        self._active = self._pausing = 0  # workers
        self._is_over = False  # there are no jobs left

    def fill(self) -> None:
        """Start workers for which there is room."""
        while not self._is_over and self._active < self._jobs.room:
            self._active += 1
            self._loop.spawn(self._co_work(), self._end)

    def _end(self, task: Task[None]) -> None:
        if task.exception() is not None:
            self._is_over = True
            self.failure = self.failure or task

    def _co_work(self) -> Co[None]:
        """Do one job after the other."""
        try:
            while self._active <= self._jobs.room and not self._is_over:
                job = yield from self._co_next()
                if job is None:
                    self._is_over = True
                    return
                number = self._count
                self._count += 1
                try:
                    self.statuses.note(number, (yield from self._co_run(job())))
                except BrokenPipeError:
                    raise
                except FAILURES as exc:
                    self._fail(number, exc)
                self.fill()
        finally:
            self._active -= 1

    def _co_run(self, going: Co[int]) -> Co[int]:
        """Run a job, and let others run while it pauses."""
        pauses = False
        try:
            while True:
                need = next(going)
                if need.is_pause:
                    if not pauses and self._pausing < MOST_PAUSING:
                        pauses = True
                        self._note_pause(1)
                elif pauses:
                    pauses = False
                    self._note_pause(-1)
                yield need
        except StopIteration as end:
            status: int = end.value
            return status
        finally:
            if pauses:
                self._note_pause(-1)
            going.close()

    def _note_pause(self, count: int) -> None:
        self._pausing += count
        self._active -= count
        self.fill()

    def _co_next(self) -> Co[Job | None]:
        try:
            return (yield from self._jobs.co_next())
        except (CommandFailed, OSError) as exc:
            self._fail(self._count, exc)
            return None

    def _fail(self, number: int, exc: BaseException) -> None:
        self._report(reason_of(exc))
        self.statuses.note(number, failure_status(exc))


def run_all(jobs: Jobs, report: Callable[[str], object]) -> Statuses:
    """Run *jobs*, each to its end, whatever happens to the others.

    Args:
        jobs: see there.
        report: called with the reason if one has failed.

    Returns:
        Their exit statuses.

    Raises:
        BrokenPipeError: the reader of the output is gone: no more is done.

    """
    with Loop() as loop:
        run = _Run(jobs, report, loop)
        run.fill()
        loop.run_all()
    if run.failure is not None:
        run.failure.result()
    return run.statuses
