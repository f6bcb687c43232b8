"""Operations composed of operations: two at once, a race, a limit for each wait, own errors.

Their parts wait for several descriptors; a `Bundle` makes one of them.

Not here: the contract of operations, and the limit for a whole operation (contract.py).
"""

from __future__ import annotations

import math
import select
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final, TypeVar, cast

from ..errors import ConnectionTimedOut
from .contract import (
    POLLIN,
    POLLOUT,
    Co,
    PollNeeded,
    Source,
    check_need,
    check_operation,
    timed_out,
)
from .numbers import check_seconds
from .progress_deadline import ProgressDeadline
from .reasons import joined
from .timeouts import Given

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
E = TypeVar("E", bound=Exception)

PAUSE: Final = 0.02  # seconds between two polls where there is no epoll


def stall(seconds: float, op: Co[T]) -> Co[T]:
    """Run *op* and end it after *seconds* without progress.

    The limit holds for each wait, not for their sum. Needless resumptions do not count as
    progress.

    Args:
        seconds: how long one wait may last.
        op: the operation. It is closed in any case.

    Returns:
        The result of *op*.

    Raises:
        ConnectionTimedOut: the descriptor did not become ready in time; and if *op* waits to
            send, the peer has acknowledged nothing meanwhile, as far as the system reports it.
        TypeError: *op* is not an operation, or *seconds* not a number.
        InvalidOption: *seconds* is negative, too large, or not a number.

    """
    check_operation(op)
    try:
        check_seconds(seconds, "seconds", optional=False)
        limit = ProgressDeadline(seconds)
        while True:
            need = next(op)
            check_need(need)
            if not limit.is_for(need):
                limit = ProgressDeadline(seconds)
            while True:
                yield (
                    limit.limit(need)
                    if need[1] & POLLOUT
                    else need.until(earlier(need.deadline, limit.at))
                )
                if need.poll(0):
                    limit = ProgressDeadline(seconds)
                    break
                if limit.has_passed():
                    what = "could be sent" if need[1] & POLLOUT else "arrived"
                    given = f" ({seconds.given})" if isinstance(seconds, Given) else ""
                    message = f"nothing {what} for {seconds} s{given}"
                    return timed_out(op, ConnectionTimedOut(message))
                if need.deadline is not None and time.monotonic() >= need.deadline:
                    break
    except StopIteration as end:
        return cast("T", end.value)
    finally:
        op.close()


def own_error(op: Co[T], kind: type[E]) -> Co[T | E]:
    """Run *op*; return its result, or the exception of *kind* that it has raised by itself.

    A time limit of a caller is thrown into what it waits for, and may be of the same kind: that
    ends *op*, and is raised.

    Raises:
        ConnectionTimedOut: a limit of the caller is over.
        Exception: any other exception of *op*.

    """
    check_operation(op)
    try:
        while True:
            try:
                need = next(op)
            except StopIteration as end:
                return cast("T", end.value)
            except kind as exc:
                return exc
            try:
                yield need
            except ConnectionTimedOut as failure:
                return timed_out(op, failure)
    finally:
        op.close()


def earlier(time_1: float | None, time_2: float | None) -> float | None:
    """Return the earlier one of two deadlines, each of which may be None."""
    if time_1 is None or time_2 is None:
        return time_2 if time_1 is None else time_1
    return min(time_1, time_2)


