"""Wake: a flag that any thread may set and any loop can wait for, on each system."""

import os
import threading
import time

import pytest

from dugong_like import POLLIN, PollNeeded, Wake, run
from dugong_like.polling import wake as wake_


@pytest.fixture(params=["_EventFD", "_Pipe", "_SocketPair"])
def end(request, monkeypatch):
    if request.param == "_EventFD" and not hasattr(os, "eventfd"):
        pytest.skip("needs eventfd (Linux)")
    monkeypatch.setattr(wake_, "_end", getattr(wake_, request.param))


@pytest.mark.feature("B53")
def test_wake_is_ready_between_set_and_clear(end):
    with Wake() as wake:
        need = PollNeeded(wake.fd, POLLIN)
        assert not wake.is_set()
        assert not need.poll(0)
        for _ in range(3):
            wake.set()
        assert wake.is_set()
        assert need.poll(0)
        for _ in range(3):
            wake.clear()
        assert not need.poll(0)


def test_wake_wakes_another_thread(end):
    with Wake() as wake:
        threading.Timer(0.05, wake.set).start()
        assert run(wake.co_wait()) is True


def test_wake_may_be_used_after_its_end(end):
    wake = Wake()
    wake.close()
    wake.close()
    wake.set()
    wake.clear()


def test_waiting_for_a_wake_has_a_deadline(end):
    with Wake() as wake:
        assert run(wake.co_wait(time.monotonic() + 0.05)) is False


@pytest.mark.feature("B53")
def test_every_system_has_an_end(monkeypatch):
    monkeypatch.delattr(os, "eventfd", raising=False)
    assert type(wake_._end()).__name__ == "_Pipe"
    monkeypatch.setattr(os, "name", "nt")
    end = wake_._end()
    monkeypatch.undo()
    assert type(end).__name__ == "_SocketPair"
    end.close()
