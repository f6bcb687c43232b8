"""A server that is killed in the middle of a transfer, and started again: the transfer goes on."""

import asyncio
import hashlib
import os
import subprocess
import sys

import pytest
from kit.servers import free_port
from kit.support import pattern

from dugong_like import AsyncClient, Client, Retry

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
SIZE = 6 << 20
AGAIN = Retry(20, backoff=0.01)
SERVER = """
import hashlib, re, socket, sys, threading

port, stops, body = int(sys.argv[1]), sys.argv[2] == "stops", open(sys.argv[3], "rb").read()
never = threading.Event()

def serve(sock):
    data = b""
    while True:
        while b"\\r\\n\\r\\n" not in data:
            data += (more := sock.recv(65536))
            if not more:
                return
        head, _, data = data.partition(b"\\r\\n\\r\\n")
        if head.startswith(b"PUT"):
            size = int(re.search(rb"(?i)content-length: *(\\d+)", head)[1])
            while len(data) < size:
                if stops and len(data) > size // 4:
                    never.wait()
                data += (more := sock.recv(1 << 20))
                if not more:
                    return
            said = hashlib.sha256(data[:size]).hexdigest().encode()
            data = data[size:]
            sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 64\\r\\n\\r\\n" + said)
            continue
        found = re.search(rb"(?i)range: bytes=(\\d+)-", head)
        begin, status = int(found[1]) if found else 0, b"206 X" if found else b"200 OK"
        place = b"Content-Range: bytes %d-%d/%d\\r\\n" % (begin, len(body) - 1, len(body))
        fields = b'ETag: "1"\\r\\nContent-Length: %d\\r\\n' % (len(body) - begin)
        fields += place if found else b""
        sock.sendall(b"HTTP/1.1 " + status + b"\\r\\n" + fields + b"\\r\\n")
        if stops:
            sock.sendall(body[begin : begin + len(body) // 2])
            never.wait()
        sock.sendall(body[begin:])

listener = socket.create_server(("127.0.0.1", port), backlog=50)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


class Servers:
    """One server at a time, always at the same port."""

    def __init__(self, path):
        self.port = free_port()
        self.kills = 0
        self._path = path
        self._process = None

    def start(self, manner):
        """Start it; it stops in the middle if *manner* is "stops"."""
        command = [sys.executable, "-c", SERVER, str(self.port), manner, str(self._path)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def replace(self, count, least):
        """Kill it, and start one that does not stop, when *count* bytes have been transferred."""
        if not self.kills and count >= least:
            self.kills += 1
            self.kill()
            self.start("goes on")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/file"


@pytest.fixture
def servers(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(pattern(SIZE))
    servers = Servers(path)
    servers.start("stops")
    yield servers
    servers.kill()


def blocking(method, *arguments, **options):
    with Client(timeout=60, trust_env=False) as client:
        return getattr(client, method)(*arguments, **options)


def on_asyncio(method, *arguments, **options):
    async def main():
        async with AsyncClient(timeout=60, trust_env=False) as client:
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(main())


WAYS = pytest.mark.parametrize("way", [blocking, pytest.param(on_asyncio, marks=pytest.mark.slow)])


@pytest.mark.feature("E41")
@WAYS
def test_download(servers, tmp_path, way):
    result = way(
        "download", servers.url, tmp_path / "file", retries=AGAIN,
        progress=lambda count, _: servers.replace(count, SIZE // 2),
    )  # fmt: skip
    assert servers.kills == 1
    assert (tmp_path / "file").read_bytes() == pattern(SIZE)
    assert result.received == SIZE  # nothing twice
    assert sorted(os.listdir(tmp_path)) == ["file", "source"]


@pytest.mark.feature("E43")
@WAYS
def test_upload(servers, tmp_path, way):
    result = way(
        "upload", tmp_path / "source", servers.url, retry=AGAIN, expect100=False,
        progress=lambda count, _: servers.replace(count, 1),
    )  # fmt: skip
    assert servers.kills == 1
    assert result.response.text == hashlib.sha256(pattern(SIZE)).hexdigest()
    assert result.sent > SIZE
