"""Several URLs in one command: at the same time into files, one by one to standard output.

Not here: a single request (transfer.py), and lists of URLs (url_list.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from ..drivers.loop import Loop
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


class GivenJobs:
    """Jobs that are known before.

    Args:
        jobs: see `Jobs`.

    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = iter(jobs)

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
    """Jobs that are under way."""

    def __init__(self, jobs: Jobs, report: Callable[[str], object]) -> None:
        self.statuses = Statuses()
        self._jobs = jobs
        self._report = report
        self._count = 0

    def co_work(self) -> Co[None]:
        """Do one job after the other."""
        while (job := (yield from self._co_next())) is not None:
            number = self._count
            self._count += 1
            try:
                self.statuses.note(number, (yield from job()))
            except BrokenPipeError:
                raise
            except FAILURES as exc:
                self._fail(number, exc)

    def _co_next(self) -> Co[Job | None]:
        try:
            return (yield from self._jobs.co_next())
        except (CommandFailed, OSError) as exc:
            self._fail(self._count, exc)
            return None

    def _fail(self, number: int, exc: BaseException) -> None:
        self._report(reason_of(exc))
        self.statuses.note(number, failure_status(exc))


def run_all(jobs: Jobs, report: Callable[[str], object], *, at_once: int = AT_ONCE) -> Statuses:
    """Run *jobs*, each to its end, whatever happens to the others.

    Args:
        jobs: see there.
        report: called with the reason if one has failed.
        at_once: number of operations at a time.

    Returns:
        Their exit statuses.

    Raises:
        BrokenPipeError: the reader of the output is gone: no more is done.

    """
    run = _Run(jobs, report)
    with Loop() as loop:
        tasks = [loop.spawn(run.co_work()) for _ in range(at_once)]
        loop.run_all()
    for task in tasks:
        task.result()
    return run.statuses
