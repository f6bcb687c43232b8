"""pycurl's multi interface: many transfers in one thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pycurl

from .base import BlockingClient, Call, WrongBytesError
from .pycurl import handle


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


class Multi(BlockingClient):
    """CurlMulti with its own waiting."""

    def open(self) -> None:
        self._multi: Any = pycurl.CurlMulti()
        self._transfers: dict[pycurl.Curl, Transfer] = {}

    def close(self) -> None:
        self._multi.close()
        for curl in self._transfers:
            curl.close()

    def concurrent(self, calls: Sequence[Iterable[Call]]) -> None:
        while len(self._transfers) < len(calls):
            curl = handle(self.target)
            self._transfers[curl] = Transfer(curl, self.target.url)
        for transfer, some in zip(self._transfers.values(), calls, strict=True):
            transfer.start(some)
            self._multi.add_handle(transfer.curl)
        active = len(calls)
        while active:
            self._multi.perform()
            active -= self._restart_ended()
            if active:
                self._multi.select(1.0)

    def _restart_ended(self) -> int:
        """Start the next GET of each handle that has ended one; return how many have none."""
        _, ended, failed = self._multi.info_read()
        if failed:
            raise OSError(failed[0][2])
        finished = 0
        for curl in ended:
            self._multi.remove_handle(curl)
            if self._transfers[curl].end():
                self._multi.add_handle(curl)
            else:
                finished += 1
        return finished
