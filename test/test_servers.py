"""The servers of the tests, checked with the standard library alone."""

import http.client
import socket
from contextlib import closing

import pytest
from support import black_hole, pattern


def test_server_answers(server, trusting):
    if server.tls:
        conn = http.client.HTTPSConnection("localhost", server.port, context=trusting)
    else:
        conn = http.client.HTTPConnection("127.0.0.1", server.port)
    conn.request("GET", "/bytes/70000")
    with closing(conn), conn.getresponse() as response:
        assert response.read() == pattern(70000)


def test_proxy_opens_tunnels(proxy, start):
    backend = start("uvicorn-h11")
    conn = http.client.HTTPConnection("127.0.0.1", proxy.port)
    conn.set_tunnel("127.0.0.1", backend.port)
    conn.request("GET", "/bytes/1024")
    with closing(conn), conn.getresponse() as response:
        assert response.read() == pattern(1024)


def test_black_hole_swallows_connections():
    with black_hole() as address, pytest.raises(TimeoutError):
        socket.create_connection(address, timeout=0.3)
