"""pycurl's multi interface: many transfers in one thread, with its own waiting or asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pycurl

from .base import AsyncClient, BlockingClient, Call, Target, WrongBytesError
from .pycurl import handle

WINDOW: Final = 100  # GETs that are open at the same time, where they need not wait for each other


class Transfer:
    """One of many handles: makes its GETs one after the other."""

    def __init__(self, curl: pycurl.Curl, url: str) -> None:
        self.curl = curl
        self._url = url
        self._parts: list[bytes] = []
        curl.setopt(pycurl.WRITEFUNCTION, self._parts.append)

    def start(self, calls: Iterable[Call]) -> bool:
        """Prepare the first GET."""
        self._calls: Iterator[Call] = iter(calls)
        return self._next()

    def _next(self) -> bool:
        self._parts.clear()
        call = next(self._calls, None)
        if call is None:
            return False
        path, self._expected = call
        self.curl.setopt(pycurl.URL, self._url + path)
        return True

    def end(self) -> bool:
        """Check what came, and prepare the next GET; return False if there is none."""
        if b"".join(self._parts) != self._expected:
            raise WrongBytesError(self._parts)
        return self._next()


class Transfers:
    """A CurlMulti and its handles, which are kept."""

    def __init__(self, target: Target) -> None:
        self.multi: Any = pycurl.CurlMulti()
        if target.http2:
            self.multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
            self.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
        self._target = target
        self._transfers: dict[pycurl.Curl, Transfer] = {}

    def start(self, calls: Sequence[Iterable[Call]]) -> int:
        """Start the first GET of each list of *calls*; return how many have one."""
        while len(self._transfers) < len(calls):
            curl = handle(self._target)
            self._transfers[curl] = Transfer(curl, self._target.url)
        started = 0
        for transfer, some in zip(self._transfers.values(), calls, strict=False):
            if transfer.start(some):
                self.multi.add_handle(transfer.curl)
                started += 1
        return started

    def restart_ended(self) -> int:
        """Start the next GET of each handle that has ended one; return how many have none."""
        _, ended, failed = self.multi.info_read()
        if failed:
            raise OSError(failed[0][2])
        finished = 0
        for curl in ended:
            self.multi.remove_handle(curl)
            if self._transfers[curl].end():
                self.multi.add_handle(curl)
            else:
                finished += 1
        return finished

    def close(self) -> None:
        """Close all handles."""
        self.multi.close()
        for curl in self._transfers:
            curl.close()


class Multi(BlockingClient):
    """Its own waiting."""

    def open(self) -> None:
        self._transfers = Transfers(self.target)

    def close(self) -> None:
        self._transfers.close()

    def pipelined(self, calls: Iterable[Call]) -> None:
        """Keep so many GETs open on one connection: each handle takes the next one of *calls*."""
        if not self.target.http2:
            raise NotImplementedError("libcurl does not pipeline")
        coming = iter(calls)
        self.concurrent([coming] * WINDOW)

    def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        multi = self._transfers.multi
        active = self._transfers.start(calls)
        while active:
            multi.perform()
            active -= self._transfers.restart_ended()
            if active:
                multi.select(1.0)


class OnAsyncio(AsyncClient):
    """The event loop tells libcurl which socket is ready, as in libcurl's own examples."""

    async def open(self) -> None:
        self._transfers = Transfers(self.target)
        self._timer: asyncio.TimerHandle | None = None
        self._watched: dict[int, int] = {}
        multi = self._transfers.multi
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    async def close(self) -> None:
        self._transfers.multi.setopt(pycurl.M_SOCKETFUNCTION, lambda *_: None)
        for fd in self._watched:
            asyncio.get_running_loop().remove_reader(fd)
        self._transfers.close()

    async def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._active = self._transfers.start(calls)
        await self._done

    def _watch(self, event: int, fd: int, multi: Any, data: Any) -> None:
        """Do what libcurl asks: watch a socket, or stop watching it."""
        loop = asyncio.get_running_loop()
        before = self._watched.pop(fd, 0)
        now = 0 if event == pycurl.POLL_REMOVE else event
        if now & pycurl.POLL_IN:
            loop.add_reader(fd, self._act, fd, pycurl.CSELECT_IN)
        elif before & pycurl.POLL_IN:
            loop.remove_reader(fd)
        if now & pycurl.POLL_OUT:
            loop.add_writer(fd, self._act, fd, pycurl.CSELECT_OUT)
        elif before & pycurl.POLL_OUT:
            loop.remove_writer(fd)
        if now:
            self._watched[fd] = now

    def _set_timer(self, milliseconds: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if milliseconds >= 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(milliseconds / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, fd: int, event: int) -> None:
        try:
            self._transfers.multi.socket_action(fd, event)
            self._active -= self._transfers.restart_ended()
        except Exception as exc:
            if not self._done.done():
                self._done.set_exception(exc)
        else:
            if not self._active and not self._done.done():
                self._done.set_result(None)
