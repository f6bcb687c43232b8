"""The clients that are measured: where each one is, and how it is loaded.

A fresh process loads one client only, so nobody pays for the imports of others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .base import Client

# name -> module and class; a name without "floor" or "dugong_like" in front is a peer
CLIENTS: Final = {
    "floor": "floor:Sockets",
    "floor/recv": "floor:PlainReads",
    "floor/asyncio": "floor_loops:Protocols",
    "floor/uvloop": "floor_loops:ProtocolsOnUvloop",
    "floor/trio": "floor_loops:TrioSockets",
    "floor/epoll": "floor_loops:Epoll",
    "dugong_like": "ours:Blocking",
    "dugong_like/Loop": "ours:OnLoop",
    "dugong_like/gevent": "ours:OnGevent",
    "dugong_like/asyncio": "ours_async:OnAsyncio",
    "dugong_like/uvloop": "ours_async:OnUvloop",
    "dugong_like/trio": "ours_async:OnTrio",
    "http.client": "stdlib:HttpClient",
    "urllib3": "urllib3:Urllib3",
    "requests": "requests:Requests",
    "httpx": "httpx:Httpx",
    "httpx/asyncio": "httpx_async:OnAsyncio",
    "httpx/uvloop": "httpx_async:OnUvloop",
    "httpx/trio": "httpx_async:OnTrio",
    "aiohttp": "aiohttp:OnAsyncio",
    "aiohttp/uvloop": "aiohttp:OnUvloop",
    "pycurl": "pycurl:Pycurl",
    "pycurl/multi": "pycurl_multi:Multi",
    "pycurl/asyncio": "pycurl_multi:OnAsyncio",
    "awscrt": "awscrt:Awscrt",
    "awscrt/asyncio": "awscrt:OnAsyncio",
    "dugong": "dugong:Dugong",
    "dugong/asyncio": "dugong:OnAsyncio",
}


def is_floor(name: str) -> bool:
    """Return True for hand-written socket code."""
    return name.startswith("floor")


def is_ours(name: str) -> bool:
    """Return True for this library, under whatever driver."""
    return name.startswith("dugong_like")


def is_peer(name: str) -> bool:
    """Return True for another library."""
    return not is_floor(name) and not is_ours(name)


def load(name: str) -> type[Client]:
    """Import the client called *name*.

    Raises:
        ImportError: it is not installed.

    """
    module, _, class_ = CLIENTS[name].partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), class_)
