"""Connecting: addresses race, nothing blocks, and what fails leaves no socket open."""

import errno
import socket

import pytest
from kit import servers
from kit.support import open_descriptors

from dugong_like import POLLOUT, ConnectFailed, PollNeeded, run
from dugong_like.transport.connect import happy_eyeballs as connecting
from dugong_like.transport.connect.happy_eyeballs import Attempt, co_connect_tcp, interleave


def test_families_take_turns():
    four, six = socket.AF_INET, socket.AF_INET6
    addresses = [(six, 1), (six, 2), (six, 3), (four, 4), (four, 5)]

    assert [number for _, number in interleave(addresses)] == [1, 4, 2, 5, 3]
    assert interleave(addresses[3:]) == addresses[3:]


@pytest.mark.parametrize("twice", [False, True])
def test_attempt_says_when_it_is_connected(monkeypatch, twice):
    monkeypatch.setattr(connecting, "CONNECTS_TWICE", twice)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attempt = Attempt((socket.AF_INET, listener.getsockname()))
        assert twice or not attempt.connected
        if not attempt.connected:  # on loopback it mostly is, if it has tried twice
            assert PollNeeded(attempt.sock.fileno(), POLLOUT).poll(30)
            attempt.look()
        assert attempt.connected
        assert not attempt.sock.getblocking()
        attempt.sock.close()


@pytest.mark.parametrize("twice", [False, True])
def test_attempt_that_fails_closes_its_socket(monkeypatch, twice):
    monkeypatch.setattr(connecting, "CONNECTS_TWICE", twice)
    with servers.refusing_port() as port:
        before = open_descriptors()
        with pytest.raises(ConnectFailed, match="cannot connect to here: .*refused"):
            run(co_connect_tcp([(socket.AF_INET, ("127.0.0.1", port))], "here"))
        assert open_descriptors() <= before


def test_sockets_do_not_block(monkeypatch):
    class Deaf(connecting.OwnedSocket):
        """It does not listen to SOCK_NONBLOCK, as that of gevent."""

        def __init__(self, family, kind):
            super().__init__(family, kind & ~getattr(socket, "SOCK_NONBLOCK", 0))

    monkeypatch.setattr(connecting, "OwnedSocket", Deaf)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        attempt = Attempt((socket.AF_INET, listener.getsockname()))
        assert not attempt.sock.getblocking()
        attempt.sock.close()


@pytest.mark.parametrize("twice", [False, True])
def test_connecting_resumed_too_early_goes_on(monkeypatch, twice):
    monkeypatch.setattr(connecting, "CONNECTS_TWICE", twice)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        operation = co_connect_tcp([(socket.AF_INET, listener.getsockname())], "here")
        sock = None
        for _ in range(1000):
            try:
                next(operation)
            except StopIteration as end:
                sock = end.value
                break
        assert sock is not None
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getblocking()
        sock.close()


def test_all_addresses_fail():
    addresses = [(socket.AF_INET, ("127.0.0.1", 1)), (socket.AF_INET6, ("::1", 1))]
    with pytest.raises(ConnectFailed, match="cannot connect to here") as failure:
        run(co_connect_tcp(addresses, "here"))
    assert failure.value.__cause__.errno == errno.ECONNREFUSED
