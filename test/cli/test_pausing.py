"""Requests of a list of URLs wait while their origin is paused."""

import time

import pytest

from dugong_like import Client, MockDispatcher, Response, Retry
from dugong_like.cli import pausing
from dugong_like.cli.pausing import Pausing
from dugong_like.connection.origins import IN_A_ROW, ORIGINS
from dugong_like.drivers.loop import Loop
from dugong_like.polling.contract import run
from dugong_like.polling.wake import co_checkpoint

RETRY = Retry(3, backoff=0, budget=None)


class Server:
    """Refuses so many requests, and counts those that come."""

    def __init__(self, refused, pause="1"):
        self.refused, self.pause, self.seen = refused, pause, 0

    def co_dispatch(self, request):
        request.attempts += 1
        self.seen += 1
        yield from co_checkpoint()
        if self.seen in self.refused:
            return Response(503, {"Retry-After": self.pause}, request=request)
        return Response(200, request=request)

    def co_close(self):
        return
        yield


@pytest.fixture
def clock(monkeypatch):
    """Have pauses last no time, and note them."""
    now, pauses = [1000.0], []

    def co_pause(seconds, reason):
        pauses.append(seconds)
        now[0] += seconds
        yield from co_checkpoint()

    monkeypatch.setattr(pausing, "co_pause", co_pause)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    yield pauses
    ORIGINS.forget()


def send(dispatcher, count):
    with Client(dispatcher=dispatcher) as client:
        statuses = []
        for _ in range(count):
            request = client.build_request("GET", "http://a.test/")
            statuses.append(run(dispatcher.co_dispatch(request)).status_code)
    return statuses


def test_a_server_that_refuses_all_is_asked_nothing_for_a_while(clock):
    server = Server(range(1, IN_A_ROW + 1))
    assert send(Pausing(server, RETRY), IN_A_ROW + 2) == [503] * IN_A_ROW + [200, 200]
    assert clock == [1.0]


def test_a_server_that_refuses_some_delays_no_others(clock):
    server = Server(range(2, 100, 2))
    assert send(Pausing(server, RETRY), 50) == [200, 503] * 25
    assert clock == []


@pytest.mark.parametrize("retry", [Retry(1, max_wait=0.5), Retry(1, statuses=())])
def test_what_is_not_repeated_is_not_waited_for(clock, retry):
    assert send(Pausing(Server(range(100)), retry), 5) == [503] * 5
    assert clock == []


def test_one_pause_for_all_requests_of_an_origin():
    """Those under way are refused together; the rest is asked for when the pause is over."""
    server = Server(range(1, 9))
    dispatcher = Pausing(server, RETRY)
    statuses = []
    with Client(dispatcher=dispatcher, retry=RETRY) as client, Loop() as loop:

        def co_some():
            for _ in range(10):
                response = yield from client.co_get("http://a.test/")
                statuses.append(response.status_code)

        begun = time.monotonic()
        for _ in range(8):
            loop.spawn(co_some())
        loop.run_all()
    assert statuses == [200] * 80
    assert server.seen == 88
    assert time.monotonic() - begun >= 1  # once, and not for each of them
    ORIGINS.forget()


def test_it_is_closed_with_what_it_is_above():
    below = MockDispatcher()
    with Client(dispatcher=Pausing(below, RETRY)):
        pass
