"""Many requests and files over HTTP/1.1 and HTTP/2, with and without TLS: the same results."""

import asyncio
import hashlib
import json
import math

import pytest
from kit.every_driver import DRIVERS
from kit.h2_server import Answer
from kit.h2_site import h2_site
from kit.h2_site import site as usual
from kit.sites import Site, answer_of
from kit.support import pattern

from dugong_like import AsyncClient, Client, Limits, Retry
from dugong_like.client.transfers import download as download_module
from dugong_like.client.transfers import ranges as ranges_module

BODY = pattern(600_000)
SHA = hashlib.sha256(BODY).hexdigest()


def part_of(fields):
    """Return status, fields and bytes for a request with these fields."""
    wanted = fields("range")
    if wanted is None:
        return 200, [("etag", '"1"')], BODY
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    begin, end = int(first), min(int(last or len(BODY)) + 1, len(BODY))
    place = f"bytes {begin}-{end - 1}/{len(BODY)}"
    return 206, [("etag", '"1"'), ("content-range", place)], BODY[begin:end]


def app(request):
    """The application over HTTP/2."""
    if request[":path"] != "/file" or request[":method"] != "GET":
        return usual(request)
    status, fields, body = part_of(request.__getitem__)
    return Answer(status, [*fields, ("content-length", str(len(body)))], body)


def answer(sock, seen):
    """The same over HTTP/1.1."""
    if seen.target == "/file" and seen.method == "GET":
        status, fields, body = part_of(seen.headers.get)
        sock.sendall(answer_of(status, *(f"{key}: {value}" for key, value in fields), body=body))
    elif seen.target == "/upload":
        sha256 = hashlib.sha256(seen.body).hexdigest()
        said = {"length": len(seen.body), "sha256": sha256}
        sock.sendall(answer_of(200, body=json.dumps(said).encode()))
    else:
        sock.sendall(answer_of(200, body=pattern(int(seen.target.rpartition("/")[2]))))
    return True


@pytest.fixture(params=["http/1.1", "http/1.1 tls", "h2 tls"])
def way(request, certificate, trusting, ca, monkeypatch):
    """The server, its URL, and the options of a client for it."""
    monkeypatch.setattr(ranges_module, "LEAST", 100_000)
    monkeypatch.setattr(download_module, "LEAST", 100_000)
    monkeypatch.setattr(ranges_module, "WORTH", math.inf)  # nothing is taken over
    version, _, tls = request.param.partition(" ")
    context = certificate.server_context() if tls else None
    if version == "h2":
        context.set_alpn_protocols(["h2"])
    server = h2_site(app, context) if version == "h2" else Site({None: answer}, tls=context)
    options = {"trust_env": False, "timeout": 60, "versions": (version,)}
    if tls:
        options["ssl_context"] = trusting
    with server:
        yield f"http{'s' if tls else ''}://localhost:{server.port}", options, version


@pytest.mark.parametrize("ordered", [True, False])
def test_map(way, ordered):
    base, options, version = way
    urls = [f"{base}/bytes/{number}" for number in range(200)]
    with Client(**options) as client:
        items = list(client.map(urls, ordered=ordered, concurrency=2, depth=8))
        opened = sum(one.opened for one in client.stats().values())
    assert sorted(item.index for item in items) == list(range(200))
    assert all(item.response.content == pattern(item.index) for item in items)
    names = {"http/1.1": "1.1", "h2": "2"}
    assert {item.response.http_version for item in items} == {names[version]}
    assert opened <= 2


@pytest.mark.parametrize("ranges", [1, 4])
def test_download(way, tmp_path, ranges):
    base, options, _ = way
    with Client(**options) as client:
        result = client.download(f"{base}/file", tmp_path / "file", sha256=SHA, ranges=ranges)
    assert (tmp_path / "file").read_bytes() == BODY
    assert (result.received, result.digests) == (len(BODY), ("sha256",))


@pytest.mark.parametrize("options", [{}, {"expect100": False}, {"digest": "sha-256"}])
def test_upload(way, tmp_path, options):
    base, of_client, _ = way
    (tmp_path / "file").write_bytes(BODY)
    with Client(**of_client) as client:
        result = client.upload(tmp_path / "file", f"{base}/upload", **options)
    assert result.response.json() == {"length": len(BODY), "sha256": SHA}
    assert result.sent == len(BODY)


def test_at_once_in_coroutines(way, tmp_path):
    """A map, a download and an upload of one client, in three tasks."""
    base, options, _ = way
    (tmp_path / "source").write_bytes(BODY)

    async def co_map(client):
        urls = [f"{base}/bytes/{number}" for number in range(50)]
        return [len(item.response.content) async for item in client.map(urls)]

    async def main():
        async with AsyncClient(**options, limits=Limits(max_per_origin=4)) as client:
            return await asyncio.gather(
                co_map(client),
                client.download(f"{base}/file", tmp_path / "file", sha256=SHA),
                client.upload(tmp_path / "source", f"{base}/upload", retry=Retry(1)),
            )

    sizes, downloaded, uploaded = asyncio.run(main())
    assert sizes == list(range(50))
    assert (downloaded.size, uploaded.sent) == (len(BODY), len(BODY))


@pytest.mark.parametrize("driver", DRIVERS)
def test_download_over_tls_under_every_driver(driver, way, tmp_path):
    base, options, _ = way
    with Client(**options) as client:
        result = driver(client.co_download(f"{base}/file", tmp_path / "file", sha256=SHA))
        assert result.received == len(BODY)
        result = driver(client.co_upload(tmp_path / "file", f"{base}/upload"))
    assert result.response.json()["sha256"] == SHA
