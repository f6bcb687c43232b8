"""Ways of waiting that tests share: each is a function that runs one operation to its end.

Not here: all the others, under which test_drivers_http.py has one conversation.
"""

import asyncio

import pytest

from dugong_like import run
from dugong_like.drivers import aio
from dugong_like.drivers.loop import Loop


def on_asyncio(op):
    return asyncio.run(aio.run(op))


def on_trio(op):
    trio = pytest.importorskip("trio")
    from dugong_like.drivers import trio as driver

    return trio.run(driver.run, op)


def on_own_loop(op):
    with Loop() as loop:
        return loop.run(op)


WAYS = [run, on_asyncio, on_trio, on_own_loop]
