"""Plain data of requests and responses."""

import os
import subprocess
import sys
from email.message import Message

import pytest
from kit.support import ROOT

from dugong_like import BodyFollowing, Exchange, HTTPResponse
from dugong_like.http.h1.response_head import parse_head


@pytest.mark.feature("B7")
def test_body_following():
    assert BodyFollowing().length is None
    assert BodyFollowing(0).length == 0
    assert repr(BodyFollowing(5)) == "BodyFollowing(5)"
    assert repr(BodyFollowing()) == "BodyFollowing()"
    with pytest.raises(ValueError, match="-1 bytes"):
        BodyFollowing(-1)


def test_exchange_is_abandoned():
    exchange = Exchange("GET", "/")
    assert not exchange.abandoned
    exchange.abandon()
    assert exchange.abandoned
    assert not Exchange("GET", "/").abandoned
    assert repr(exchange) == "<Exchange GET />"
    assert exchange.path == exchange.target == "/"


def test_memory_of_an_exchange_does_not_depend_on_the_first_ones_of_the_process():
    done = subprocess.run(
        [sys.executable, "-c", UNUSUAL_FIRST], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


UNUSUAL_FIRST = """
import tracemalloc
from dugong_like import Exchange
for _ in range(60):
    Exchange("GET", "/").upgrades = True
tracemalloc.start()
def usual():
    exchange = Exchange("GET", "/")
    exchange.reader = exchange.fresh = exchange.sent = exchange.final = exchange.complete = None
    return exchange
exchanges = [usual() for _ in range(1000)]
assert tracemalloc.get_traced_memory()[0] < 250_000
"""


@pytest.mark.feature("B31")
def test_fields_are_parsed_at_the_first_look():
    head = parse_head(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n")
    response = HTTPResponse(Exchange("GET", "/p"), head, 5)

    assert isinstance(response.headers, Message)
    assert response.headers is response.headers
    assert response.headers["a"] == "b"
    assert response.trailers.items() == []
    response.set_trailers(b"X: y\r\n")
    assert response.trailers["x"] == "y"
    assert (response.status, response.reason, response.http_version) == (200, "OK", "1.0")
    assert repr(response) == "<HTTPResponse 200 OK to GET /p>"
    assert sys.modules["email.message"]
