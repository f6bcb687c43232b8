"""Waiting for the storage: the others of a loop go on meanwhile, and nothing is left behind."""

import asyncio
import errno
import hashlib
import os
import threading

import pytest
import trio
from kit.every_driver import DRIVERS
from kit.file_site import FileSite
from kit.support import open_descriptors, pattern, wait_until

from dugong_like import AsyncClient, Client, TransferFileFailed, run
from dugong_like.client.transfers import digests, part, storage
from dugong_like.client.transfers.digests import RunningDigest
from dugong_like.client.transfers.storage import LARGE, co_sync
from dugong_like.drivers.loop import Loop
from dugong_like.polling.fairness import TURN
from dugong_like.polling.wake import co_checkpoint

URL = "http://example.org/x"


@pytest.fixture
def file(tmp_path):
    with (tmp_path / "file").open("w+b", buffering=0) as file:
        yield file


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("count", [0, LARGE - 1, LARGE])
def test_it_is_synced_under_every_driver(file, driver, count):
    threads = []

    def sync(number):
        assert os.path.sameopenfile(number, file.fileno())
        threads.append(threading.current_thread().name)

    driver(co_checkpoint())
    before = open_descriptors()
    assert driver(co_sync(file.fileno(), count, sync)) is None
    assert len(threads) == 1
    assert (threads[0] == "dugong_like-storage") == (count >= LARGE)
    wait_until(lambda: open_descriptors() <= before)


def test_others_go_on_meanwhile(file):
    """The storage is done when another operation of the loop has gone on."""
    event = threading.Event()
    with Loop() as loop:
        task = loop.spawn(co_sync(file.fileno(), LARGE, lambda _: event.wait(60) or 1 / 0))

        def co_other():
            for _ in range(10):
                yield from co_checkpoint()
            event.set()

        loop.run(co_other())
        loop.run_all()
    assert task.result() is None


@pytest.mark.parametrize("count", [0, LARGE])
def test_a_failure(file, count):
    def fail(_):
        raise OSError(errno.EIO, "broken")

    before = open_descriptors()
    with pytest.raises(OSError, match="broken"):
        run(co_sync(file.fileno(), count, fail))
    wait_until(lambda: open_descriptors() <= before)


def test_given_up_it_ends_by_itself(file):
    begun, event, done = threading.Event(), threading.Event(), []

    def sync(number):
        begun.set()
        assert event.wait(60)
        os.fsync(number)  # the file is closed by now, and its number is not that of another one
        done.append(number)

    before = open_descriptors()
    going = co_sync(file.fileno(), LARGE, sync)
    next(going)
    assert begun.wait(60)
    going.close()
    file.close()
    event.set()
    wait_until(lambda: done and open_descriptors() < before)


def test_without_threads_it_is_synced_here(file, monkeypatch):
    def no_thread(*_):
        raise RuntimeError("can't start new thread")

    synced = []
    before = open_descriptors()
    monkeypatch.setattr(storage.threading.Thread, "start", no_thread)
    run(co_sync(file.fileno(), LARGE, synced.append))
    assert synced == [file.fileno()]
    assert open_descriptors() <= before


# ---- downloads


@pytest.fixture
def threads(monkeypatch):
    """The threads in which the storage is waited for."""
    names = []

    def sync(_number):
        names.append(threading.current_thread().name)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "fdatasync", sync, raising=False)
    return names


@pytest.mark.parametrize("way", [asyncio.run, trio.run], ids=["asyncio", "trio"])
def test_no_large_download_waits_for_the_storage_in_the_thread_of_a_loop(
    way, tmp_path, threads, monkeypatch
):
    monkeypatch.setattr(part, "CHECKPOINT", 2 << 20)
    body = pattern(5 << 20)

    async def main():
        async with AsyncClient(dispatcher=FileSite(body)) as client:
            threads.clear()
            await client.download(URL, tmp_path / "file")

    way(main) if way is trio.run else way(main())
    assert (tmp_path / "file").read_bytes() == body
    own = [name for name in threads if name != "dugong_like-storage"]
    assert len(threads) - len(own) >= 3  # two claims, and the end
    assert len(own) <= 2  # the empty record, and what is behind the last claim


@pytest.mark.parametrize("count", [1, 2])
def test_a_storage_that_fails(tmp_path, monkeypatch, count):
    monkeypatch.setattr(part, "CHECKPOINT", 2 << 20)
    calls = []

    def sync(number):
        calls.append(number)
        if len(calls) >= count:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", sync, raising=False)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    if not hasattr(os, "fdatasync"):
        pytest.skip("there is no fdatasync")
    body = pattern(6 << 20)
    with Client(dispatcher=FileSite(body)) as client:
        with pytest.raises(TransferFileFailed) as failed:
            client.download(URL, tmp_path / "file")
    assert failed.value.errno == errno.EIO
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("names", [["sha256"], ["sha256", "sha512", "md5"]])
def test_hashing_lets_others_go_on(file, names, monkeypatch):
    """Between two turns of others no more than the usual amount is hashed, by all together."""
    file.write(pattern(4 << 20))
    hashed = [0]
    new_hash = digests.new_hash

    class Counting:
        def __init__(self, name):
            self._hash = new_hash(name)

        def update(self, data):
            hashed[0] += len(data)
            self._hash.update(data)

        def digest(self):
            return self._hash.digest()

    monkeypatch.setattr(digests, "new_hash", Counting)
    running = RunningDigest(names)
    most = before = 0
    for need in running.co_follow(file.fileno(), 4 << 20):
        assert need is not None
        most, before = max(most, hashed[0] - before), hashed[0]
    assert hashed[0] == len(names) * (4 << 20)
    assert most <= TURN + len(names) * digests.PIECE
    assert running.value("sha256") == hashlib.sha256(pattern(4 << 20)).digest()
