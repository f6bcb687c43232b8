"""The "network_stream" of httpx and httpcore: the stream of a response.

After 101, and after a 2xx to CONNECT, it can be read and written; for any other response it only
has `get_extra_info`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from ssl import SSLContext
from types import ModuleType
from typing import Any, TypeVar

from ..connection.connection import HTTPConnection
from ..drivers.detect import runner
from ..errors import DugongError, StateError
from ..polling.combinators import stall
from ..polling.contract import Co, run
from ..transport.upgraded.network_stream import NetworkStream
from .httpx_errors import ERRORS, STREAM_ERRORS, Table, name_of
from .sending import given

T = TypeVar("T")


@contextmanager
def errors_as(
    theirs: ModuleType, phase: Callable[[], str], table: Table = ERRORS
) -> Iterator[None]:
    """Raise errors of this library as *theirs*, by *table* and the result of *phase*."""
    try:
        yield
    except DugongError as exc:
        name = name_of(exc, phase(), table)
        if name is None:
            raise
        raise getattr(theirs, name)(str(exc)) from exc


class Network:
    """The stream of a response for httpx: base of `SyncNetwork` and `AsyncNetwork`.

    Errors of this library are raised as those of httpcore: httpx has none for it.

    Args:
        core: `httpcore`, or `httpcore2`.
        conn: the connection, for information while it uses HTTP.
        stream: the stream after an upgrade, to be read and written.
        known: information about a connection that is still being opened.

    """

    def __init__(
        self,
        core: ModuleType,
        conn: HTTPConnection,
        stream: NetworkStream | None = None,
        known: Mapping[str, Any] | None = None,
    ) -> None:
        self._core = core
        self._conn = conn
        self._stream = stream
        self._known = known or {}
        if stream is not None:
            stream.timeout = None  # each call has its own

    def _errors(self, phase: str) -> AbstractContextManager[None]:
        return errors_as(self._core, lambda: phase, STREAM_ERRORS)

    @property
    def stream(self) -> NetworkStream:
        """The stream below, which can be read and written."""
        if self._stream is None:
            raise StateError("HTTP is spoken here: read the body of the response")
        return self._stream

    def co_read(self, size: int, timeout: float | None) -> Co[bytes]:
        """Read up to *size* bytes."""
        with self._errors("read"):
            return (yield from limited(timeout, self.stream.co_read(size)))

    def co_write(self, data: bytes, timeout: float | None) -> Co[None]:
        """Write all of *data*."""
        with self._errors("write"):
            yield from limited(timeout, self.stream.co_write(data))

    def co_start_tls(self, context: SSLContext, name: str | None, timeout: float | None) -> Co[Any]:
        """Start TLS."""
        with self._errors("connect"):
            yield from limited(timeout, self.stream.co_start_tls(context, name or ""))
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return information about the connection; None if there is none."""
        if info in self._known:
            return self._known[info]
        return (self._stream or self._conn).get_extra_info(info)

    def end(self) -> None:
        """Close the stream after an upgrade."""
        if self._stream is not None:
            self._stream.close()


class SyncNetwork(Network):
    """For a blocking client; it becomes a `NetworkStream` of httpcore."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See httpcore."""
        return run(self.co_read(max_bytes, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See httpcore."""
        run(self.co_write(buffer, timeout))

    def close(self) -> None:
        """See httpcore."""
        self.end()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Any:
        """See httpcore."""
        return run(self.co_start_tls(ssl_context, server_hostname, timeout))


class AsyncNetwork(Network):
    """For an asynchronous client; it becomes an `AsyncNetworkStream` of httpcore."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """See httpcore."""
        return await runner()(self.co_read(max_bytes, timeout))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """See httpcore."""
        await runner()(self.co_write(buffer, timeout))

    async def aclose(self) -> None:
        """See httpcore."""
        self.end()

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Any:
        """See httpcore."""
        return await runner()(self.co_start_tls(ssl_context, server_hostname, timeout))


def limited(timeout: float | None, op: Co[T]) -> Co[T]:
    """Limit *op* to *timeout* seconds without progress."""
    return op if timeout is None else stall(given(timeout, f"timeout={timeout}"), op)
