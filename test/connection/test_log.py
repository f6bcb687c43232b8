"""Events in the standard logging, for who listens, without secrets."""

import logging
import subprocess
import sys

import pytest
from kit.streams import ScriptedStream, connection, finish

from dugong_like import log_events
from dugong_like.connection.log import log_event

ANSWER = (
    b"HTTP/1.1 200 OK\r\nSet-Cookie: id=secret1\r\nLocation: http://a:secret2@b/\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def co_get(conn):
    fields = {
        "Authorization": "Basic secret3",
        "Cookie": "secret4",
        "Proxy-Authorization": "secret5",
    }
    yield from conn.co_send_request("GET", "/", fields)
    yield from conn.co_read_response()
    yield from conn.co_close()


@pytest.mark.feature("C11", "A52")
@pytest.mark.parametrize("options", [{}, {"trace": log_events()}])
def test_who_listens_gets_every_event_and_no_secret(monkeypatch, caplog, options):
    caplog.set_level(logging.DEBUG, "dugong_like")
    finish(co_get(connection(monkeypatch, ScriptedStream([ANSWER]), **options)))

    names = {record.name for record in caplog.records}
    assert names == {"dugong_like.http1", "dugong_like.connection"}
    assert "http11.receive_response_headers.complete" in caplog.text
    assert "status=200" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.feature("C11", "A52")
def test_nobody_is_told_who_does_not_listen(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "dugong_like")
    conn = connection(monkeypatch, ScriptedStream([ANSWER]))
    finish(co_get(conn))

    assert not caplog.records
    assert conn._session.shared.observer is None


def test_a_trace_of_your_own_takes_the_place_of_the_log(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "dugong_like")
    finish(co_get(connection(monkeypatch, ScriptedStream([ANSWER]), trace=lambda *_: None)))

    assert not caplog.records


def test_each_event_has_its_logger(caplog):
    caplog.set_level(logging.DEBUG, "dugong_like")
    for event in ("proxy.connect.started", "dns.resolve.started", "http11.trailers"):
        log_event(event, {"long": "x" * 10_000})

    assert [record.name for record in caplog.records] == [
        *("dugong_like.proxy", "dugong_like.connection", "dugong_like.http1"),
    ]
    assert all(len(record.getMessage()) < 600 for record in caplog.records)


def test_logging_is_not_even_imported():
    code = "import sys; import dugong_like; dugong_like.HTTPConnection('x')\n"
    code += "assert 'logging' not in sys.modules; dugong_like.log_events()"
    subprocess.run([sys.executable, "-S", "-c", code], check=True)
