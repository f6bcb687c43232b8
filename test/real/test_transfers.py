"""Transfers with real servers: nginx, with and without TLS; HAProxy and hypercorn."""

import asyncio
import hashlib
import math
import os

import pytest
from kit import servers
from kit.every_driver import DRIVERS
from kit.support import pattern

from dugong_like import AsyncClient, Client, StatusError
from dugong_like.client.transfers import download as download_module
from dugong_like.client.transfers import ranges as ranges_module

SHA = hashlib.sha256(pattern(1 << 20)).hexdigest()


@pytest.fixture(params=[False, True], ids=["http", "https"])
def nginx(request, start):
    return start("nginx", tls=request.param)


@pytest.fixture
def client(trusting):
    with Client(ssl_context=trusting, trust_env=False, timeout=60) as client:
        yield client


def url(nginx, path):
    return f"http{'s' * nginx.tls}://localhost:{nginx.port}{path}"


@pytest.mark.feature("E41")
@pytest.mark.parametrize("ranges", [1, 4])
def test_download(nginx, client, tmp_path, monkeypatch, ranges):
    monkeypatch.setattr(ranges_module, "LEAST", 100_000)
    monkeypatch.setattr(download_module, "LEAST", 100_000)
    monkeypatch.setattr(ranges_module, "WORTH", math.inf)  # nothing is taken over
    path = tmp_path / "file"
    place = url(nginx, f"/bytes/{1 << 20}")

    result = client.download(place, path, sha256=SHA, ranges=ranges)

    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA
    assert result.received == 1 << 20
    opened = next(iter(client.stats().values())).opened
    assert 1 <= opened <= ranges  # one whose range has come at once is used for another one

    async def main():
        return await AsyncClient(client=client).download(place, path, sha256=SHA, ranges=ranges)

    assert asyncio.run(main()).size == 1 << 20
    assert os.listdir(tmp_path) == ["file"]


def test_a_part_goes_on(nginx, client, tmp_path):
    path = tmp_path / "file"
    place = url(nginx, f"/bytes/{1 << 20}")

    class Enough(Exception):
        pass

    def stop(count, _):
        if count > 100_000:
            raise Enough

    with pytest.raises(Enough):
        client.download(place, path, progress=stop)
    assert os.listdir(tmp_path) != ["file"]

    result = client.download(place, path, sha256=SHA)

    assert result.resumed_from > 100_000
    assert result.received == (1 << 20) - result.resumed_from


def test_what_is_not_there(nginx, client, tmp_path):
    with pytest.raises(StatusError, match="404"):
        client.download(url(nginx, "/bytes/missing"), tmp_path / "file")
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_gibibyte_at_once(start, client, tmp_path):
    nginx = start("nginx")
    result = client.download(url(nginx, f"/bytes/{1 << 30}"), tmp_path / "file", ranges=8)
    assert result.size == 1 << 30


@pytest.mark.parametrize("versions", [("http/1.1",), ("h2", "http/1.1")], ids=["1.1", "2"])
def test_a_file_goes_up_and_comes_back(nginx, trusting, tmp_path, versions):
    data = pattern((1 << 20) + 17)
    (tmp_path / "up").write_bytes(data)
    with Client(ssl_context=trusting, trust_env=False, timeout=60, versions=versions) as client:
        place = url(nginx, f"/files/transfers-{len(versions)}")
        sent = client.upload(tmp_path / "up", place, digest="sha-256")
        assert (sent.response.status_code, sent.sent) in {(201, len(data)), (204, len(data))}
        assert sent.response.http_version == ("2" if nginx.tls and len(versions) > 1 else "1.1")
        for ranges in (1, 2):
            result = client.download(place, tmp_path / "down", ranges=ranges)
            assert (tmp_path / "down").read_bytes() == data
            assert result.received == len(data)


@pytest.mark.parametrize("version", ["1.1", "2"])
@pytest.mark.parametrize("name", ["haproxy", "hypercorn"])
def test_a_map_and_a_download_of_other_servers(start, trusting, tmp_path, name, version):
    server = start(name, tls=True)
    sizes = [0, 1, 1024, 70_000] * 10
    versions = ("http/1.1",) if version == "1.1" else ("h2",)
    with Client(ssl_context=trusting, trust_env=False, timeout=60, versions=versions) as client:
        places = [url(server, f"/bytes/{size}") for size in sizes]
        items = list(client.map(places, concurrency=2, depth=4))
        result = client.download(url(server, f"/bytes/{1 << 20}"), tmp_path / "file", sha256=SHA)

    assert [item.response.content for item in items] == [pattern(size) for size in sizes]
    assert {item.response.http_version for item in items} == {version}
    assert (result.size, os.listdir(tmp_path)) == (1 << 20, ["file"])


REQUESTS = 4  # after which nginx ends a connection


@pytest.fixture(scope="module", params=["http", "https", "h2"])
def ending(request, start, certificate, tmp_path_factory):
    """A server that ends connections; the versions that a client is to speak with it."""
    folder = tmp_path_factory.mktemp("ending")
    with servers.nginx(
        folder,
        start("uvicorn-httptools"),
        None if request.param == "http" else certificate,
        requests=REQUESTS,
    ) as server:
        yield server, ("h2",) if request.param == "h2" else ("http/1.1",)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_ends_connections_after_some_requests(driver, ending, trusting, tmp_path):
    server, versions = ending
    source, body = tmp_path / "source", pattern(70_000)
    source.write_bytes(body)
    items, places = [], [url(server, f"/files/{number}") for number in range(4)]
    with Client(ssl_context=trusting, versions=versions, trust_env=False, timeout=60) as client:
        puts = [client.build_request("PUT", place, content=place.encode()) for place in places]
        for requests in (puts, places, [url(server, "/bytes/1024")] * 20):
            options = {"concurrency": 2, "depth": 4}
            driver(client.co_map(requests, items.append, **options))
        for place in places:
            assert driver(client.co_upload(source, place)).sent == len(body)
        for number, place in enumerate(places):
            result = driver(client.co_download(place, tmp_path / f"{number}"))
            assert result.received == len(body)
        opened = sum(one.opened for one in client.stats().values())

    assert all(item.response.status_code in (200, 201, 204) for item in items)
    assert [item.response.content for item in items[4:8]] == [place.encode() for place in places]
    assert [item.response.content for item in items[8:]] == [pattern(1024)] * 20
    assert all((tmp_path / f"{number}").read_bytes() == body for number in range(4))
    assert opened > 2  # those of one lane of a map count once
