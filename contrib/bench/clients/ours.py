"""This library: its blocking calls, and the drivers that block (its own Loop, and gevent)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from itertools import islice
from typing import Any, BinaryIO, Final

from dugong_like import BodyFollowing, HTTPConnection, HTTPResponse, Pipeline, Request, both

from .base import HOST, PIECE, BlockingClient, Call, Target, WrongBytesError

WINDOW: Final = 100  # requests sent in one go when pipelining
MANY: Final = 2000  # fields: more than any answer here has
MANY_BYTES: Final = 1 << 20  # of a head: more than any answer here has
CAN_BATCH: Final = hasattr(HTTPConnection, "exchange_all")  # older versions cannot
CAN_EXCHANGE: Final = hasattr(HTTPConnection, "exchange")  # older versions cannot
CAN_HTTP2: Final = "versions" in signature(HTTPConnection).parameters  # nor that


def connection(target: Target, context: Any) -> HTTPConnection:
    """Return a connection, with limits that let the growth workloads pass.

    Raises:
        NotImplementedError: this version of the library has no HTTP/2.

    """
    if not target.http2:
        return HTTPConnection(
            HOST, target.port, context, max_fields=MANY, max_header_size=MANY_BYTES
        )
    if not CAN_HTTP2:
        raise NotImplementedError("HTTP/2 is not there yet")
    return HTTPConnection(HOST, target.port, context, versions=("h2",))


def connections(target: Target, context: Any, count: int) -> list[HTTPConnection]:
    """Return a connection for each of *count* at the same time: with HTTP/2 the same for all."""
    if target.http2:
        return [connection(target, context)] * count
    return [connection(target, context) for _ in range(count)]


def co_get(conn: HTTPConnection, path: str) -> Any:
    """Return the body of *path*."""
    yield from conn.co_send_request("GET", path)
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


def co_field(conn: HTTPConnection, path: str) -> Any:
    """Return a field and the body of *path*."""
    if CAN_EXCHANGE:
        reply = yield from conn.co_exchange("GET", path)
        return reply.headers["X-Field-21"], reply.body
    yield from conn.co_send_request("GET", path)
    response: HTTPResponse = yield from conn.co_read_response()
    value = response.headers["X-Field-21"]
    return value, (yield from conn.co_readall())


def co_get_with(conn: HTTPConnection, path: str, fields: dict[str, str]) -> Any:
    """Return the body of *path*, asked for with these request fields."""
    yield from conn.co_send_request("GET", path, fields)
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


def co_exchange(conn: HTTPConnection, path: str, fields: dict[str, str] | None = None) -> Any:
    """Return the body of *path*, by one operation."""
    reply = yield from conn.co_exchange("GET", path, fields)
    return reply.body


def check_exchange() -> None:
    """Raise NotImplementedError if this version of the library cannot exchange in one call."""
    if not CAN_EXCHANGE:
        raise NotImplementedError("HTTPConnection.exchange is not there yet")


def co_get_anew(target: Target, context: Any, path: str) -> Any:
    """Return the body of *path* over a connection of its own."""
    with HTTPConnection(HOST, target.port, context) as conn:
        return (yield from (co_exchange if CAN_EXCHANGE else co_get)(conn, path))


def co_sequential(conn: HTTPConnection, calls: Iterable[Call]) -> Any:
    """GET all paths of *calls*, each after the answer to the one before."""
    for path, expected in calls:
        if (yield from co_get(conn, path)) != expected:
            raise WrongBytesError(path)


def co_exchanges(conn: HTTPConnection, calls: Iterable[Call]) -> Any:
    """Do what `co_sequential` does by one operation for each GET: with HTTP/2 many at once."""
    for path, expected in calls:
        if (yield from co_exchange(conn, path)) != expected:
            raise WrongBytesError(path)


def co_pipelined(conn: HTTPConnection, calls: Iterable[Call]) -> Any:
    """GET all paths of *calls*; one operation sends and another one reads."""
    calls = list(calls)

    def co_send() -> Any:
        for start in range(0, len(calls), WINDOW):
            window = calls[start : start + WINDOW]
            yield from conn.co_send_requests([("GET", path) for path, _ in window])

    def co_receive() -> Any:
        for path, expected in calls:
            yield from conn.co_read_response()
            if (yield from conn.co_readall()) != expected:
                raise WrongBytesError(path)

    yield from conn.co_connect()
    yield from both(co_send(), co_receive())


def co_download(conn: HTTPConnection, path: str, take: Callable[[Any], None]) -> Any:
    """Call *take* with each piece of the body, all of them in one buffer."""
    buffer = memoryview(bytearray(PIECE))
    yield from conn.co_send_request("GET", path)
    yield from conn.co_read_response()
    while size := (yield from conn.co_readinto(buffer)):
        take(buffer[:size])


def co_discard(conn: HTTPConnection, path: str) -> Any:
    """Throw the body of *path* away."""
    yield from conn.co_send_request("GET", path)
    yield from conn.co_read_response()
    yield from conn.co_discard()


def co_save(conn: HTTPConnection, path: str, file: BinaryIO) -> Any:
    """Write the body of *path* into *file*."""
    if not hasattr(conn, "co_recv_to_file"):
        yield from co_download(conn, path, file.write)
        return
    yield from conn.co_send_request("GET", path)
    yield from conn.co_read_response()
    yield from conn.co_recv_to_file(file)


def co_upload(conn: HTTPConnection, path: str, file: BinaryIO, size: int | None) -> Any:
    """PUT *file* and return the body of the answer."""
    yield from conn.co_send_request("PUT", path, body=BodyFollowing(size))
    if hasattr(conn, "co_sendfile"):
        yield from conn.co_sendfile(file)
    else:
        buffer = memoryview(bytearray(PIECE))
        while count := file.readinto(buffer):
            yield from conn.co_write(buffer[:count])
    yield from conn.co_finish()
    yield from conn.co_read_response()
    return (yield from conn.co_readall())


class Blocking(BlockingClient):
    """The blocking twins."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._context = target.context()
        self._conn = connection(target, self._context)

    def close(self) -> None:
        self._conn.close()

    def sequential(self, calls: Iterable[Call]) -> None:
        conn = self._conn
        for path, expected in calls:
            conn.send_request("GET", path)
            conn.read_response()
            if conn.readall() != expected:
                raise WrongBytesError(path)

    def field(self, path: str) -> tuple[str, bytes]:
        if CAN_EXCHANGE:
            reply = self._conn.exchange("GET", path)
            return reply.headers["X-Field-21"], reply.body
        self._conn.send_request("GET", path)
        response = self._conn.read_response()
        return response.headers["X-Field-21"], self._conn.readall()

    def exchanges(self, calls: Iterable[Call]) -> None:
        check_exchange()
        exchange = self._conn.exchange
        for path, expected in calls:
            if exchange("GET", path).body != expected:
                raise WrongBytesError(path)

    def with_fields(self, calls: Iterable[Call]) -> None:
        conn = self._conn
        for (path, fields), expected in calls:
            conn.send_request("GET", path, fields)
            conn.read_response()
            if conn.readall() != expected:
                raise WrongBytesError(path)

    def exchanges_with_fields(self, calls: Iterable[Call]) -> None:
        check_exchange()
        exchange = self._conn.exchange
        for (path, fields), expected in calls:
            if exchange("GET", path, fields).body != expected:
                raise WrongBytesError(path)

    def pipelined(self, calls: Iterable[Call]) -> None:
        """One call for each window; older versions send the next one before reading this one."""
        conn = self._conn
        calls = iter(calls)
        if CAN_BATCH:
            while batch := list(islice(calls, WINDOW)):
                replies = conn.exchange_all([("GET", path) for path, _ in batch])
                for reply, (path, expected) in zip(replies, batch, strict=True):
                    if reply.body != expected:
                        raise WrongBytesError(path)
            return
        waiting: list[Call] = []
        while True:
            window = list(islice(calls, WINDOW))
            conn.send_requests([("GET", path) for path, _ in window])
            for path, expected in waiting:
                conn.read_response()
                if conn.readall() != expected:
                    raise WrongBytesError(path)
            if not window:
                return
            waiting = window

    def in_threads(self, calls: Sequence[Iterable[Call]]) -> None:
        """All on one connection, which only HTTP/2 does at the same time."""
        with ThreadPoolExecutor(len(calls)) as threads:
            list(threads.map(self.exchanges, calls))

    def get_anew(self, path: str) -> bytes:
        with HTTPConnection(HOST, self.target.port, self._context) as conn:
            if CAN_EXCHANGE:
                return conn.exchange("GET", path).body
            conn.send_request("GET", path)
            conn.read_response()
            return conn.readall()

    def idle(self, path: str, count: int) -> Any:
        connections = [HTTPConnection(HOST, self.target.port, self._context) for _ in range(count)]
        for conn in connections:
            if CAN_EXCHANGE:
                conn.exchange("GET", path)
            else:
                conn.send_request("GET", path)
                conn.read_response()
                conn.readall()
        return connections

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        conn = self._conn
        buffer = memoryview(bytearray(PIECE))
        conn.send_request("GET", path)
        conn.read_response()
        while size := conn.readinto(buffer):
            take(buffer[:size])

    def discard(self, path: str, size: int) -> None:
        self._conn.send_request("GET", path)
        self._conn.read_response()
        self._conn.discard()

    def save(self, path: str, file: BinaryIO) -> None:
        if not hasattr(self._conn, "recv_to_file"):
            self.download(path, file.write)
            return
        self._conn.send_request("GET", path)
        self._conn.read_response()
        self._conn.recv_to_file(file)

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        conn = self._conn
        conn.send_request("PUT", path, body=BodyFollowing(size))
        if hasattr(conn, "sendfile"):
            conn.sendfile(file)
        else:
            buffer = memoryview(bytearray(PIECE))
            while count := file.readinto(buffer):
                conn.write(buffer[:count])
        conn.finish()
        conn.read_response()
        return conn.readall()


