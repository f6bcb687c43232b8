"""The servers of the tests, checked with the standard library alone."""

import hashlib
import http.client
import json
import shutil
import socket
import ssl
import sys
import time
import warnings
from contextlib import closing

import pytest
from kit import servers
from kit.support import (
    ScriptedServer,
    answering,
    black_hole,
    open_descriptors,
    pattern,
    program,
    read_head,
    wait_until,
)

APPS = ["granian", "uvicorn-httptools", "uvicorn-h11"]


def connection(server, context=None):
    if server.tls:
        return closing(http.client.HTTPSConnection("localhost", server.port, context=context))
    return closing(http.client.HTTPConnection(server.host, server.port))


def ask(conn, method, path, body=None, **options):
    conn.request(method, path, body, **options)
    with conn.getresponse() as response:
        return response.status, response.read()


def test_server_answers_many_requests_on_one_connection(server, trusting):
    with connection(server, trusting) as conn:
        assert ask(conn, "GET", "/bytes/70000") == (200, pattern(70000))
        sock = conn.sock
        assert ask(conn, "HEAD", "/bytes/70000") == (200, b"")
        assert ask(conn, "GET", "/chunked/70000") == (200, pattern(70000))
        assert ask(conn, "GET", "/status/204") == (204, b"")
        assert ask(conn, "GET", "/status/304") == (304, b"")
        assert conn.sock is sock

        status, answer = ask(conn, "PUT", "/upload", b"hello")
        assert (status, json.loads(answer)["length"]) == (200, 5)
        assert json.loads(answer)["sha256"] == hashlib.sha256(b"hello").hexdigest()
        assert ask(conn, "GET", "/close") == (200, b"good bye")
        assert conn.sock is None


@pytest.mark.parametrize("name", APPS)
def test_routes_of_the_app(name, start):
    with connection(start(name)) as conn:
        pieces = (b"piece %d;" % number for number in range(3))
        body = ask(conn, "PUT", "/echo", pieces, encode_chunked=True)
        assert body == (200, b"piece 0;piece 1;piece 2;")
        conn.request("GET", "/headers/50")
        with conn.getresponse() as response:
            assert response.headers["X-Field-49"] == "value 49"
            response.read()
        began = time.monotonic()
        assert ask(conn, "GET", "/slow/0.2") == (200, b"at last")
        assert time.monotonic() - began > 0.19


def test_nginx_keeps_files(start):
    with connection(start("nginx")) as conn:
        data = pattern(300_000)
        assert ask(conn, "PUT", "/files/new/data", data)[0] == 201
        assert ask(conn, "GET", "/files/new/data") == (200, data)
        assert ask(conn, "DELETE", "/files/new/data")[0] == 204


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", APPS)
def test_ipv6(name, tls, start, trusting):
    server = start(name, tls=tls, host="::1")
    with socket.create_connection(("::1", server.port), timeout=10) as sock:
        if tls:
            sock = trusting.wrap_socket(sock, server_hostname="::1")
        with sock:
            sock.sendall(b"GET /bytes/5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n" + pattern(5))


def test_proxy_opens_tunnels(proxy, start):
    backend = start("uvicorn-h11")
    conn = http.client.HTTPConnection("127.0.0.1", proxy.port)
    conn.set_tunnel("127.0.0.1", backend.port)
    with closing(conn):
        assert ask(conn, "GET", "/bytes/1024") == (200, pattern(1024))


def test_proxy_forwards(proxy, start):
    url = f"http://127.0.0.1:{start('uvicorn-h11').port}/bytes/1024"
    with connection(proxy) as conn:
        assert ask(conn, "GET", url) == (200, pattern(1024))


def test_proxy_refuses_tunnels(proxy):
    conn = http.client.HTTPConnection("127.0.0.1", proxy.port)
    conn.set_tunnel("refused.test", 443)
    with closing(conn), pytest.raises(OSError, match="Tunnel connection failed: 418"):
        conn.connect()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("expired_certificate", "certificate has expired"), ("other_certificate", "mismatch")],
)
def test_bad_certificates_are_refused(name, reason, request, trusting):
    context = request.getfixturevalue(name).server_context()
    with ScriptedServer(answering(), context) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                trusting.wrap_socket(sock, server_hostname="localhost")


def test_black_hole_swallows_connections():
    with black_hole() as address, pytest.raises(TimeoutError):
        socket.create_connection(address, timeout=0.3)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_scripted_server_answers(host):
    with ScriptedServer(answering(b"one", b"two"), host=host) as server:
        with socket.create_connection((host, server.port), timeout=10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(100) == b"one"
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(100) == b"two"
            assert sock.recv(100) == b""
    assert server.connections == 1


def test_what_fails_in_a_script_fails_the_test():
    def handler(sock):
        assert read_head(sock) == b"something else"

    with pytest.raises(AssertionError, match="something else"):
        with ScriptedServer(handler) as server:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
                sock.sendall(b"\r\n\r\n")
                assert sock.recv(1) == b""


def test_connection_reset_before_the_handshake_is_closed(certificate):
    """Or it would be for the collector to find and to complain about, in some later test."""
    before = open_descriptors()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        sock, _ = listener.accept()
        sock.sendall(b"what nobody reads")
        client.close()
        with pytest.raises(OSError, match="reset") as failure:
            certificate.server_context().wrap_socket(sock, server_side=True)
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        del failure
    assert not complaints
    assert open_descriptors() <= before


def test_ports_of_several_servers_differ():
    assert len(set(servers.free_ports(100))) == 100


def test_server_that_does_not_start_shows_its_output(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('bad configuration')"]
    with pytest.raises(RuntimeError, match="(?s)does not accept.*bad configuration"):
        with servers.running(command, servers.free_port(), tmp_path / "log"):
            pass


def test_server_that_dies_shows_its_output(tmp_path):
    port = servers.free_port()
    code = f"import socket; s = socket.create_server(('127.0.0.1', {port})); s.accept(); 1 / 0"
    with pytest.raises(RuntimeError, match="(?s)ended with 1:.*ZeroDivisionError"):
        with servers.running([sys.executable, "-c", code], port, tmp_path / "log") as process:
            process.wait(10)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="process groups")
def test_workers_of_a_server_end_with_it(tmp_path):
    port = servers.free_port()
    worker = f"import socket; s = socket.create_server(('127.0.0.1', {port})); "
    worker += "conns = [s.accept() for _ in range(99)]"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    with servers.running([sys.executable, "-c", code], port, tmp_path / "log"):
        assert servers.accepts("127.0.0.1", port)
    wait_until(lambda: not servers.accepts("127.0.0.1", port))


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_missing_program_skips_here_and_fails_in_ci(name, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *args, **options: None)
    monkeypatch.delenv("DUGONG_LIKE_CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=rf"needs {name} \(Debian: "):
        program(name)
    monkeypatch.setenv("DUGONG_LIKE_CI", "1")
    with pytest.raises(pytest.fail.Exception, match=f"needs {name}"):
        program(name)
