"""Tasks and watched descriptors of a `Loop`: plain data.

Not here: the loop itself (loop.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Generic, Protocol, TypeVar, cast

from ..errors import StateError
from ..polling.contract import POLLIN, POLLOUT, Co, PollNeeded, Source
from ..polling.fork import generation

T = TypeVar("T")


class Scheduler(Protocol):
    """The interface of the loop for its tasks and watches."""

    def forget(self, task: Task[Any]) -> None:
        """Cancel the wait of *task*."""
        ...

    def ended(self, task: Task[Any]) -> None:
        """Remove *task*, which has ended."""
        ...

    def drop(self, watch: Watch) -> None:
        """Remove a descriptor that is about to be closed."""
        ...

    def resume(self, task: Task[Any], then: Callable[[], object]) -> bool:
        """Resume *task* soon, and call *then*; see `NearRegistration.resume`."""
        ...


class Task(Generic[T]):
    """An operation that a `Loop` runs."""

    __slots__ = (
        *("__weakref__", "_done", "_ended", "_exception", "_loop", "_result"),
        *("alarm", "lasting", "need", "op", "watch"),
    )

    def __init__(
        self, loop: Scheduler, op: Co[T], ended: Callable[[Task[T]], object] | None
    ) -> None:
        self._loop = loop
        self._ended = ended
        self.op = op
        self.need: PollNeeded | None = None  # its wait, if any
        self.watch: Watch | None = None  # the watch of that wait
        self.lasting: PollNeeded | None = None  # the same, if it stays registered
        self.alarm = math.inf  # seconds of time.monotonic: its first timer
        self._done = False
        self._result: T | None = None
        self._exception: BaseException | None = None

    def done(self) -> bool:
        """Return True if the operation has ended."""
        return self._done

    def result(self) -> T:
        """Return the result of the operation, or raise its exception.

        Raises:
            StateError: it has not ended.
            CancelledError: it was cancelled.

        """
        if not self._done:
            raise StateError("the operation has not ended")
        if self._exception is not None:
            raise self._exception
        return cast("T", self._result)

    def exception(self) -> BaseException | None:
        """Return the exception of the operation, or None; `CancelledError` if it was cancelled.

        Raises:
            StateError: it has not ended.

        """
        if not self._done:
            raise StateError("the operation has not ended")
        return self._exception

    def cancel(self) -> bool:
        """Close the operation; return False if it had ended already.

        Raises:
            Exception: raised by the operation while it was closed; also its `exception`.

        """
        if self._done:
            return False
        self._loop.forget(self)
        if not getattr(self.op, "gi_running", False):  # otherwise the loop closes it
            try:
                self.op.close()
            except BaseException as exc:
                self.end(None, exc)
                raise
        self.end(None, CancelledError())
        return True

    def end(self, result: T | None, exception: BaseException | None) -> None:
        """Store the end of the operation, unless it has ended before; called by the loop."""
        if self._done:
            return
        self._done = True
        self._result = result
        self._exception = exception
        self.alarm = math.inf
        self._loop.ended(self)
        if self._ended is not None:
            self._ended(self)


class Watch:
    """A descriptor: its waiting tasks, and its state in the poller. A `NearRegistration`.

    Attributes:
        fd: the descriptor.
        source: lets the poller keep it without a wait; None: it is armed for each wait.
        armed: the events for which the poller has it.
        reader: the task that waits until it is readable, or None.
        writer: the task that waits until it is writable, or None.

    """

    __slots__ = ("_generation", "_loop", "armed", "fd", "reader", "source", "writer")

    def __init__(self, loop: Scheduler, fd: int) -> None:
        self._loop = loop
        self._generation = generation()
        self.fd = fd
        self.source: Source | None = None
        self.armed = 0
        self.reader: Task[Any] | None = None
        self.writer: Task[Any] | None = None

    def wanted(self) -> int:
        """Return the events that the tasks wait for."""
        mask = 0 if self.reader is None else POLLIN
        return mask if self.writer is None else mask | POLLOUT

    def waiting(self) -> list[Task[Any]]:
        """Return the waiting tasks, each once."""
        return list({task for task in (self.reader, self.writer) if task is not None})

    def dismiss(self, task: Task[Any]) -> None:
        """Remove *task*, which has stopped waiting."""
        task.need = task.watch = task.lasting = None
        if self.reader is task:
            self.reader = None
        if self.writer is task:
            self.writer = None

    def resume(self, then: Callable[[], object]) -> bool:
        """See `NearRegistration.resume`."""
        reader = self.reader
        return reader is not None and self._loop.resume(reader, then)

    def end(self, then: Callable[[], object]) -> None:
        """See `Registration.end`."""
        if (
            self._generation == generation()
        ):  # a child process shares the epoll object of its parent
            self._loop.drop(self)
        then()
