"""The clients that are measured: where each one is, and how it is loaded.

A fresh process loads one client only, so nobody pays for the imports of others. "before" is this
library in another checkout, and "before/asyncio" is "dugong_like/asyncio" there.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .base import Client

OURS: Final = "dugong_like"
BEFORE: Final = "before"
# name -> module and class; a name without "floor" or "dugong_like" in front is a peer
CLIENTS: Final = {
    "floor": "floor:Sockets",
    "floor/recv": "floor:PlainReads",
    "floor/HTTP2": "floor_http2:Sockets",
    "floor/asyncio": "floor_loops:Protocols",
    "floor/uvloop": "floor_loops:ProtocolsOnUvloop",
    "floor/trio": "floor_loops:TrioSockets",
    "floor/epoll": "floor_loops:Epoll",
    "dugong_like": "ours:Blocking",
    "dugong_like/forms": "ours:Forms",
    "dugong_like/Pipeline": "ours:Pipelined",
    "dugong_like/Loop": "ours:OnLoop",
    "dugong_like/gevent": "ours:OnGevent",
    "dugong_like/asyncio": "ours_async:OnAsyncio",
    "dugong_like/AioFuture": "ours_async:ByAioFuture",
    "dugong_like/AsyncConnection": "ours_async:ByAsyncConnection",
    "dugong_like/exchange": "ours_async:ByExchange",
    "dugong_like/uvloop": "ours_async:OnUvloop",
    "dugong_like/trio": "ours_async:OnTrio",
    "dugong_like/Engine": "framing:OurEngine",
    "dugong_like/Client": "ours_client:Blocking",
    "dugong_like/AsyncClient": "ours_client:OnAsyncio",
    "dugong_like/AsyncClient/uvloop": "ours_client:OnUvloop",
    "dugong_like/AsyncClient/trio": "ours_client:OnTrio",
    "http.client": "stdlib:HttpClient",
    "urllib3": "urllib3:Urllib3",
    "requests": "requests:Requests",
    "niquests": "requests:Niquests",
    "niquests/asyncio": "requests:NiquestsOnAsyncio",
    "httpx": "httpx:Httpx",
    "httpx/asyncio": "httpx_async:OnAsyncio",
    "httpx/uvloop": "httpx_async:OnUvloop",
    "httpx/trio": "httpx_async:OnTrio",
    "httpx2": "httpx:Httpx2",
    "httpx2/asyncio": "httpx_async:Httpx2OnAsyncio",
    "httpx2/trio": "httpx_async:Httpx2OnTrio",
    "pyreqwest": "pyreqwest:Pyreqwest",
    "pyreqwest/asyncio": "pyreqwest:OnAsyncio",
    "aiohttp": "aiohttp:OnAsyncio",
    "aiohttp/uvloop": "aiohttp:OnUvloop",
    "pycurl": "pycurl:Pycurl",
    "pycurl/multi": "pycurl_multi:Multi",
    "pycurl/asyncio": "pycurl_multi:OnAsyncio",
    "awscrt": "awscrt:Awscrt",
    "awscrt/asyncio": "awscrt:OnAsyncio",
    "h2": "framing:H2Library",
    "dugong": "dugong:Dugong",
    "dugong/asyncio": "dugong:OnAsyncio",
}


def library_of(client: str) -> str:
    """Return the first part of the name of a client, or of one with a size behind it."""
    return re.split("[/ ]", client, maxsplit=1)[0]


def is_floor(name: str) -> bool:
    """Return True for hand-written socket code."""
    return library_of(name) == "floor"


def is_ours(name: str) -> bool:
    """Return True for this library, under whatever driver, in this checkout or another one."""
    return library_of(name) in {OURS, BEFORE}


def is_peer(name: str) -> bool:
    """Return True for another library."""
    return not is_floor(name) and not is_ours(name)


def before(name: str) -> str:
    """Return the name of the client *name*, one of ours, in the other checkout."""
    return name.replace(OURS, BEFORE, 1)


def now(name: str) -> str:
    """Return the name of the client in this checkout that *name* is to be compared with."""
    return name.replace(BEFORE, OURS, 1) if library_of(name) == BEFORE else name


def load(name: str) -> type[Client]:
    """Import the client called *name*.

    Raises:
        ImportError: it is not installed.

    """
    module, _, class_ = CLIENTS[now(name)].partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), class_)
