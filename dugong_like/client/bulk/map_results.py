"""The iteration over the results of `Client.map`: blocking, as operations, and in coroutines.

Not here: what leads to the results (schedule.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from ...drivers.detect import runner
from ...errors import StateError
from ...http.url import URL
from ...polling.contract import Co, run
from ...polling.fairness import StepCounter
from ...polling.wake import co_checkpoint
from .options import MapSettings
from .schedule import ClientParts, Schedule
from .source import Source

if TYPE_CHECKING:
    from .results import MapItem, MapProgress

ANY: Final = URL("http://localhost/")  # nothing is sent there


class MapResults:
    """The results of `Client.map`, as they come.

    ``for item in results``, ``async for item in results``, or one after the other by `next`,
    `co_next` and `anext`. Requests are sent while one of these waits, and only then. A context
    manager: leaving it, or `close`, gives up what has no result yet, and closes its connections. It
    is for one thread, or the tasks of one loop, and for one of them at a time.

    Made by a client.

    Args:
        parts: of the client.
        requests: see `Client.map`.
        options: the same.

    """

    _schedule: Schedule | None = None

    def __init__(
        self,
        parts: ClientParts,
        requests: Iterable[Any] | AsyncIterable[Any],
        options: Mapping[str, Any],
    ) -> None:
        settings = MapSettings(options)
        if settings.of_requests:
            parts.build("GET", ANY, **settings.of_requests)  # raises what is wrong with them
        self._raises = settings.raises
        self._schedule = Schedule(parts, Source(requests), settings)
        self._is_driven = False
        self._steps = StepCounter()

    @property
    def progress(self) -> MapProgress:
        """How far it has come: a `MapProgress`."""
        assert self._schedule is not None
        return self._schedule.progress

    def co_next(self) -> Co[MapItem | None]:
        """Return the next result; None at the end.

        If it is given up while it waits, nothing is lost: the next call goes on.

        Raises:
            DeadlineExceeded: the *total* time of the map has passed. All is closed then.
            StateError: another call waits for the next result.
            Exception: what the iterable has raised, when all requests before it have results; and
                unless ``errors="return"`` the error of a request, in its place. All is closed then.

        """
        yield from self._co_arrive()
        return self._take()

    def next(self) -> MapItem | None:
        """Blocking twin of `co_next`."""
        schedule = self._schedule
        if schedule is None or not schedule.has_result():
            run(self._co_arrive())
        return self._take()

    async def anext(self) -> MapItem | None:
        """Twin of `co_next` as a coroutine, on asyncio and trio."""
        schedule = self._schedule
        if schedule is None or not schedule.has_result() or self._steps.is_over():
            await runner()(self._co_arrive())
        return self._take()  # here: a task that is cancelled before has not taken it

    def _co_arrive(self) -> Co[None]:
        """Wait until there is a result, or the end."""
        schedule = self._schedule
        if schedule is None:
            return
        if self._is_driven:
            raise StateError("another call waits for the next result of this map()")
        self._is_driven = True
        try:
            if schedule.has_result() and self._steps.is_over():
                yield from co_checkpoint()
            while not (schedule.has_result() or schedule.is_over()):
                need = schedule.advance()
                if need is not None:
                    yield need
        except GeneratorExit:
            raise  # the next call goes on
        except BaseException:
            schedule.close()
            raise
        finally:
            self._is_driven = False

    def _take(self) -> MapItem | None:
        schedule = self._schedule
        if schedule is None:
            return None
        item = schedule.pop()
        if item is None:
            failure = schedule.take_failure()
            schedule.close()
            if failure is not None:
                raise failure
            return None
        if item.error is not None and self._raises:
            schedule.close()
            raise item.error
        return item

    def close(self) -> None:
        """Give up what has no result, and close its connections. A second call has no effect."""
        if self._schedule is not None:
            self._schedule.close()

    def co_close(self) -> Co[None]:
        """Do what `close` does, which never waits, as an operation."""
        self.close()
        yield from ()

    async def aclose(self) -> None:
        """Do what `close` does, which never waits, as a coroutine."""
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> MapItem:
        item = self.next()
        if item is None:
            raise StopIteration
        return item

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MapItem:
        item = await self.anext()
        if item is None:
            raise StopAsyncIteration
        return item

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._schedule is not None:
            self._schedule.close()

    def __repr__(self) -> str:
        if self._schedule is None:
            return "<MapResults>"
        progress = self._schedule.progress
        return f"<MapResults: {progress.done} of {progress.taken} requests done>"


def co_each(results: MapResults, take: Callable[[MapItem], object]) -> Co[MapProgress]:
    """Call *take* with each of *results*; return how many there were.

    Raises:
        Exception: what `MapResults.co_next` and *take* raise. All is closed then.

    """
    try:
        while (item := (yield from results.co_next())) is not None:
            take(item)
    finally:
        results.close()
    return results.progress
