"""What the workloads ask of a client, once for clients that block and once for coroutines.

A workload calls these methods through `Client.run`, so it does not know which kind it has.
All bodies that are fetched are compared with what they should be, by each client in the
same way, so the comparison is part of everybody's time (0.1 µs for 1 KiB).

Not here: the clock (measure.py) and what is asked for (jobs.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from .loops import Asyncio, Trio

HOST: Final = "127.0.0.1"
PIECE: Final = 1 << 20  # bytes: of buffers for large bodies, and of chunks that are sent
Call = tuple[Any, Any]  # an argument, and what has to come back


@dataclass(frozen=True)
class Target:
    """Where a server listens."""

    port: int
    ca: str | None = None  # file of the CA certificate, if it speaks TLS
    http2: bool = False  # is it HTTP/2 that is spoken there, and nothing else?

    @property
    def url(self) -> str:
        """Scheme and authority, without a path."""
        return f"{'http' if self.ca is None else 'https'}://{HOST}:{self.port}"

    def context(self) -> Any:
        """Return an `ssl.SSLContext` that trusts the server, or None without TLS."""
        if self.ca is None:
            return None
        import ssl

        return ssl.create_default_context(cafile=self.ca)


class WrongBytesError(Exception):
    """A client returned something else than the server has sent."""


def check(got: object, expected: object) -> None:
    """Raise `WrongBytesError` unless the two are equal."""
    if got != expected:
        raise WrongBytesError(f"{str(got)[:200]} instead of {str(expected)[:200]}")


class Client:
    """One client, with one connection unless a method says otherwise.

    Methods that a client does not have raise NotImplementedError, with the reason.
    """

    def __init__(self, target: Target) -> None:
        self.target = target

    def run(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call *method*, on whatever loop this client needs."""
        raise NotImplementedError

    def finish(self) -> None:
        """End the loop, if there is one."""

    def get(self, path: str) -> Any:
        """Return the body of *path*, over a connection that is kept."""
        raise NotImplementedError("keeps no connection")

    def field(self, path: str) -> Any:
        """Return the field X-Field-21 and the body of *path*, over a connection that is kept."""
        raise NotImplementedError("keeps no connection")

    def get_with(self, call: tuple[str, dict[str, str]]) -> Any:
        """Return the body of a path, asked for with these request fields: *call* is both."""
        raise NotImplementedError("keeps no connection")

    def post_json(self, call: tuple[str, Any]) -> Any:
        """POST a value to a path as JSON, and return the value of the answer: *call* is both."""
        raise NotImplementedError("has no JSON")

    def events(self, path: str) -> Any:
        """Return how many server-sent events *path* has, and the data of the last one."""
        raise NotImplementedError("has no server-sent events")

    def get_anew(self, path: str) -> Any:
        """Return the body of *path*, over a connection of its own."""
        raise NotImplementedError("has no new connection for each request")

    def idle(self, path: str, count: int) -> Any:
        """Return what keeps *count* connections open, each of which has fetched *path*."""
        raise NotImplementedError("is not measured with idle connections")

    def download(self, path: str, take: Callable[[Any], None]) -> Any:
        """Call *take* with each piece of the body of *path*."""
        raise NotImplementedError("is not measured with downloads")

    def discard(self, path: str, size: int) -> Any:
        """Read the body of *path*, *size* bytes, and throw it away."""
        raise NotImplementedError("is not measured with downloads")

    def save(self, path: str, file: BinaryIO) -> Any:
        """Write the body of *path* into *file*."""
        raise NotImplementedError("is not measured with downloads")

    def upload(self, path: str, file: BinaryIO, size: int | None) -> Any:
        """PUT *file*, in chunks if *size* is None; return the body of the answer."""
        raise NotImplementedError("is not measured with uploads")

    def post_form(self, path: str, file: BinaryIO, size: int) -> Any:
        """POST a form with *file*, of *size* bytes; return the body of the answer."""
        raise NotImplementedError("has no forms")

    def objects(self, count: int) -> Any:
        """Return *count* clients that have sent nothing."""
        raise NotImplementedError("is not measured with many clients")

    def concurrent(self, calls: Sequence[Iterable[Call]]) -> Any:
        """Make the GETs of each list one after the other, and all lists at the same time."""
        raise NotImplementedError("has no concurrency in one thread")

    def in_threads(self, calls: Sequence[Iterable[Call]]) -> Any:
        """Do what `concurrent` does, in one thread for each list, with one pool."""
        raise NotImplementedError("is not measured with threads")


