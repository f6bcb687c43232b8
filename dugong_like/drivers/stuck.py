"""Listing the operations of a loop with the reason of each wait.

All of it is read from the outside, when it is asked for: from the wait of each operation, and from
its generators, also those that a combinator resumes.

Not here: the reasons (polling/reasons.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import GeneratorType
from typing import Any, Final, Protocol, cast

from ..polling.contract import POLLIN, POLLOUT, PollNeeded
from ..polling.numbers import check_seconds
from ..polling.reasons import explainers
from .loop_task import Task

PACKAGE: Final = __name__.partition(".")[0]
MOST: Final = 1000  # items of a list in which operations are looked for
NAMES: Final = ((POLLIN, "POLLIN"), (POLLOUT, "POLLOUT"))


class HasTasks(Protocol):
    """The interface of a loop for `stuck`."""

    def tasks(self) -> Sequence[Task[Any]]:
        """Return the operations that have begun and not ended; any thread may ask."""
        ...


class Waiting:
    """An operation that waits, as `stuck` lists it.

    Attributes:
        operation: name of the generator.
        reason: what it waits for; see `PollNeeded.reason`. None if nobody knows.
        fd: the descriptor.
        mask: the events; see `PollNeeded.mask`.
        connection: method and URL of the request, or the origin, without secrets; of several
            joined by commas. Empty if it has no connection.
        seconds: how long nothing has moved on the connection, if there is one, its transport is
            TCP and the system is Linux; else None.

    """

    __slots__ = ("connection", "fd", "mask", "operation", "reason", "seconds")

    def __init__(
        self,
        operation: str,
        reason: str | None,
        fd: int,
        mask: int,
        connection: str,
        seconds: float | None,
    ) -> None:
        self.operation = operation
        self.reason = reason
        self.fd = fd
        self.mask = mask
        self.connection = connection
        self.seconds = seconds

    def __repr__(self) -> str:
        events = "|".join(name for bit, name in NAMES if self.mask & bit)
        where = f", {self.connection}" if self.connection else ""
        idle = "" if self.seconds is None else f", nothing moved for {self.seconds:.1f} s"
        return f"<{self.operation}: {self.reason} (fd {self.fd} {events}){where}{idle}>"


def stuck(loop: HasTasks, seconds: float = 0.0) -> list[Waiting]:
    """Return what each operation of *loop* waits for. Any thread may ask; it changes nothing.

    Operations that run, or are about to be resumed, are not listed.

    Args:
        loop: a `Loop`, `LoopThread` or `LoopThreads`.
        seconds: leave those out on whose connection something has moved within so many seconds.
            An operation for which `Waiting.seconds` is not known is always listed.

    Raises:
        TypeError: *loop* is none of these, or *seconds* no number.
        InvalidOption: *seconds* is negative, too large, or not a number.

    """
    check_seconds(seconds, "seconds", optional=False)
    if not hasattr(loop, "tasks"):
        kind = type(loop).__name__
        raise TypeError(f"loop is a Loop, LoopThread or LoopThreads, not {kind}")
    found = []
    for task in loop.tasks():
        need = task.need
        if need is None or task.done() or getattr(task.op, "gi_running", False):
            continue
        waiting = _describe(task.op, need)
        if waiting.seconds is None or waiting.seconds >= seconds:
            found.append(waiting)
    return found


def _describe(op: object, need: PollNeeded) -> Waiting:
    name = getattr(op, "__qualname__", type(op).__name__)
    subjects: dict[str, float | None] = {}
    for values in _chains(op, [], set()):
        for explainer in explainers:
            if (subject := explainer().subject_of(values)) is not None:
                subjects.setdefault(*subject)
    idle = [seconds for seconds in subjects.values() if seconds is not None]
    return Waiting(
        name, need.reason, need[0], need[1], ", ".join(subjects), min(idle, default=None)
    )


def _chains(op: object, outer: list[object], seen: set[int]) -> Iterator[list[object]]:
    """Yield the variables of each of the innermost generators of *op* and of those around it.

    The innermost come first. Those of functions outside of this package are left out: they may be
    about other things.

    Args:
        op: an operation.
        outer: the variables of the generators around it.
        seen: which generators were visited, as `id` gives it.

    """
    parts = []
    while type(op) is GeneratorType and id(op) not in seen:
        frame = op.gi_frame
        if frame is None:  # it has ended meanwhile, in its own thread
            break
        seen.add(id(op))
        values = list(frame.f_locals.values())
        if frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
            outer = values + outer
        following = op.gi_yieldfrom
        if following is None:  # perhaps it resumes others itself, as a combinator does
            parts = [part for value in values for part in _suspended(value)]
        op = following
    branches = [chain for part in parts for chain in _chains(part, outer, seen)]
    yield from branches or [outer]


def _suspended(value: object) -> list[object]:
    """Return the generators that are suspended in *value*: itself, or some of its items.

    No code of the objects runs. Only objects of this package are asked for their attribute ``op``.
    """
    items = cast("Sequence[object]", value)[:MOST] if type(value) in {list, tuple} else [value]
    found: list[object] = []
    for item in items:
        op = getattr(item, "op", None) if str(type(item).__module__).startswith(PACKAGE) else item
        if type(op) is GeneratorType and op.gi_suspended:
            found.append(op)
    return found
