"""Several URLs in one command: at the same time into files, one by one to standard output.

Not here: a single request (transfer.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ..drivers.loop import Loop
from ..errors import DugongError
from ..polling.contract import Co
from .outcome import SUCCESS, CommandFailed, failure_status, reason_of

AT_ONCE: Final = 5  # transfers; more seldom make it faster, and servers have limits
FAILURES: Final = (CommandFailed, DugongError, OSError)


def run_all(
    jobs: Iterable[Callable[[], Co[int]]],
    report: Callable[[str], object],
    *,
    at_once: int = AT_ONCE,
) -> int:
    """Run *jobs*, each to its end, whatever happens to the others.

    Args:
        jobs: return operations, whose results are exit statuses.
        report: called with the reason if one has failed.
        at_once: number of operations at a time.

    Returns:
        The exit status of the first job, in their order, that has not succeeded.

    Raises:
        BrokenPipeError: the reader of the output is gone: no more is done.

    """
    numbered = enumerate(jobs)
    statuses: dict[int, int] = {}
    with Loop() as loop:
        tasks = [loop.spawn(_co_work(numbered, statuses, report)) for _ in range(at_once)]
        loop.run_all()
    for task in tasks:
        task.result()
    return next((statuses[number] for number in sorted(statuses) if statuses[number]), SUCCESS)


def _co_work(
    jobs: Iterator[tuple[int, Callable[[], Co[int]]]],
    statuses: dict[int, int],
    report: Callable[[str], object],
) -> Co[None]:
    for number, job in jobs:
        try:
            statuses[number] = yield from job()
        except BrokenPipeError:
            raise
        except FAILURES as exc:
            report(reason_of(exc))
            statuses[number] = failure_status(exc)
