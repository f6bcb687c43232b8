"""Name lookup on helper threads: few of them, which end, and which nobody waits for."""

import socket
import threading

import pytest
from support import open_descriptors, wait_until

from dugong_like import DNSUnavailable, HostnameNotResolvable, run
from dugong_like.transport import resolve
from dugong_like.transport.resolve import co_resolve, is_address, literal, look_up


@pytest.fixture
def helpers(monkeypatch):
    """Helper threads of this test alone, which end soon."""
    monkeypatch.setattr(resolve, "IDLE_TIME", 0.05)
    resolve.forget_threads()
    others.update(dns_threads())  # of earlier tests, which end in their own time
    yield
    wait_until(lambda: not dns_threads())
    resolve.forget_threads()


others = set()


def dns_threads():
    return [
        thread for thread in threading.enumerate()
        if thread.name == "dugong_like-dns" and thread not in others
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "fe80::1%lo", "::ffff:1.2.3.4"])
def test_addresses_need_no_thread(text, helpers):
    assert is_address(text)
    assert run(co_resolve("127.0.0.1", 80)) == [(socket.AF_INET, ("127.0.0.1", 80))]
    assert not dns_threads()


@pytest.mark.parametrize("text", ["localhost", "1.2.3", "256.1.1.1", "", "a\0b", "::g"])
def test_names_are_no_addresses(text):
    assert not is_address(text)


def test_name_is_asked_for_on_a_daemon_thread_that_ends(helpers):
    before = open_descriptors()

    addresses = run(co_resolve("localhost", 80))

    assert ("127.0.0.1", 80) in [address[:2] for _, address in addresses] or addresses
    assert all(thread.daemon for thread in dns_threads())
    assert len(dns_threads()) <= 1
    assert open_descriptors() <= before
    wait_until(lambda: not dns_threads())
    run(co_resolve("localhost", 80))  # a new one is started


def test_number_of_threads_is_bounded_and_every_question_is_answered(helpers, monkeypatch):
    most = 0
    go_on = threading.Event()

    def slow(host, port, **kwargs):
        nonlocal most
        most = max(most, len(dns_threads()))
        go_on.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    operations = [co_resolve(f"name{number}.test", 80) for number in range(30)]
    needs = [next(operation) for operation in operations]
    go_on.set()
    for number, operation in enumerate(operations):
        assert needs[number].poll(5)
        with pytest.raises(StopIteration) as end:
            next(operation)
        assert end.value.value == [(socket.AF_INET, (f"name{number}.test", 80))]
    assert most <= resolve.MAX_THREADS


def test_question_that_was_given_up_is_forgotten(helpers, monkeypatch):
    release = threading.Event()

    def slow(*args, **kwargs):
        release.wait(5)
        raise socket.gaierror(socket.EAI_NONAME, "scripted")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    before = open_descriptors()
    operation = co_resolve("name.test", 80)
    next(operation)
    operation.close()
    assert open_descriptors() <= before
    release.set()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), HostnameNotResolvable),
        (socket.gaierror(socket.EAI_AGAIN, "x"), DNSUnavailable),
        (socket.gaierror(socket.EAI_FAIL, "x"), DNSUnavailable),
        (UnicodeError("label too long"), HostnameNotResolvable),
        (OSError("anything else"), DNSUnavailable),
    ],
)
@pytest.mark.feature("B47")
def test_errors_of_the_resolver(helpers, monkeypatch, error, expected):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(expected, match=r"name\.test"):
        run(co_resolve("name.test", 80))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", (socket.AF_INET, ("127.0.0.1", 5))),
        ("::1", (socket.AF_INET6, ("::1", 5, 0, 0))),
        ("fe80::1%lo", None),
        ("127.1", None),
        ("localhost", None),
        ("a\0b", None),
    ],
)
def test_literal_addresses_need_no_look_up(host, address):
    assert literal(host, 5) == address
    if address is not None:
        assert look_up(host, 5) == [address]


def test_look_up_blocks_and_raises_what_the_system_says():
    assert look_up("127.0.0.1", 5) == [(socket.AF_INET, ("127.0.0.1", 5))]
    with pytest.raises(socket.gaierror):
        look_up("x" * 64, 5)