class BlockingClient(Client):
    """A client whose methods block."""

    def run(self, method: Callable[..., Any], *args: Any) -> Any:
        return method(*args)

    def open(self) -> None:
        """Make what is needed once, such as a session."""

    def close(self) -> None:
        """Close all that is open."""

    def each(self, call: Callable[[Any], Any], calls: Iterable[Call]) -> None:
        """Make all *calls* one after the other, and check what comes back."""
        for argument, expected in calls:
            if call(argument) != expected:
                raise WrongBytesError(argument)

    def sequential(self, calls: Iterable[Call]) -> None:
        """GET all paths of *calls*, each after the answer to the one before."""
        self.each(self.get, calls)

    def exchanges(self, calls: Iterable[Call]) -> None:
        """Do what `sequential` does with one call for each GET; most clients do that anyway."""
        self.sequential(calls)

    def with_fields(self, calls: Iterable[Call]) -> None:
        """Call `get_with` for all of *calls*."""
        self.each(self.get_with, calls)

    def exchanges_with_fields(self, calls: Iterable[Call]) -> None:
        """Do what `with_fields` does with one call for each GET."""
        self.with_fields(calls)

    def pipelined(self, calls: Iterable[Call]) -> None:
        """GET all paths of *calls*, not waiting for answers if that is possible."""
        self.each(self.get, calls)

    def in_threads(self, calls: Sequence[Iterable[Call]]) -> None:
        with ThreadPoolExecutor(len(calls)) as threads:
            list(threads.map(self.sequential, calls))

    def discard(self, path: str, size: int) -> None:
        self.download(path, len)

    def save(self, path: str, file: BinaryIO) -> None:
        self.download(path, file.write)


class AsyncClient(Client):
    """A client whose methods are coroutines, on asyncio unless `loop_type` says otherwise."""

    loop_type: type[Asyncio | Trio] = Asyncio

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._loop = self.loop_type()

    def run(self, method: Callable[..., Any], *args: Any) -> Any:
        return self._loop.run(method, *args)

    def finish(self) -> None:
        self._loop.end()

    async def open(self) -> None:
        """Make what is needed once, such as a session."""

    async def close(self) -> None:
        """Close all that is open."""

    async def each(self, call: Callable[[Any], Any], calls: Iterable[Call]) -> None:
        """Make all *calls* one after the other, and check what comes back."""
        for argument, expected in calls:
            if await call(argument) != expected:
                raise WrongBytesError(argument)

    async def sequential(self, calls: Iterable[Call]) -> None:
        """GET all paths of *calls*, each after the answer to the one before."""
        await self.each(self.get, calls)

    async def exchanges(self, calls: Iterable[Call]) -> None:
        """Do what `sequential` does with one call for each GET; most clients do that anyway."""
        await self.sequential(calls)

    async def with_fields(self, calls: Iterable[Call]) -> None:
        """Call `get_with` for all of *calls*."""
        await self.each(self.get_with, calls)

    async def exchanges_with_fields(self, calls: Iterable[Call]) -> None:
        """Do what `with_fields` does with one call for each GET."""
        await self.with_fields(calls)

    async def pipelined(self, calls: Iterable[Call]) -> None:
        """GET all paths of *calls*, not waiting for answers if that is possible."""
        await self.each(self.get, calls)

    async def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        await self._loop.gather([self.each(self.get, some) for some in calls])

    async def discard(self, path: str, size: int) -> None:
        await self.download(path, len)

    async def save(self, path: str, file: BinaryIO) -> None:
        await self.download(path, file.write)
