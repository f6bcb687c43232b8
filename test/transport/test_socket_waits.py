"""Descriptors that are waited for: each half has its own, made when needed, and given back."""

import socket
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from kit.support import open_descriptors, wait_until

from dugong_like import POLLIN, ConnectionClosed
from dugong_like.transport import socket_waits as descriptors
from dugong_like.transport.socket_waits import SendingDescriptor, Waits


@pytest.fixture
def peers():
    mine, other = socket.socketpair()
    waits = Waits(mine)
    with other:
        yield waits, other
    waits.close()


def test_nothing_is_made_before_it_is_needed(peers):
    waits, _ = peers
    before = open_descriptors()
    assert waits.is_unreadable()
    assert waits.need(POLLIN, None) is waits.need(POLLIN, None)
    assert open_descriptors() <= before

    waits.sending_need(POLLIN, None)
    assert open_descriptors() == before + 1
    waits.close()
    assert open_descriptors() == before - 1


def test_what_is_asked_for_after_closing_is_closed(peers):
    waits, _ = peers
    waits.close()

    assert waits.need(POLLIN, None).source.closed
    with pytest.raises(ConnectionClosed):
        waits.sending_need(POLLIN, None)


def test_blocking_ends_when_something_arrives_or_time_is_over(peers):
    waits, other = peers
    assert not waits.blocks(0.01)
    other.send(b"x")

    assert waits.blocks(None)
    assert waits.blocks(5)
    assert not waits.is_unreadable()


def test_two_threads_wait_and_look_at_the_same_time(peers):
    """They share one object of the system's interface, which only one of them may use at a time."""
    waits, other = peers
    assert waits.is_unreadable()  # makes it
    waits._poll(0)
    asking = threading.Event()
    poll = waits._poll

    def told(limit):
        asking.set()
        return poll(limit)

    waits._poll = told
    results = []
    thread = threading.Thread(target=lambda: results.append(waits.blocks(30)))
    thread.start()
    asking.wait(30)
    for _ in range(100):  # the thread is in it by now, or will be meanwhile
        assert waits.is_unreadable()
        assert not waits.blocks(0)
    other.send(b"x")
    thread.join(30)
    assert results == [True]
    assert not waits.is_unreadable()


def test_object_that_another_thread_uses(peers):
    waits, other = peers

    def used(limit):
        raise RuntimeError("concurrent poll() invocation")

    waits._poll = used
    assert waits.is_unreadable()
    assert not waits.blocks(0.001)
    other.send(b"x")
    assert not waits.is_unreadable()
    assert waits.blocks(None)


def test_waiting_once_without_poll(peers, monkeypatch):
    waits, other = peers
    monkeypatch.setattr(descriptors, "select", SimpleNamespace())
    assert not waits.blocks(0.001)
    assert waits.is_unreadable()
    other.send(b"x")
    assert waits.blocks(5)


def test_duplicate_where_descriptors_are_no_files(peers, monkeypatch):
    waits, _ = peers
    monkeypatch.setattr(descriptors.os, "name", "nt")
    duplicate = descriptors.duplicate(waits._sock)
    monkeypatch.undo()
    assert duplicate.getsockname() == waits._sock.getsockname()
    assert duplicate.fileno() != waits.fd
    duplicate.close()


def test_duplicate_that_cannot_be_wrapped_is_closed(peers, monkeypatch):
    def fail(*arguments):
        raise MemoryError

    waits, _ = peers
    before = open_descriptors()
    monkeypatch.setattr(descriptors, "OwnedSocket", fail)
    with pytest.raises(MemoryError):
        descriptors.duplicate(waits._sock)
    assert open_descriptors() == before


def test_what_is_dropped_is_closed_and_loops_forget_it(peers):
    class Registration:
        def end(self, then):
            ended.append(then)
            then()

    ended = []
    waits, _ = peers
    before = open_descriptors()
    more = Waits(socket.socket())
    more.sending_need(POLLIN, None)
    more.need(POLLIN, None).source.registrations["loop"] = Registration()
    del more
    assert len(ended) == 1
    with pytest.raises(AttributeError):
        Waits(None)
    descriptors.OwnedSocket()
    with pytest.raises(OSError, match="not supported"):
        descriptors.OwnedSocket(-5)
    assert open_descriptors() == before


@pytest.mark.parametrize("after", ["the look at the sender", "the look at its source"])
def test_descriptor_that_is_made_while_another_thread_closes_is_given_back(
    peers, monkeypatch, after
):
    waits, _ = peers
    before = open_descriptors()
    if after == "the look at its source":
        waits._sender = SendingDescriptor(waits._sock)

    def close_and_duplicate(sock):
        duplicate = sock.dup()  # as if it were done before the socket is closed
        waits.close()
        return duplicate

    monkeypatch.setattr(descriptors, "duplicate", close_and_duplicate)
    with pytest.raises(ConnectionClosed, match="it was closed"):
        waits.sending_need(POLLIN, None)
    assert open_descriptors() == before - 1


def test_peer_is_told_at_once_over_tcp_and_nothing_happens_elsewhere(peers):
    waits, _ = peers
    waits.quick_ack()
    waits.quick_ack()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        tcp = Waits(socket.create_connection(listener.getsockname()))
    tcp.quick_ack()
    if hasattr(socket, "TCP_QUICKACK"):
        assert tcp._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1
    tcp.close()
    tcp.quick_ack()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say it")
def test_how_long_nothing_has_moved():
    def idle():
        return descriptors.seconds_idle(mine)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        with (
            socket.create_connection(listener.getsockname()) as mine,
            listener.accept()[0] as other,
        ):
            for move in (lambda: mine.send(b"x"), lambda: other.send(b"x")):
                wait_until(lambda: idle() >= 0.2)
                before, began = idle(), time.monotonic()
                wait_until(lambda move=move, before=before: move() and idle() < before)
                assert idle() <= time.monotonic() - began + 0.1
        with pytest.raises(OSError, match="descriptor"):
            idle()


def test_how_long_nothing_has_moved_is_not_known_of_a_unix_socket(peers):
    assert descriptors.seconds_idle(peers[1]) is None