class Forms(Blocking):
    """The parts of a form by hand, around what the connection does with a file."""

    def post_form(self, path: str, file: BinaryIO, size: int) -> bytes:
        conn = self._conn
        head, end = FORM
        fields = {"Content-Type": "multipart/form-data; boundary=B"}
        conn.send_request("POST", path, fields, BodyFollowing(len(head) + size + len(end)))
        conn.write(head)
        conn.sendfile(file)
        conn.write(end)
        conn.read_response()
        return conn.readall()


FORM = (
    b'--B\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n",
    b"\r\n--B--\r\n",
)


class Pipelined(Blocking):
    """The same, pipelining by `Pipeline`."""

    def pipelined(self, calls: Iterable[Call]) -> None:
        calls = list(calls)
        answers = Pipeline(self._conn, [Request(target=path) for path, _ in calls])
        for path, expected in calls:
            answer = answers.next()
            if answer is None or answer.body != expected:
                raise WrongBytesError(path)


class OnDriver(BlockingClient):
    """Operations under a driver that blocks: one for each request."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._context = target.context()
        self._conn = connection(target, self._context)
        self._many: list[HTTPConnection] = []  # for work at the same time

    def drive(self, op: Any) -> Any:
        """Run *op* and return its result."""
        raise NotImplementedError

    def pairs(self, calls: Sequence[Iterable[Call]]) -> Iterable[tuple[HTTPConnection, Any]]:
        """Return a connection for each list of *calls*; they are kept."""
        self._many = self._many or connections(self.target, self._context, len(calls))
        return zip(self._many, calls, strict=True)

    def close(self) -> None:
        for conn in (self._conn, *self._many):
            conn.close()

    def get(self, path: str) -> bytes:
        return self.drive(co_get(self._conn, path))

    def field(self, path: str) -> tuple[str, bytes]:
        return self.drive(co_field(self._conn, path))

    def get_with(self, call: tuple[str, dict[str, str]]) -> bytes:
        return self.drive(co_get_with(self._conn, *call))

    def exchanges(self, calls: Iterable[Call]) -> None:
        check_exchange()
        self.each(lambda path: self.drive(co_exchange(self._conn, path)), calls)

    def exchanges_with_fields(self, calls: Iterable[Call]) -> None:
        check_exchange()
        self.each(lambda call: self.drive(co_exchange(self._conn, *call)), calls)

    def pipelined(self, calls: Iterable[Call]) -> None:
        self.drive(co_pipelined(self._conn, calls))

    def get_anew(self, path: str) -> bytes:
        return self.drive(co_get_anew(self.target, self._context, path))

    def download(self, path: str, take: Callable[[Any], None]) -> None:
        self.drive(co_download(self._conn, path, take))

    def discard(self, path: str, size: int) -> None:
        self.drive(co_discard(self._conn, path))

    def save(self, path: str, file: BinaryIO) -> None:
        self.drive(co_save(self._conn, path, file))

    def upload(self, path: str, file: BinaryIO, size: int | None) -> bytes:
        return self.drive(co_upload(self._conn, path, file, size))


class OnLoop(OnDriver):
    """The library's own loop."""

    def open(self) -> None:
        from dugong_like.drivers.loop import Loop

        self._loop = Loop()
        self.drive = self._loop.run

    def close(self) -> None:
        super().close()
        self._loop.close()

    def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        work = co_exchanges if self.target.http2 else co_sequential
        tasks = [self._loop.spawn(work(*pair)) for pair in self.pairs(calls)]
        self._loop.run_all()
        for task in tasks:
            task.result()


class OnGevent(OnDriver):
    """gevent, without monkey-patching."""

    def open(self) -> None:
        from dugong_like.drivers import gevent

        self.drive = gevent.run

    def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        import gevent

        greenlets = [gevent.spawn(self.drive, co_sequential(*pair)) for pair in self.pairs(calls)]
        gevent.joinall(greenlets, raise_error=True)
