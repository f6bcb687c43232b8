"""Transfers over connections: the system moves the bytes, under every driver, and after a kill."""

import asyncio
import hashlib
import math
import os
import signal
import subprocess
import sys
import threading

import pytest
import trio
from kit.every_driver import DRIVERS
from kit.sites import Site, answer_of
from kit.support import ROOT, open_descriptors, pattern, wait_until

from dugong_like import AsyncClient, Client, ConnectionClosed, Retry, StatusError
from dugong_like.client.transfers import download as download_module
from dugong_like.client.transfers import ranges as ranges_module
from dugong_like.polling.wake import co_checkpoint

BODY = pattern(3 << 20)
SHA = hashlib.sha256(BODY).hexdigest()
BOTH = pytest.mark.parametrize("way", [asyncio.run, trio.run], ids=["asyncio", "trio"])


def part_of(body, seen, etag='"1"'):
    """Return status, fields and bytes for a request; of ranges, those that it asks for."""
    wanted, size = seen.headers.get("range"), len(body)
    tag = f"ETag: {etag}"
    if wanted is None or seen.headers.get("if-range") not in (None, etag):
        return 200, [tag], body
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    begin, end = int(first), min(int(last) + 1 if last else size, size)
    if begin >= size:
        return 416, [f"Content-Range: bytes */{size}"], b""
    return 206, [tag, f"Content-Range: bytes {begin}-{end - 1}/{size}"], body[begin:end]


def whole(sock, seen):
    status, fields, body = part_of(BODY, seen)
    sock.sendall(answer_of(status, *fields, body=body))
    return True


class Cutting:
    """Sends so many bytes of each body, and then closes the connection."""

    def __init__(self, *cuts):
        self.cuts = list(cuts)

    def __call__(self, sock, seen):
        status, fields, body = part_of(BODY, seen)
        answer = answer_of(status, *fields, body=body)
        if not self.cuts:
            sock.sendall(answer)
            return True
        sock.sendall(answer[: len(answer) - len(body) + self.cuts.pop(0)])
        return False


@pytest.fixture(autouse=True)
def storage(monkeypatch):
    """Have no storage to wait for, and small files split."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None, raising=False)
    monkeypatch.setattr(ranges_module, "LEAST", 200_000)
    monkeypatch.setattr(ranges_module, "WORTH", math.inf)  # nothing is taken over
    monkeypatch.setattr(download_module, "LEAST", 200_000)


def client():
    return Client(timeout=60, trust_env=False)


def url(site, path="/file"):
    return f"http://127.0.0.1:{site.port}{path}"


@pytest.mark.feature("E41")
@pytest.mark.parametrize("driver", DRIVERS)
def test_under_every_driver(driver, tmp_path):
    driver(co_checkpoint())  # opens what it keeps open for itself
    with Site({None: whole}) as site, client() as downloading:
        downloading.download(url(site), tmp_path / "file")  # the pipe that is kept
    before = open_descriptors()
    with Site({None: Cutting(500_000, 0, 7)}) as site, client() as downloading:
        path = tmp_path / "file"
        result = driver(
            downloading.co_download(url(site), path, sha256=SHA, retries=Retry(5, backoff=0.001))
        )
        assert path.read_bytes() == BODY
        assert result.received == len(BODY)
        assert [seen.headers.get("range") for seen in site.seen] == [
            None, "bytes=500000-", "bytes=500000-", "bytes=500007-",
        ]  # fmt: skip
        result = driver(downloading.co_download(url(site), path, ranges=4))
        assert path.read_bytes() == BODY
        assert (result.received, len(site.seen)) == (len(BODY), 9)
        assert os.listdir(tmp_path) == ["file"]
    wait_until(lambda: open_descriptors() <= before)


@pytest.mark.parametrize("goes_on", [True, False], ids=["late", "cut"])
def test_a_refusal_whose_body_does_not_end_is_one(monkeypatch, tmp_path, goes_on):
    monkeypatch.setattr("dugong_like.connection.refusals.MAX_REFUSAL_TIME", 0.05)

    def refuse(sock, seen):
        sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nno")
        return goes_on

    with Site({None: refuse}) as site, client() as downloading:
        with pytest.raises(StatusError) as failed:
            downloading.download(url(site), tmp_path / "file")
    assert failed.value.response.status_code == 404
    assert failed.value.response.is_closed


@BOTH
def test_coroutines(way, tmp_path):
    with Site({None: whole}) as site:

        async def main():
            async with AsyncClient(timeout=60, trust_env=False) as downloading:
                return await downloading.download(url(site), tmp_path / "file", ranges=3)

        result = way(main) if way is trio.run else way(main())
        assert result.size == len(BODY)
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize(
    "fields", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"]
)
def test_a_body_that_ends_with_the_connection(tmp_path, fields):
    def answer(sock, seen):
        sock.sendall(fields + b'ETag: "1"\r\n\r\n' + BODY)
        return False

    with Site({None: answer}) as site, client() as downloading:
        for ranges in (1, 4):
            result = downloading.download(url(site), tmp_path / "file", sha256=SHA, ranges=ranges)
            assert result.size == len(BODY)


def test_chunks(tmp_path):
    def answer(sock, seen):
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(BODY), 300_000):
            piece = BODY[at : at + 300_000]
            sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        return True

    with Site({None: answer}) as site, client() as downloading:
        assert downloading.download(url(site), tmp_path / "file", sha256=SHA).size == len(BODY)


def test_a_file_object_in_the_middle(tmp_path):
    with Site({None: Cutting(100_000)}) as site, client() as downloading:
        with (tmp_path / "file").open("w+b") as file:
            file.write(b"before")
            downloading.download(url(site), file, retries=Retry(1, backoff=0))
            file.write(b"after")
            file.seek(0)
            assert file.read() == b"before" + BODY + b"after"


PROGRAM = """
import sys
from dugong_like import Client

