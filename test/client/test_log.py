"""The log of a client: one line for each request that is sent, and no secrets."""

import logging

import pytest
from kit.sending import Sends, arriving, request_to

from dugong_like import Client, ConnectionClosed, MockDispatcher, Response, Retry, run
from dugong_like.client.log import log, logged


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == log.name]


def test_response(caplog):
    caplog.set_level(logging.INFO, log.name)
    url = "http://a.test/x?token=secret&q=1"
    run(logged(Sends(arriving(404)))(request_to(url)))
    [line] = lines(caplog)
    assert line.startswith("GET http://a.test/x?token=")
    assert "q=1: 404 Not Found, HTTP/1.1, 0." in line
    assert line.endswith(" s")
    assert "secret" not in line


def test_failure_is_named_and_raised(caplog):
    caplog.set_level(logging.INFO, log.name)
    with pytest.raises(ConnectionClosed):
        run(logged(Sends(ConnectionClosed("secret")))(request_to()))
    assert lines(caplog) == ["GET http://a.test/x: ConnectionClosed"]


def test_phrase_of_the_server_cannot_forge_lines(caplog):
    caplog.set_level(logging.INFO, log.name)
    response = Response(200, reason_phrase="OK\r\nGET http://b.test/: 200")
    run(logged(Sends(response))(request_to()))
    [line] = lines(caplog)
    assert "\n" not in line
    assert "\r" not in line


def test_nothing_is_done_unless_it_is_wanted(caplog):
    caplog.set_level(logging.WARNING, log.name)
    sends = Sends(arriving())
    op = logged(sends)(request_to())
    assert op.gi_code.co_name == "__call__"  # the operation itself
    run(op)
    assert lines(caplog) == []


def test_each_attempt_and_each_hop_is_a_line(caplog):
    caplog.set_level(logging.INFO, log.name)
    mock = MockDispatcher()
    mock.add("GET", "http://a.test/x").reply(503).reply(302, {"Location": "/y"})
    mock.add("GET", "http://a.test/y")
    Client(dispatcher=mock, retry=Retry(backoff=0)).get("http://a.test/x")
    assert [line.split(" ")[1:3] for line in lines(caplog)] == [
        ["http://a.test/x:", "503"],
        ["http://a.test/x:", "302"],
        ["http://a.test/y:", "200"],
    ]