class JoinedSource(Source):
    """The descriptor of several waits.

    Attributes:
        needs: the waits; their keys are up to the owner.

    """

    __slots__ = ("needs",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.needs: Mapping[Any, PollNeeded] = {}

    @property
    def reason(self) -> str | None:
        """The reasons of all waits."""
        return joined(need.reason for need in list(self.needs.values()))

    @property
    def is_pause(self) -> bool:
        """True if each of the waits is a pause."""
        needs = list(self.needs.values())
        return bool(needs) and all(need.is_pause for need in needs)


class _BundleSource(JoinedSource):
    """The descriptor of a `Bundle`, whose waits may be waited for instead of it."""

    __slots__ = ()


class Bundle:
    """Several waits as one descriptor.

    An epoll object is itself pollable. Linux allows few of them within each other (`EP_MAX_NESTS`),
    so the waits of a bundle within a bundle are registered in both: however deep operations are
    nested, there is one epoll object between a loop and the descriptors.

    Without epoll (outside Linux) the waits are polled in turn, each for `PAUSE` seconds.
    """

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._source: JoinedSource = _BundleSource(-1)  # that of the epoll object
        self._turn = 0

    def need(self, needs: Iterable[PollNeeded], deadline: float | None = None) -> PollNeeded:
        """Return one `PollNeeded` that is ready when one of *needs* is."""
        joined: dict[int, PollNeeded] = {}
        has_bundle = False
        for need in needs:
            _join(joined, need)
            has_bundle = has_bundle or type(need.source) is _BundleSource
            if need.deadline is not None:
                deadline = need.deadline if deadline is None else min(deadline, need.deadline)
        if len(joined) == 1:
            return joined.popitem()[1].until(deadline)
        if not hasattr(select, "epoll"):
            self._turn += 1
            need = list(joined.values())[self._turn % len(joined)]
            pause = time.monotonic() + PAUSE
            return need.until(pause if deadline is None else min(pause, deadline))
        self._register(_without_bundles(joined) if has_bundle else joined)
        return self._source.need(POLLIN, deadline)

    def _register(self, needs: dict[int, PollNeeded]) -> None:
        if self._epoll is None:
            self._epoll = select.epoll()
            self._source = _BundleSource(self._epoll.fileno())
        registered = self._source.needs
        for fd in registered.keys() - needs.keys():
            with suppress(OSError):  # closed meanwhile: removed by the system
                self._epoll.unregister(fd)
        for fd, need in needs.items():
            last = registered.get(fd)
            if last == need and need.source is not None and last.source is need.source:
                continue
            # Also when the mask is as before: the number may belong to a new file by now.
            try:
                self._epoll.modify(fd, need[1])
            except FileNotFoundError:
                self._epoll.register(fd, need[1])
        self._source.needs = needs

    def close(self) -> None:
        """Close the descriptor."""
        if self._epoll is not None:
            self._source.close(self._epoll.close)


def _join(joined: dict[int, PollNeeded], need: PollNeeded) -> None:
    """Add a wait to others, by descriptor."""
    other = joined.get(need[0])
    joined[need[0]] = need if other is None else _either(need, other)


def _without_bundles(needs: Mapping[int, PollNeeded]) -> dict[int, PollNeeded]:
    """Return *needs* with the waits of bundles instead of these; none of them has one itself."""
    joined: dict[int, PollNeeded] = {}
    for need in needs.values():
        if type(need.source) is _BundleSource:
            for each in need.source.needs.values():
                _join(joined, each if need.stated is None else each.because(need.stated))
        else:
            _join(joined, need)
    return joined


def _either(need: PollNeeded, other: PollNeeded) -> PollNeeded:
    """Return a wait for either of two events of one descriptor."""
    either = PollNeeded(need[0], need[1] | other[1], None, need.source or other.source)
    return either.because(lambda: joined((other.reason, need.reason)))


class _Step:
    """One of several interleaved operations: its wait, its result or exception."""

    def __init__(self, op: Co[Any]) -> None:
        self.op = op
        self.need: PollNeeded | None = None
        self.done = False
        self.result: Any = None

    def resume(self) -> None:
        try:
            self.need = next(self.op)
        except StopIteration as end:
            self.need = None
            self.done = True
            self.result = end.value
        else:
            check_need(self.need)


def both(op1: Co[A], op2: Co[B]) -> Co[tuple[A, B]]:
    """Run two operations interleaved in one, for example a writer and a reader.

    Args:
        op1: one of them.
        op2: the other one.

    Returns:
        The two results, in the order of the arguments.

    Raises:
        TypeError: one of them is not an operation.
        Exception: of the first one that fails; the other one is closed.

    """
    _check_all([op1, op2])
    steps = [_Step(op1), _Step(op2)]
    bundle = Bundle()
    try:
        while True:
            for step in steps:
                if not step.done:
                    step.resume()
            needs = [step.need for step in steps if step.need is not None]
            if not needs:
                return steps[0].result, steps[1].result
            yield bundle.need(needs)
    finally:
        bundle.close()
        _close_all(step.op for step in steps)


def several(ops: Iterable[Co[T]], results: list[T], most: int) -> Co[None]:
    """Run many operations interleaved in one.

    Args:
        ops: the operations; each is taken when it begins.
        results: their results are appended to it in the order of *ops*, as soon as possible.
        most: how many run at a time; one that has ended makes way for the next one at once.

    Raises:
        Exception: of the first one that fails; the others are closed.

    """
    coming = iter(ops)
    steps: deque[_Step] = deque()  # in the order of *ops*, those in *results* left out
    running: list[_Step] = []
    bundle = Bundle()
    try:
        while True:
            for step in running:
                step.resume()
            running = [step for step in running if not step.done]
            while len(running) < most and (following := list(islice(coming, 1))):
                step = _Step(following[0])
                steps.append(step)
                step.resume()
                if not step.done:
                    running.append(step)
            _move_done(steps, results)
            if not running:
                return
            yield bundle.need([step.need for step in running if step.need is not None])
    finally:
        _move_done(steps, results)
        bundle.close()
        _close_all(step.op for step in steps)


def _move_done(steps: deque[_Step], results: list[Any]) -> None:
    """Move the results of the first *steps* to *results*, up to one that has none."""
    while steps and steps[0].done:
        results.append(steps.popleft().result)


def first_of(*ops: Co[T], stagger: float = 0.0) -> Co[T]:
    """Race *ops*: the first to succeed wins, the others are closed.

    Args:
        ops: the operations, in the order in which they are started.
        stagger: seconds after which the next one is started while the earlier
            ones still wait; a failure starts the next one at once.

    Returns:
        The result of the winner.

    Raises:
        ValueError: there are no *ops*, or *stagger* is negative, too large, or not a number.
        TypeError: one of them is not an operation, or *stagger* not a number.
        Exception: all have failed; this is the exception of the last one.

    """
    if not ops:
        raise ValueError("first_of() needs at least one operation")
    _check_all(ops)
    check_seconds(stagger, "stagger", optional=False)
    waiting: list[_Step] = []
    unstarted: Iterator[Co[T]] = iter(ops)
    bundle = Bundle()
    start_at: float | None = -math.inf
    failure: Exception | None = None
    try:
        while True:
            if start_at is not None and time.monotonic() >= start_at:
                fresh = next(unstarted, None)
                start_at = None if fresh is None else time.monotonic() + stagger
                if fresh is not None:
                    waiting.append(_Step(fresh))
            for step in list(waiting):
                try:
                    step.resume()
                except Exception as exc:  # noqa: BLE001 - raised again if it is the last
                    waiting.remove(step)
                    failure = exc
                    start_at = start_at and -math.inf
                    continue
                if step.done:
                    return cast("T", step.result)
            if start_at is not None and time.monotonic() >= start_at:
                continue
            needs = [step.need for step in waiting if step.need is not None]
            if not needs:
                assert failure is not None
                raise failure
            yield bundle.need(needs, start_at)
    finally:
        failure = None  # it keeps the frames of the failed operation, and this one
        bundle.close()
        _close_all(step.op for step in waiting)
        _close_all(ops)


def _check_all(ops: Iterable[Co[Any]]) -> None:
    for op in ops:
        check_operation(op)


def _close_all(ops: Iterable[Co[Any]]) -> None:
    """Close all of *ops*, also if closing one of them fails."""
    problem: BaseException | None = None
    for op in ops:
        try:
            op.close()
        except BaseException as exc:  # noqa: BLE001 - raised below, when all are closed
            problem = exc
    if problem is not None:
        raise problem
