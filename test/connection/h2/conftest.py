"""Connections over HTTP/2 for the tests of this folder."""

from contextlib import ExitStack

import pytest
from kit.h2_site import h2_site
from kit.h2_streams import PeerStream
from kit.streams import connection, finish

from dugong_like import HTTPConnection


@pytest.fixture
def open_to(monkeypatch):
    """Return a function that makes a connection to an app, without a socket."""
    with ExitStack() as stack:

        def make(app=None, *, settings=None, **options):
            arguments = () if app is None else (app,)
            stream = PeerStream(*arguments, **settings or {})
            options = {"versions": ("h2",), **options}
            conn = stack.enter_context(connection(monkeypatch, stream, **options))
            finish(conn.co_connect())
            for _ in range(3):
                stream.arrive()
                conn.is_open()  # takes SETTINGS
            return conn, stream

        yield make


@pytest.fixture
def site():
    with h2_site() as server:
        options = {"versions": ("h2",), "timeout": 20}
        with HTTPConnection("127.0.0.1", server.port, **options) as conn:
            yield conn
