"""Clients of httpx and httpx2, blocking and on each loop, with the same methods."""

import asyncio
from contextlib import aclosing

import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import trio

from dugong_like.adapters.httpx import AsyncTransport, Transport


class OnTrio:
    """What `asyncio.Runner` is for asyncio."""

    def run(self, coroutine):
        async def main():
            return await coroutine

        return trio.run(main)

    def close(self):
        pass


class Async:
    """`AsyncClient` with the methods of `Client`."""

    def __init__(self, runner, theirs, **options):
        self._runner = runner()
        self._client = theirs.AsyncClient(**options)
        self.cookies = self._client.cookies

    def request(self, method, url, **options):
        return self._runner.run(self._request(method, url, **options))

    async def _request(self, method, url, content=None, **options):
        if not isinstance(content, list):
            return await self._client.request(method, url, content=content, **options)
        async with aclosing(self._pieces(content)) as pieces:
            return await self._client.request(method, url, content=pieces, **options)

    async def _pieces(self, pieces):
        for piece in pieces:
            yield piece

    def get(self, url, **options):
        return self.request("GET", url, **options)

    def talk(self, method, url, co_say, **options):
        async def main():
            async with self._client.stream(method, url, **options) as response:
                return await co_say(response, asynchronous)

        return self._runner.run(main())

    def call(self, main):
        return self._runner.run(main(self._client))

    def close(self):
        if not self._client.is_closed:
            self._runner.run(self._client.aclose())
            self._runner.close()


class Sync:
    """What a `Client` has in addition: it runs coroutines which never wait."""

    def talk(self, method, url, co_say, **options):
        with self.stream(method, url, **options) as response:
            with pytest.raises(StopIteration) as end:
                co_say(response, synchronous).send(None)
            return end.value.value


async def asynchronous(result):
    return await result


async def synchronous(result):
    return result


RUNNERS = {"asyncio": asyncio.Runner, "trio": OnTrio}

EDITIONS = {"httpx": (httpx, httpcore), "httpx2": (httpx2, httpcore2)}

WAYS = [f"{name}{runner}" for name in EDITIONS for runner in ("", "-asyncio", "-trio")]


def client_of(way, own, options=None, **settings):
    """Return a client for one of `WAYS`; *own* says whose transport it has."""
    name, _, runner = way.partition("-")
    module = EDITIONS[name][0]
    if own:
        kind = AsyncTransport if runner else Transport
    else:
        kind = module.AsyncHTTPTransport if runner else module.HTTPTransport
    settings |= {"transport": kind(**(options or {})), "trust_env": False}
    if runner:
        return Async(RUNNERS[runner], module, **settings)
    return type("Client", (Sync, module.Client), {})(**settings)