def show(count, _):
    if count == {half}:
        print("half", flush=True)

with Client(timeout=60, trust_env=False) as client:
    client.download(sys.argv[1], sys.argv[2], progress=show)
"""
SIZE = 48 << 20


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_process_that_is_killed_repeats_little(tmp_path):
    """It is killed when it has half of the file, of which the server holds the rest back."""
    body = pattern(SIZE)
    killed = threading.Event()

    def answer(sock, seen):
        status, fields, part = part_of(body, seen)
        data = answer_of(status, *fields, body=part)
        if status == 200:
            sock.sendall(data[: len(data) - SIZE // 2])
            assert killed.wait(60)
            return False
        sock.sendall(data)
        return True

    path = tmp_path / "file"
    with Site({None: answer}) as site:
        program = PROGRAM.format(half=SIZE // 2)
        command = [sys.executable, "-c", program, url(site), str(path)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"half\n"
            process.send_signal(signal.SIGKILL)
            assert process.wait(60) == -signal.SIGKILL
        killed.set()
        assert not path.exists()
        with client() as downloading:
            result = downloading.download(url(site), path)
    assert path.read_bytes() == body
    assert os.listdir(tmp_path) == ["file"]
    assert SIZE // 2 - (16 << 20) <= result.resumed_from <= SIZE // 2
    assert result.received == SIZE - result.resumed_from


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/fd")
def test_more_than_4_gib(tmp_path):
    """Most of it is there before, as a hole."""
    from dugong_like.client.transfers.record import Facts, Record
    from dugong_like.client.transfers.spans import Spans

    size = (4 << 30) + len(BODY)

    def answer(sock, seen):
        assert seen.headers["range"] == f"bytes={4 << 30}-"
        place = f"Content-Range: bytes {4 << 30}-{size - 1}/{size}"
        sock.sendall(answer_of(206, 'ETag: "1"', place, body=BODY))
        return True

    path = tmp_path / "file"
    with Site({None: answer}) as site, client() as downloading:
        record = Record(tmp_path / "file.part.json", url(site), "file")
        record.begin(Facts('"1"', size))
        record.claim(Spans([(0, 4 << 30)]))
        record.close()
        with (tmp_path / "file.part").open("wb") as part:
            part.truncate(4 << 30)
        result = downloading.download(url(site), path, preallocate=False)
    assert result.size == path.stat().st_size == size
    with path.open("rb") as file:
        file.seek(4 << 30)
        assert file.read() == BODY


def test_a_lost_connection_without_retries_says_where_it_goes_on(tmp_path):
    with Site({None: Cutting(500_000)}) as site, client() as downloading:
        with pytest.raises(ConnectionClosed) as failed:
            downloading.download(url(site), tmp_path / "file", retries=0)
        assert failed.value.__notes__ == [
            f"500000 bytes are in '{tmp_path}/file.part': the next run goes on there"
        ]
        assert downloading.download(url(site), tmp_path / "file").resumed_from == 500_000
