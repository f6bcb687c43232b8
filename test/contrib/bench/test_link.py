"""contrib/bench/link.py: which packets arrive, and when, by a made-up clock; and a real link."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from itertools import chain
from pathlib import Path

import pytest
from kit.support import ROOT, wait_until

from contrib.bench import link as link_module
from contrib.bench.link import SERVER, Carrier, Line, link, obstacle

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="for Linux")
PACKET = bytes(1000)
SEND = """
import socket, sys
with socket.create_server((sys.argv[1], 5000)) as listener:
    print("listens", flush=True)
    sock, _ = listener.accept()
    with sock:
        name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
        print(name.rstrip(b"\\0").decode())
        sock.sendall(bytes(1 << 20))
"""
RECEIVE = """
import socket, sys
with socket.create_connection((sys.argv[1], 5000)) as sock:
    name = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    print(sum(map(len, iter(lambda: sock.recv(65536), b""))), name.rstrip(b"\\0").decode())
"""
KILLED = """
with link(0.0) as path:
    print(path.at_client[1].partition("=")[2], flush=True)
    input()
"""


def arrivals(line, count, spacing=0.0):
    """Return when each of so many packets arrives, in milliseconds; None for those that do not."""
    for number in range(count):
        now = number * spacing
        line.put(number.to_bytes(2, "big") + PACKET[2:], now)
    found = {}
    while (at := line.next_arrival()) is not None:
        assert line.take(at - 1e-6) is None
        packet = line.take(at)
        found[int.from_bytes(packet[:2], "big")] = round(at * 1000, 3)
    return [found.get(number) for number in range(count)]


def test_each_packet_arrives_later_and_in_order():
    assert arrivals(Line(0.01), 3, 0.004) == [10, 14, 18]
    assert arrivals(Line(0.0), 2) == [0, 0]


def test_a_rate_spreads_them():
    """1,000 bytes take 1 ms."""
    assert arrivals(Line(0.01, rate=1e6), 3) == [11, 12, 13]
    assert arrivals(Line(0.01, rate=1e6), 3, 0.0005) == [11, 12, 13]
    assert arrivals(Line(0.01, rate=1e6), 3, 0.002) == [11, 13, 15]


def test_a_queue_that_is_full_drops_what_comes():
    line = Line(0.0, rate=1e6, queue=3)
    assert arrivals(line, 5) == [1, 2, 3, None, None]
    assert (line.carried, line.lost, line.dropped) == (3, 0, 2)
    line.put(PACKET, 0.0025)  # two of them have been sent
    assert line.next_arrival() == pytest.approx(0.004)


def test_losses_are_those_of_the_seed():
    def lost(seed):
        line = Line(0.01, 0.1, seed=seed)
        times = arrivals(line, 2000)
        assert line.lost == times.count(None)
        assert line.carried == 2000 - line.lost
        return [number for number, at in enumerate(times) if at is None]

    assert lost(1) == lost(1) != lost(2)
    assert 100 < len(lost(1)) < 300
    assert arrivals(Line(0.0, 1.0), 3) == [None] * 3
    assert None not in arrivals(Line(0.0, 0.0), 1000)


@pytest.fixture
def ends():
    """Two devices: the sockets of a carrier, and those of what sends and receives there."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    for sock in chain(*pairs):
        sock.setblocking(False)
    yield tuple(zip(*pairs, strict=True))
    for sock in chain(*pairs):
        sock.close()


def received(sock):
    """Return the packets that have come."""
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(sock.recv(2000))
    return found


def test_packets_are_carried_both_ways(ends):
    carrying, (client, server) = ends
    now = [5.0]
    devices = tuple(sock.fileno() for sock in carrying)
    carrier = Carrier(devices, (Line(0.01), Line(0.03)), lambda: now[0])
    assert carrier.timeout() is None
    for data in (b"first", b"second"):
        client.send(data)
    carrier.step()
    now[0] = 5.005
    server.send(b"answer")
    carrier.step()
    assert received(server) == received(client) == []
    assert carrier.timeout() == pytest.approx(0.005)

    now[0] = 5.02
    assert carrier.timeout() == 0
    carrier.step()
    assert received(server) == [b"first", b"second"]
    assert carrier.timeout() == pytest.approx(0.015)
    now[0] = 5.035
    carrier.step()
    assert received(client) == [b"answer"]


def test_one_direction_does_not_starve_the_other(ends):
    carrying, (client, server) = ends
    carrier = Carrier(tuple(sock.fileno() for sock in carrying), (Line(0.0), Line(0.0)))
    sent = 0
    with suppress(BlockingIOError):
        while True:
            client.send(PACKET)
            sent += 1
    server.send(b"answer")
    carrier.step()
    assert received(client) == [b"answer"]
    count = len(received(server))
    assert 0 < count <= link_module.BATCH
    while count < sent:
        carrier.step()
        count += len(received(server))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("congestion", ["cubic", "bbr"])
def test_a_link_of_two_namespaces(congestion):
    """Bytes get through a path that loses packets, and nothing is left of it."""
    if reason := obstacle(congestion):
        pytest.skip(reason)
    with link(0.002, 0.05, congestion=congestion) as path:
        enter = Path(path.at_server[1].partition("=")[2])
        with subprocess.Popen(
            [*path.at_server, sys.executable, "-c", SEND, SERVER],
            stdout=subprocess.PIPE, text=True,
        ) as server:  # fmt: skip
            try:
                assert server.stdout.readline() == "listens\n"
                done = subprocess.run(
                    [*path.at_client, sys.executable, "-c", RECEIVE, SERVER],
                    capture_output=True, text=True, timeout=60, check=True,
                )  # fmt: skip
                assert done.stdout.split() == [str(1 << 20), congestion]
                assert server.stdout.read() == f"{congestion}\n"
            finally:
                server.kill()
        assert not set(os.listdir("/sys/class/net")) & {link_module.DEVICE.decode()}
        assert enter.exists()
    assert not enter.exists()


@pytest.mark.slow
def test_it_ends_with_what_has_started_it():
    if reason := obstacle():
        pytest.skip(reason)
    command = [sys.executable, "-c", "from contrib.bench.link import link\n" + KILLED]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        enter = Path(process.stdout.readline().strip())
        process.kill()
    wait_until(lambda: not enter.exists())


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(link_module, "TUN", "/dev/net/no-such-device")
    assert "no-such-device" in obstacle()
    monkeypatch.undo()
    monkeypatch.setattr(link_module.shutil, "which", lambda _: None)
    if os.access(link_module.TUN, os.R_OK | os.W_OK):
        assert "nsenter" in obstacle()
