"""Servers and proxies that say nothing, and how long that may take."""

import re
import select
import time

import pytest

from dugong_like import (
    ConnectionTimedOut,
)
from kit.support import read_head

SOON = 0.1  # seconds
# Limits for what ends in time anyhow, but after a first part of it that a busy machine may take
# longer for: the first that is enough is.
LONGER_AND_LONGER = (SOON, 1, 10)


def silent(sock):
    while sock.recv(65536):
        pass


def deaf(sock):
    """Read no body, and stay until the server is ended: a client may be slow to give up."""
    read_head(sock)
    poller = select.poll()
    poller.register(sock, 0)  # for the end, which is told in any case
    poller.poll(30_000)


def check(driver, op, phase, seconds=SOON):
    """Check that *op* is ended in *phase*; the message names the limit, for proxies too."""
    start = time.monotonic()
    with pytest.raises(ConnectionTimedOut) as caught:
        driver(op)
    assert seconds <= time.monotonic() - start < 25
    assert caught.value.phase == phase
    assert f" {seconds} s" in str(caught.value)
    given = rf"\((timeout|Timeouts\(\w+)={seconds}\)"
    assert re.search(given, str(caught.value)) or phase == "expect100"
    return caught.value
