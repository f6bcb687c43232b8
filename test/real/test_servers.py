"""HTTPConnection against real servers: granian, uvicorn (httptools, h11), nginx, HAProxy."""

import hashlib
import json
import os
import subprocess
import sys

import pytest
from kit.support import ROOT, pattern

from dugong_like import BodyFollowing, HTTPConnection, TunnelRefused

GIB = 1 << 30


@pytest.fixture
def conn(server, trusting):
    context = trusting if server.tls else None
    with HTTPConnection("localhost", server.port, context, timeout=60) as conn:
        yield conn


def fetch(conn, method, path, *args):
    conn.send_request(method, path, *args)
    response = conn.read_response()
    return response, conn.readall()


@pytest.mark.parametrize("size", [0, 1, 1024, 70000, 1 << 20])
def test_get(conn, size):
    response, body = fetch(conn, "GET", f"/bytes/{size}")

    assert (response.status, response.length) == (200, size)
    assert body == pattern(size)


def test_many_over_one_connection(conn):
    for number in range(50):
        assert fetch(conn, "GET", "/bytes/1024")[1] == pattern(1024), number


def test_head_and_no_content_and_not_modified(conn):
    for _ in range(2):
        assert fetch(conn, "HEAD", "/bytes/70000")[1] == b""
        response, body = fetch(conn, "GET", "/status/204")
        assert (response.status, response.length, body) == (204, 0, b"")
        response, body = fetch(conn, "GET", "/status/304")
        assert (response.status, response.length, body) == (304, 0, b"")
        assert fetch(conn, "GET", "/bytes/1")[1] == pattern(1)


def test_chunked_responses(conn):
    response, body = fetch(conn, "GET", "/chunked/3000000")

    assert response.length is None
    assert body == pattern(3_000_000)


@pytest.mark.parametrize("length", [300_000, None], ids=["sized", "chunked"])
def test_upload(conn, length):
    data = pattern(300_000)
    conn.send_request("PUT", "/upload", {"X-Own": "yes"}, BodyFollowing(length))
    for start in range(0, len(data), 70_000):
        conn.write(data[start : start + 70_000])
    conn.finish()
    response = conn.read_response()
    answer = json.loads(conn.readall())

    assert (response.status, answer["length"]) == (200, len(data))
    assert answer["sha256"] == hashlib.sha256(data).hexdigest()
    assert ["x-own", "yes"] in answer["headers"]


@pytest.mark.feature("B15")
def test_upload_after_100_continue(conn):
    conn.send_request("PUT", "/upload", body=BodyFollowing(5), expect100=True)
    assert conn.read_response().status == 100
    conn.write(b"hello")
    assert conn.read_response().status == 200
    assert json.loads(conn.readall())["length"] == 5


def test_refused_after_expect_100(conn):
    conn.send_request("PUT", "/refuse", body=BodyFollowing(1_000_000), expect100=True)
    response = conn.read_response()
    if response.status == 100:  # this one says yes first
        conn.write(bytes(1_000_000))
        response = conn.read_response()
    assert response.status == 413
    assert b"arge" in conn.readall()  # nginx says it in HTML
    assert fetch(conn, "GET", "/bytes/1")[1] == pattern(1)


def test_connection_close(conn):
    for _ in range(2):
        response, body = fetch(conn, "GET", "/close")
        assert (response.status, body) == (200, b"good bye")
    assert fetch(conn, "GET", "/bytes/1024", {"Connection": "close"})[1] == pattern(1024)
    assert fetch(conn, "GET", "/bytes/1024")[1] == pattern(1024)


@pytest.mark.feature("B28")
def test_pipelining(conn):
    for _ in range(100):
        conn.send_request("GET", "/bytes/1024")
    for _ in range(100):
        assert conn.read_response().status == 200
        assert conn.readall() == pattern(1024)


def test_ipv6(tmp_path):
    from kit import servers

    with servers.uvicorn(tmp_path, "h11", host="::1") as server:
        with HTTPConnection("::1", server.port, timeout=10) as conn:
            assert fetch(conn, "GET", "/bytes/1024")[1] == pattern(1024)
            answer = json.loads(fetch(conn, "PUT", "/upload", None, b"x")[1])
            assert ["host", f"[::1]:{server.port}"] in answer["headers"]


# ---- a gibibyte

GIANT = """
import json, sys
sys.path.insert(0, {root!r})
from dugong_like import BodyFollowing, HTTPConnection
port, direction = int(sys.argv[1]), sys.argv[2]
size = 1 << 30
with HTTPConnection("127.0.0.1", port, timeout=60) as conn:
    if direction == "down":
        conn.send_request("GET", "/bytes/%d" % size)
        assert conn.read_response().length == size
        buffer, total = bytearray(1 << 20), 0
        while count := conn.readinto(buffer):
            total += count
    else:
        conn.send_request("PUT", "/upload", body=BodyFollowing(size if direction == "up" else None))
        piece = bytes(1 << 20)
        for _ in range(1 << 10):
            conn.write(piece)
        conn.finish()
        assert conn.read_response().status == 200
        total = json.loads(conn.readall())["length"]
assert total == size, total
with open("/proc/self/status") as status:  # ru_maxrss would count the parent before exec
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "direction"),
    [("nginx", "down"), ("granian", "down"), ("uvicorn-httptools", "up"), ("granian", "chunked")],
)
def test_a_gibibyte_takes_little_memory(start, name, direction):
    server = start(name)
    done = subprocess.run(
        [sys.executable, "-c", GIANT.format(root=str(ROOT)), str(server.port), direction],
        capture_output=True, text=True, timeout=110, check=False, env=dict(os.environ),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    print(f"peak RSS while 1 GiB went {direction}: {done.stdout.strip()} MiB")
    assert int(done.stdout) < 64


# ---- proxies


@pytest.mark.feature("B36")
def test_requests_are_forwarded_by_a_proxy(start, proxy):
    server = start("uvicorn-h11")
    for given in (("127.0.0.1", proxy.port), f"http://127.0.0.1:{proxy.port}"):
        with HTTPConnection("127.0.0.1", server.port, proxy=given, timeout=20) as conn:
            assert fetch(conn, "GET", "/bytes/70000")[1] == pattern(70000)
            answer = json.loads(fetch(conn, "PUT", "/upload", None, pattern(1000))[1])
            assert answer["sha256"] == hashlib.sha256(pattern(1000)).hexdigest()


@pytest.mark.feature("B36")
def test_tunnel_through_a_proxy(start, proxy, trusting):
    server = start("uvicorn-h11", tls=True)
    with HTTPConnection(
        "localhost",
        server.port,
        trusting,
        ("127.0.0.1", proxy.port),
        timeout=20,
    ) as conn:
        assert fetch(conn, "GET", "/bytes/70000")[1] == pattern(70000)
        assert conn.get_ssl_cipher() is not None


@pytest.mark.feature("B36")
def test_refused_tunnel_says_why(proxy, trusting):
    conn = HTTPConnection("refused.test", 443, trusting, ("127.0.0.1", proxy.port), timeout=20)
    with pytest.raises(TunnelRefused) as refusal:
        conn.connect()
    assert refusal.value.status == 418  # what proxy.py's filter answers
    assert refusal.value.reason == "I'm a tea pot"
