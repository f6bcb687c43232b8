"""What httpx and httpcore call "network_stream": the stream of a response, for httpx_transport.py.

After 101, and after a 2xx to CONNECT, it can be read and written; of any other response it
tells facts only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from ssl import SSLContext
from types import ModuleType
from typing import Any, TypeVar

import httpcore
from httpx_errors import ERRORS, STREAM_ERRORS, Table, name_of

import dugong_like
from dugong_like import Co, HTTPConnection, NetworkStream, run, stall
from dugong_like.drivers.running import runner

T = TypeVar("T")


@contextmanager
def errors_as(
    theirs: ModuleType, phase: Callable[[], str], table: Table = ERRORS
) -> Iterator[None]:
    """Raise errors of this library as *theirs*, by *table* and the *phase* that it is then."""
    try:
        yield
    except dugong_like.DugongError as exc:
        name = name_of(exc, phase(), table)
        if name is None:
            raise
        raise getattr(theirs, name)(str(exc)) from exc


def errors_of_streams(phase: str) -> AbstractContextManager[None]:
    """Raise errors of this library as httpcore does: httpx has none for a "network_stream"."""
    return errors_as(httpcore, lambda: phase, STREAM_ERRORS)


class Network:
    """What `SyncNetwork` and `AsyncNetwork` are made of: the stream of a response for httpx.

    Args:
        conn: what facts are of, while HTTP is spoken.
        stream: what to read and write, if it is not spoken any more.

    """

    def __init__(self, conn: HTTPConnection, stream: NetworkStream | None) -> None:
        self._conn = conn
        self._stream = stream
        if stream is not None:
            stream.timeout = None  # each call has its own

    @property
    def stream(self) -> NetworkStream:
        """What can be read and written."""
        if self._stream is None:
            raise dugong_like.StateError("HTTP is spoken here: read the body of the response")
        return self._stream

    def co_read(self, size: int, timeout: float | None) -> Co[bytes]:
        """Read up to *size* bytes."""
        with errors_of_streams("read"):
            return (yield from limited(timeout, self.stream.co_read(size)))

    def co_write(self, data: bytes, timeout: float | None) -> Co[None]:
        """Write all of *data*."""
        with errors_of_streams("write"):
            yield from limited(timeout, self.stream.co_write(data))

    def co_start_tls(self, context: SSLContext, name: str | None, timeout: float | None) -> Co[Any]:
        """Go on in TLS."""
        with errors_of_streams("connect"):
            yield from limited(timeout, self.stream.co_start_tls(context, name or ""))
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return a fact about the connection; None if there is none."""
        return (self._stream or self._conn).get_extra_info(info)

    def end(self) -> None:
        """Close the stream, if it has left HTTP."""
        if self._stream is not None:
            self._stream.close()


class SyncNetwork(Network, httpcore.NetworkStream):
    """For `httpx.Client`."""

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
    ) -> httpcore.NetworkStream:
        """See httpcore."""
        return run(self.co_start_tls(ssl_context, server_hostname, timeout))


class AsyncNetwork(Network, httpcore.AsyncNetworkStream):
    """For `httpx.AsyncClient`. The arguments are those of httpcore."""

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
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore."""
        return await runner()(self.co_start_tls(ssl_context, server_hostname, timeout))


def limited(timeout: float | None, op: Co[T]) -> Co[T]:
    """Limit *op* to *timeout* seconds without anything moving."""
    return op if timeout is None else stall(timeout, op)
