"""Which driver is found, from where."""

import asyncio
import subprocess
import sys

import pytest

from dugong_like import Wake
from dugong_like.drivers import aio
from dugong_like.drivers.detect import runner, shortest, wait_of


def test_asyncio():
    async def main():
        assert runner() is aio.run

    asyncio.run(main())


def test_what_waits_is_known_of_asyncio_only():
    async def run(op):
        return await aio.run(op)

    assert wait_of(aio.run) is aio.wait
    assert wait_of(run) is None


def test_the_shortest_way_does_the_same():
    async def run(op):
        return await aio.run(op)

    assert shortest(run) is run
    assert shortest(aio.run) is not aio.run

    def co_wait():
        with Wake() as wake:
            wake.set()
            yield wake.need()
        return "done"

    async def main():
        return await shortest(aio.run)(co_wait())

    assert asyncio.run(main()) == "done"


def test_trio():
    trio = pytest.importorskip("trio")
    from dugong_like.drivers import trio as driver

    async def main():
        assert runner() is driver.run

    trio.run(main)


def test_trio_inside_of_asyncio():
    """Trio as a guest: who asks decides."""
    trio = pytest.importorskip("trio")
    from dugong_like.drivers import trio as driver

    found = {}

    async def guest():
        found["trio"] = runner()

    async def host():
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=done.set_result,
        )
        await done
        found["asyncio"] = runner()

    asyncio.run(host())

    assert found == {"trio": driver.run, "asyncio": aio.run}


def test_neither():
    pytest.importorskip("trio")  # imported, but not running
    with pytest.raises(RuntimeError):
        runner()


def test_neither_is_imported():
    code = (
        "import sys\nfrom dugong_like.drivers.detect import runner\n"
        "try:\n    runner()\nexcept RuntimeError as exc:\n    print(exc)\n"
        "assert not {'asyncio', 'trio'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "neither asyncio nor trio runs here\n"
