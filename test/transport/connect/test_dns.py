"""Names to addresses: what the system is asked, and what its answers mean."""

import socket

import pytest

from dugong_like import DNSUnavailable, HostnameNotResolvable, run
from dugong_like.transport.connect.dns import co_resolve, is_address, literal, look_up


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "fe80::1%lo", "::ffff:1.2.3.4"])
def test_addresses_need_no_wait(text):
    assert is_address(text)
    with pytest.raises(StopIteration) as end:
        next(co_resolve("127.0.0.1", 80))
    assert end.value.value == [(socket.AF_INET, ("127.0.0.1", 80))]


@pytest.mark.parametrize("text", ["localhost", "1.2.3", "256.1.1.1", "", "a\0b", "::g"])
def test_names_are_no_addresses(text):
    assert not is_address(text)


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
def test_errors_of_the_resolver(monkeypatch, error, expected):
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
